"""``/object_info``: the classes of nodes that a server has, and what their inputs offer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import attrs

from .._errors import NotFoundError, ResponseError
from .._replies import (
    Request,
    get,
    quote_segment,
    raise_for_status,
    require_list,
    require_object,
    unexpected,
)
from .._suggestions import did_you_mean
from .._util import as_list, as_object, is_list, is_object

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .._replies import Reply
    from .._util import JSONObject


def definitions_request(class_type: str | None = None) -> Request:
    """Return the request for what the server declares of a class of nodes, or of all."""
    return get(
        "/object_info" if class_type is None else f"/object_info/{quote_segment(class_type)}"
    )


def help_page_request(class_type: str, language: str) -> Request:
    """Return the request for ComfyUI's page on a class, a file outside of ``/api``."""
    path = f"/docs/{quote_segment(class_type)}/{quote_segment(language)}.md"
    return Request("GET", path)


def read_help_page(reply: Reply) -> str | None:
    """Read the reply to `help_page_request`; None if there is no such page.

    Raises:
        ResponseError: it is something else.
    """
    if reply.status == 404:
        return None
    raise_for_status(reply)
    if "html" in reply.content_type:  # what a proxy makes of a path that it does not know
        raise unexpected(reply, "a page in Markdown")
    try:
        return reply.content.decode()
    except UnicodeDecodeError:
        raise unexpected(reply, "a page in Markdown") from None


def read_definitions(reply: Reply, class_type: str | None = None) -> dict[str, JSONObject]:
    """Read the reply to `definitions_request`; empty if it is about a class that is not there.

    Raises:
        ResponseError: it is something else.
    """
    if reply.status == 500 and class_type is not None:
        summary = reply.summary()
        raise ResponseError(
            f"{summary.method} {summary.url} was answered with HTTP status 500: the server fails"
            f" to describe its class {class_type!r}. Its INPUT_TYPES raises, as the server's log"
            " tells; where all classes are listed, this one is missing",
            summary,
        )
    body = require_object(reply, "the declarations of nodes")
    return {name: as_object(declaration) for name, declaration in body.items()}


def require_definition(reply: Reply, class_type: str, known: Iterable[str] = ()) -> JSONObject:
    """Read the reply to `definitions_request` for a class that should be there.

    Args:
        reply: The server's.
        class_type: The class.
        known: Classes that the server is known to have, for a suggestion.

    Raises:
        NotFoundError: the server does not have it.
        ResponseError: the reply is something else.
    """
    declaration = read_definitions(reply, class_type).get(class_type)
    if not declaration:
        raise NotFoundError(
            f"the server has no class of nodes {class_type!r}."
            f"{did_you_mean(class_type, known) or ' Is the pack of custom nodes installed there?'}",
            reply.summary(),
        )
    return declaration


@attrs.frozen
class RemoteChoice:
    """A choice whose options another route of the server lists.

    Args:
        request: For that route.
        key: Where in the reply's object the list is; None if the reply is the list.
    """

    request: Request
    key: str | None = None


def inputs_of(declaration: JSONObject) -> dict[str, Any]:
    """Return the specifications of a class's inputs, by name. The declaration may be odd."""
    sections = as_object(declaration.get("input"))
    return {**as_object(sections.get("optional")), **as_object(sections.get("required"))}


def read_choice(spec: object) -> tuple[Any, ...] | RemoteChoice | None:
    """Return what an input lets one choose from; None if it is no choice of this server's.

    Servers write ``[["a", "b"], {...}]`` or, for nodes in the newer form,
    ``["COMBO", {"options": ["a", "b"], ...}]``; and ``{"remote": {"route": ...}}`` where the
    browser asks another route. A dynamic combo, whose choice brings inputs of its own, has a key
    for each option.

    Args:
        spec: The input's entry in `/object_info`. May be odd.
    """
    kind, *rest = as_list(spec) or [None]
    settings = as_object(rest[0]) if rest else {}
    if kind == "COMFY_DYNAMICCOMBO_V3":
        options = map(as_object, as_list(settings.get("options")))
        return tuple(option["key"] for option in options if "key" in option)
    if kind != "COMBO" and not is_list(kind):
        return None
    if is_object(settings.get("remote")):
        return _read_remote(settings["remote"])
    if "remote_combo" in settings:  # of comfy.org, with the account of who sits at the browser
        return None
    return tuple(as_list(settings.get("options")) if kind == "COMBO" else as_list(kind))


def _read_remote(remote: JSONObject) -> RemoteChoice | None:
    route = urlsplit(str(remote.get("route") or ""))
    if route.scheme or route.netloc or not route.path:
        return None
    params = [*parse_qsl(route.query, keep_blank_values=True)]
    params += [(key, str(value)) for key, value in as_object(remote.get("query_params")).items()]
    key = remote.get("response_key")
    request = Request("GET", f"/{route.path.lstrip('/')}", tuple(params))
    return RemoteChoice(request, key if isinstance(key, str) and key else None)


def names_offered(declaration: JSONObject, input_name: str) -> tuple[str, ...]:
    """Return the names that an input of a class lets one choose from; empty if it is no choice.

    Args:
        declaration: The class's entry in `/object_info`. May be odd or empty.
        input_name: The input, required or optional.
    """
    offered = read_choice(inputs_of(declaration).get(input_name))
    if not isinstance(offered, tuple):
        return ()
    return tuple(option for option in offered if isinstance(option, str))


def require_choice(
    reply: Reply, declaration: JSONObject, class_type: str, input_name: str
) -> tuple[Any, ...] | RemoteChoice:
    """Return what an input lets one choose from.

    Args:
        reply: The server's, for the error.
        declaration: Of the class, as `require_definition` read it.
        class_type: The class.
        input_name: Its input.

    Raises:
        NotFoundError: there is no such input, or it is no choice, or not one of this server's.
    """
    inputs = inputs_of(declaration)
    if input_name not in inputs:
        raise NotFoundError(
            f"{class_type} has no input {input_name!r}.{did_you_mean(input_name, inputs)}",
            reply.summary(),
        )
    spec = inputs[input_name]
    offered = read_choice(spec)
    if offered is None:
        what = next(iter(as_list(spec)), spec)
        reason = (
            "its options are not at this server"
            if what == "COMBO" or is_list(what)
            else f"it is of type {what!r:.80}"
        )
        raise NotFoundError(
            f"the input {input_name!r} of {class_type} offers no choice: {reason}", reply.summary()
        )
    return offered


def read_remote_choice(reply: Reply, choice: RemoteChoice) -> tuple[Any, ...]:
    """Read the reply to the request of a remote choice.

    Raises:
        ResponseError: it is something else.
    """
    expected = "the options of a choice"
    if choice.key is None:
        return tuple(require_list(reply, expected))
    options = require_object(reply, expected).get(choice.key)
    if not is_list(options):
        raise unexpected(reply, expected)
    return tuple(options)
