"""API-format prompts, ``{node id: {"class_type": ..., "inputs": {...}}}``: reading and checking.

Everything here works on plain JSON. A link is a list of a node id (a string) and an output slot
(execution.py of ComfyUI, ``is_link``); a literal list is wrapped as ``{"__value__": [...]}``.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeGuard, TypeVar

from ._canvas import is_canvas
from ._errors import WorkflowError, describe_node
from ._suggestions import did_you_mean
from ._util import MOST_LEVELS, as_object, copy_json, from_mapping, is_list, is_object

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ._util import JSONObject

T = TypeVar("T")

CANDIDATES_SHOWN = 20

LEVELS_ABOVE_A_VALUE = 3
"""The prompt, the node, and its inputs (or another of its parts)."""

TOO_DEEP = f"nested deeper than {MOST_LEVELS} levels, which no server is sure to survive"

TAKEN_FOR_A_LINK = (
    "which servers take for a link when they run the node: a list of a text and a number cannot be"
    " sent as a value"
)

SEED_INPUTS = ("seed", "noise_seed")
"""The inputs of which -1 means: draw one for each run."""


def require_prompt(value: object, *, source: str = "the workflow") -> JSONObject:
    """Return `value` if it has the shape of an API-format prompt.

    Raises:
        WorkflowError: it has not. The message says what it is instead, and what to do.
    """
    if not is_object(value):
        raise WorkflowError(f"{source} is not a JSON object of nodes but {_kind(value)}")
    prompt = value
    if is_canvas(prompt):
        raise canvas_error(source)
    if set(prompt) >= {"prompt"} and "class_type" not in as_object(prompt["prompt"]):
        inner = prompt["prompt"]
        if _looks_like_nodes(inner):
            raise WorkflowError(
                f"{source} is the body of a request; pass what is under its key 'prompt'"
            )
    if not prompt:
        raise WorkflowError(f"{source} has no nodes")
    for node_id, node in prompt.items():
        _require_node(node_id, node, source)
    return prompt


def own_prompt(value: object) -> JSONObject:
    """Return a deep copy of a prompt that somebody else may change.

    Raises:
        WorkflowError: see `require_prompt`; or it is nested deeper than `MOST_LEVELS`.
    """
    prompt = require_prompt(from_mapping(value))
    try:
        return copy_json(prompt)
    except RecursionError:
        raise WorkflowError(f"the prompt is {TOO_DEEP}") from None


def own_value(value: T, asked_by: str, *, node_id: str, input_name: str) -> T:
    """Return a deep copy of a node's value that somebody else may change.

    Args:
        value: The value.
        asked_by: What the error begins with.
        node_id: Whose value it is.
        input_name: Which of the node's, also where that is no input.

    Raises:
        WorkflowError: a prompt with it would be nested deeper than `MOST_LEVELS`.
    """
    try:
        return copy_json(value, MOST_LEVELS - LEVELS_ABOVE_A_VALUE)
    except RecursionError:
        raise WorkflowError(
            f"{asked_by}: with this value, the prompt is {TOO_DEEP}",
            node_id=node_id,
            input_name=input_name,
        ) from None


def canvas_error(source: str) -> WorkflowError:
    """Return the error for a canvas file where a prompt is wanted, or a server's definitions."""
    return WorkflowError(
        f"{source} is in the canvas format (it has a list of nodes), which holds the picture of a"
        " workflow, not the prompt that a server runs. The server's node definitions make one of"
        " it: use await comfy.load(...), or Workflow.from_file(...,"
        " object_info=await comfy.node.definitions()). Or open it in ComfyUI and choose"
        " Workflow > Export (API)"
    )


def _looks_like_nodes(value: object) -> bool:
    nodes = as_object(value)
    return bool(nodes) and all("class_type" in as_object(node) for node in nodes.values())


def _kind(value: object) -> str:
    return "null" if value is None else f"a {type(value).__name__}"


def _require_node(node_id: object, node: object, source: str) -> None:
    if not isinstance(node_id, str):
        raise WorkflowError(f"{source}: node ids are strings; {node_id!r} is not")
    if not is_object(node):
        raise WorkflowError(f"{source}: node {node_id} is not a JSON object", node_id=node_id)
    if not isinstance(node.get("class_type"), str):
        raise WorkflowError(
            f"{source}: node {node_id} has no class_type, so no server knows what to run",
            node_id=node_id,
        )
    if not isinstance(node.get("inputs"), dict):
        raise WorkflowError(
            f"{source}: {name_node(node_id, node)} has no inputs;"
            ' a node that takes none says "inputs": {}',
            node_id=node_id,
        )


def title_of(node: JSONObject) -> str:
    """Return the title that a person gave the node on the canvas; empty if there is none."""
    title = as_object(node.get("_meta")).get("title")
    return title if isinstance(title, str) else ""


def name_node(node_id: str, node: JSONObject) -> str:
    """Name a node of a prompt in a message."""
    return describe_node(node_id, str(node.get("class_type", "")), title_of(node))


def as_link(value: object) -> tuple[str, int] | None:
    """Return the node id and slot that an input's value links to; None for a literal."""
    match value:
        case [str() as node_id, int() as slot] if not isinstance(slot, bool):
            return node_id, slot
        case _:
            return None


def is_link_to_servers(value: object) -> TypeGuard[list[Any]]:
    """Tell whether servers read a list as a link, whatever its number is.

    They do so when they run a node (comfy_execution/graph_utils.py, ``is_link``). A literal list
    that is wrapped they have unwrapped by then, so that one like this cannot be sent at all.
    """
    match value:
        case [str(), int() | float()]:
            return True
        case _:
            return False


def links_of(node: JSONObject) -> Iterator[tuple[str, str, int]]:
    """Yield each link of a node: the input's name, the node linked to, and its slot."""
    for name, value in node["inputs"].items():
        if (link := as_link(value)) is not None:
            yield name, *link


def unknown_node(prompt: JSONObject, node_id: str, *, asked_by: str) -> WorkflowError:
    """Return the error for a node id that the prompt does not have, with what it could be."""
    hint = did_you_mean(node_id, prompt)
    if str(node_id) in prompt:
        hint = f" Node ids are strings: write {str(node_id)!r}."
    return WorkflowError(
        f"{asked_by}: there is no node {node_id!r}.{hint} The nodes are {list_nodes(prompt)}",
        node_id=node_id,
    )


def split_path(prompt: JSONObject, path: str, *, asked_by: str) -> tuple[str, str, str]:
    """Return the parts of ``"6.inputs.text"``, ``"6.class_type"`` or ``"6._meta.title"``.

    Returns:
        The node's id, what of the node is meant, and the name in that (empty for the class type).

    Raises:
        WorkflowError: there is no such node, or the path has another form.
    """
    first, separator, rest = path.partition(".")
    node_id = first
    while node_id not in prompt and separator:  # an id may have dots of its own
        part, separator, rest = rest.partition(".")
        node_id = f"{node_id}.{part}"
    if node_id not in prompt:
        raise unknown_node(prompt, first, asked_by=asked_by)
    match rest.partition("."):
        case ("inputs" | "_meta" as part, ".", name) if name:
            return node_id, part, name
        case ("class_type", "", ""):
            return node_id, "class_type", ""
        case _:
            wanted = f'"{node_id}.inputs.<input>"'
            raise WorkflowError(
                f"{asked_by}: {repr(rest) if separator else 'nothing'} follows the node;"
                f" write {wanted}, or the node's class_type (a string) or _meta.title",
                node_id=node_id,
            )


def replace_value(
    prompt: JSONObject, place: tuple[str, str, str], value: object, *, asked_by: str
) -> JSONObject:
    """Return a node as it is with another value. It shares the rest with the prompt's own.

    Args:
        prompt: The prompt. Will not be changed.
        place: Which value, as `split_path` returns it.
        value: Will be copied.
        asked_by: What the error begins with.

    Raises:
        WorkflowError: a class type is not a string, or the value is nested too deeply.
    """
    node_id, part, name = place
    node: JSONObject = prompt[node_id]
    if part == "class_type":
        if not isinstance(value, str):
            raise WorkflowError(
                f"{asked_by}: a class_type is a string, not {value!r:.100}", node_id=node_id
            )
        return {**node, "class_type": value}
    owned = own_value(value, asked_by, node_id=node_id, input_name=name)
    return {**node, part: {**as_object(node.get(part)), name: owned}}


def list_nodes(prompt: Mapping[str, Any]) -> str:
    """List a prompt's nodes for a message, the first few of many."""
    names = [f"{node_id} ({node.get('class_type')})" for node_id, node in prompt.items()]
    more = len(names) - CANDIDATES_SHOWN
    return ", ".join(names[:CANDIDATES_SHOWN]) + (f" and {more} more" if more > 0 else "")


def is_unsendable(prompt: JSONObject, value: object) -> bool:
    """Tell whether `check_prompt` refuses a value for the link that it is, or is taken for."""
    if is_object(value):
        return is_link_to_servers(value.get("__value__"))
    if is_link_to_servers(value):
        return value[0] not in prompt
    match value:
        case [int() as number, int()]:
            return str(number) in prompt
        case _:
            return False


def check_prompt(prompt: JSONObject) -> None:
    """Refuse what a server would not survive or not explain: dangling links, cycles, odd values.

    A link to a missing node in an input that the node's class does not declare is not validated
    by a server, and ends the one thread that runs prompts (comfy_execution/graph.py, ``add_node``).

    Raises:
        WorkflowError: it names the node, the input and, for a cycle, the whole path.
    """
    for node_id, node in prompt.items():
        for name, value in node["inputs"].items():
            if is_list(value):
                _check_list(prompt, node_id, name, value)
            elif is_object(value) and is_link_to_servers(value.get("__value__")):
                raise WorkflowError(
                    f"input {name!r} of {name_node(node_id, node)} is the literal list"
                    f" {value['__value__']}, {TAKEN_FOR_A_LINK}",
                    node_id=node_id,
                    input_name=name,
                )
            _check_value(prompt, node_id, name, value)
    if (cycle := find_cycle(prompt)) is not None:
        path = " -> ".join(name_node(node_id, prompt[node_id]) for node_id in cycle)
        raise WorkflowError(f"the nodes form a cycle: {path}", node_id=cycle[0])


def check_values(prompt: JSONObject) -> None:
    """Refuse values that JSON does not have.

    Raises:
        WorkflowError: it names the node and the input.
    """
    for node_id, node in prompt.items():
        for name, value in node["inputs"].items():
            _check_value(prompt, node_id, name, value)


def _check_list(prompt: JSONObject, node_id: str, name: str, value: list[Any]) -> None:
    is_link = is_link_to_servers(value)
    if is_link and value[0] in prompt:
        return
    where = f"input {name!r} of {name_node(node_id, prompt[node_id])}"
    if is_link:
        raise WorkflowError(
            f"{where} links to node {value[0]!r}, which does not exist."
            f" The nodes are {list_nodes(prompt)}",
            node_id=node_id,
            input_name=name,
        )
    match value:
        case [int() as number, int() as slot] if str(number) in prompt:
            raise WorkflowError(
                f"{where} is {value}: a link names its node by a string, so write"
                f' ["{number}", {slot}]. A literal list is written {{"__value__": {value}}}',
                node_id=node_id,
                input_name=name,
            )
        case _:
            pass


def _check_value(prompt: JSONObject, node_id: str, name: str, value: object) -> None:
    if isinstance(value, str):
        return  # most are
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise WorkflowError(
            f"input {name!r} of {name_node(node_id, prompt[node_id])} is {value!r:.100}, which JSON"
            f" cannot hold ({error})",
            node_id=node_id,
            input_name=name,
        ) from None


def find_cycle(prompt: JSONObject) -> list[str] | None:
    """Return the node ids along one cycle, first and last the same; None if there is none."""
    finished: set[str] = set()
    for start in prompt:
        if start in finished:
            continue
        # The path from `start` to where the search stands, each with what is upstream of it yet.
        path = {start: _upstream(prompt, start)}
        while path:
            node_id, upstream = next(reversed(path.items()))
            following = next((source for source in upstream if source not in finished), None)
            if following is None:
                finished.add(node_id)
                path.popitem()  # unlike del, leaves no hole that the next look would cross
            elif following in path:
                return [*list(path)[list(path).index(following) :], following]
            else:
                path[following] = _upstream(prompt, following)
    return None


def _upstream(prompt: JSONObject, node_id: str) -> Iterator[str]:
    return (source for _, source, _ in links_of(prompt[node_id]) if source in prompt)
