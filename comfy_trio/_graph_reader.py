"""From a prompt back to typed nodes."""

from __future__ import annotations

from graphlib import TopologicalSorter
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

from ._errors import WorkflowError
from ._node_fields import Chosen, Grows
from ._out import Slot, is_out
from ._prompt import as_link, check_prompt, links_of, require_prompt
from ._typed_node import Choice, Inputs, Node
from ._unknown_node import UnknownNode
from ._util import as_object, is_list

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import ModuleType

    from ._node_fields import Shape
    from ._out import Out
    from ._util import JSONObject


def read_nodes(prompt: Mapping[str, Any], package: ModuleType) -> dict[str, Node]:
    """Return the nodes of a prompt by their ids, in the prompt's order.

    Raises:
        WorkflowError: it is no prompt, a link leads nowhere, or there is a cycle.
    """
    plain = require_prompt(dict(prompt))
    check_prompt(plain)
    find_class = class_finder(package)
    made: dict[str, Node] = {}
    upstream = {
        node_id: [source for _, source, _ in links_of(node)] for node_id, node in plain.items()
    }
    for node_id in TopologicalSorter(upstream).static_order():
        made[node_id] = _read_node(plain[node_id], find_class, made)
    return {node_id: made[node_id] for node_id in plain}


def class_finder(package: ModuleType) -> Callable[[str], type[Node] | None]:
    """Return a function that finds the class of nodes for a class type in a generated package.

    Raises:
        WorkflowError: it is no generated package.
    """
    try:
        homes: Mapping[str, str] = import_module(f"{package.__name__}._index").NODES
    except (ImportError, AttributeError):
        raise WorkflowError(
            f"{package.__name__} is not a package made by `python -m comfy_trio codegen`"
        ) from None

    def find(class_type: str) -> type[Node] | None:
        home = homes.get(class_type)
        if home is None:
            return None
        module, _, name = home.partition(":")
        found: type[Node] = getattr(import_module(f"{package.__name__}.{module}"), name)
        return found

    return find


def _read_node(
    node: JSONObject, find_class: Callable[[str], type[Node] | None], made: Mapping[str, Node]
) -> Node:
    inputs = {name: _decode(value, made) for name, value in node["inputs"].items()}
    node_class = find_class(node["class_type"])
    read = None if node_class is None else _read_typed(node_class, inputs)
    if read is None:
        read = UnknownNode(node["class_type"], inputs)
    extra = {key: value for key, value in node.items() if key not in {"class_type", "inputs"}}
    return read._twin(_extra=extra) if extra else read


def _decode(value: object, made: Mapping[str, Node]) -> object:
    if (link := as_link(value)) is not None:
        node_id, index = link
        node = made[node_id]
        whole: object = node
        if index == 0 and is_out(whole):
            return whole
        output: Out[object] = Slot(node, index)
        return output
    wrapped = as_object(value)
    if wrapped.keys() == {"__value__"} and is_list(wrapped["__value__"]):
        return wrapped["__value__"]
    return value


def _read_typed(node_class: type[Node], inputs: Mapping[str, object]) -> Node | None:
    """Return a node of a class; None if it cannot be made of these inputs."""
    left = dict(inputs)
    try:
        node = cast("Node", _read_inputs(node_class, left, ""))
        if defaults := [name for name, _ in node._wire_inputs() if name not in inputs]:
            node = node.without_inputs(*defaults)
        sent = {name for name, _ in node._wire_inputs()}
        # To a node None is that there is no such input; on the wire null is one.
        left |= {name: value for name, value in inputs.items() if name not in sent}
        return node.with_inputs(left) if left else node
    except (TypeError, WorkflowError):  # inputs are missing, or out of their range
        return None


def _read_inputs(kind: type[Inputs], left: dict[str, object], prefix: str) -> Inputs:
    """Make an object of some of the inputs in `left`, and take these out of it."""
    found: dict[str, object] = {}
    for field in kind._input_fields:
        name = prefix + field.name
        if (value := _read_input(field.shape, left, name)) is not _ABSENT:
            found[field.keyword] = value
    return kind(**found)


_ABSENT = object()


def _read_input(shape: Shape, left: dict[str, object], name: str) -> object:
    match shape:
        case Grows():
            return _read_many(shape, left, name)
        case Chosen(classes=classes):
            value = left.get(name, _ABSENT)
            for choice in classes:
                if issubclass(choice, Choice) and name in left and choice._key in (value, ""):
                    return _read_choice(choice, left, name)
            return left.pop(name, _ABSENT)
        case _:
            return left.pop(name, _ABSENT)


def _read_choice(choice: type[Choice], left: dict[str, object], name: str) -> Inputs:
    value = left.pop(name)
    if not choice._key:
        left[f"{name}.slot"] = value
    return _read_inputs(choice, left, f"{name}.")


def _read_many(shape: Grows, left: dict[str, object], name: str) -> object:
    """Return a row as a tuple, or by name where names are left out of its beginning or middle."""
    given = [key for key in left if key.startswith(f"{name}.")]
    names = shape.names or tuple(f"{shape.prefix}{number}" for number in range(len(given)))
    items = {part: left.pop(f"{name}.{part}") for part in names if f"{name}.{part}" in left}
    if not items:
        return _ABSENT
    return tuple(items.values()) if list(items) == list(names[: len(items)]) else items
