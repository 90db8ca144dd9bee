"""What a server has besides nodes and models: scripts, embeddings, templates, translations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

import attrs

from .._errors import NotFoundError
from .._replies import (
    Request,
    get,
    quote_segment,
    raise_for_status,
    require_list,
    require_object,
    unexpected,
)
from .._util import as_list, as_object, is_list, is_object, load_json

if TYPE_CHECKING:
    from .._replies import Reply
    from .._util import JSON, JSONObject
    from .._wire_types import NodeReplacement, TemplateCategory

EXTENSIONS: Final = get("/extensions")
TRANSLATIONS: Final = get("/i18n")
NODE_REPLACEMENTS: Final = get("/node_replacements")
WORKFLOW_TEMPLATES: Final = get("/workflow_templates")
CORE_TEMPLATES: Final = Request("GET", "/templates/index.json")
"""ComfyUI's own templates are files of its web page, which are not under ``/api``."""
GLOBAL_SUBGRAPHS: Final = get("/global_subgraphs")
EMBEDDINGS: Final = get("/embeddings")
PLAIN_EMBEDDINGS: Final = Request("GET", "/embeddings")
"""The same at ComfyUI's older path, which extensions leave alone."""
EMBEDDINGS_PAGE_SIZE: Final = 100


def _require_texts(reply: Reply, value: object, expected: str) -> tuple[str, ...]:
    texts = tuple(text for text in as_list(value) if isinstance(text, str))
    if not is_list(value) or len(texts) != len(value):
        raise unexpected(reply, expected)
    return texts


def _lacks_route(reply: Reply) -> bool:
    """See `require_route`."""
    return reply.status in {404, 405}


def read_texts(reply: Reply, expected: str) -> tuple[str, ...]:
    """Read a reply that is a list of texts.

    Raises:
        ResponseError: it is something else.
    """
    return _require_texts(reply, require_list(reply, expected), expected)


def read_translations(reply: Reply) -> dict[str, JSONObject]:
    """Read the reply to `TRANSLATIONS`.

    Raises:
        ResponseError: it is something else.
    """
    body = require_object(reply, "translations by language")
    if not all(map(is_object, body.values())):
        raise unexpected(reply, "translations by language")
    return body


def read_node_replacements(reply: Reply) -> dict[str, list[NodeReplacement]]:
    """Read the reply to `NODE_REPLACEMENTS`; empty for servers without the route.

    Raises:
        ResponseError: it is something else.
    """
    if _lacks_route(reply):
        return {}
    body = require_object(reply, "the classes that were replaced")
    for replacements in body.values():
        if not is_list(replacements) or not all(map(is_object, replacements)):
            raise unexpected(reply, "the classes that were replaced")
    return body


# Embeddings


def embeddings_page_request(page: int) -> Request:
    """Return the request for a page of embeddings, counted from 1."""
    return get("/embeddings", page=str(page), page_size=str(EMBEDDINGS_PAGE_SIZE))


def is_page(reply: Reply) -> bool:
    """Tell whether a list of embeddings is that of an extension, which gives it in pages."""
    return reply.status == 200 and is_list(as_object(reply.json()).get("items"))


def read_embeddings_page(reply: Reply) -> tuple[str, ...]:
    """Read the reply to `embeddings_page_request`: the names, as prompts mention them.

    Raises:
        ResponseError: it is something else.
    """
    expected = "a page of embeddings"
    items = require_object(reply, expected).get("items")
    names = [_name_on_page(as_object(item)) for item in as_list(items)]
    return _require_texts(reply, names if is_list(items) else None, expected)


def _name_on_page(item: JSONObject) -> object:
    file_name, folder = item.get("file_name"), item.get("folder")
    if isinstance(file_name, str) and file_name:
        return f"{folder}/{file_name}" if folder and isinstance(folder, str) else file_name
    return item.get("model_name")


# Templates


def read_workflow_templates(reply: Reply) -> dict[str, tuple[str, ...]]:
    """Read the reply to `WORKFLOW_TEMPLATES`.

    Raises:
        ResponseError: it is something else.
    """
    expected = "templates by pack of custom nodes"
    body = require_object(reply, expected)
    return {pack: _require_texts(reply, names, expected) for pack, names in body.items()}


def workflow_template_request(pack: str, name: str) -> Request:
    """Return the request for a template of a pack of custom nodes."""
    return get(f"/workflow_templates/{quote_segment(pack)}/{quote_segment(name)}.json")


def core_template_request(name: str) -> Request:
    """Return the request for one of ComfyUI's own templates."""
    return Request("GET", f"/templates/{quote_segment(name)}.json")


def read_core_templates(reply: Reply) -> list[TemplateCategory]:
    """Read the reply to `CORE_TEMPLATES`; empty for servers that have none installed.

    Raises:
        ResponseError: it is something else.
    """
    if _lacks_route(reply):
        return []
    categories = require_list(reply, "the index of workflow templates")
    for category in categories:
        templates = as_object(category).get("templates")
        if not is_list(templates) or not all(map(is_object, templates)):
            raise unexpected(reply, "the index of workflow templates")
    return cast("list[TemplateCategory]", categories)


def read_template(reply: Reply, missing: str) -> JSONObject:
    """Read the reply to `workflow_template_request` or `core_template_request`.

    Args:
        reply: The server's.
        missing: What to say if the server does not have it.

    Raises:
        NotFoundError: the server does not have it.
        ResponseError: the reply is something else.
    """
    if reply.status == 404:
        raise NotFoundError(missing, reply.summary())
    raise_for_status(reply)
    workflow = _parsed(reply.content)
    if not is_object(workflow):
        raise unexpected(reply, "a workflow")
    return workflow


def _parsed(text: str | bytes) -> JSON:
    """Parse JSON that someone saved in a file; None if it is none."""
    try:
        value: JSON = load_json(text)
    except (ValueError, RecursionError):
        return None
    return value


# Subgraphs


@attrs.frozen
class GlobalSubgraph:
    """A subgraph that the server offers for use in any workflow.

    Args:
        id: By which it is asked for.
        name: As people see it.
        source: Who has it: ``custom_node``, or ``templates`` for ComfyUI's own.
        node_pack: The pack that it comes with; empty if the server does not tell.
        data: The subgraph, as a canvas has it; None in a list.
        raw: What the server says of it, without the data.
    """

    id: str
    name: str
    source: str = ""
    node_pack: str = ""
    data: JSONObject | None = attrs.field(default=None, eq=False, repr=False)
    raw: JSONObject = attrs.field(factory=dict[str, Any], eq=False, repr=False, kw_only=True)


def global_subgraph_request(subgraph_id: str) -> Request:
    """Return the request for one subgraph."""
    return get(f"/global_subgraphs/{quote_segment(subgraph_id)}")


def read_global_subgraphs(reply: Reply) -> tuple[GlobalSubgraph, ...]:
    """Read the reply to `GLOBAL_SUBGRAPHS`; empty for servers without the route.

    Raises:
        ResponseError: it is something else.
    """
    if _lacks_route(reply):
        return ()
    body = require_object(reply, "subgraphs")
    if not all(map(is_object, body.values())):
        raise unexpected(reply, "subgraphs")
    return tuple(_subgraph(subgraph_id, entry, None) for subgraph_id, entry in body.items())


def read_global_subgraph(reply: Reply, subgraph_id: str) -> GlobalSubgraph | None:
    """Read the reply to `global_subgraph_request`; None for one that the server does not have.

    Raises:
        ResponseError: it is something else.
    """
    if _lacks_route(reply):
        return None
    raise_for_status(reply)
    if reply.content.strip() == b"null":
        return None
    entry = require_object(reply, "a subgraph")
    data = entry.get("data")
    parsed = _parsed(data) if isinstance(data, str) else data
    if not is_object(parsed):
        raise unexpected(reply, "a subgraph, and JSON in its data")
    return _subgraph(subgraph_id, entry, parsed)


def _subgraph(subgraph_id: str, entry: JSONObject, data: JSONObject | None) -> GlobalSubgraph:
    return GlobalSubgraph(
        subgraph_id,
        str(entry.get("name", "")),
        str(entry.get("source", "")),
        str(as_object(entry.get("info")).get("node_pack", "")),
        data,
        raw={key: value for key, value in entry.items() if key != "data"},
    )
