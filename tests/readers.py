"""Every function of `comfy_trio._routes` that reads a reply, with replies that it reads well.

``fixtures/readings.json`` holds the latter. ``python tests/readers.py`` writes it anew, from what
is read while every row of ``docs/routes.md`` is tried on the embedded server.
"""

from __future__ import annotations

import inspect
import json
import sys
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any, Final

import attrs
import trio
from bad_replies import reply_to
from trio.testing import MockClock

import comfy_trio._routes
from comfy_trio import open_comfy
from comfy_trio._masking import Secrets
from comfy_trio._replies import Reply, get
from comfy_trio._routes._node import RemoteChoice
from comfy_trio._util import is_list, is_object
from comfy_trio.testing import open_embedded_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from route_calls._row import Row

READINGS: Final = Path(__file__).parent / "fixtures" / "readings.json"
REQUEST: Final = get("/x")
LARGEST: Final = 20_000
"""How long a reply in the file may be; a larger one has nothing that smaller ones do not have."""


@attrs.frozen
class Reading:
    """A reader, what it takes beside the reply, and a good one: its body if that is JSON."""

    name: str
    function: Callable[..., object]
    arguments: tuple[Any, ...]
    body: Any
    status: int
    secrets: Secrets = attrs.field(factory=Secrets, eq=False)

    def read(self, text: str, status: int | None = None) -> object:
        """Call the reader with another body, as JSON text, and maybe another status."""
        reply = reply_to(REQUEST, text.encode(), self.status if status is None else status)
        reply = attrs.evolve(reply, secrets=self.secrets)
        return self.function(reply, *map(_argument, self.arguments))


def _argument(value: Any) -> Any:
    match value:
        case {"reply": body}:
            return reply_to(REQUEST, body)
        case {"choice": key}:
            return RemoteChoice(REQUEST, key)
        case _:
            return value


@cache
def all_readers() -> dict[str, Callable[..., object]]:
    found: dict[str, Callable[..., object]] = {}
    for name in sorted(module.name for module in iter_modules(comfy_trio._routes.__path__)):
        module = import_module(f"comfy_trio._routes.{name}")
        for function in vars(module).values():
            if (
                inspect.isfunction(function)
                and function.__module__ == module.__name__
                and function.__name__.startswith("read_")
                and next(iter(inspect.get_annotations(function).values())) == "Reply"
            ):
                found[f"{name}.{function.__name__}"] = function
    return found


@cache
def readings() -> tuple[Reading, ...]:
    readers = all_readers()
    entries = json.loads(READINGS.read_text(encoding="utf-8"))
    return tuple(
        Reading(
            entry["reader"],
            readers[entry["reader"]],
            tuple(entry["arguments"]),
            entry["body"],
            entry["status"],
        )
        for entry in entries
    )


# --- Recording ------------------------------------------------------------------------------------

# Those that the embedded server has no occasion for.
BY_HAND: Final[list[dict[str, Any]]] = [
    {
        "reader": "_prompt.read_prompt_reply",
        "arguments": [{"3": {"class_type": "KSampler", "inputs": {}}}],
        "status": 400,
        "body": {
            "error": {
                "type": "prompt_outputs_failed_validation",
                "message": "Prompt outputs failed validation",
                "details": "",
                "extra_info": {},
            },
            "node_errors": {
                "3": {
                    "errors": [
                        {
                            "type": "value_not_in_list",
                            "message": "Value not in list",
                            "details": "sampler_name: 'x' not in ['euler']",
                            "extra_info": {"input_name": "sampler_name", "received_value": "x"},
                        }
                    ],
                    "dependent_outputs": ["9"],
                    "class_type": "KSampler",
                }
            },
        },
    },
    {
        "reader": "_prompt.read_prompt_reply",
        "arguments": [{"3": {"class_type": "KSampler", "inputs": {}}}],
        "status": 400,
        "body": {
            "error": {
                "type": "missing_node_type",
                "message": "Node 'K' not found. The custom node may not be installed.",
                "details": "Node ID '#3'",
                "extra_info": {"node_id": "3", "class_type": "K", "node_title": "K"},
            },
            "node_errors": {},
        },
    },
    {
        "reader": "_history.read_history_entry",
        "arguments": ["p"],
        "status": 200,
        "body": {
            "p": {
                "prompt": [1, "p", {"3": {"class_type": "K", "inputs": {}}}, {}, ["9"]],
                "outputs": {"9": {"images": [{"filename": "a.png", "type": "output"}]}},
                "status": {
                    "status_str": "error",
                    "completed": False,
                    "messages": [
                        ["execution_start", {"prompt_id": "p", "timestamp": 1700000000000}],
                        ["execution_cached", {"nodes": ["1"], "timestamp": 1700000000000}],
                        [
                            "execution_error",
                            {
                                "node_id": "3",
                                "node_type": "K",
                                "executed": ["1"],
                                "exception_message": "boom",
                                "exception_type": "ValueError",
                                "traceback": ["a"],
                                "current_inputs": {"seed": [1]},
                                "current_outputs": ["1"],
                                "timestamp": 1700000000000,
                            },
                        ],
                    ],
                },
            }
        },
    },
    {
        "reader": "_hosted.read_history_v2",
        "arguments": ["p"],
        "status": 200,
        "body": {"p": {"outputs": {"9": {}}, "status": {"status_str": "success"}}},
    },
    {
        "reader": "_hosted.read_job_outcome",
        "arguments": ["p"],
        "status": 200,
        "body": {
            "id": "p",
            "status": "completed",
            "outputs": {"9": {"images": []}},
            "execution_status": {"status_str": "success", "messages": [["execution_success", {}]]},
            "execution_error": {"exception_message": "boom", "node_id": "3", "timestamp": 1},
            "create_time": 1700000000000,
        },
    },
    {"reader": "_misc.read_embeddings_page", "arguments": [], "status": 200, "body": None},
    {
        "reader": "_node.read_remote_choice",
        "arguments": [{"choice": None}],
        "status": 200,
        "body": ["a", "b"],
    },
    {
        "reader": "_node.read_remote_choice",
        "arguments": [{"choice": "items"}],
        "status": 200,
        "body": {"items": ["a", "b"]},
    },
]


def _shape(value: Any) -> Any:
    """A JSON value without what makes two replies of one kind differ."""
    if is_object(value):
        return {"id" if len(key) == 36 else key: _shape(inner) for key, inner in value.items()}
    if is_list(value):
        return [_shape(inner) for inner in value[:1]]
    return type(value).__name__


async def _try(rows: Iterable[Row]) -> None:
    for row in rows:
        async with open_embedded_server(**row.options) as server:
            async with open_comfy(server.url, transport=server.transport) as comfy:
                await row.call(comfy, server)


def record() -> None:
    """Write the file anew."""
    from route_calls import ROWS

    names = {function.__code__: name for name, function in all_readers().items()}
    found: dict[str, dict[str, Any]] = {}

    def profile(frame: Any, event: str, _argument: object) -> None:
        if event != "call" or frame.f_code not in names:
            return
        reply, *more = [frame.f_locals[each] for each in inspect.getargs(frame.f_code).args]
        if len(reply.content) > LARGEST:
            return
        arguments = [{"reply": each.json()} if isinstance(each, Reply) else each for each in more]
        name, body, status = names[frame.f_code], reply.json(), reply.status
        entry = {"reader": name, "arguments": arguments, "status": status, "body": body}
        found.setdefault(json.dumps([name, status, _shape(body)]), entry)

    sys.setprofile(profile)
    trio.run(partial(_try, ROWS), clock=MockClock(autojump_threshold=0))
    sys.setprofile(None)
    entries = sorted([*found.values(), *BY_HAND], key=lambda entry: entry["reader"])
    READINGS.write_text(json.dumps(entries, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    record()
