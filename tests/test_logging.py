"""What the library logs, and by which ids it can be found again."""

from __future__ import annotations

import ast
import logging
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import prompts
import pytest
from pools import open_farm

import comfy_trio
from comfy_trio import ExecutionFailedError, open_comfy, open_pool

if TYPE_CHECKING:
    from trio.testing import MockClock

    from comfy_trio.testing import EmbeddedServer

PACKAGE = Path(comfy_trio.__file__).parent
NOBODYS = {
    "_connection_state.py",  # a policy may be many clients'
    "_pick.py",  # so may a strategy
    "_workflow_source.py",  # a file is no server's
}


async def test_jobs_can_be_found_by_their_ids(
    autojump_clock: MockClock, server: EmbeddedServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "comfy_trio")
    async with open_comfy(server.url, transport=server.transport) as comfy:
        result = await comfy.run(prompts.image())
        with pytest.raises(ExecutionFailedError) as failure:
            await comfy.run(prompts.failing())
    done, failed = caplog.records
    about = [vars(done)[name] for name in ("server", "client_id", "prompt_id")]
    assert about == [server.url, comfy.client_id, result.prompt_id]
    assert done.getMessage().startswith(f"job {result.prompt_id}: done after ")
    assert failed.getMessage().endswith(f"(E_EXECUTION_FAILED): {failure.value}")


async def test_what_level_debug_adds(
    autojump_clock: MockClock, server: EmbeddedServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "comfy_trio")
    async with open_comfy(server.url, transport=server.transport) as comfy:
        result = await comfy.run(prompts.image())
    told = [record.getMessage() for record in caplog.records]
    job = [line for line in told if line.startswith(f"job {result.prompt_id}: ")]
    steps = ["accepted", "started", "node 1", "node 2", "node 9", "done"]
    assert [re.split(": | after| [(]", line)[1] for line in job] == steps
    assert f"POST {server.url}/api/prompt: 200" in told


async def test_jobs_of_a_pool(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "comfy_trio")
    async with open_farm("ab") as farm, open_pool(farm.members()) as pool:
        job = await pool.submit(prompts.failing())
        with pytest.raises(ExecutionFailedError):
            await job.wait()
    of_server, of_pool = caplog.records
    assert vars(of_server)["prompt_id"] == vars(of_pool)["prompt_id"] == job.attempts[0].prompt_id
    assert vars(of_pool)["job_id"] == job.job_id
    assert vars(of_pool)["server"] == job.server_id


def test_a_format_may_ask_any_record_for_any_id(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("comfy_trio").warning("of nobody's")
    formatter = logging.Formatter("%(server)s %(client_id)s %(prompt_id)s %(job_id)s: %(message)s")
    assert formatter.format(caplog.records[-1]) == "None None None None: of nobody's"


def test_silent_by_default() -> None:
    code = "import logging; from comfy_trio._logging import logger; logger.error('loud')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stderr == b""


def test_whoever_is_concerned_is_named() -> None:
    for path in PACKAGE.rglob("*.py"):
        if path.name in NOBODYS or "_cli" in path.parts:
            continue
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(call, ast.Call)
                and isinstance(call.func, ast.Attribute)
                and ast.unparse(call.func.value) == "logger"
                and call.func.attr in {"debug", "info", "warning", "error", "exception", "log"}
            ):
                assert "extra" in {each.arg for each in call.keywords}, f"{path}:{call.lineno}"
