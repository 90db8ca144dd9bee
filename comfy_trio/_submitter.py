"""From what a program wants run to a job in the server's queue."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, final

import attrs
import trio

from ._errors import ComfyError, DisconnectedError, ResponseError
from ._foresight import Foresight
from ._logging import logger
from ._prompt import check_prompt
from ._seeds import fill_seeds, seed_range, wants_seeds
from ._state import JobPlan
from ._submission import check_options, prompt_request
from ._targets import find_targets, nodes_left_out, require_output_node

if TYPE_CHECKING:
    from ._namespaces._all import Namespaces
    from ._seeds import SeedRange
    from ._session import Session
    from ._submission import SubmitOptions
    from ._tracker import JobTracker
    from ._util import JSONObject
    from ._workflow import Workflow


@final
@attrs.define(eq=False, repr=False)
class Submitter:
    """Submits workflows to one server.

    Args:
        session: The server.
        client: What it has.
        extra_data: What is sent along with each job.
    """

    _session: Session
    _client: Namespaces
    _extra_data: JSONObject
    foresight: Foresight = attrs.field(init=False)
    _declarations: dict[str, JSONObject] = attrs.field(factory=dict[str, "JSONObject"], init=False)

    def __attrs_post_init__(self) -> None:
        self.foresight = Foresight(self._session, self._client)

    async def submit(
        self, workflow: Workflow, options: SubmitOptions, *, follow: bool, asked_by: str
    ) -> JobTracker:
        """Give a workflow to the server, and return when it has accepted it.

        Cancelling this call stops the job, if it was sent.

        Args:
            workflow: The workflow. Will not be changed.
            options: As the caller gave them.
            follow: Whether the job is to be followed to its end.
            asked_by: The name of the method that the options were given to.

        Raises:
            ComfyError, OSError: see `Comfy.submit`.
        """
        tracker = await self.start(workflow, options, follow=follow, asked_by=asked_by)
        try:
            await (tracker.accepted if follow else tracker.posted).wait()
        except BaseException:
            with trio.move_on_after(self._session.options.close_timeout, shield=True):
                await self.stop(tracker)
            raise
        state = tracker.state
        if isinstance(state.outcome, ComfyError):
            # A job that nobody follows may have failed by now; only that it was lost is told here.
            lost = state.cancelling or isinstance(state.outcome, DisconnectedError)
            if state.refused or (lost and not follow):
                raise state.outcome
        for errors in state.node_errors.values():
            self.warn(tracker, f"runs without {errors}")
        return tracker

    async def start(
        self, workflow: Workflow, options: SubmitOptions, *, follow: bool, asked_by: str
    ) -> JobTracker:
        """Begin to give a workflow to the server, and do not wait for its answer.

        Until this returns nothing was submitted: it may be cancelled, and leaves no job behind. The
        arguments are those of `submit`.

        Raises:
            ComfyError, OSError: the workflow is wrong, or its files did not get to the server.
        """
        options = check_options(options, asked_by)
        workflow = workflow.copy()  # the caller's may change while this waits
        plan = await self._plan(workflow, options)
        attachments = workflow._attachments
        attachments.name_in(
            plan.prompt, await self._client.file._upload_all(attachments.needed_by(plan.part))
        )
        request = prompt_request(
            plan,
            options,
            client_id=self._session.options.client_id,
            extra_data=self._extra_data,
            canvas=workflow._canvas_of(plan.prompt),
        )
        return self._session.start_job(plan, request, follow=follow)

    async def stop(self, tracker: JobTracker) -> None:
        """Stop a job whose block failed. The block's own exception is what counts."""
        self._session.follow_to_its_end(tracker)
        try:
            await self._session.supervisor.stop(tracker)
        except ComfyError as error:
            self.warn(tracker, f"may still run: {error}")
        finally:
            if not tracker.ended.is_set():
                self.warn(tracker, "was not seen to stop, and may still run")

    def warn(self, tracker: JobTracker, what: str) -> None:
        """Log what is amiss with a job."""
        about = self._session.connection.ids(tracker.prompt_id)
        logger.warning("job %s %s", tracker.prompt_id, what, extra=about)

    async def _plan(self, workflow: Workflow, options: SubmitOptions) -> JobPlan:
        workflow._check_outputs()
        asked = options.get("targets")
        targets = None if asked is None else find_targets(asked, workflow)
        prompt = await self.resolve(workflow)
        check_prompt(prompt)
        for node_id in targets or ():
            declaration = await self._declaration(prompt[node_id]["class_type"])
            require_output_node(prompt, node_id, declaration)
        ranges: dict[str, SeedRange] = {}
        for node_id, names in wants_seeds(prompt).items():
            declaration = await self._declaration(prompt[node_id]["class_type"])
            ranges[node_id] = seed_range(declaration, names)
        plan = JobPlan(
            prompt_id=str(uuid.uuid4()),
            prompt=prompt,
            auto_seeds=fill_seeds(prompt, ranges),
            aliases=workflow.outputs,
            node_ids=workflow.node_ids,
            secrets=self._session.door.secrets,
            targets=targets,
            skipped=frozenset() if targets is None else nodes_left_out(prompt, targets),
        )
        self.foresight.stop_what_is_refused(plan.part)
        return plan

    async def resolve(self, workflow: Workflow) -> JSONObject:
        """Return the prompt that is sent for a workflow: without its bypassed nodes."""
        if not workflow.bypassed:
            return workflow.resolved_prompt({})
        from ._bypass import classes_concerned  # see Workflow.resolved_prompt

        classes = classes_concerned(workflow.to_dict(), workflow.bypassed)
        declared = {each: await self._declaration(each) for each in classes}
        return workflow.resolved_prompt({k: v for k, v in declared.items() if v})

    async def _declaration(self, class_type: str) -> JSONObject:
        """Return a class's declaration, asked for once; empty if the server has none to give."""
        if class_type not in self._declarations:
            try:
                found = await self._client.node.definitions(class_type)
            except ResponseError as error:
                about = self._session.connection.ids()
                logger.debug("no declaration of %s: %s", class_type, error, extra=about)
                return {}
            if not found.get(class_type):
                return {}  # it may be installed later
            self._declarations[class_type] = found[class_type]
        return self._declarations[class_type]
