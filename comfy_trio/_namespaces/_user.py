"""The server's users, and how each has it set up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

import attrs

from .._replies import raise_for_status
from .._routes._user import (
    SETTINGS,
    USERS,
    create_user_request,
    fits_route,
    merge_settings_request,
    read_created_user,
    read_setting,
    read_settings,
    read_users,
    set_setting_request,
    setting_request,
)
from .._util import NoPublicConstructor
from ._as_user import request_as_user

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .._http import HttpClient
    from .._routes._user import Users
    from .._util import JSON, JSONObject


@final
@attrs.define(eq=False, slots=False)
class UserNamespace(metaclass=NoPublicConstructor):
    """`Comfy.user`: the server's users, and the settings of the one this client acts for.

    Settings are what the web page has under "Settings": JSON values by ids such as
    ``Comfy.ColorPalette``. A server keeps those of a user in one file, which it reads and writes
    whole for each change: of changes made at the same time, some may be lost.
    """

    _http: HttpClient = attrs.field(repr=False)

    async def users(self) -> Users:
        """Return who uses the server, and whether it keeps its users apart.

        Raises:
            ResponseError, ServerUnreachableError, DisconnectedError: the request failed.
        """
        return read_users(await self._http.request(USERS))

    async def create(self, name: str) -> str:
        """Create a user, and return its id, which `open_comfy` takes as ``user``.

        This client goes on for whom it was opened. A server that does not keep its users apart
        takes down the name, and has no use for it.

        Args:
            name: As the web page shows it; white space around it is cut off.

        Raises:
            ValueError: there is no name.
            AlreadyExistsError: another user has it.
            ResponseError: the server does not take it (since 0.3.76, none that begins with ``__``).
            ServerUnreachableError, DisconnectedError: the request failed.
        """
        return read_created_user(await self._http.request(create_user_request(name)), name)

    async def settings(self) -> JSONObject:
        """Return the values of all settings that are set, by their ids.

        Raises:
            UnknownUserError: the server does not have this client's user.
            ResponseError, ServerUnreachableError, DisconnectedError: the request failed.
        """
        return read_settings(await request_as_user(self._http, SETTINGS))

    async def merge_settings(self, settings: Mapping[str, Any]) -> None:
        """Set several settings at once, and leave the others as they are.

        Args:
            settings: JSON values by the settings' ids.

        Raises:
            TypeError, ValueError: a value is none that JSON has. Nothing was sent.
            UnknownUserError: the server does not have this client's user.
            ResponseError, ServerUnreachableError, DisconnectedError: the request failed.
        """
        raise_for_status(await request_as_user(self._http, merge_settings_request(settings)))

    async def setting(self, setting_id: str) -> JSON:
        """Return one setting's value.

        None is for a setting that is not set as well as for one that is set to null; which of both
        it is, `settings` tells.

        Args:
            setting_id: Such as ``Comfy.ColorPalette``; any text.

        Raises:
            UnknownUserError: the server does not have this client's user.
            ResponseError, ServerUnreachableError, DisconnectedError: the request failed.
        """
        if not fits_route(setting_id):
            value: JSON = (await self.settings()).get(setting_id)
            return value
        return read_setting(await request_as_user(self._http, setting_request(setting_id)))

    async def set_setting(self, setting_id: str, value: JSON) -> None:
        """Set one setting.

        Args:
            setting_id: Such as ``Comfy.ColorPalette``; any text.
            value: Its JSON value. None sets it to null; there is no way to unset a setting.

        Raises:
            TypeError, ValueError: the value is none that JSON has. Nothing was sent.
            UnknownUserError: the server does not have this client's user.
            ResponseError, ServerUnreachableError, DisconnectedError: the request failed.
        """
        if fits_route(setting_id):
            request = set_setting_request(setting_id, value)
        else:
            request = merge_settings_request({setting_id: value})
        raise_for_status(await request_as_user(self._http, request))
