"""The ``/ws`` route."""

from __future__ import annotations

import json
import logging
import uuid
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs

import attrs
import trio

from ._frames import encode_json

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from ._engine import Engine
    from ._faults import Faults
    from ._hub import Outbox

_log: Final = logging.getLogger("comfy_trio.testing")


@attrs.define(eq=False)
class _Closing:
    """How the server ends a connection."""

    scope: trio.CancelScope
    code: int | None = None

    def close(self, code: int) -> None:
        self.code = code
        self.scope.cancel("the server closes this WebSocket")


class WebSocketRoute:
    """An ASGI application for the scope ``websocket``.

    Args:
        engine: Whose clients connect.
        faults: Where open sockets are registered, and whether they stall each other.
        max_upload_size: Told among the features, in bytes.
    """

    def __init__(self, engine: Engine, faults: Faults, max_upload_size: int) -> None:
        self._engine = engine
        self._faults = faults
        self._features = engine.version.features(max_upload_size)
        self._publisher = trio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Greet the client, then carry frames both ways until either side ends it."""
        await receive()  # websocket.connect
        await send({"type": "websocket.accept"})
        query = parse_qs(scope["query_string"].decode("latin-1"))
        sid = query.get("clientId", [""])[0] or uuid.uuid4().hex
        outbox = self._engine.hub.connect(sid, partial(self._abort, sid, scope["client"]))
        closing = _Closing(trio.CancelScope())
        self._faults._sockets[scope["client"]] = closing
        try:
            for event, data in self._engine.greeting(sid):
                outbox.put(encode_json(event, data))
            with closing.scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._send_all, outbox, send)
                    await self._listen(outbox, receive)
                    nursery.cancel_scope.cancel("the client has gone")
            if closing.code is not None:
                await _quietly(send, {"type": "websocket.close", "code": closing.code})
        finally:
            del self._faults._sockets[scope["client"]]
            self._engine.hub.disconnect(sid)

    def _abort(self, sid: str, client: object) -> None:
        connection = self._faults._connections.get(client)
        if connection is not None:
            _log.warning("Client %s does not read; its connection is broken", sid)
            connection.lose(noticed=True)

    async def _send_all(self, outbox: Outbox, send: Send) -> None:
        alive = True
        while alive:
            frame = await outbox.get()
            key = "text" if isinstance(frame, str) else "bytes"
            message: dict[str, Any] = {"type": "websocket.send", key: frame}
            if self._faults.stalling:
                async with self._publisher:
                    alive = await _quietly(send, message)
            else:
                alive = await _quietly(send, message)

    async def _listen(self, outbox: Outbox, receive: Receive) -> None:
        first = True
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                return
            text = message.get("text")
            if text is None:
                continue
            try:
                frame = json.loads(text)
                if first and frame.get("type") == "feature_flags":
                    outbox.flags = frame.get("data", {})
                    outbox.put(encode_json("feature_flags", self._features))
                first = False
            except (ValueError, AttributeError):
                _log.warning("Client %s sent what is no frame", outbox.sid)


async def _quietly(send: Send, message: dict[str, Any]) -> bool:
    """Send; False if the client is not there any more."""
    try:
        await send(message)
    except OSError:
        return False
    return True
