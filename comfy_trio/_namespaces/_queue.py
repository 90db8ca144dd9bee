"""The server's queue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack, final, overload

import attrs

from .._reference import JobReference
from .._replies import QUEUE_LENGTH, raise_for_status, read_queue_length
from .._routes._queue import INTERRUPT, QUEUE, read_queue
from .._runnable import workflow_of
from .._submission import Submission
from .._util import NoPublicConstructor

if TYPE_CHECKING:
    from .._routes._queue import QueueState
    from .._runnable import Whole
    from .._session import Session
    from .._submission import SubmitOptions
    from .._submitter import Submitter
    from .._typed_node import OutputNode


@final
@attrs.define(eq=False, slots=False)
class QueueNamespace(metaclass=NoPublicConstructor):
    """`Comfy.queue`: what the server runs and will run, whoever's it is."""

    _session: Session = attrs.field(repr=False)
    _submitter: Submitter = attrs.field(repr=False)

    @overload
    async def submit(self, workflow: Whole, /, **options: Unpack[SubmitOptions]) -> Submission: ...
    @overload
    async def submit(
        self,
        output: OutputNode[Any],
        /,
        *more: OutputNode[Any],
        **options: Unpack[SubmitOptions],
    ) -> Submission: ...
    async def submit(
        self,
        what: Whole | OutputNode[Any],
        /,
        *more: OutputNode[Any],
        **options: Unpack[SubmitOptions],
    ) -> Submission:
        """Put a workflow in the queue, and leave it there.

        Nobody follows the job: it outlives this client, and fails without a word. `Comfy.attach`
        waits for it later, in another process too; how it is, and what came of it, `Comfy.jobs` and
        `Comfy.history` tell by its id. Cancelling this call stops
        it, if it was sent.

        Args:
            what: A workflow, a prompt builder, a graph, a prompt in API format, or an output node.
            more: More output nodes.
            options: Its place in the queue, which outputs to run, and more; see `SubmitOptions`.

        Raises:
            WorkflowError: the workflow cannot be run by any server. Nothing was sent.
            EnqueueFailedError: the server refused it, or would; see `Comfy.validate`.
            OSError, FileError, ResponseError: an attached file cannot be read, or not be stored.
            ServerUnreachableError: the server cannot be reached. Nothing was sent.
            DisconnectedError: the connection broke, and the server does not have the job; or the
                client was closed meanwhile.
        """
        tracker = await self._submitter.submit(
            workflow_of(what, *more), options, follow=False, asked_by="submit"
        )
        state = tracker.state
        return Submission(
            prompt_id=tracker.prompt_id,
            number=state.number,
            reference=JobReference.of(
                state.plan, str(self._session.address), self._session.options.client_id
            ),
            node_errors=state.node_errors,
            auto_seeds=state.plan.auto_seeds,
        )

    async def state(self) -> QueueState:
        """Return what runs and what waits, in the order in which it will run.

        The prompts come with it, which may be megabytes; `remaining` only counts.

        Raises:
            ResponseError, ServerUnreachableError, DisconnectedError: the request failed.
        """
        return read_queue(await self._session.http.request(QUEUE))

    async def remaining(self) -> int:
        """Return how many jobs run or wait.

        Raises:
            ResponseError, ServerUnreachableError, DisconnectedError: the request failed.
        """
        return read_queue_length(await self._session.http.request(QUEUE_LENGTH))

    async def cancel(self, *prompt_ids: str) -> None:
        """Take jobs out of the queue that wait there, whoever's they are.

        Jobs that run, are over or are unknown are left alone, without a word; `Comfy.jobs` has a
        `cancel` for jobs that may run. A job that was taken out leaves no trace at the server.

        Args:
            prompt_ids: The jobs.

        Raises:
            ResponseError, ServerUnreachableError, DisconnectedError: the request failed.
        """
        await self._session.supervisor.dequeue(prompt_ids)

    async def clear(self) -> None:
        """Take all jobs out of the queue that wait there: everybody's. What runs goes on.

        Raises:
            ResponseError, ServerUnreachableError, DisconnectedError: the request failed.
        """
        await self._session.supervisor.dequeue(None)

    async def interrupt(self, prompt_id: str) -> bool:
        """Interrupt a job if it runs, whoever's it is, and never another.

        It ends where its node next checks for that, which may take it a while. Servers before
        0.3.57 can only interrupt whatever runs. They are asked to while their queue shows that it
        is this job; should it end in that very moment, the next one is hit.

        Args:
            prompt_id: The job. If it waits, it is left where it is.

        Returns:
            Whether it ran.

        Raises:
            ResponseError, ServerUnreachableError, DisconnectedError: a request failed.
        """
        return await self._session.supervisor.interrupt(prompt_id)

    async def interrupt_whatever_runs(self) -> None:
        """Interrupt the job that runs, if one does, whoever's it is.

        Raises:
            ResponseError, ServerUnreachableError, DisconnectedError: the request failed.
        """
        raise_for_status(await self._session.http.request(INTERRUPT))
