"""The client: a server, for as long as a block lasts."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeAlias, Unpack, final, overload

import attrs
import trio

from ._address import DEFAULT_URL, parse_address
from ._connection_state import ReconnectPolicy
from ._credentials import check_headers
from ._errors import WentMissingError
from ._handshake import announced_flags
from ._http import DEFAULT_MAX_REPLY_SIZE
from ._job import Job
from ._masking import Secrets
from ._namespaces._all import Namespaces
from ._network import NetworkTransport, OwnTransport, check_http_transport
from ._reference import JobReference, plan_of
from ._replies import USER_HEADER
from ._runnable import workflow_of
from ._secrets import API_KEY
from ._session import Session, SessionOptions, open_session
from ._tunnel import Proxy
from ._util import NoPublicConstructor
from ._workflow import Workflow
from ._workflow_source import read_content, read_json

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncGenerator, Sequence
    from contextlib import AbstractAsyncContextManager

    import httpx

    from ._address import ServerAddress
    from ._connection_state import ConnectionChanged, ConnectionState
    from ._credentials import Credentials
    from ._mailbox import Subscription
    from ._result import JobResult
    from ._runnable import Whole
    from ._submission import SubmitOptions
    from ._transport import OpenWebSocket, Transport
    from ._typed_node import OutputNode
    from ._util import JSONObject
    from ._validation_report import Validation
    from ._wire import ServerEvent
    from .telemetry import OpenTelemetry

Runnable: TypeAlias = "Whole | OutputNode[Any]"
"""What can be run: a workflow in any form, or an output node of typed ones."""

DEFAULT_MAX_MESSAGE_SIZE = 256 * 2**20


@asynccontextmanager
async def open_comfy(
    url: str | None = None,
    *,
    client_id: str | None = None,
    credentials: Credentials | None = None,
    headers: Mapping[str, str] | None = None,
    user: str | None = None,
    ssl_context: ssl.SSLContext | None = None,
    comfy_org_api_key: str | None = None,
    feature_flags: Mapping[str, Any] | None = None,
    connect_timeout: float = 30.0,
    heartbeat: float = 20.0,
    require_websocket: bool = True,
    close_timeout: float = 5.0,
    reconnect: ReconnectPolicy | None = None,
    max_requests: int = 20,
    max_message_size: int = DEFAULT_MAX_MESSAGE_SIZE,
    max_reply_size: int = DEFAULT_MAX_REPLY_SIZE,
    proxy: str | None = None,
    http_transport: httpx.AsyncBaseTransport | None = None,
    websocket: OpenWebSocket | None = None,
    transport: Transport | None = None,
    telemetry: OpenTelemetry | None = None,
) -> AsyncGenerator[Comfy, None]:
    """Connect to a ComfyUI server for as long as a block lasts.

    In the block the server has been reached and its WebSocket is open. When the block is left, in
    whatever way, nothing stays behind: no task, no socket, and no job of this client in the
    server's queue. Exceptions of the block come out as themselves.

    Args:
        url: The server's address. User and password in it are used as `BasicCredentials`, and a
            path in it is where a reverse proxy serves ComfyUI. Default: ``$COMFY_HOST``, or else
            http://127.0.0.1:8188.
        client_id: The name under which the server knows this client. Default: a new one, which is
            best: two clients with one name deafen each other.
        credentials: Shown on every HTTP request and on the WebSocket upgrade: basic, bearer, or
            other headers; tokens that expire (`TokenCredentials`), Comfy Cloud's key
            (`ComfyCloudCredentials`), or one's own (`Credentials`).
        headers: More headers, likewise. They are taken for secret, too.
        user: For whom to act, at a server that keeps its users apart (``--multi-user``): an id out
            of ``comfy.user.users()``. Other servers pass over it. A server that does not have the
            user says so when something of the user's is asked for; see `UnknownUserError`.
        ssl_context: Whom to trust, for https. Default: what the system trusts.
        comfy_org_api_key: For nodes that call paid services; sent along with each job.
        feature_flags: What else to announce to the server when the WebSocket is opened, for
            extensions of it that ask; see `FeatureFlagsNamespace.announced`.
        connect_timeout: Seconds for the server to answer. Default: 30.
        heartbeat: Seconds between pings on the WebSocket, which keep proxies from cutting it and
            notice that the other end is gone. Default: 20.
        require_websocket: Whether to fail if there is no WebSocket at the start. Without it, jobs
            are followed by asking over HTTP: their outcomes come some ten seconds late, and of
            their progress there is little to be heard. Default: true.
        close_timeout: Seconds for stopping jobs at the server when they are abandoned: by a
            cancellation, an exception, or the block's end. Default: 5.
        reconnect: When to bring back a WebSocket that is lost. Default: at once, then after growing
            pauses of up to 15 s, for as long as the client lives. Jobs live on meanwhile; those of
            a server that does not answer over HTTP either are lost after 10 attempts.
        max_requests: How many HTTP requests may be under way at once. Default: 20.
        max_message_size: Of the WebSocket, in bytes; a larger message costs the connection, and is
            lost. Most jobs do not mind, as their outcome is read from the history; one whose
            pictures were lost (SaveImageWebsocket) ends with `PicturesLostError`. Default: 256 MiB.
        max_reply_size: Of an HTTP reply that is read whole, in bytes, as JSON is. A larger one is a
            `ReplyTooLargeError`. Files may be larger. Default: 256 MiB.
        proxy: An HTTP proxy to go through, such as ``http://me:password@proxy:3128``. The WebSocket
            goes through it by CONNECT, also without TLS, which not every proxy allows to any port.
            Default: none, whatever the environment says.
        http_transport: For HTTP, in place of the library's own: an `httpx.AsyncHTTPTransport` with
            options of yours (it must be made with ``limits=httpx.Limits(max_connections=None)``), a
            proxy of another kind, an `httpx.MockTransport`. It is closed with this client, and
            not before.
        websocket: For the WebSocket, in place of the library's own; see `OpenWebSocket`.
        transport: The whole way to the server, in place of the network. `comfy_trio.testing` has
            one in memory.
        telemetry: Who is told of jobs, requests and outages: an
            `OpenTelemetry` of `comfy_trio.telemetry`. Default: nobody, which costs nothing.

    Secrets (credentials, headers, user information in URLs, API keys) are in no message, repr or
    log record of this library, also where a server repeats them, and follow no redirect to another
    origin. But httpcore logs the headers of replies at level DEBUG: among them are cookies, and the
    signed URLs that redirects lead to.

    Raises:
        ValueError: `url` or `proxy` is no address, `headers` has one that is the library's own,
            `user` has characters that no id has, `feature_flags` cannot be sent, `heartbeat` is
            not positive, or `http_transport` would lose requests.
        CredentialsError: `credentials` has none to give.
        ServerUnreachableError: nobody answers at the address.
        AuthenticationError: the server, or a proxy before it, wants other credentials.
        NotComfyUIError: something else than ComfyUI answers.
        DisconnectedError: the connection broke while it was set up.
    """
    if not heartbeat > 0:
        raise ValueError(f"heartbeat must be positive, and is {heartbeat!r}")
    address, url_credentials = parse_address(url or os.environ.get("COMFY_HOST") or DEFAULT_URL)
    through = None if proxy is None else Proxy.parse(proxy)
    options = SessionOptions(
        client_id=client_id or str(uuid.uuid4()),
        credentials=credentials or url_credentials,
        headers=caller_headers(user, headers),
        secrets=Secrets.of(comfy_org_api_key, headers=through.headers() if through else ()),
        feature_flags=announced_flags(feature_flags),
        transport=_transport_to(
            address, transport, http_transport, websocket, ssl_context, through
        ),
        max_requests=max_requests,
        max_message_size=max_message_size,
        max_reply_size=max_reply_size,
        reconnect=reconnect or ReconnectPolicy(),
        connect_timeout=connect_timeout,
        heartbeat=heartbeat,
        require_websocket=require_websocket,
        close_timeout=close_timeout,
        telemetry=telemetry,
    )
    async with open_session(address, options) as session:
        extra_data = {API_KEY: comfy_org_api_key} if comfy_org_api_key else {}
        yield Comfy._create(session, extra_data)


def caller_headers(
    user: str | None, headers: Mapping[str, str] | None
) -> Sequence[tuple[str, str]]:
    """Return the headers of every request of a client, but for its credentials.

    Raises:
        ValueError: one of them is the library's own, or has characters that no header may have.
    """
    named = {} if user is None else {USER_HEADER: user}
    return check_headers([*named.items(), *(headers or {}).items()])


def _transport_to(
    address: ServerAddress,
    transport: Transport | None,
    http_transport: httpx.AsyncBaseTransport | None,
    websocket: OpenWebSocket | None,
    ssl_context: ssl.SSLContext | None,
    proxy: Proxy | None,
) -> Transport:
    if transport is not None:
        if http_transport or websocket or ssl_context or proxy:
            raise ValueError(
                "transport is the whole way to the server: http_transport, websocket, ssl_context"
                " and proxy go without it"
            )
        return transport
    network = NetworkTransport.to(address, ssl_context, proxy)
    if http_transport is None and websocket is None:
        return network
    if http_transport is not None:
        check_http_transport(http_transport)
    return OwnTransport(network, http_transport, websocket)


@final
@attrs.define(eq=False, repr=False, slots=False)
class Comfy(Namespaces, metaclass=NoPublicConstructor):
    """A client of one ComfyUI server; made by `open_comfy`."""

    _session: Session = attrs.field()
    _extra_data: JSONObject = attrs.field()

    @property
    def url(self) -> str:
        """The server's address, without credentials."""
        return str(self._session.address)

    @property
    def client_id(self) -> str:
        """The name under which the server knows this client."""
        return self._session.options.client_id

    @property
    def connection_state(self) -> ConnectionState:
        """How the WebSocket is."""
        return self._session.connection.state

    async def wait_connection_state(self, *states: ConnectionState) -> ConnectionState:
        """Wait until the WebSocket is in one of these states, and return that one.

        Raises:
            ValueError: no state is named.
            trio.ClosedResourceError: the client's block is over.
        """
        return await self._session.connection.progress.wait(states)

    def connection_changes(self) -> Subscription[ConnectionChanged]:
        """Return an iterator over how the WebSocket is: as it is now, then each change.

        It ends after `ConnectionState.DISCONNECTED`, with the client's block. A reader that falls
        more than 1000 changes behind misses the oldest.
        """
        return self._session.connection.progress.subscribe().subscription()

    def __repr__(self) -> str:
        jobs = len(self._session.supervisor.live)
        return f"<Comfy {self.url} {self.connection_state.value}, {jobs} live jobs>"

    @overload
    async def run(self, workflow: Whole, /, **options: Unpack[SubmitOptions]) -> JobResult: ...
    @overload
    async def run(
        self, output: OutputNode[Any], /, *more: OutputNode[Any], **options: Unpack[SubmitOptions]
    ) -> JobResult: ...
    async def run(
        self, what: Runnable, /, *more: OutputNode[Any], **options: Unpack[SubmitOptions]
    ) -> JobResult:
        """Run a workflow to its end, and return its outputs.

        If this call is cancelled, the job is stopped at the server too, as in `open_job`.

        Args:
            what: A workflow, a prompt builder, a graph, a prompt in API format, or an output node.
            more: More output nodes.
            options: Its place in the queue, which outputs to run, and more; see `SubmitOptions`.

        Raises:
            WorkflowError: the workflow cannot be run by any server. Nothing was sent.
            EnqueueFailedError: the server refused it, or would; see `validate`.
            OSError, FileError, ResponseError: an attached file cannot be read, or not be stored.
            JobError, DisconnectedError: see `Job.wait`.
        """
        async with self._open_job(workflow_of(what, *more), options, "run") as job:
            return await job.wait()

    @overload
    def open_job(
        self, workflow: Whole, /, **options: Unpack[SubmitOptions]
    ) -> AbstractAsyncContextManager[Job]: ...
    @overload
    def open_job(
        self, output: OutputNode[Any], /, *more: OutputNode[Any], **options: Unpack[SubmitOptions]
    ) -> AbstractAsyncContextManager[Job]: ...
    def open_job(
        self, what: Runnable, /, *more: OutputNode[Any], **options: Unpack[SubmitOptions]
    ) -> AbstractAsyncContextManager[Job]:
        """Run a workflow for as long as a block lasts, as a nursery runs a task.

        The block is entered when the server has accepted the job. Leaving it normally waits for
        the job, and raises its error unless `Job.wait` already did. An exception or a cancellation
        in the block stops the job at the server before it goes on: the job is taken out of the
        queue, or interrupted by its id, and seen to be over; that takes ``close_timeout`` at most.

        Args:
            what: A workflow, a prompt builder, a graph, a prompt in API format, or an output node.
            more: More output nodes.
            options: Its place in the queue, which outputs to run, and more; see `SubmitOptions`.

        Raises:
            WorkflowError: the workflow cannot be run by any server. Nothing was sent.
            EnqueueFailedError: the server refused it, or would; see `validate`.
            OSError, FileError, ResponseError: an attached file cannot be read, or not be stored.
            JobError, DisconnectedError: see `Job.wait`.
        """
        return self._open_job(workflow_of(what, *more), options, "open_job")

    @asynccontextmanager
    async def _open_job(
        self, workflow: Workflow, options: SubmitOptions, asked_by: str
    ) -> AsyncGenerator[Job, None]:
        job = await self._submit(workflow, options, asked_by)
        try:
            yield job
            if not job._outcome_told:
                await job.wait()
        except BaseException:
            with trio.move_on_after(self._session.options.close_timeout, shield=True):
                await self._submitter.stop(job._tracker)
            raise

    @overload
    async def submit(self, workflow: Whole, /, **options: Unpack[SubmitOptions]) -> Job: ...
    @overload
    async def submit(
        self, output: OutputNode[Any], /, *more: OutputNode[Any], **options: Unpack[SubmitOptions]
    ) -> Job: ...
    async def submit(
        self, what: Runnable, /, *more: OutputNode[Any], **options: Unpack[SubmitOptions]
    ) -> Job:
        """Give a workflow to the server, and return when it has accepted it.

        The job lives on until it ends, or until the client's block does, which stops it. Cancelling
        this call stops the job too, if it was sent.

        Args:
            what: A workflow, a prompt builder, a graph, a prompt in API format, or an output node.
            more: More output nodes.
            options: Its place in the queue, which outputs to run, and more; see `SubmitOptions`.

        Raises:
            WorkflowError: the workflow cannot be run by any server. Nothing was sent.
            EnqueueFailedError: the server refused it, or would; see `validate`.
            OSError, FileError, ResponseError: an attached file cannot be read, or not be stored.
            ServerUnreachableError: the server cannot be reached. Nothing was sent.
            DisconnectedError: the connection broke, and the server does not have the job.
        """
        return await self._submit(workflow_of(what, *more), options, "submit")

    async def follow(self, job: JobReference | str, /) -> Job:
        """Return the handle of a job that was submitted earlier, also by another process.

        The job stays its submitter's: it lives on when this client's block is left. To hear of its
        progress, open the client with the ``client_id`` that the reference holds, when the process
        that had it is gone; without that, what it tells is its end.

        A typed node of the workflow is no key to the result: use an alias or a node's id.

        Args:
            job: Its reference, which `Job.reference` was before; or only its id at this server.

        Raises:
            WentMissingError: the server does not know it: it was restarted since, or somebody
                cleared the history.
            ValueError: the reference is to a job of another server.
            ResponseError, ServerUnreachableError, DisconnectedError: a request failed.
        """
        session = self._session
        if isinstance(job, JobReference) and job.url != self.url:
            raise ValueError(
                f"the job is at {job.url}, and this is a client of {self.url}. If that is the same"
                " server by another name, give its prompt_id alone"
            )
        prompt_id = job if isinstance(job, str) else job.prompt_id
        tracker = session.supervisor.tracker_of(prompt_id)
        if tracker is None:
            found = await session.supervisor.find(prompt_id)
            if found is None:
                raise WentMissingError(
                    f"{self.url} knows no job {prompt_id}: it never had it, was restarted since, or"
                    " somebody took it out of the queue or cleared the history",
                    prompt_id=prompt_id,
                )
            tracker = session.supervisor.tracker_of(prompt_id) or session.follow_job(
                plan_of(job, found, session.door.secrets), found
            )
        return Job._create(tracker, session)

    async def attach(self, job: JobReference | str, /) -> JobResult:
        """Wait for a job that was submitted earlier, and return its result.

        Cancelling this call leaves the job alone. The rest is as with `follow`.

        Args:
            job: See `follow`.

        Raises:
            WentMissingError, ValueError: see `follow`.
            JobError, DisconnectedError: see `Job.wait`.
            ResponseError, ServerUnreachableError: a request failed.
        """
        return await (await self.follow(job)).wait()

    async def _submit(self, workflow: Workflow, options: SubmitOptions, asked_by: str) -> Job:
        tracker = await self._submitter.submit(workflow, options, follow=True, asked_by=asked_by)
        return Job._create(tracker, self._session)

    async def load(self, source: str | os.PathLike[str] | bytes | Mapping[str, Any], /) -> Workflow:
        """Read a workflow from whatever holds one, and return it.

        The server is asked for nothing, unless there is only a canvas: what it was drawn with are
        nodes, and which inputs these have the server tells.

        Args:
            source: A file (see `Workflow.from_file`): its path, or its content. Or parsed JSON.

        Raises:
            OSError: the file cannot be read.
            WorkflowError: there is no workflow in it.
            ResponseError, ServerUnreachableError, DisconnectedError: the request failed.
        """
        if isinstance(source, Mapping):
            found = read_json(source, "the workflow")
        elif isinstance(source, bytes):
            found = read_content(source, "the workflow")
        else:
            found = read_content(await trio.Path(source).read_bytes(), str(source))
        if found.prompt is not None:
            return Workflow._from_source(found, None)
        object_info = await self.node.definitions()
        # A canvas of thousands of nodes would hold up every task of the program.
        return await trio.to_thread.run_sync(Workflow._from_source, found, object_info)

    @overload
    async def validate(self, workflow: Whole, /, *, refresh: bool = False) -> Validation: ...
    @overload
    async def validate(
        self, output: OutputNode[Any], /, *more: OutputNode[Any], refresh: bool = False
    ) -> Validation: ...
    async def validate(
        self, what: Runnable, /, *more: OutputNode[Any], refresh: bool = False
    ) -> Validation:
        """Judge a workflow as the server would, without sending it, and tell what it overlooks.

        The server's definitions and version are asked for once, and again after the connection
        was lost. From then on `run`, `open_job` and `submit` judge, too, what they are given: what
        the server is certain to refuse is raised at once and not sent, and what it would overlook
        is logged as a warning, each once. Without this call they do none of that.

        Args:
            what: A workflow, a prompt builder, a graph, a prompt in API format, or an output node.
            more: More output nodes.
            refresh: Ask for the definitions anew, because files or classes have come or gone.

        Raises:
            WorkflowError: it is no workflow at all.
            ResponseError, ServerUnreachableError, DisconnectedError: a request failed.
        """
        workflow = workflow_of(what, *more).copy()
        return await self._submitter.foresight.judge(
            await self._submitter.resolve(workflow),
            refresh=refresh,
            attached=workflow._attachments.inputs,
        )

    def server_events(self) -> Subscription[ServerEvent]:
        """Return an iterator over every event of the server from now on; see `comfy_trio.wire`.

        It ends when the client's block does, or when the connection has failed; see
        `ConnectionState.FAILED`. A reader that falls more than 1000 events behind misses the
        oldest; it slows down nobody.
        """
        return self._session.subscribe().subscription()
