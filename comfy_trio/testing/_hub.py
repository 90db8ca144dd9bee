"""The WebSocket clients, and who of them gets a frame."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

import trio

from ._frames import encode_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from comfy_trio._util import JSON, JSONObject

    from ._faults import Faults

MAX_FRAMES: Final = 4096
"""How many frames wait for a client that reads too slowly, before its connection is aborted."""

MAX_BYTES: Final = 64 * 2**20
"""How many bytes of frames wait for one client, likewise, beside the largest one: the real server
has no limit on what it sends."""


class Outbox:
    """Frames on their way to one socket.

    The real server sends to one client after the other, so that one that does not read stalls all;
    here each has an outbox of its own, lest a test deadlock by accident, and the connection of one
    that overflows is aborted. `Faults.stalling` brings the real behaviour back.

    Args:
        sid: The client.
        overflow: Called when a frame does not fit in any more, and for each after it.
    """

    def __init__(self, sid: str, overflow: Callable[[], None]) -> None:
        self.sid = sid
        self.flags: JSONObject = {}
        """What the client told in its ``feature_flags`` handshake."""
        self._overflow = overflow
        self._frames: deque[str | bytes] = deque()
        self._size = 0
        self._changed = trio.Event()

    def put(self, frame: str | bytes) -> None:
        """Add a frame; never blocks."""
        if len(self._frames) >= MAX_FRAMES or self._has_no_room_for(frame):
            self._overflow()
            return
        self._size += len(frame)
        self._frames.append(frame)
        self._changed.set()

    def _has_no_room_for(self, frame: str | bytes) -> bool:
        size = self._size + len(frame)
        if size <= MAX_BYTES:
            return False
        return size - max(map(len, [*self._frames, frame])) > MAX_BYTES

    async def get(self) -> str | bytes:
        """Wait for the next frame."""
        while not self._frames:
            self._changed = trio.Event()
            await self._changed.wait()
        frame = self._frames.popleft()
        self._size -= len(frame)
        return frame


class Hub:
    """The sockets by client id.

    Args:
        faults: Whether the server is deaf at the moment.
    """

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._outboxes: dict[str, Outbox] = {}
        self.open_sockets: int = 0
        """How many connections there are, including those that no frame reaches any more."""

    def __len__(self) -> int:
        return len(self._outboxes)

    def connect(self, sid: str, overflow: Callable[[], None]) -> Outbox:
        """Register a socket; one that had the id before gets nothing more.

        Args:
            sid: The client's id.
            overflow: See `Outbox`.
        """
        self.open_sockets += 1
        outbox = self._outboxes[sid] = Outbox(sid, overflow)
        return outbox

    def disconnect(self, sid: str) -> None:
        """Forget a socket, after its connection has ended.

        Like the real server, this forgets whichever socket has the id *now*: when a client has
        connected again before the server noticed that its old connection was gone, the new one
        stays open, answers pings, and gets nothing from here on.
        """
        self.open_sockets -= 1
        self._outboxes.pop(sid, None)

    def is_connected(self, sid: str) -> bool:
        """Whether a client has a socket, as far as the server knows."""
        return sid in self._outboxes

    def publish(self, event: str, data: JSON, sid: str | None) -> None:
        """See `Publisher.publish`."""
        self._post(encode_json(event, data), sid)

    def publish_bytes(self, frame: bytes, sid: str | None) -> None:
        """See `Publisher.publish_bytes`."""
        self._post(frame, sid)

    def has_flag(self, sid: str | None, flag: str) -> bool:
        """See `Publisher.has_flag`."""
        outbox = None if sid is None else self._outboxes.get(sid)
        return outbox is not None and outbox.flags.get(flag) is True

    def _post(self, frame: str | bytes, sid: str | None) -> None:
        if self._faults.deaf:
            return
        if sid is None:
            for outbox in list(self._outboxes.values()):
                outbox.put(frame)
        elif sid in self._outboxes:
            self._outboxes[sid].put(frame)
