# Generated from codegen/schemas, do not edit: change those and run `nox -s codegen -- --write`.
# schemas: sha256 93cac20693ce77e5
"""What nodes show: the name of the type in `comfy_trio.types` by class of nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

UI_TYPES: Final[Mapping[str, str]] = {
    "CreateBoundingBoxes": "BoundingBoxesOutput",
    "CurveEditor": "HistogramOutput",
    "GLSLShader": "ShaderOutput",
    "ImageCompare": "ImageCompareOutput",
    "LossGraphNode": "ImagesOutput",
    "MaskPreview": "ImagesOutput",
    "Painter": "ImagesOutput",
    "Preview3D": "Preview3DOutput",
    "Preview3DAdvanced": "Preview3DOutput",
    "Preview3DAnimation": "Preview3DOutput",
    "PreviewAny": "TextOutput",
    "PreviewAudio": "AudioOutput",
    "PreviewGaussianSplat": "Preview3DOutput",
    "PreviewImage": "ImagesOutput",
    "PreviewPointCloud": "Preview3DOutput",
    "SAM3_TrackPreview": "ImagesOutput",
    "SaveAnimatedPNG": "ImagesOutput",
    "SaveAnimatedWEBP": "ImagesOutput",
    "SaveAudio": "AudioOutput",
    "SaveAudioAdvanced": "AudioOutput",
    "SaveAudioMP3": "AudioOutput",
    "SaveAudioOpus": "AudioOutput",
    "SaveGLB": "MeshesOutput",
    "SaveImage": "ImagesOutput",
    "SaveImageAdvanced": "ImagesOutput",
    "SaveLatent": "LatentsOutput",
    "SaveSVGNode": "ImagesOutput",
    "SaveText": "SavedTextOutput",
    "SaveVideo": "ImagesOutput",
    "SaveWEBM": "ImagesOutput",
    "VHS_VideoCombine": "VideoCombineOutput",
}
