"""Asking for what belongs to one of the server's users."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._routes._user import MAY_MEAN_UNKNOWN_USER, USERS, raise_if_user_unknown

if TYPE_CHECKING:
    from .._http import HttpClient
    from .._replies import Reply, Request


async def request_as_user(http: HttpClient, request: Request) -> Reply:
    """Send a request whose answer depends on the client's user, and read the reply whole.

    Only when the reply may mean that the server does not have the user is it asked for its users:
    the status alone would pass for wrong credentials, or for a failure of the server.

    Raises:
        UnknownUserError: the server does not have the user.
        ServerUnreachableError, DisconnectedError: see `HttpClient.request`.
    """
    reply = await http.request(request)
    if reply.status in MAY_MEAN_UNKNOWN_USER:
        raise_if_user_unknown(reply, await http.request(USERS), http.user)
    return reply
