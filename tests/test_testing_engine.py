"""The engine, seen through HTTP and a WebSocket in memory."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import attrs
import httpx
import pytest
import trio

from comfy_trio.testing import (
    EmbeddedServer,
    ExecutionBlocked,
    NodeResult,
    NodeRun,
    NodeType,
    open_embedded_server,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from trio.testing import MockClock

    from comfy_trio._transport import WebSocket
    from comfy_trio._util import JSONObject
    from comfy_trio.testing._files import FileStore


async def _give(_run: NodeRun, *, value: Any = None, limit: int = 0) -> NodeResult:
    return NodeResult((value,))


async def _listed(_run: NodeRun, *, count: int) -> NodeResult:
    return NodeResult((list(range(count)),))


async def _show(_run: NodeRun, **inputs: Any) -> NodeResult:
    return NodeResult(ui={"text": [json.dumps(inputs)], "more": [1]})


async def _wait(run: NodeRun, *, seconds: float, **_: Any) -> NodeResult:
    await run.sleep(seconds)
    return NodeResult((seconds,))


async def _fail(_run: NodeRun, **_: Any) -> NodeResult:
    raise ValueError("no good")


async def _block(_run: NodeRun, *, message: str | None = None) -> NodeResult:
    return NodeResult((ExecutionBlocked(message),))


async def _not_json(_run: NodeRun) -> NodeResult:
    return NodeResult(ui={"text": [object()]})


async def _look(run: NodeRun, **hidden: Any) -> NodeResult:
    seen = [run.node_id, run.prompt, run.extra_pnginfo, hidden]
    return NodeResult(ui={"text": [json.dumps(seen)]})


def _one_more(_files: FileStore, *, limit: int, _made: list[int] = []) -> int:  # noqa: B006
    _made.append(1)
    return min(len(_made), limit)


FOREVER = 1e6
ANY: list[Any] = ["*", {}]
NODES = (
    NodeType(class_type="Give", run=_give, optional={"value": ANY}, outputs=("*",)),
    NodeType(
        class_type="Listed",
        run=_listed,
        required={"count": ["INT", {}]},
        outputs=("*",),
        output_is_list=(True,),
    ),
    NodeType(class_type="Show", run=_show, optional={"a": ANY, "b": ANY}, output_node=True),
    NodeType(
        class_type="Wait",
        run=_wait,
        required={"seconds": ["FLOAT", {}]},
        optional={"after": ANY, "salt": ANY},
        outputs=("*",),
        output_node=True,
    ),
    NodeType(class_type="Fail", run=_fail, optional={"a": ANY}, outputs=("*",)),
    NodeType(class_type="Block", run=_block, optional={"message": ["STRING", {}]}, outputs=("*",)),
    NodeType(class_type="NotJSON", run=_not_json, output_node=True),
    NodeType(
        class_type="Look",
        run=_look,
        hidden={"me": "UNIQUE_ID", "all": "PROMPT", "key": "API_KEY_COMFY_ORG", "x": "ODD"},
        output_node=True,
    ),
    NodeType(
        class_type="Fresh",
        run=_give,
        optional={"limit": ["INT", {}]},
        fingerprint=_one_more,
        outputs=("*",),
        output_node=True,
    ),
)


def graph(**nodes: tuple[str, Mapping[str, Any]]) -> JSONObject:
    """``graph(n1=("Show", {"a": "n2"}))``; an input whose value is a node's name is a link."""
    return {
        name: {
            "class_type": class_type,
            "inputs": {
                key: [value, 0] if isinstance(value, str) and value in nodes else value
                for key, value in inputs.items()
            },
        }
        for name, (class_type, inputs) in nodes.items()
    }


@attrs.define
class Client:
    server: EmbeddedServer
    http: httpx.AsyncClient
    socket: WebSocket
    sid: str

    async def post(self, path: str, body: object = None) -> Any:
        reply = await self.http.post(path, json=body)
        assert reply.status_code == 200, reply.text
        return reply.json() if reply.content else None

    async def get(self, path: str) -> Any:
        reply = await self.http.get(path)
        assert reply.status_code == 200
        return reply.json()

    async def submit(self, prompt: JSONObject, **more: Any) -> str:
        body = {"prompt": prompt, "client_id": self.sid, **more}
        reply = await self.post("/prompt", {k: v for k, v in body.items() if v is not None})
        return str(reply["prompt_id"])

    async def frame(self) -> tuple[str, Any]:
        message = await self.socket.receive()
        assert isinstance(message, str)
        frame = json.loads(message)
        return frame["type"], frame["data"]

    async def until(self, event: str, **content: Any) -> Any:
        while True:
            kind, data = await self.frame()
            if kind == event and content.items() <= data.items():
                return data

    async def run(self, prompt: JSONObject, **more: Any) -> Any:
        """Run a prompt and return its history entry."""
        prompt_id = await self.submit(prompt, **more)
        await self.until("executing", node=None, prompt_id=prompt_id)
        return (await self.get(f"/history/{prompt_id}"))[prompt_id]

    async def idle(self) -> None:
        """Wait until nothing runs, for prompts that nobody hears of."""
        await self.until("status", status={"exec_info": {"queue_remaining": 0}})


@asynccontextmanager
async def open_client(version: str = "0.27.0") -> AsyncGenerator[Client, None]:
    with trio.fail_after(10**7):  # a test that waits for what never comes is to fail
        async with _open_client(version) as client:
            yield client


@asynccontextmanager
async def _open_client(version: str) -> AsyncGenerator[Client, None]:
    async with (
        open_embedded_server(version=version, nodes=NODES) as server,
        httpx.AsyncClient(transport=server.transport.http_transport(), base_url=server.url) as http,
        connect(server, "me") as socket,
    ):
        yield Client(server, http, socket, "me")


def connect(server: EmbeddedServer, sid: str) -> Any:
    return server.transport.open_websocket(
        f"ws://embedded.invalid/ws?clientId={sid}", headers=[], max_message_size=2**20
    )


def shown(entry: Any, node_id: str) -> list[Any]:
    return [json.loads(text) for text in entry["outputs"][node_id]["text"]]


async def test_a_node_is_mapped_over_lists_and_its_ui_concatenated(
    autojump_clock: MockClock,
) -> None:
    async with open_client() as client:
        entry = await client.run(
            graph(
                three=("Listed", {"count": 3}),
                two=("Listed", {"count": 2}),
                out=("Show", {"a": "three", "b": "two"}),
            )
        )
        assert shown(entry, "out") == [{"a": 0, "b": 0}, {"a": 1, "b": 1}, {"a": 2, "b": 1}]
        assert entry["outputs"]["out"]["more"] == [1, 1, 1]


async def test_an_empty_list_calls_a_node_once_without_inputs(autojump_clock: MockClock) -> None:
    async with open_client() as client:
        entry = await client.run(graph(none=("Listed", {"count": 0}), out=("Show", {"a": "none"})))
        assert shown(entry, "out") == [{}]


async def test_lists_of_lists_are_flattened(autojump_clock: MockClock) -> None:
    async with open_client() as client:
        entry = await client.run(
            graph(
                a=("Listed", {"count": 3}),
                b=("Listed", {"count": "a"}),
                out=("Show", {"a": "b"}),
            )
        )
        assert [each["a"] for each in shown(entry, "out")] == [0, 0, 1]


async def test_undeclared_literals_are_dropped_and_undeclared_links_passed(
    autojump_clock: MockClock,
) -> None:
    async with open_client() as client:
        entry = await client.run(
            graph(a=("Give", {"value": 7}), out=("Show", {"a": "x", "odd": 1, "link": "a"}))
        )
        assert shown(entry, "out") == [{"a": "x", "link": 7}]


async def test_a_blocked_value_stops_what_it_reaches(autojump_clock: MockClock) -> None:
    async with open_client() as client:
        prompt_id = await client.submit(
            graph(
                stop=("Block", {"message": "not today"}),
                dead=("Give", {"value": "stop"}),
                out=("Show", {"a": "dead"}),
                free=("Show", {"a": 1}),
            )
        )
        error = await client.until("execution_error")
        assert error == {
            "prompt_id": prompt_id,
            "node_id": "dead",
            "node_type": "Give",
            "executed": ["free", "stop"],
            "exception_message": "Execution Blocked: not today",
            "exception_type": "ExecutionBlocked",
            "traceback": [],
            "current_inputs": [],
            "current_outputs": [],
        }
        await client.until("execution_success")
        await client.until("executing", node=None)
        entry = (await client.get(f"/history/{prompt_id}"))[prompt_id]
        assert list(entry["outputs"]) == ["free"]
        assert entry["status"]["status_str"] == "success"


async def test_a_silently_blocked_value(autojump_clock: MockClock) -> None:
    async with open_client() as client:
        entry = await client.run(graph(stop=("Block", {}), out=("Show", {"a": "stop"})))
        events = [event for event, _ in entry["status"]["messages"]]
        assert events == ["execution_start", "execution_cached", "execution_success"]
        assert entry["outputs"] == {}


async def test_a_blocked_value_in_place_of_a_list(autojump_clock: MockClock) -> None:
    async with open_client() as client:
        entry = await client.run(
            graph(
                stop=("Block", {}), many=("Listed", {"count": "stop"}), out=("Show", {"a": "many"})
            )
        )
        assert entry["status"]["completed"]
        assert entry["outputs"] == {}


async def test_an_error_is_told_and_kept(autojump_clock: MockClock) -> None:
    async with open_client() as client:
        prompt_id = await client.submit(
            graph(a=("Give", {"value": 1}), bad=("Fail", {"a": "a"}), out=("Show", {"a": "bad"}))
        )
        error = await client.until("execution_error")
        assert error["node_id"] == "bad"
        assert error["node_type"] == "Fail"
        assert error["executed"] == ["a"]
        assert error["exception_message"] == "no good\n"
        assert error["exception_type"] == "ValueError"
        assert error["current_inputs"] == {"a": [1]}
        assert error["current_outputs"] == ["a", "bad", "out"]
        assert "in _fail" in error["traceback"][-1]
        await client.until("executing", node=None)
        status = (await client.get(f"/history/{prompt_id}"))[prompt_id]["status"]
        assert status["status_str"] == "error"
        assert status["completed"] is False
        assert status["messages"][-1] == ["execution_error", error]


async def test_a_ui_that_is_no_json_is_the_nodes_error(autojump_clock: MockClock) -> None:
    async with open_client() as client:
        entry = await client.run(graph(out=("NotJSON", {})))
        assert entry["status"]["messages"][-1][1]["exception_type"] == "TypeError"


async def test_a_node_sees_its_prompt_and_the_workflow(autojump_clock: MockClock) -> None:
    async with open_client() as client:
        prompt = graph(out=("Look", {}))
        workflow = {"workflow": {"id": "w"}}
        entry = await client.run(
            prompt, extra_data={"extra_pnginfo": workflow, "api_key_comfy_org": "s3cret"}
        )
        hidden = {"me": "out", "all": prompt, "key": "s3cret", "x": None}
        assert shown(entry, "out") == [["out", prompt, workflow, hidden]]


async def test_a_fingerprint_decides_whether_the_cache_counts(autojump_clock: MockClock) -> None:
    async with open_client() as client:
        runs: list[list[str]] = []
        for _ in range(4):
            entry = await client.run(graph(out=("Fresh", {"limit": 3})))
            runs.append(entry["status"]["messages"][1][1]["nodes"])
        assert runs == [[], [], [], ["out"]]


async def test_a_fingerprint_that_fails_never_counts(autojump_clock: MockClock) -> None:
    async with open_client() as client:
        for _ in range(2):
            entry = await client.run(graph(out=("Fresh", {})))
            assert entry["status"]["messages"][1][1]["nodes"] == []


async def test_previews_can_be_turned_off(autojump_clock: MockClock) -> None:
    prompt = graph(
        a=("EmptyImage", {"width": 8, "height": 8, "batch_size": 1, "color": 0}),
        b=("ProbeProgress", {"image": "a", "steps": 2, "delay": 0.0, "preview_px": 8, "salt": 0}),
        c=("PreviewImage", {"images": "b"}),
    )
    for version, method, previews in (
        ("0.27.0", "none", 0),
        ("0.27.0", "auto", 2),
        ("0.3.64", "none", 2),
    ):
        async with open_client(version) as client:
            await client.submit(prompt, extra_data={"preview_method": method})
            binary = 0
            while 'node": null' not in str(message := await client.socket.receive()):
                binary += isinstance(message, bytes)
            assert binary == previews


async def test_freeing_memory_forgets_cached_outputs(autojump_clock: MockClock) -> None:
    async with open_client() as client:
        prompt = graph(out=("Show", {"a": 1}))
        await client.run(prompt)
        assert client.server.statistics().cached == 1
        await client.post("/free", {"unload_models": True})
        assert client.server.statistics().cached == 1
        await client.post("/free", {"free_memory": True})
        entry = await client.run(prompt)
        assert entry["status"]["messages"][1][1]["nodes"] == []


async def test_only_the_targets_run(autojump_clock: MockClock) -> None:
    async with open_client() as client:
        prompt = graph(x=("Show", {"a": 1}), y=("Show", {"a": 2}))
        entry = await client.run(prompt, partial_execution_targets=["y", "nobody"])
        assert list(entry["outputs"]) == ["y"]
        assert entry["prompt"][4] == ["y"]


@pytest.mark.parametrize(("version", "outputs"), [("0.3.67", ["x", "y"]), ("0.3.68", ["y"])])
async def test_older_servers_list_cached_outputs_of_nodes_that_were_no_targets(
    version: str, outputs: list[str], autojump_clock: MockClock
) -> None:
    async with open_client(version) as client:
        prompt = graph(x=("Show", {"a": 1}), y=("Show", {"a": 2}))
        await client.run(prompt)
        entry = await client.run(prompt, partial_execution_targets=["y"])
        assert list(entry["outputs"]) == outputs
        assert list(entry["meta"]) == outputs


async def test_a_cached_prompt_without_client_has_no_outputs(autojump_clock: MockClock) -> None:
    async with open_client() as client:
        prompt = graph(x=("Show", {"a": 1}))
        await client.run(prompt)
        prompt_id = await client.submit(prompt, client_id=None)
        await client.idle()
        entry = (await client.get(f"/history/{prompt_id}"))[prompt_id]
        assert entry["status"]["status_str"] == "success"
        assert entry["outputs"] == {}


async def test_numbers_order_the_queue(autojump_clock: MockClock) -> None:
    async with open_client() as client:
        running = await client.submit(graph(w=("Wait", {"seconds": 1.0})))
        await client.until("executing", node="w")

        def wait(salt: str) -> JSONObject:
            return graph(w=("Wait", {"seconds": 1.0, "salt": salt}))

        second = await client.submit(wait("a"))
        front = await client.submit(wait("b"), front=True)
        more_front = await client.submit(wait("c"), front=True)
        between = await client.submit(wait("d"), number=0.5)
        queue = await client.get("/queue")
        assert [each[1] for each in queue["queue_running"]] == [running]
        numbers = {each[1]: each[0] for each in queue["queue_pending"]}
        assert numbers == {second: 1, front: -2, more_front: -3, between: 0.5}
        await client.idle()
        order = list(await client.get("/history"))
        assert order == [running, more_front, front, between, second]


async def test_the_same_id_twice_runs_twice(autojump_clock: MockClock) -> None:
    async with open_client("0.24.0") as client:
        for salt in range(2):
            entry = await client.run(graph(x=("Show", {"a": salt})), prompt_id="again")
            assert shown(entry, "x") == [{"a": salt}]
        assert client.server.statistics().history == 1


async def test_interrupting_the_node_that_runs(autojump_clock: MockClock) -> None:
    async with open_client() as client:
        prompt_id = await client.submit(
            graph(w=("Wait", {"seconds": FOREVER}), after=("Wait", {"seconds": 1, "after": "w"}))
        )
        await client.until("executing", node="w")
        await client.post("/interrupt")
        told = await client.until("execution_interrupted")
        assert told["node_id"] == "w"
        assert told["node_type"] == "Wait"
        assert told["executed"] == []
        await client.until("executing", node=None)
        status = (await client.get(f"/history/{prompt_id}"))[prompt_id]["status"]
        assert status["status_str"] == "error"
        assert status["messages"][-1] == ["execution_interrupted", told]
        # The next prompt is not hit.
        assert (await client.run(graph(x=("Show", {}))))["status"]["completed"]


async def test_an_interruption_that_a_node_does_not_notice_hits_the_next(
    autojump_clock: MockClock,
) -> None:
    async def stubborn(_run: NodeRun) -> NodeResult:
        server._engine.interrupt()
        return NodeResult((1,))

    node = NodeType(class_type="Stubborn", run=stubborn, outputs=("*",))
    async with (
        open_embedded_server(nodes=[*NODES, node]) as server,
        httpx.AsyncClient(transport=server.transport.http_transport(), base_url=server.url) as http,
    ):
        prompt = graph(a=("Stubborn", {}), b=("Show", {"a": "a"}))
        await http.post("/prompt", json={"prompt": prompt})
        await trio.sleep(1)
        (entry,) = (await http.get("/history")).json().values()
        event, data = entry["status"]["messages"][-1]
        assert event == "execution_interrupted"
        assert (data["node_id"], data["executed"]) == ("b", ["a"])


async def test_interrupting_nothing_does_nothing(autojump_clock: MockClock) -> None:
    async with open_client() as client:
        await client.post("/interrupt")
        assert (await client.run(graph(x=("Show", {}))))["status"]["completed"]


@pytest.mark.parametrize(("version", "hit"), [("0.3.56", True), ("0.3.57", False)])
async def test_older_servers_interrupt_whatever_runs(
    version: str, *, hit: bool, autojump_clock: MockClock
) -> None:
    async with open_client(version) as client:
        entry = None
        prompt_id = await client.submit(graph(w=("Wait", {"seconds": 10.0})))
        await client.until("executing", node="w")
        await client.post("/interrupt", {"prompt_id": "of somebody else"})
        await client.until("executing", node=None)
        entry = (await client.get(f"/history/{prompt_id}"))[prompt_id]
        assert entry["status"]["completed"] is not hit


async def test_a_prompt_without_client_is_half_told_to_all(autojump_clock: MockClock) -> None:
    async with open_client() as client, connect(client.server, "other") as other:
        await other.receive()
        await client.submit(graph(w=("Wait", {"seconds": FOREVER})), client_id=None)
        heard = [json.loads(await other.receive())["type"] for _ in range(3)]
        assert heard == ["status", "status", "progress_state"]
        await client.post("/interrupt")
        assert json.loads(await other.receive())["type"] == "execution_interrupted"
        assert json.loads(await other.receive())["type"] == "status"


@pytest.mark.parametrize(("version", "visible"), [("0.3.67", True), ("0.3.68", False)])
async def test_secrets_in_the_queue(
    version: str, *, visible: bool, autojump_clock: MockClock
) -> None:
    async with open_client(version) as client:
        secret = {"api_key_comfy_org": "s3cret"}
        prompt_id = await client.submit(graph(w=("Wait", {"seconds": 1.0})), extra_data=secret)
        await client.until("executing", node="w")
        queued = await client.get("/queue")
        assert ("s3cret" in json.dumps(queued)) is visible
        await client.until("executing", node=None)
        assert "s3cret" not in json.dumps(await client.get(f"/history/{prompt_id}"))


async def test_a_dangling_link_that_validation_overlooks_kills_the_worker(
    autojump_clock: MockClock,
) -> None:
    async with open_client() as client:
        prompt_id = await client.submit(
            {"x": {"class_type": "Show", "inputs": {"undeclared": ["nowhere", 0]}}}
        )
        with trio.move_on_after(3600) as scope:
            await client.until("executing", node=None)
        assert scope.cancelled_caught
        queue = await client.get("/queue")
        assert [each[1] for each in queue["queue_running"]] == [prompt_id]
        assert not client.server.statistics().worker_alive
        client.server.restart()
        async with connect(client.server, "again") as client.socket:
            client.sid = "again"
            assert (await client.run(graph(x=("Show", {}))))["status"]["completed"]


async def test_a_circle_that_validation_overlooks(autojump_clock: MockClock) -> None:
    async with open_client() as client:
        entry = await client.run(
            {
                "a": {"class_type": "Give", "inputs": {"undeclared": ["b", 0]}},
                "b": {"class_type": "Give", "inputs": {"undeclared": ["a", 0]}},
                "x": {"class_type": "Show", "inputs": {"a": ["a", 0]}},
            }
        )
        event, data = entry["status"]["messages"][-1]
        assert event == "execution_error"
        assert data["exception_type"] == "graph.DependencyCycleError"
        assert data["node_id"] == "x"
        assert entry["status"]["status_str"] == "success"  # of the prompt before: the real bug


async def test_restart_forgets_everything_but_files(autojump_clock: MockClock) -> None:
    async with open_client() as client:
        await client.run(graph(x=("Show", {})))
        await client.submit(graph(w=("Wait", {"seconds": FOREVER})))
        await client.submit(graph(w=("Wait", {"seconds": 2.0})))
        (client.server.files.folder("output") / "kept.png").touch()
        (client.server.files.folder("temp") / "lost.png").touch()
        client.server.restart()
        await trio.testing.wait_all_tasks_blocked()
        statistics = client.server.statistics()
        assert (statistics.history, statistics.pending, statistics.running) == (0, 0, 0)
        assert statistics.sockets == 0
        assert client.server.files.names("output") == ["kept.png"]
        assert client.server.files.names("temp") == []
        async with connect(client.server, "again") as client.socket:
            client.sid = "again"
            assert (await client.run(graph(x=("Show", {}))))["prompt"][0] == 0


async def test_what_it_says_of_itself(autojump_clock: MockClock) -> None:
    async with open_client() as client:
        assert repr(client.server) == (
            "<EmbeddedServer 0.27.0 [1 sockets, 0 running, 0 pending, 0 in history]>"
        )
    with pytest.raises(TypeError, match=r"has no public constructor$"):
        EmbeddedServer()


async def test_time_is_the_clocks(autojump_clock: MockClock) -> None:
    async with open_client() as client:
        entry = await client.run(graph(w=("Wait", {"seconds": 86400.0})))
        times = [data["timestamp"] for _, data in entry["status"]["messages"]]
        assert times[-1] - times[0] == pytest.approx(86_400_000, abs=10)
        assert times[0] == pytest.approx(entry["prompt"][3]["create_time"], abs=10)
