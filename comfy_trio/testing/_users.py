"""The embedded server's users, and what is stored for each: settings and files.

Access is synchronous, for the reason given in `comfy_trio.testing._files`. Paths are judged by
their text alone, as the real server does it.
"""

from __future__ import annotations

import json
import os
import re
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from comfy_trio._util import is_object

if TYPE_CHECKING:
    from comfy_trio._util import JSON, JSONObject

DEFAULT_USER: Final = "default"
SYSTEM_PREFIX: Final = "__"
"""How the names of users begin that newer servers keep for themselves."""
SYSTEM_USERS: Final = (0, 3, 76)
"""The first release that does."""
SETTINGS_FILE: Final = "comfy.settings.json"


class UnknownUserError(LookupError):
    """There is no such user."""


class UserStore:
    """The users of one server.

    Args:
        root: The folder for all of them; made when something is stored.
        multi_user: Whether they are kept apart.
        version: Of ComfyUI.
    """

    def __init__(self, root: Path, *, multi_user: bool, version: tuple[int, ...]) -> None:
        self.root = root
        self.multi_user = multi_user
        self.has_system_users = version >= SYSTEM_USERS
        self.names: dict[str, str] = {}
        """The users' names by their ids."""
        self.reload()

    def __repr__(self) -> str:
        return f"<UserStore {self.root}>"

    def reload(self) -> None:
        """Know only those users that a server knows that has just been started."""
        self.names = {DEFAULT_USER: DEFAULT_USER}
        if self.multi_user:
            file = self._users_file
            self.names = json.loads(file.read_text("utf-8")) if file.is_file() else {}

    def add(self, name: str) -> str:
        """Add a user, and return its id.

        Raises:
            ValueError: No user may have that name.
        """
        name = name.strip()
        if not name:
            raise ValueError("username not provided")
        if self._is_system_user(name):
            raise ValueError("System User prefix not allowed")
        user = re.sub("[^a-zA-Z0-9-_]+", "-", name)
        if self._is_system_user(user):
            raise ValueError("System User prefix not allowed")
        user = f"{user}_{uuid.uuid4()}"
        self.names[user] = name
        self.root.mkdir(parents=True, exist_ok=True)
        self._users_file.write_text(json.dumps(self.names), "utf-8")
        return user

    def find(self, header: str | None) -> str:
        """The user of a request.

        Args:
            header: Its header ``comfy-user``.

        Raises:
            UnknownUserError: There is none.
        """
        user = DEFAULT_USER
        if self.multi_user and header is not None:
            user = header
            if self._is_system_user(user):
                raise UnknownUserError(user)
        if user not in self.names:
            raise UnknownUserError(user)
        return user

    def top(self, user: str) -> Path:
        """The folder of a user, whether or not it exists."""
        return self.root / user

    def path(self, user: str, name: str, *, make_parent: bool = True) -> Path | None:
        """Where a file of a user is; None if that is outside of the user's folder.

        Args:
            user: The user's id.
            name: The file's path. If it has a ``%``, it is decoded once more.
            make_parent: Whether to make the folder that it is in.
        """
        top = str(self.top(user))
        name = unquote(name) if "%" in name else name
        path = os.path.abspath(os.path.join(top, name))
        if os.path.commonpath((top, path)) != top:
            return None
        if make_parent and not os.path.exists(os.path.dirname(path)):
            os.makedirs(os.path.dirname(path))
        return Path(path)

    def settings(self, user: str) -> JSONObject:
        """A user's settings."""
        file = self.top(user) / SETTINGS_FILE
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            settings = json.loads(file.read_bytes())
        except (OSError, ValueError):
            return {}
        return settings if is_object(settings) else {}

    def merge_settings(self, user: str, settings: dict[str, JSON]) -> None:
        """Set some of a user's settings."""
        merged = {**self.settings(user), **settings}
        (self.top(user) / SETTINGS_FILE).write_text(json.dumps(merged, indent=4), "utf-8")

    @property
    def _users_file(self) -> Path:
        return self.root / "users.json"

    def _is_system_user(self, user: str) -> bool:
        return self.has_system_users and user.startswith(SYSTEM_PREFIX)
