"""The files that a node's output names, under whatever keys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from ._wire_types import OutputFile

MODEL_SUFFIXES: Final = (
    ".fbx",
    ".glb",
    ".gltf",
    ".ksplat",
    ".obj",
    ".ply",
    ".splat",
    ".spz",
    ".stl",
    ".usdz",
)
"""The endings of three-dimensional models, which nodes that show them name as a path alone."""

TEMP_MODELS: Final = ("preview3d_advanced_", "preview_splat_", "preview_pointcloud_")
"""How the names of those begin that lie in ``temp`` (comfy_extras/nodes_load_3d.py of 0.27)."""


def output_files(output: Mapping[str, Any]) -> tuple[OutputFile, ...]:
    """Return the files that a node's output names, each once, in the output's order.

    Whatever the node calls them: ``images`` (which hold videos, too), ``gifs``, ``audio``, ``3d``,
    ``latents``, ``files``, ``a_images``, ... A file is returned as the node names it, with all that
    the node says of it. The nodes that show three-dimensional models name a path in ``result``
    instead; those are put into the same form. A path that lies outside of the server's folders
    cannot be fetched, and is left out.

    Args:
        output: As `JobResult` and the event `Output` hold it; may be odd or empty.
    """
    found: dict[str, OutputFile] = {}
    for key, value in output.items():
        for file in _files_in(value, paths=key == "result"):
            facts = (file.get("type", "output"), file.get("subfolder", ""), file["filename"])
            found.setdefault(str(facts), file)
    return tuple(found.values())


def _files_in(value: object, *, paths: bool) -> Iterator[OutputFile]:
    if isinstance(value, list | tuple):
        for each in cast("list[object]", value):
            yield from _files_in(each, paths=paths)
    elif isinstance(value, Mapping):
        filename: object = cast("Mapping[str, object]", value).get("filename")
        if isinstance(filename, str) and filename:
            yield cast("OutputFile", value)
    elif paths and isinstance(value, str):
        yield from _file_at(value)


def _file_at(path: str) -> Iterator[OutputFile]:
    folder = "temp" if path.startswith(TEMP_MODELS) else "output"
    for name in ("output", "temp", "input"):
        if path.endswith(f" [{name}]"):
            path, folder = path.removesuffix(f" [{name}]"), name
    if path.startswith("temp/bg_"):  # the picture behind the model
        path, folder = path.removeprefix("temp/"), "temp"
    elif not path.lower().endswith(MODEL_SUFFIXES):
        return
    subfolder, _, filename = path.replace("\\", "/").rpartition("/")
    if not subfolder.startswith("/") and ":" not in subfolder and path[0] not in "/\\":
        yield {"filename": filename, "subfolder": subfolder, "type": folder}
