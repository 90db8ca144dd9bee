"""Routes that tell what the server is and has."""

from __future__ import annotations

import json
import os
import struct
import sys
from typing import TYPE_CHECKING, Final

import attrs
from starlette.routing import Route

from comfy_trio._util import as_list, as_object

from ._http import empty_reply, json_reply

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from starlette.requests import Request
    from starlette.responses import Response

    from comfy_trio._util import JSONObject

    from ._files import FileStore
    from ._versions import PlayedVersion

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

MEMORY: Final = 16 * 2**30
"""The memory that the server claims to have, in bytes."""

MAX_HEADER: Final = 2**20
"""The longest header of a safetensors file that is read, in bytes."""


@attrs.define(eq=False)
class InfoRoutes:
    """The handlers.

    Args:
        version: What the server can do.
        object_info: Makes the declarations of the node types.
        files: The server's folders.
        max_upload_size: Told among the features, in bytes.
    """

    version: PlayedVersion
    object_info: Callable[[], JSONObject]
    files: FileStore
    max_upload_size: int

    def routes(self) -> list[Route]:
        """The routes, without ``/api``."""
        routes = [
            Route("/object_info", self.get_object_info, methods=["GET"]),
            Route("/object_info/{node_class:path}", self.get_node_info, methods=["GET"]),
            Route("/system_stats", self.get_system_stats, methods=["GET"]),
            Route("/features", self.get_features, methods=["GET"]),
            Route("/embeddings", self.get_embeddings, methods=["GET"]),
            Route("/models", self.get_models, methods=["GET"]),
            Route("/models/{folder}", self.get_model_files, methods=["GET"]),
            Route("/view_metadata/{folder}", self.get_view_metadata, methods=["GET"]),
            Route("/extensions", self.get_extensions, methods=["GET"]),
        ]
        if self.version.node_replacements:
            routes.append(Route("/node_replacements", self.get_replacements, methods=["GET"]))
        return routes

    async def get_object_info(self, request: Request) -> Response:
        """All node types."""
        return json_reply(self.object_info())

    async def get_node_info(self, request: Request) -> Response:
        """One node type, or ``{}``."""
        name = request.path_params["node_class"]
        info = self.object_info()
        return json_reply({name: info[name]} if name in info else {})

    async def get_system_stats(self, request: Request) -> Response:
        """The machine that the server pretends to run on."""
        system: JSONObject = {
            "os": sys.platform if self.version.sys_platform else os.name,
            "ram_total": MEMORY,
            "ram_free": MEMORY // 2,
            "comfyui_version": self.version.text,
            "required_frontend_version": None,
            "installed_templates_version": None,
            "required_templates_version": None,
            "python_version": sys.version,
            "pytorch_version": "none (embedded server)",
            "embedded_python": False,
            "argv": ["main.py", "--cpu"],
        }
        if self.version.package_versions:
            system["comfy_package_versions"] = []
        if self.version.deploy_environment:
            system["deploy_environment"] = "local"
        device: JSONObject = {
            "name": "cpu",
            "type": "cpu",
            "index": None,
            "vram_total": MEMORY,
            "vram_free": MEMORY // 2,
            "torch_vram_total": MEMORY,
            "torch_vram_free": MEMORY // 2,
        }
        return json_reply({"system": system, "devices": [device]})

    async def get_features(self, request: Request) -> Response:
        """The server's feature flags."""
        return json_reply(self.version.features(self.max_upload_size))

    async def get_embeddings(self, request: Request) -> Response:
        """Names of embeddings, without their endings."""
        return json_reply([os.path.splitext(name)[0] for name in self._models("embeddings")])

    async def get_models(self, request: Request) -> Response:
        """Names of the model folders."""
        return json_reply(list(MODEL_INPUTS))

    async def get_model_files(self, request: Request) -> Response:
        """Files in a model folder."""
        folder = request.path_params["folder"]
        if folder not in MODEL_INPUTS:
            return empty_reply(404)
        return json_reply(self._models(folder))

    async def get_view_metadata(self, request: Request) -> Response:
        """The metadata in the header of a model file."""
        name = request.query_params.get("filename", "")
        folder = request.path_params["folder"]
        if not name.endswith(".safetensors") or folder not in MODEL_INPUTS:
            return empty_reply(404)
        root = self._folder(folder).resolve()
        path = (root / name).resolve()
        if not path.is_relative_to(root) or not path.is_file():
            return empty_reply(404)
        metadata = _safetensors_metadata(path)
        return empty_reply(404) if metadata is None else json_reply(metadata)

    async def get_extensions(self, request: Request) -> Response:
        """Scripts of the frontend: there is none."""
        return json_reply([])

    async def get_replacements(self, request: Request) -> Response:
        """Renamed node types: there are none."""
        return json_reply({})

    def _folder(self, folder: str) -> Path:
        return self.files.root / "models" / folder

    def _models(self, folder: str) -> list[str]:
        node_class, name = MODEL_INPUTS[folder]
        declared = self.object_info().get(node_class, {}).get("input", {}).get("required", {})
        kind, *options = declared.get(name, [[]])
        if kind == "COMBO" and options:
            kind = options[0].get("options", [])
        root = self._folder(folder)
        found = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
        return sorted(found.union(as_list(kind)))


def _safetensors_metadata(path: Path) -> JSONObject | None:
    with path.open("rb") as file:
        head = file.read(8)
        if len(head) < 8:
            return None
        (length,) = struct.unpack("<Q", head)
        if length > MAX_HEADER:
            return None
        try:
            header = json.loads(file.read(length))
        except ValueError:
            return None
    return as_object(header).get("__metadata__")
