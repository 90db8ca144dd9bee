"""``/users`` and ``/settings``: who uses the server, and how each has it set up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs

from .._errors import AlreadyExistsError, ResponseError, UnknownUserError
from .._replies import (
    Request,
    get,
    post,
    quote_segment,
    raise_for_status,
    require_object,
    unexpected,
)
from .._util import as_object

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .._replies import Reply
    from .._util import JSON, JSONObject

USERS: Final = get("/users")
SETTINGS: Final = get("/settings")

DEFAULT_USER: Final = "default"
"""The user of a request that names none, whom servers with ``--multi-user`` do not have."""
MAY_MEAN_UNKNOWN_USER: Final = frozenset({401, 403, 500})
"""With what servers answer for a user that they do not have; each may mean something else, too."""


@attrs.frozen
class Users:
    """Who uses a server.

    Args:
        multi_user: Whether it keeps its users apart (``--multi-user``). If not, whoever asks is its
            one user.
        names: The users' names by their ids, if it does. The id is what `open_comfy` takes.
        has_data: Whether anything is stored for its one user, if it does not; None if it does.
        raw: The server's reply.
    """

    multi_user: bool
    names: Mapping[str, str] = attrs.field(factory=dict[str, str])
    has_data: bool | None = None
    raw: JSONObject = attrs.field(factory=dict[str, Any], repr=False)


def read_users(reply: Reply) -> Users:
    """Read the reply to GET /users.

    Raises:
        ResponseError: it is something else.
    """
    body = require_object(reply, "the server's users")
    match body:
        case {"users": dict()}:
            names = as_object(body["users"])
            return Users(True, {user: str(name) for user, name in names.items()}, raw=body)
        case {"migrated": bool() as has_data}:
            return Users(False, has_data=has_data, raw=body)
        case _:
            raise unexpected(reply, "the server's users")


def create_user_request(name: str) -> Request:
    """Return the request that creates a user. White space around the name does not count.

    Servers cut it off, but only after they have looked whether another user has the name.

    Raises:
        ValueError: there is no name.
    """
    name = name.strip()
    if not name:
        raise ValueError("a user needs a name")
    return post("/users", {"username": name})


def read_created_user(reply: Reply, name: str) -> str:
    """Read the reply to POST /users: the new user's id.

    Raises:
        AlreadyExistsError: another user has the name.
        ResponseError: the server does not take the name, or the reply is something else.
    """
    if reply.status == 400:
        match reply.json():
            case {"error": "Duplicate username."}:
                raise AlreadyExistsError(
                    f"the server has a user called {name!r} already; its id is among those that"
                    " comfy.user.users() returns",
                    reply.summary(),
                )
            case {"error": str() as reason}:
                raise ResponseError(
                    f"the server does not take {name!r} as a user's name: {reason}", reply.summary()
                )
            case _:
                pass
    raise_for_status(reply)
    user = reply.json()
    if not isinstance(user, str) or not user:
        raise unexpected(reply, "the new user's id")
    return user


def raise_if_user_unknown(reply: Reply, users: Reply, user: str | None) -> None:
    """Tell whether a request failed because of its user, whom the server does not have.

    Args:
        reply: To a request that depends on the user; see `MAY_MEAN_UNKNOWN_USER`.
        users: To `USERS`, asked for afterwards. If it cannot be read, the user is not to blame.
        user: For whom the request was; None for nobody.

    Raises:
        UnknownUserError: it did.
    """
    try:
        known = read_users(users)
    except ResponseError:
        return
    if not known.multi_user or (user or DEFAULT_USER) in known.names:
        return
    summary = reply.summary()
    asked = f"{summary.method} {summary.url} was answered with HTTP status {summary.status}"
    if user is None:
        raise UnknownUserError(
            f"{asked}: the server keeps its users apart, and was not told who asks. Pass user=..."
            " to open_comfy, an id out of comfy.user.users()",
            summary,
            user=None,
        )
    named = [each for each, name in known.names.items() if name == user]
    hint = (
        f"that is the name of the user whose id is {named[0]!r}, and the id is what counts"
        if named
        else "its users' ids are those that comfy.user.users() returns"
    )
    raise UnknownUserError(f"{asked}: the server has no user {user!r}; {hint}", summary, user=user)


def merge_settings_request(settings: Mapping[str, Any]) -> Request:
    """Return the request that sets several settings, and leaves the others as they are."""
    return post("/settings", dict(settings))


def read_settings(reply: Reply) -> JSONObject:
    """Read the reply to GET /settings.

    Raises:
        ResponseError: it is something else.
    """
    return require_object(reply, "the user's settings")


def fits_route(setting_id: str) -> bool:
    """Tell whether ``/settings/{id}`` can name a setting.

    A path cannot have such a segment, or a server's routes do not match it (aiohttp takes no
    braces in what a route leaves open).
    """
    return setting_id not in {"", ".", ".."} and not {"{", "}"} & set(setting_id)


def setting_request(setting_id: str) -> Request:
    """Return the request for one setting."""
    return get(f"/settings/{quote_segment(setting_id)}")


def set_setting_request(setting_id: str, value: JSON) -> Request:
    """Return the request that sets one setting."""
    path = f"/api/settings/{quote_segment(setting_id)}"
    if value is None:  # which as a request's JSON means that there is no body
        return Request("POST", path, content=b"null")
    return Request("POST", path, json=value)


def read_setting(reply: Reply) -> JSON:
    """Read the reply to GET /settings/{id}: null is for a setting that is not set, too.

    Raises:
        ResponseError: it is something else.
    """
    raise_for_status(reply)
    value = reply.json()
    if value is None and reply.content.strip() != b"null":
        raise unexpected(reply, "the value of a setting")
    return value
