"""``/internal/logs``: what the server writes to its terminal.

From api_server/routes/internal and app/logger.py of ComfyUI. These routes have no ``/api`` form.
The server keeps its last 300 writes, and sends each to who subscribed when it is flushed: for the
log of Python that is at once, for lines that are only printed it may be later.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from datetime import datetime
from typing import TYPE_CHECKING, Final

import attrs

from .._errors import ForbiddenError
from .._replies import Request, raise_for_status, require_object, require_route, unexpected
from .._util import as_object, is_list, is_object

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .._replies import Reply
    from .._wire import Logs

LOGS: Final = Request("GET", "/internal/logs/raw")
LOGS_AS_TEXT: Final = Request("GET", "/internal/logs")

REMEMBERED: Final = 1000
"""How many entries are compared with the server's log. It keeps 300."""

_ESCAPE: Final = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")


def subscription_to_logs(client_id: str, *, enabled: bool) -> Request:
    """Return the request that begins or ends the sending of what is written from then on."""
    body = {"clientId": client_id, "enabled": enabled}
    return Request("PATCH", "/internal/logs/subscribe", json=body)


@attrs.frozen
class TerminalEntry:
    """One write to the server's terminal: mostly a line of its log.

    Args:
        time: When, by the server's clock, in its local time, without a zone: the server tells none.
            None if it is unreadable.
        text: What was written, with the end of the line and the codes for colours. A text that
            begins with a carriage return overwrites the line before, as progress bars do.
    """

    time: datetime | None
    text: str

    @property
    def plain(self) -> str:
        """The text without codes for colours and without the ends of lines."""
        return _ESCAPE.sub("", self.text).strip("\r\n")


@attrs.frozen
class TerminalLog:
    """What the server keeps of its terminal.

    Args:
        entries: The last writes, at most 300, the oldest first.
        columns: The terminal's width; None if the server does not tell.
        rows: Its height; likewise.
    """

    entries: tuple[TerminalEntry, ...]
    columns: int | None = None
    rows: int | None = None


def read_log(reply: Reply) -> TerminalLog:
    """Read the reply to GET /internal/logs/raw.

    Raises:
        UnsupportedError, ForbiddenError: see `require_internal`.
        ResponseError: it is something else.
    """
    require_internal(reply)
    body = require_object(reply, "the terminal's log")
    entries = body.get("entries")
    if not is_list(entries) or not all(
        is_object(entry) and isinstance(entry.get("m"), str) for entry in entries
    ):
        raise unexpected(reply, "the terminal's log")
    size = as_object(body.get("size"))
    return TerminalLog(
        tuple(_entry(entry.get("t"), entry["m"]) for entry in entries),
        _count(size.get("cols")),
        _count(size.get("rows")),
    )


def read_log_as_text(reply: Reply) -> str:
    """Read the reply to GET /internal/logs.

    Raises:
        UnsupportedError, ForbiddenError: see `require_internal`.
        ResponseError: it is something else.
    """
    require_internal(reply)
    raise_for_status(reply)
    body = reply.json()
    if not isinstance(body, str):
        raise unexpected(reply, "the terminal's log as one string")
    return body


def require_internal(reply: Reply) -> None:
    """Raise if a server, or a proxy before it, does not let others than its own page in here.

    Raises:
        UnsupportedError: the status is 404 or 405.
        ForbiddenError: the status is 403.
    """
    require_route(reply, "routes under /internal, or a proxy before it does not pass them on")
    if reply.status == 403:
        summary = reply.summary()
        raise ForbiddenError(
            f"the terminal's log is not for this client: {summary.method} {summary.url} was"
            " answered with HTTP status 403. A proxy before the server may keep /internal to"
            " itself",
            summary,
        )


def entries_of(frame: Logs) -> tuple[TerminalEntry, ...]:
    """Return what a ``logs`` frame tells."""
    return tuple(_entry(entry.time, entry.text) for entry in frame.entries)


def _entry(time: object, text: str) -> TerminalEntry:
    try:
        return TerminalEntry(datetime.fromisoformat(str(time)), text)
    except ValueError:
        return TerminalEntry(None, text)


def _count(value: object) -> int | None:
    return value if isinstance(value, int) else None


class UntoldEntries:
    """Picks, of what a server tells of its terminal, what its reader was not told yet.

    The server tells it in two ways: in frames, each entry once, unless the socket is away; and as
    the whole log, on request. What is told in between, and in both ways, is picked once.
    """

    def __init__(self) -> None:
        self._told: deque[TerminalEntry] = deque(maxlen=REMEMBERED)
        self._ahead: Counter[TerminalEntry] = Counter()

    def skip(self, log: Sequence[TerminalEntry]) -> None:
        """Take a log as told, also where it is still to come in frames."""
        self._ahead = Counter(log)
        self._tell(log)

    def of_log(self, log: Iterable[TerminalEntry]) -> list[TerminalEntry]:
        """Return what of the whole log is new. Frames that tell it, too, are yet to come."""
        told = Counter(self._told)
        new: list[TerminalEntry] = []
        for entry in log:
            if told[entry]:
                told[entry] -= 1
            else:
                new.append(entry)
        self._ahead = Counter(new)
        self._tell(new)
        return new

    def of_frame(self, entries: Iterable[TerminalEntry]) -> list[TerminalEntry]:
        """Return what of a frame is new."""
        new: list[TerminalEntry] = []
        for entry in entries:
            if self._ahead[entry]:
                self._ahead[entry] -= 1
            else:
                new.append(entry)
        self._tell(new)
        return new

    def _tell(self, entries: Iterable[TerminalEntry]) -> None:
        for entry in entries:
            # The server's log forgets an unfinished line that is overwritten, and so does this.
            if (
                entry.text.startswith("\r")
                and self._told
                and not self._told[-1].text.endswith("\n")
            ):
                self._told.pop()
            self._told.append(entry)
