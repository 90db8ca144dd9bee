"""The embedded server: the engine, the application, and the fronts on it."""

from __future__ import annotations

import tempfile
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, final

import attrs
import trio

from comfy_trio._nursery import open_service_nursery
from comfy_trio._util import NoPublicConstructor

from ._app import WEBSOCKET_ROUTE, Application, route_name, with_api
from ._asset_routes import AssetRoutes
from ._asset_store import ROOTS, AssetStore
from ._diffusion_nodes import DEFAULT_SECONDS_PER_STEP
from ._engine import Engine
from ._faults import Faults
from ._file_routes import FileRoutes
from ._files import FileStore
from ._hub import Hub
from ._info_routes import InfoRoutes
from ._job_routes import JobRoutes
from ._memory import MemoryTransport
from ._model_routes import ModelRoutes
from ._pack_routes import PackRoutes
from ._prompt_routes import PromptRoutes
from ._registry import ObjectInfo, core_nodes, custom_validations
from ._tcp import TCPFront
from ._terminal_routes import TerminalRoutes
from ._user_routes import UserRoutes
from ._users import UserStore
from ._versions import DEFAULT_VERSION, capabilities
from ._websocket import WebSocketRoute

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
    from os import PathLike

    from ._extension import Extension
    from ._node_type import NodeType

MAX_UPLOAD_SIZE = 100 * 2**20
"""The real server's limit on request bodies, in bytes, unless it is told otherwise."""

MEMORY_HOST = "embedded.invalid"
"""The host in the URL of a server in memory; the domain is reserved never to exist."""


@attrs.frozen
class ServerStatistics:
    """What an embedded server holds at one moment."""

    sockets: int
    """WebSockets that are open."""
    reachable: int
    """How many of them still get events; see `Faults.drop_sockets`."""
    connections: int
    """Requests being served, and open WebSockets."""
    pending: int
    """Prompts that wait."""
    running: int
    """Prompts that are executed, 0 or 1."""
    history: int
    """Prompts that are over and not forgotten."""
    cached: int
    """Outputs of nodes that are kept."""
    log_subscribers: int
    """Clients that follow the log of the terminal, as far as the server knows."""
    worker_alive: bool
    """False once a prompt has killed the worker, as some do with the real server too."""
    requests: Mapping[str, int]
    """Requests so far by route, like ``{"POST /prompt": 2, "GET /history/{prompt_id}": 1}``;
    ``/api`` and the base path do not count."""


@final
@attrs.define(eq=False, repr=False)
class EmbeddedServer(metaclass=NoPublicConstructor):
    """A server in this process; see `open_embedded_server`."""

    url: str
    """Where it lives in memory: a URL for `transport`, which no name server knows."""
    transport: MemoryTransport
    """The way to it through memory."""
    faults: Faults
    """Its misbehaviour."""
    files: FileStore
    """Its folders."""
    version: str
    """The version of ComfyUI that it plays."""
    _users: UserStore
    _engine: Engine
    _app: Application
    _restart: Callable[[], None]
    _base_path: str

    def __repr__(self) -> str:
        queue = self._engine.queue
        return (
            f"<EmbeddedServer {self.version} [{self._engine.hub.open_sockets} sockets, "
            f"{len(queue.running)} running, {len(queue.pending)} pending, "
            f"{len(queue.history)} in history]>"
        )

    def statistics(self) -> ServerStatistics:
        """What it holds now, so that a test can assert that nothing was left behind."""
        queue = self._engine.queue
        return ServerStatistics(
            sockets=self._engine.hub.open_sockets,
            reachable=len(self._engine.hub),
            connections=self._app.in_flight,
            pending=len(queue.pending),
            running=len(queue.running),
            history=len(queue.history),
            cached=self._engine.cached(),
            log_subscribers=len(self._engine.terminal.subscribers),
            worker_alive=self._engine.worker_alive,
            requests=dict(self._app.requests),
        )

    def log(self, message: str) -> None:
        """Write a line to the terminal's log, which is at `/internal/logs`; it is not printed."""
        self._engine.terminal.info(message)

    def restart(self) -> None:
        """Lose queue, history, cache, log and sockets, as a server does that is started anew.

        Files stay, but for those in ``temp``.
        """
        self._restart()

    def stop(self) -> None:
        """Be as dead as a server whose process was killed, until `start`.

        All connections break, what a `restart` loses is lost, and new connections are refused; over
        TCP they are taken and broken at once, because the port stays bound.
        """
        self.faults._down = True
        self.faults._break_all()
        self._app.abort()
        self.restart()

    def start(self) -> None:
        """Take connections again after `stop`, as a server that was started anew."""
        self.faults._down = False

    @asynccontextmanager
    async def listen(self, host: str = "127.0.0.1", port: int = 0) -> AsyncGenerator[str, None]:
        """Listen on TCP too, and return the URL to it.

        Leaving the block breaks all connections that were made to it.

        Args:
            host: The address to bind.
            port: The port; 0 for any that is free.

        Raises:
            OSError: The port is taken, or is not ours to take.
        """
        async with open_service_nursery() as nursery:
            yield await nursery.start(self.serve_tcp, host, port)

    async def serve_tcp(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
    ) -> NoReturn:
        """Listen on TCP until cancelled; see `listen`.

        ``await nursery.start(server.serve_tcp)`` returns the URL.
        """
        listeners = await trio.open_tcp_listeners(port, host=host)
        front = TCPFront(self._app, self.faults)
        bound = listeners[0].socket.getsockname()
        name = f"[{bound[0]}]" if ":" in bound[0] else bound[0]
        async with trio.open_nursery() as nursery:
            await nursery.start(trio.serve_listeners, front.handle, listeners)
            task_status.started(f"http://{name}:{bound[1]}{self._base_path}")
            try:
                await trio.sleep_forever()
            finally:
                front.abort()


@asynccontextmanager
async def open_embedded_server(
    *,
    version: str = DEFAULT_VERSION,
    nodes: Iterable[NodeType] = (),
    extensions: Iterable[Extension] = (),
    base_directory: str | PathLike[str] | None = None,
    seconds_per_step: float = DEFAULT_SECONDS_PER_STEP,
    base_path: str = "",
    max_upload_size: int = MAX_UPLOAD_SIZE,
    multi_user: bool = False,
    assets: bool = False,
    arguments: Sequence[str] = ("--cpu",),
) -> AsyncGenerator[EmbeddedServer, None]:
    """Run a ComfyUI in this process, reachable through memory.

    It speaks the protocol of the real server and validates as that does, but holds no model: what
    it generates is painted, not inferred. It uses no threads, sockets or real time, so that a test
    may run under `trio.testing.MockClock`. Leaving the block ends whatever still runs in it.

    Args:
        version: The version of ComfyUI to play.
        nodes: Node types of your own, besides the core ones; they replace those of equal name.
        extensions: Such as `Crystools` or `ComfyUIManager`. Default: none.
        base_directory: Where ``input``, ``output``, ``temp`` and ``user`` are. Default: a temporary
            directory, which is deleted in the end.
        seconds_per_step: How long a step of a sampler takes.
        base_path: The path under which everything lives, as behind a proxy, like ``/comfy``.
        max_upload_size: The largest request body, in bytes.
        multi_user: Whether to keep users apart. There is none at first.
        assets: Whether the server keeps track of assets, as one started with ``--enable-assets``.
            Versions before 0.17 have no such option: those from 0.9 on always do. Scans for files
            take no time, and hashes are BLAKE3 only where the package ``blake3`` is installed:
            elsewhere, BLAKE2b digests go by that name.
        arguments: The command line arguments that the server tells it was started with.

    Raises:
        ValueError: `version` is no version, or too old a one.
    """
    extensions = tuple(extensions)
    features = {k: v for each in extensions for k, v in each.manager_features().items()}
    can = attrs.evolve(capabilities(version, assets=assets), manager_features=features)
    base_path = base_path.rstrip("/")
    types = {node.class_type: node for node in (*core_nodes(seconds_per_step), *nodes)}
    with (
        tempfile.TemporaryDirectory(prefix="comfy-trio-")
        if base_directory is None
        else nullcontext(base_directory)
    ) as directory:
        files = FileStore(Path(directory))
        faults = Faults()
        store = AssetStore(files, lambda: engine.now())
        engine = Engine(
            hub=Hub(faults),
            nodes={name: node.at(can.version) for name, node in types.items()},
            files=files,
            version=can,
            assets=store if can.assets_enabled and can.asset_cursors else None,
        )
        if can.assets_enabled:
            store.scan(ROOTS)
        users = UserStore(files.root / "user", multi_user=multi_user, version=can.version)
        info = ObjectInfo(types.values(), files, can.version)
        custom = custom_validations(types.values(), files, can.version)
        packs = PackRoutes(can, files)
        uploads = store if can.assets_enabled and can.asset_refining else None
        file_routes = FileRoutes(can, files, max_upload_size, uploads)
        routes = [
            *PromptRoutes(engine, info, custom, max_upload_size).routes(),
            *InfoRoutes(can, info, max_upload_size, arguments).routes(),
            *ModelRoutes(info, files).routes(),
            *packs.routes(),
            *file_routes.routes(),
            *UserRoutes(users, can.version, max_upload_size).routes(),
            *(route for extension in extensions for route in extension.routes(engine)),
        ]
        all_routes = [
            *JobRoutes(engine, max_upload_size).routes(),
            *AssetRoutes(store, can, max_upload_size).routes(),
            *TerminalRoutes(engine.terminal, max_upload_size).routes(),
            *file_routes.internal_routes(),
            *packs.fixed_routes(),
            *with_api(routes),
        ]
        faults._routes = {WEBSOCKET_ROUTE, *map(route_name, all_routes)}

        def restart() -> None:
            faults.drop_sockets()
            engine.restart()
            users.reload()
            for extension in extensions:
                extension.restart()

        app = Application(
            all_routes,
            WebSocketRoute(engine, faults, max_upload_size),
            faults,
            can,
            base_path,
            restart,
        )
        async with open_service_nursery() as nursery:
            nursery.start_soon(engine.run)
            for extension in extensions:
                nursery.start_soon(extension.run)
            transport = MemoryTransport(app, nursery, faults)
            try:
                yield EmbeddedServer._create(
                    url=f"http://{MEMORY_HOST}{base_path}",
                    transport=transport,
                    faults=faults,
                    files=files,
                    version=can.text,
                    users=users,
                    engine=engine,
                    app=app,
                    restart=restart,
                    base_path=base_path,
                )
            finally:
                transport._shut_down()
