"""Routes for posting prompts, and for the queue and the history."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

import attrs
from starlette.routing import Route

from comfy_trio._validation import ValidationRules, validate_prompt

from ._http import empty_reply, json_reply, read_body, read_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.requests import Request
    from starlette.responses import Response

    from comfy_trio._util import JSONObject
    from comfy_trio._validation import CustomValidation

    from ._engine import Engine
    from ._terminal import Terminal


def is_canonical_uuid(value: object) -> bool:
    """Whether `value` is a UUID in lowercase with hyphens."""
    try:
        return isinstance(value, str) and str(uuid.UUID(value)) == value
    except ValueError:
        return False


@attrs.define(eq=False)
class PromptRoutes:
    """The handlers.

    Args:
        engine: What runs the prompts.
        object_info: Makes the declarations to validate against.
        custom: Custom validations by class.
        limit: The largest body, in bytes.
    """

    engine: Engine
    object_info: Callable[[], JSONObject]
    custom: Mapping[str, CustomValidation]
    limit: int

    def routes(self) -> list[Route]:
        """The routes, without ``/api``."""
        return [
            Route("/prompt", self.get_prompt, methods=["GET"]),
            Route("/prompt", self.post_prompt, methods=["POST"]),
            Route("/queue", self.get_queue, methods=["GET"]),
            Route("/queue", self.post_queue, methods=["POST"]),
            Route("/history", self.get_history, methods=["GET"]),
            Route("/history", self.post_history, methods=["POST"]),
            Route("/history/{prompt_id}", self.get_history_entry, methods=["GET"]),
            Route("/interrupt", self.post_interrupt, methods=["POST"]),
            Route("/free", self.post_free, methods=["POST"]),
        ]

    async def get_prompt(self, request: Request) -> Response:
        """How many prompts remain."""
        return json_reply(self.engine.queue_info())

    async def post_prompt(self, request: Request) -> Response:
        """Validate a prompt and queue it."""
        self.engine.terminal.info("got prompt")
        posted = await read_json(request, self.limit)
        engine = self.engine
        if "number" in posted:
            number: int | float = float(posted["number"])
        else:
            number = engine.next_number(front="front" in posted and bool(posted["front"]))
        if "prompt" not in posted:
            missing: JSONObject = {
                "type": "no_prompt",
                "message": "No prompt provided",
                "details": "No prompt provided",
                "extra_info": {},
            }
            return _refusal(missing, {})
        prompt_id = posted.get("prompt_id")
        if engine.version.uuid_prompt_ids:
            prompt_id = str(uuid.uuid4()) if prompt_id is None else prompt_id
            if not is_canonical_uuid(prompt_id):
                return _refusal(_INVALID_PROMPT_ID, {})
        else:
            prompt_id = str(posted.get("prompt_id", uuid.uuid4()))
        verdict = validate_prompt(
            posted["prompt"],
            self.object_info(),
            partial_execution_targets=posted.get("partial_execution_targets"),
            custom=self.custom,
            rules=ValidationRules.for_version(engine.version.version),
        )
        _log_errors(verdict.node_errors, engine.terminal)
        if verdict.error is not None:
            engine.terminal.warning(f"invalid prompt: {verdict.error}")
            return _refusal(verdict.error, verdict.node_errors)
        extra_data = dict(posted.get("extra_data", {}))
        if "client_id" in posted:
            extra_data["client_id"] = posted["client_id"]
        source = request.headers.get("comfy-usage-source")
        if source and engine.version.deploy_environment:
            extra_data.setdefault("comfy_usage_source", source)
        engine.submit(number, prompt_id, verdict.prompt, extra_data, list(verdict.outputs))
        return json_reply(
            {"prompt_id": prompt_id, "number": number, "node_errors": verdict.node_errors}
        )

    async def get_queue(self, request: Request) -> Response:
        """What runs and what is pending, the latter in heap order."""
        queue = self.engine.queue
        return json_reply(
            {
                "queue_running": [item.as_json() for item in queue.running],
                "queue_pending": [item.as_json() for item in queue.pending],
            }
        )

    async def post_queue(self, request: Request) -> Response:
        """Clear the queue, or delete from it."""
        posted = await read_json(request, self.limit)
        if posted.get("clear"):
            self.engine.queue.clear()
        for prompt_id in posted.get("delete", ()):
            self.engine.queue.delete(prompt_id)
        return empty_reply()

    async def get_history(self, request: Request) -> Response:
        """Entries in the order of completion."""
        items = request.query_params.get("max_items")
        page = self.engine.queue.history_page(
            None if items is None else int(items), int(request.query_params.get("offset", -1))
        )
        return json_reply(page)

    async def get_history_entry(self, request: Request) -> Response:
        """One entry, or ``{}``."""
        prompt_id = request.path_params["prompt_id"]
        entry = self.engine.queue.history.get(prompt_id)
        return json_reply({} if entry is None else {prompt_id: entry})

    async def post_history(self, request: Request) -> Response:
        """Clear the history, or delete from it."""
        posted = await read_json(request, self.limit)
        if posted.get("clear"):
            self.engine.queue.history.clear()
        for prompt_id in posted.get("delete", ()):
            self.engine.queue.history.pop(prompt_id, None)
        return empty_reply()

    async def post_interrupt(self, request: Request) -> Response:
        """Interrupt what runs, or only a certain prompt on versions that know of ids."""
        body = await read_body(request, self.limit)
        prompt_id: Any = None
        if self.engine.version.targeted_interrupt:
            try:
                posted: Any = json.loads(body)
            except ValueError:
                posted = {}
            prompt_id = posted.get("prompt_id")
        terminal = self.engine.terminal
        if not prompt_id:
            terminal.info("Global interrupt (no prompt_id specified)")
            self.engine.interrupt()
        elif self.engine.queue.is_running(prompt_id):
            terminal.info(f"Interrupting prompt {prompt_id}")
            self.engine.interrupt()
        else:
            terminal.info(f"Prompt {prompt_id} is not currently running, skipping interrupt")
        return empty_reply()

    async def post_free(self, request: Request) -> Response:
        """Free memory after the prompt that runs."""
        posted = await read_json(request, self.limit)
        self.engine.free(memory=bool(posted.get("free_memory")))
        return empty_reply()


def _log_errors(node_errors: JSONObject, terminal: Terminal) -> None:
    """Write what the real server writes of nodes that it refuses."""
    told: set[str] = set()
    outputs = [each for errors in node_errors.values() for each in errors["dependent_outputs"]]
    for output in dict.fromkeys(outputs):
        terminal.error(f"Failed to validate prompt for output {output}:")
        for node_id, errors in node_errors.items():
            if output in errors["dependent_outputs"] and node_id not in told:
                told.add(node_id)
                terminal.error(f"* {errors['class_type']} {node_id}:")
                for reason in errors["errors"]:
                    terminal.error(f"  - {reason['message']}: {reason['details']}")
        terminal.error("Output will be ignored")


def _refusal(error: JSONObject, node_errors: JSONObject) -> Response:
    return json_reply({"error": error, "node_errors": node_errors}, 400)


_INVALID_PROMPT_ID: JSONObject = {
    "type": "invalid_prompt_id",
    "message": "prompt_id must be a valid UUID",
    "details": (
        "prompt_id must be a UUID string in canonical lowercase hyphenated form; "
        "omit it to let the server generate one"
    ),
    "extra_info": {},
}
