"""The execution of one prompt: which frames it sends, and what goes into the history."""

from __future__ import annotations

import copy
import json
import traceback
from typing import TYPE_CHECKING, Any, cast

import attrs
import trio

from ._cache import CacheEntry
from ._frames import ImageFormat
from ._node_type import ExecutionBlocked, NodeResult
from ._progress import Progress
from ._queue import RunRecord
from ._schedule import Schedule, is_link

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from PIL import Image

    from comfy_trio._util import JSONObject

    from ._asset_store import AssetStore
    from ._cache import OutputCache
    from ._files import FileStore
    from ._node_type import NodeType
    from ._progress import Publisher
    from ._queue import QueueItem
    from ._terminal import Terminal
    from ._versions import PlayedVersion


@attrs.frozen
class Workshop:
    """What all prompts share.

    Args:
        nodes: Node types by class name.
        files: The server's folders.
        cache: Outputs of earlier prompts.
        publisher: Where frames go.
        version: What the server can do.
        now: The time in ms since 1970.
        terminal: Where it is told what happens.
        assets: Where the files of outputs are registered, if they are.
    """

    nodes: Mapping[str, NodeType]
    files: FileStore
    cache: OutputCache
    publisher: Publisher
    version: PlayedVersion
    now: Callable[[], int]
    terminal: Terminal
    assets: AssetStore | None = None


class _Interrupted(Exception):
    """Somebody interrupted the node that runs."""


@attrs.define(eq=False)
class _Run:
    """The `NodeRun` of one node."""

    node_id: str
    prompt: JSONObject
    extra_pnginfo: JSONObject | None
    files: FileStore
    _progress: Progress

    async def progress(
        self, value: float, maximum: float, preview: Image.Image | None = None
    ) -> None:
        await trio.lowlevel.checkpoint()
        self._progress.update(self.node_id, value, maximum, preview)

    async def sleep(self, seconds: float) -> None:
        await trio.sleep(seconds)

    async def send_image(self, image: Image.Image, value: float, maximum: float) -> None:
        await trio.lowlevel.checkpoint()
        self._progress.update(self.node_id, value, maximum, image, ImageFormat.PNG)

    async def send_text(self, text: str) -> None:
        await trio.lowlevel.checkpoint()
        self._progress.text(self.node_id, text)


class Execution:
    """One run of one prompt.

    Args:
        workshop: What all prompts share.
        item: The prompt.
        was_success: How the prompt before ended: that is what the history says of a prompt that
            fails on a circle of links, as with the real server.
    """

    def __init__(self, workshop: Workshop, item: QueueItem, *, was_success: bool = True) -> None:
        self._shop = workshop
        self._prompt_id = item.prompt_id
        self._prompt: JSONObject = copy.deepcopy(item.prompt)
        self._extra_data = {**item.extra_data, **item.secrets}
        self._targets = item.outputs
        self.client_id: str | None = self._extra_data.get("client_id")
        """Who gets the frames."""
        self.current_node: str | None = None
        """The node that runs; told to a client that connects again."""
        self._messages: list[list[Any]] = []
        self._executed: dict[str, None] = {}
        self._shown: dict[str, JSONObject] = {}
        self._success = was_success
        self._scope: trio.CancelScope | None = None
        self._interrupted = False
        previews = not (
            workshop.version.preview_method and self._extra_data.get("preview_method") == "none"
        )
        self._progress = Progress(
            workshop.publisher, item.prompt_id, self.client_id, previews=previews
        )

    def interrupt(self) -> None:
        """Stop the node that runs, or the next one to run. Does nothing after the last."""
        self._interrupted = True
        if self._scope is not None:
            self._scope.cancel("the prompt was interrupted")

    async def run(self) -> RunRecord:
        """Execute the prompt and tell its client.

        Raises:
            Exception: Something outside of a node went wrong, such as a link that validation
                overlooked. The real server's worker dies of it.
        """
        shop = self._shop
        self._add_message("execution_start", {"prompt_id": self._prompt_id})
        shop.cache.set_prompt(self._prompt, self._fingerprint)
        cached = [node_id for node_id in self._prompt if shop.cache.get(node_id) is not None]
        self._add_message("execution_cached", {"nodes": cached, "prompt_id": self._prompt_id})
        schedule = Schedule(
            self._prompt,
            is_output=lambda node_id: self._node_type(node_id).output_node,
            is_cached=lambda node_id: shop.cache.get(node_id) is not None,
        )
        for target in self._targets:
            schedule.add(target)
        while schedule:
            # The real worker is a thread: requests are answered between two nodes.
            await trio.lowlevel.checkpoint()
            node_id = schedule.pick()
            if node_id is None:
                self._fail_on_cycle(schedule.first())
                break
            self._success = await self._run_node(node_id)
            if not self._success:
                break
            schedule.complete(node_id)
        else:
            self._success = True
            self._add_message("execution_success", {"prompt_id": self._prompt_id})
        self.current_node = None
        return self._record()

    def _record(self) -> RunRecord:
        shown = self._shown
        if not self._shop.version.own_outputs_only:
            entries = {node_id: self._shop.cache.get(node_id) for node_id in self._prompt}
            shown = {k: entry.ui for k, entry in entries.items() if entry and entry.ui}
        return RunRecord(
            success=self._success,
            messages=self._messages,
            outputs={node_id: ui["output"] for node_id, ui in shown.items()},
            meta={node_id: ui["meta"] for node_id, ui in shown.items()},
        )

    def _node_type(self, node_id: str) -> NodeType:
        return self._shop.nodes[self._prompt[node_id]["class_type"]]

    def _publish(self, event: str, data: JSONObject, *, or_all: bool = False) -> None:
        """Send to the prompt's client; if it has none, to nobody, or to all."""
        if self.client_id is not None or or_all:
            self._shop.publisher.publish(event, data, self.client_id)

    def _add_message(self, event: str, data: JSONObject, *, or_all: bool = False) -> None:
        data = {**data, "timestamp": self._shop.now()}
        self._messages.append([event, data])
        self._publish(event, data, or_all=or_all)

    def _fingerprint(self, node_id: str) -> object:
        node = self._prompt[node_id]
        node_type = self._shop.nodes.get(node["class_type"])
        if node_type is None or node_type.fingerprint is None:
            return None
        inputs = {k: None if is_link(v) else v for k, v in self._declared_inputs(node_id)}
        try:
            value = node_type.fingerprint(self._shop.files, **inputs)
        except Exception:
            value = float("nan")
        node["is_changed"] = value
        return value

    def _declared_inputs(self, node_id: str) -> Iterator[tuple[str, Any]]:
        """The inputs that the node gets: links in any case, literals if it declares them."""
        node_type = self._node_type(node_id)
        for name, value in self._prompt[node_id]["inputs"].items():
            if is_link(value) or name in node_type.required or name in node_type.optional:
                yield name, value

    def _gather(self, node_id: str) -> dict[str, list[object]]:
        gathered: dict[str, list[object]] = {}
        for name, value in self._declared_inputs(node_id):
            if is_link(value):
                entry = self._shop.cache.get(value[0])
                assert entry is not None, "the schedule has run what this node needs"
                gathered[name] = entry.outputs[int(value[1])]
            else:
                gathered[name] = [value]
        for name, kind in self._node_type(node_id).hidden.items():
            gathered[name] = [self._hidden(node_id, kind)]
        return gathered

    def _hidden(self, node_id: str, kind: str) -> object:
        if kind in ("PROMPT", "DYNPROMPT"):
            return self._prompt
        if kind == "UNIQUE_ID":
            return node_id
        # Such as EXTRA_PNGINFO and API_KEY_COMFY_ORG.
        return self._extra_data.get(kind.lower())

    async def _run_node(self, node_id: str) -> bool:
        """Run a node, or replay its cached output. False if the prompt is over."""
        cached = self._shop.cache.get(node_id)
        if cached is not None:
            self._replay(node_id, cached)
            return True
        self._progress.start(node_id)
        inputs: dict[str, list[object]] | None = None
        try:
            inputs = self._gather(node_id)
            if self.client_id is not None:
                self.current_node = node_id
            told = {"node": node_id, "display_node": node_id, "prompt_id": self._prompt_id}
            self._publish("executing", told)
            results = await self._interruptible(node_id, inputs)
            entry = self._entry(node_id, results)
            if entry.ui is not None:
                self._publish_ui(node_id, entry.ui["output"])
        except _Interrupted:
            self._fail_on_interrupt(node_id)
            return False
        except Exception as exc:
            self._fail_on_error(node_id, inputs, exc)
            return False
        self._shop.cache.put(node_id, entry)
        self._progress.finish(node_id)
        self._executed[node_id] = None
        return True

    def _replay(self, node_id: str, cached: CacheEntry) -> None:
        if self.client_id is not None:
            self._publish_ui(node_id, cached.ui["output"] if cached.ui else None)
            # Without a client the real server does not note the ui either, and the history of
            # such a prompt is empty.
            if cached.ui is not None:
                self._shown[node_id] = cached.ui
        self._progress.finish(node_id)

    def _publish_ui(self, node_id: str, output: JSONObject | None) -> None:
        report: JSONObject = {
            "node": node_id,
            "display_node": node_id,
            "output": output,
            "prompt_id": self._prompt_id,
        }
        self._publish("executed", report)

    async def _interruptible(
        self, node_id: str, inputs: dict[str, list[object]]
    ) -> list[NodeResult]:
        results: list[NodeResult] = []
        with trio.CancelScope() as self._scope:
            if self._interrupted:
                self._scope.cancel("the prompt was interrupted before this node")
            for arguments in _mapped(inputs):
                await trio.lowlevel.checkpoint()
                results.append(await self._call(node_id, arguments))
        scope, self._scope = self._scope, None
        if scope.cancelled_caught:
            raise _Interrupted
        return results

    async def _call(self, node_id: str, arguments: dict[str, object]) -> NodeResult:
        node_type = self._node_type(node_id)
        for value in arguments.values():
            if isinstance(value, ExecutionBlocked):
                self._tell_blocked(node_id, value)
                return NodeResult(values=(ExecutionBlocked(),) * len(node_type.outputs))
        run = _Run(
            node_id,
            self._prompt,
            self._extra_data.get("extra_pnginfo"),
            self._shop.files,
            self._progress,
        )
        return await node_type.run(run, **arguments)

    def _tell_blocked(self, node_id: str, blocked: ExecutionBlocked) -> None:
        if blocked.message is None:
            return
        report: JSONObject = {
            "prompt_id": self._prompt_id,
            "node_id": node_id,
            "node_type": self._prompt[node_id]["class_type"],
            "executed": list(self._executed),
            "exception_message": f"Execution Blocked: {blocked.message}",
            "exception_type": "ExecutionBlocked",
            "traceback": [],
            "current_inputs": [],
            "current_outputs": [],
        }
        self._publish("execution_error", report, or_all=True)

    def _entry(self, node_id: str, results: list[NodeResult]) -> CacheEntry:
        node_type = self._node_type(node_id)
        outputs: list[list[object]] = []
        for slot in range(len(node_type.outputs)):
            values = [result.values[slot] for result in results]
            is_list = slot < len(node_type.output_is_list) and node_type.output_is_list[slot]
            outputs.append(list(_flattened(values)) if is_list else values)
        shown = [result.ui for result in results if result.ui is not None]
        if not shown:
            return CacheEntry(outputs, None)
        # The keys are those of the first, as with the real server.
        output = {key: [item for ui in shown for item in ui[key]] for key in shown[0]}
        # The real server sends whatever a node gives, and dies of what is no JSON; here the
        # node is to blame.
        output = json.loads(json.dumps(output))
        if self._shop.assets is not None:
            output = self._shop.assets.register_outputs(output, self._prompt_id)
        meta = {
            "node_id": node_id,
            "display_node": node_id,
            "parent_node": None,
            "real_node_id": node_id,
        }
        ui = {"output": output, "meta": meta} if output else None
        if ui is not None:
            self._shown[node_id] = ui
        return CacheEntry(outputs, ui)

    def _fail_on_interrupt(self, node_id: str) -> None:
        self._shop.terminal.info("Processing interrupted")
        report: JSONObject = {
            "prompt_id": self._prompt_id,
            "node_id": node_id,
            "node_type": self._prompt[node_id]["class_type"],
            "executed": list(self._executed),
        }
        self._add_message("execution_interrupted", report, or_all=True)

    def _fail_on_error(
        self, node_id: str, inputs: dict[str, list[object]] | None, exc: Exception
    ) -> None:
        formatted = {
            name: [_formatted(value) for value in values] for name, values in (inputs or {}).items()
        }
        self._shop.terminal.error(f"!!! Exception during processing !!! {exc}")
        self._shop.terminal.error("".join(traceback.format_exception(exc)))
        self._tell_error(
            node_id,
            message=f"{exc}\n",
            exception_type=_type_name(exc),
            lines=traceback.format_tb(exc.__traceback__),
            inputs=formatted,
        )

    def _fail_on_cycle(self, node_id: str) -> None:
        # Not a failure in `self._success`: see `was_success`.
        self._tell_error(
            node_id,
            message="Dependency cycle detected",
            exception_type="graph.DependencyCycleError",
            lines=[],
            inputs=[],
        )

    def _tell_error(
        self,
        node_id: str,
        *,
        message: str,
        exception_type: str,
        lines: list[str],
        inputs: dict[str, list[Any]] | list[Any],
    ) -> None:
        report: JSONObject = {
            "prompt_id": self._prompt_id,
            "node_id": node_id,
            "node_type": self._prompt[node_id]["class_type"],
            "executed": list(self._executed),
            "exception_message": message,
            "exception_type": exception_type,
            "traceback": lines,
            "current_inputs": inputs,
            "current_outputs": self._shop.cache.node_ids(),
        }
        self._add_message("execution_error", report)


def _mapped(inputs: dict[str, list[object]]) -> Iterator[dict[str, object]]:
    """The arguments of each call: as many calls as the longest list has items.

    A shorter list repeats its last item.
    """
    longest = max((len(values) for values in inputs.values()), default=0)
    if longest == 0:
        yield {}
        return
    for index in range(longest):
        yield {
            name: values[min(index, len(values) - 1)] for name, values in inputs.items() if values
        }


def _flattened(values: list[object]) -> Iterator[object]:
    for value in values:
        if isinstance(value, ExecutionBlocked):
            yield value
        else:
            yield from cast("list[object]", value)


def _formatted(value: object) -> object:
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value)


def _type_name(exc: Exception) -> str:
    kind = type(exc)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
