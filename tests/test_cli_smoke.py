"""The command `smoke`: a whole round, as the environment says, and its exit codes."""

from __future__ import annotations

import os
import sys
from functools import partial

import attrs
import pytest
import trio
from commands import GENEROUS, listening, piped

from comfy_trio._cli._smoke import SmokeOptions, run_smoke
from comfy_trio._cli._supervise import supervise
from comfy_trio.testing import Crystools

MODEL = "sd15.safetensors"


async def smoke(options: SmokeOptions) -> tuple[int, str, str]:
    screen, out, err = piped()
    code = await supervise(partial(run_smoke, options), screen)
    return code, out.getvalue(), err.getvalue()


async def test_all_goes_well() -> None:
    async with listening() as (_, url):
        code, out, err = await smoke(SmokeOptions(host=url, model=MODEL, seed=7, steps=3))
    assert (code, err) == (0, "")
    assert "Seed        7\n" in out
    assert "%  Sample\n" in out
    assert "3 steps of progress, 3 previews" in out
    assert f"Picture     {url}/api/view?filename=" in out
    assert "3 of 3" not in out


async def test_every_step_may_be_told() -> None:
    async with listening() as (_, url):
        options = SmokeOptions(host=url, model=MODEL, steps=3, progress_verbose=True)
        _, out, _ = await smoke(options)
    assert "3 of 3\n" in out


async def test_a_larger_picture() -> None:
    async with listening() as (_, url):
        code, out, _ = await smoke(SmokeOptions(host=url, model=MODEL, steps=1, upscale="1"))
    assert code == 0
    assert out.count("Picture ") == 2


async def test_it_takes_too_long() -> None:
    async with listening(seconds_per_step=1) as (server, url):
        options = SmokeOptions(host=url, model=MODEL, steps=1000, timeout_ms=500)
        code, out, err = await smoke(options)
        assert code == 2
        assert "COMFY_TIMEOUT_MS" in err
        assert "The job was cancelled at the server." in out
        assert server.statistics().running == 0


async def test_the_server_refuses() -> None:
    async with listening() as (_, url):
        code, _, err = await smoke(SmokeOptions(host=url))
    assert code == 3
    assert "SDXL/sd_xl_base_1.0.safetensors" in err


async def test_no_server_is_there() -> None:
    code, _, err = await smoke(SmokeOptions(host="http://127.0.0.1:1"))
    assert code == 4
    assert "no server answers" in err


@pytest.mark.parametrize(("strict", "expected"), [(False, 0), (True, 5)])
async def test_without_readings(strict: bool, expected: int) -> None:
    async with listening() as (_, url):
        options = SmokeOptions(host=url, model=MODEL, steps=1, monitor=True, monitor_strict=strict)
        code, out, err = await smoke(options)
    assert code == expected
    assert "Monitor     0 readings\n" in out
    assert "does not have the extension Crystools" in err


async def test_with_readings() -> None:
    async with listening(extensions=[Crystools()], seconds_per_step=0.3) as (_, url):
        options = SmokeOptions(host=url, model=MODEL, steps=8, monitor_strict=True)
        options = attrs.evolve(options, monitor_force=True)
        code, out, _ = await smoke(options)
    assert code == 0
    assert "Monitor     0 readings" not in out


async def test_the_environment_is_read() -> None:
    async with listening() as (server, url):
        told = {"COMFY_HOST": url, "COMFY_MODEL": MODEL, "COMFY_STEPS": "2", "COMFY_SEED": "9"}
        told |= {"COMFY_SAMPLER": "euler", "COMFY_CFG": "3.5", "COMFY_POSITIVE_PROMPT": "a cat"}
        with trio.fail_after(GENEROUS):
            ran = await trio.run_process(
                [sys.executable, "-m", "comfy_trio", "smoke"],
                env={**os.environ, **told},
                capture_stdout=True,
                check=False,
            )
        (entry,) = server._engine.queue.history.values()
    assert ran.returncode == 0
    inputs = entry["prompt"][2]["3"]["inputs"]
    assert (inputs["seed"], inputs["steps"], inputs["cfg"]) == (9, 2, 3.5)
    assert (inputs["sampler_name"], inputs["scheduler"]) == ("euler", "sgm_uniform")
    assert entry["prompt"][2]["6"]["inputs"]["text"] == "a cat"
