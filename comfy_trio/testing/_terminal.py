"""What the server writes to its terminal, and who follows that."""

from __future__ import annotations

from collections import deque
from datetime import datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from comfy_trio._util import JSONObject

    from ._hub import Hub

CAPACITY: Final = 300
"""How many writes are kept."""

SIZE: Final = {"cols": 80, "rows": 24}
"""The size that the real server tells if it has no terminal."""

_RESET: Final = "\033[0m"
_LEVELS: Final = {"INFO": "\033[32m", "WARNING": "\033[1m\033[33m", "ERROR": "\033[1m\033[31m"}


class Terminal:
    """The log, of which each line is one write.

    Args:
        hub: The connected clients.
        clock: The seconds since 1970.
        colored: Whether each line begins with its level, in color.
    """

    def __init__(self, hub: Hub, clock: Callable[[], float], *, colored: bool) -> None:
        self._hub = hub
        self._clock = clock
        self._colored = colored
        self.restart()

    def restart(self) -> None:
        """Begin anew: the log is empty, and nobody follows it."""
        self._entries: deque[JSONObject] = deque(maxlen=CAPACITY)
        self._subscribers: set[str] = set()
        self._size_told = False
        self.info("Starting server\n")

    def info(self, message: str, *, green: bool = False) -> None:
        """Log what happens."""
        self._log("INFO", f"\033[32m{message}{_RESET}" if green and self._colored else message)

    def warning(self, message: str) -> None:
        """Log what is odd."""
        self._log("WARNING", message)

    def error(self, message: str) -> None:
        """Log what went wrong."""
        self._log("ERROR", message)

    def _log(self, level: str, message: str) -> None:
        if self._colored:
            message = f"{_LEVELS[level]}[{level}]{_RESET} {message}"
        self.write(message + "\n")

    def write(self, text: str) -> None:
        """Write a text, and show it to who follows."""
        entry = {"t": datetime.fromtimestamp(self._clock()).isoformat(), "m": text}
        last = self._entries[-1]["m"] if self._entries else "\n"
        if text.startswith("\r") and not last.endswith("\n"):
            self._entries.pop()
        self._entries.append(entry)
        # Those that are not connected are forgotten, but only when there is something to tell.
        self._subscribers = {sid for sid in self._subscribers if self._hub.is_connected(sid)}
        if self._subscribers:
            size = None if self._size_told else SIZE
            self._size_told = True
            for sid in sorted(self._subscribers):
                self._hub.publish("logs", {"entries": [entry], "size": size}, sid)

    def subscribe(self, sid: str) -> None:
        """Show a client what is written from now on."""
        self._subscribers.add(sid)

    def unsubscribe(self, sid: str) -> None:
        """Show a client no more."""
        self._subscribers.discard(sid)

    @property
    def subscribers(self) -> frozenset[str]:
        """Who follows."""
        return frozenset(self._subscribers)

    def text(self) -> str:
        """The log as one text."""
        return "".join(f"{entry['t']} - {entry['m']}" for entry in self._entries)

    def raw(self) -> JSONObject:
        """The log as it is."""
        self._size_told = True
        return {"entries": list(self._entries), "size": SIZE}
