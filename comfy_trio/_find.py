"""Finding the nodes of a prompt by what people call them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._errors import WorkflowError
from ._prompt import CANDIDATES_SHOWN, name_node, title_of
from ._suggestions import did_you_mean

if TYPE_CHECKING:
    from ._util import JSONObject


def find_nodes(
    prompt: JSONObject, *, title: str | None = None, class_type: str | None = None
) -> tuple[str, ...]:
    """Return the nodes that have the title and are of the class, those of them that are given."""
    return tuple(
        node_id
        for node_id, node in prompt.items()
        if (title is None or title_of(node) == title)
        and (class_type is None or node["class_type"] == class_type)
    )


def find_node(prompt: JSONObject, what: str, *, asked_by: str | None = None) -> str:
    """Return the one node that has this id, or else this title, or else this class.

    Args:
        prompt: The prompt.
        what: The id, title or class.
        asked_by: What the error begins with. Default: that it was to be found.

    Raises:
        WorkflowError: there is none, or more than one; the message lists the candidates.
    """
    if what in prompt:
        return what
    asked_by = asked_by or f"find({what!r})"
    for kind, found in (
        ("with the title", find_nodes(prompt, title=what)),
        ("of class", find_nodes(prompt, class_type=what)),
    ):
        if len(found) == 1:
            return found[0]
        if found:
            raise WorkflowError(
                f"{asked_by}: there are {len(found)} nodes {kind} {what!r}:"
                f" {_list(prompt, found)}. Use an id"
            )
    names = {name for node in prompt.values() for name in (title_of(node), node["class_type"])}
    hint = did_you_mean(what, sorted({*names, *prompt} - {""}))
    raise WorkflowError(
        f"{asked_by}: no node has this id, title or class.{hint}"
        f" The nodes are {_list(prompt, tuple(prompt))}"
    )


def _list(prompt: JSONObject, node_ids: tuple[str, ...]) -> str:
    names = [name_node(node_id, prompt[node_id]) for node_id in node_ids[:CANDIDATES_SHOWN]]
    more = len(node_ids) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")
