"""The classes of nodes that the embedded server has, as it shows them and as it judges inputs."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, final

from comfy_trio._validation import CustomValidation

from ._diffusion_nodes import DEFAULT_SECONDS_PER_STEP, diffusion_nodes
from ._file_nodes import FILE_NODES
from ._image_nodes import IMAGE_NODES
from ._inpainting_nodes import INPAINTING_NODES
from ._node_type import InputFiles
from ._probe_nodes import PROBE_NODES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from comfy_trio._util import JSONObject

    from ._files import FileStore
    from ._node_type import NodeType


def core_nodes(seconds_per_step: float = DEFAULT_SECONDS_PER_STEP) -> tuple[NodeType, ...]:
    """Every class the server has of itself, with another pace of the sampler."""
    painting = (*diffusion_nodes(seconds_per_step), *INPAINTING_NODES)
    return (*FILE_NODES, *IMAGE_NODES, *painting, *PROBE_NODES)


CORE_NODES: Final[tuple[NodeType, ...]] = core_nodes()
"""Every class the server has of itself."""

NEWEST: Final = (0, 27, 0)
"""The newest version whose replies ours are known to equal."""


@final
class ObjectInfo:
    """Makes the reply to `GET /object_info` of one server, at any time.

    Args:
        nodes: The classes that it has.
        files: Where the files are that loading nodes list.
        version: Decides declarations as well as which keys an entry has.
    """

    def __init__(
        self, nodes: Iterable[NodeType], files: FileStore, version: tuple[int, ...] = NEWEST
    ) -> None:
        self._files = files
        self._version = version
        declared = [node.at(version) for node in nodes]
        self._entries = {node.class_type: self._entry(node) for node in declared}
        self._changing = [node for node in declared if _lists_files(node)]

    def __call__(self) -> JSONObject:
        """Return the reply as it is now."""
        changing = {node.class_type: self._entry(node) for node in self._changing}
        return {**self._entries, **changing}

    def _entry(self, node: NodeType) -> JSONObject:
        return _entry(node, self._files, self._version)


def custom_validations(
    nodes: Iterable[NodeType], files: FileStore, version: tuple[int, ...] = NEWEST
) -> dict[str, CustomValidation]:
    """``VALIDATE_INPUTS`` of those classes that have it, for `validate_prompt`."""
    return {
        node.class_type: CustomValidation(
            takes=frozenset(node.validated), check=partial(node.validate, files)
        )
        for node in (each.at(version) for each in nodes)
        if node.validate is not None
    }


def _lists_files(node: NodeType) -> bool:
    inputs = (*node.required.values(), *node.optional.values())
    return any(isinstance(kind, InputFiles) for kind, *_ in inputs)


def _entry(node: NodeType, files: FileStore, version: tuple[int, ...]) -> JSONObject:
    sections = _sections(node, files)
    entry: JSONObject = {
        "input": sections,
        "input_order": {section: list(inputs) for section, inputs in sections.items()},
        "output": list(node.outputs),
        "output_is_list": list(node.output_is_list or (False,) * len(node.outputs)),
        "output_name": list(node.output_names or node.outputs),
        "name": node.class_type,
        "display_name": node.class_type if node.display_name == "" else node.display_name,
        "description": node.description,
        "python_module": node.python_module,
        "category": node.category,
        "output_node": node.output_node,
    }
    if version >= (0, 12):
        entry["is_input_list"] = False
    if version >= (0, 19):
        entry["has_intermediate_output"] = False
    if node.v3:
        entry |= _always_shown(node, version)
    elif version >= (0, 11):
        entry["search_aliases"] = []
    entry.update(node.flags)
    return entry


def _always_shown(node: NodeType, version: tuple[int, ...]) -> JSONObject:
    """The keys that nodes of the newer declaration API show even when they are not set."""
    keys: tuple[tuple[tuple[int, ...], str, Any], ...] = (
        ((), "output_tooltips", [None] * len(node.outputs)),
        ((), "deprecated", False),
        ((), "experimental", False),
        ((), "api_node", False),
        ((0, 4), "output_matchtypes", None),
        ((0, 9, 2), "price_badge", None),
        ((0, 11), "search_aliases", None),
        ((0, 11, 1), "dev_only", False),
        ((0, 15), "essentials_category", None),
    )
    return {key: value for since, key, value in keys if version >= since}


def _sections(node: NodeType, files: FileStore) -> dict[str, dict[str, Any]]:
    sections: dict[str, dict[str, Any]] = {"required": _shown(node.required, node, files)}
    if node.optional:
        sections["optional"] = _shown(node.optional, node, files)
    if node.hidden:
        sections["hidden"] = {
            name: [kind] if node.v3 else kind for name, kind in node.hidden.items()
        }
    return sections


def _shown(
    inputs: Mapping[str, list[Any]], node: NodeType, files: FileStore
) -> dict[str, list[Any]]:
    shown: dict[str, list[Any]] = {}
    for name, (kind, *options) in inputs.items():
        if kind is InputFiles.IMAGES:
            kind = files.images()
        elif kind is InputFiles.ALL:
            kind = sorted(files.names("input"))
        shown[name] = [kind, *(options or ([{}] if node.v3 else []))]
    return shown
