"""Routes that tell which models the server has: those that its nodes pretend to, and files."""

from __future__ import annotations

import base64
import glob
import io
import json
import mimetypes
import os
import struct
from typing import TYPE_CHECKING, Final

import attrs
from PIL import Image
from starlette.responses import Response
from starlette.routing import Route

from comfy_trio._util import as_list, as_object

from ._http import empty_reply, json_reply

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from starlette.requests import Request

    from comfy_trio._util import JSONObject

    from ._files import FileStore

MODEL_INPUTS: Final[dict[str, tuple[str, str]]] = {
    "checkpoints": ("CheckpointLoaderSimple", "ckpt_name"),
    "loras": ("LoraLoader", "lora_name"),
    "vae": ("VAELoader", "vae_name"),
    "text_encoders": ("CLIPLoader", "clip_name"),
    "diffusion_models": ("UNETLoader", "unet_name"),
    "clip_vision": ("CLIPVisionLoader", "clip_name"),
    "style_models": ("StyleModelLoader", "style_model_name"),
    "embeddings": ("", ""),
    "diffusers": ("", ""),
    "vae_approx": ("", ""),
    "controlnet": ("ControlNetLoader", "control_net_name"),
    "gligen": ("GLIGENLoader", "gligen_name"),
    "upscale_models": ("UpscaleModelLoader", "model_name"),
    "hypernetworks": ("HypernetworkLoader", "hypernetwork_name"),
    "photomaker": ("PhotoMakerLoader", "photomaker_model_name"),
    "classifiers": ("", ""),
    "model_patches": ("ModelPatchLoader", "name"),
    "audio_encoders": ("AudioEncoderLoader", "audio_encoder_name"),
}
"""The model folders, and the input that offers what is in them."""

SUFFIXES: Final = frozenset(
    {".bin", ".ckpt", ".pkl", ".pt", ".pt2", ".pth", ".safetensors", ".sft"}
)
"""What the names of models end in. Other files in the folders are not listed."""

MAX_HEADER: Final = 2**20
"""The longest header of a safetensors file that is shown, in bytes."""

MAX_HEADER_WITH_COVER: Final = 8 * 2**20
"""The longest one in which a preview is looked for, in bytes."""


@attrs.define(eq=False)
class ModelRoutes:
    """The handlers.

    Args:
        object_info: Makes the declarations of the node types.
        files: The server's folders; models are below ``models`` in its root.
    """

    object_info: Callable[[], JSONObject]
    files: FileStore

    def routes(self) -> list[Route]:
        """The routes, without ``/api``."""
        experiment = "/experiment/models"
        preview = f"{experiment}/preview/{{folder}}/{{path_index}}/{{filename:path}}"
        return [
            Route("/embeddings", self.get_embeddings, methods=["GET"]),
            Route("/models", self.get_names, methods=["GET"]),
            Route("/models/{folder}", self.get_names_in, methods=["GET"]),
            Route(experiment, self.get_folders, methods=["GET"]),
            Route(f"{experiment}/{{folder}}", self.get_files, methods=["GET"]),
            Route(preview, self.get_preview, methods=["GET"]),
            Route("/view_metadata/{folder}", self.get_metadata, methods=["GET"]),
        ]

    async def get_embeddings(self, request: Request) -> Response:
        """Names of embeddings, without their endings."""
        return json_reply([os.path.splitext(name)[0] for name in self._models("embeddings")])

    async def get_names(self, request: Request) -> Response:
        """Names of the model folders."""
        return json_reply(list(MODEL_INPUTS))

    async def get_names_in(self, request: Request) -> Response:
        """Names of the files in a model folder."""
        folder = request.path_params["folder"]
        return json_reply(self._models(folder)) if folder in MODEL_INPUTS else empty_reply(404)

    async def get_folders(self, request: Request) -> Response:
        """The model folders, and where they are."""
        return json_reply(
            [{"name": name, "folders": [str(self._folder(name))]} for name in MODEL_INPUTS]
        )

    async def get_files(self, request: Request) -> Response:
        """The files in a model folder. Those that are only pretended are empty and very old."""
        folder = request.path_params["folder"]
        if folder not in MODEL_INPUTS:
            return empty_reply(404)
        return json_reply([self._described(folder, name) for name in self._models(folder)])

    async def get_preview(self, request: Request) -> Response:
        """The picture beside a model, or within it."""
        folder = request.path_params["folder"]
        if folder not in MODEL_INPUTS:
            return empty_reply(404)
        root = [self._folder(folder)][int(request.path_params["path_index"])].resolve()
        path = (root / request.path_params["filename"]).resolve()
        source = _preview_source(path) if path.is_relative_to(root) else None
        if source is None:
            return empty_reply(404)
        stream = io.BytesIO()
        try:
            with Image.open(source) as image:
                image.save(stream, "WEBP")
        except OSError:
            return empty_reply(404)
        return Response(stream.getvalue(), headers={"content-type": "image/webp"})

    async def get_metadata(self, request: Request) -> Response:
        """The metadata in the header of a model file."""
        name = request.query_params.get("filename", "")
        folder = request.path_params["folder"]
        if not name.endswith(".safetensors") or folder not in MODEL_INPUTS:
            return empty_reply(404)
        root = self._folder(folder).resolve()
        path = (root / name).resolve()
        if not path.is_relative_to(root) or not path.is_file():
            return empty_reply(404)
        metadata = _header(path, MAX_HEADER).get("__metadata__")
        return empty_reply(404) if metadata is None else json_reply(metadata)

    def _folder(self, folder: str) -> Path:
        return self.files.root / "models" / folder

    def _models(self, folder: str) -> list[str]:
        node_class, name = MODEL_INPUTS[folder]
        declared = self.object_info().get(node_class, {}).get("input", {}).get("required", {})
        kind, *options = declared.get(name, [[]])
        if kind == "COMBO" and options:
            kind = options[0].get("options", [])
        root = self._folder(folder)
        found = {
            str(path.relative_to(root))
            for path in root.rglob("*")
            if path.suffix.lower() in SUFFIXES and path.is_file()
        }
        return sorted(found.union(as_list(kind)))

    def _described(self, folder: str, name: str) -> JSONObject:
        path = self._folder(folder) / name
        stat = path.stat() if path.is_file() else None
        return {
            "name": name,
            "pathIndex": 0,
            "modified": stat.st_mtime if stat else 0.0,
            "created": stat.st_ctime if stat else 0.0,
            "size": stat.st_size if stat else 0,
        }


def _preview_source(path: Path) -> Path | io.BytesIO | None:
    """The first picture whose name is that of the model, or else the cover in its header."""
    stem = path.with_suffix("")
    # As the real server does, names with brackets and stars are looked for as patterns.
    for match in sorted(glob.glob(f"{stem}.*")):
        kind, _ = mimetypes.guess_type(match, strict=False)
        if kind is not None and kind.startswith("image/"):
            beside = stem.parent / match
            if beside.with_suffix("") in (stem, stem.with_name(f"{stem.name}.preview")):
                return beside
    model = stem.with_name(f"{stem.name}.safetensors")
    metadata = _header(model, MAX_HEADER_WITH_COVER) if model.is_file() else {}
    covers = as_object(metadata.get("__metadata__")).get("ssmd_cover_images")
    covers = as_list(json.loads(covers)) if covers else []
    return io.BytesIO(base64.b64decode(covers[0])) if covers else None


def _header(path: Path, limit: int) -> JSONObject:
    """The header of a safetensors file; empty if it is longer than `limit`.

    Raises:
        ValueError, struct.error: The file is none, about which the real server gets into trouble.
    """
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        return as_object(json.loads(file.read(length))) if length <= limit else {}
