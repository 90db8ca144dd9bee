"""`Comfy.assets` on a real ComfyUI server at $COMFY_HOST: ``nox -s real``.

A server has assets, or has them switched off, or is too old for them: its features say which, and
the tests go by that.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
import trio
from asset_scenarios import CALLS, SCENARIOS

from comfy_trio import Comfy, UnsupportedError, open_comfy
from comfy_trio._replies import get
from comfy_trio._util import as_object

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable
    from pathlib import Path

pytestmark = pytest.mark.real

DEADLINE = 120


@pytest.fixture
async def comfy() -> AsyncGenerator[Comfy, None]:
    assert "COMFY_HOST" in os.environ, "say where the real server is: COMFY_HOST=http://..."
    with trio.fail_after(DEADLINE):
        async with open_comfy() as comfy:
            yield comfy


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
async def test_a_scenario(
    scenario: Callable[[Comfy, Path], Awaitable[None]],
    comfy: Comfy,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    features = (await comfy._session.http.request(get("/features"))).json()
    if as_object(features).get("assets"):
        await scenario(comfy, tmp_path)
        return
    monkeypatch.chdir(tmp_path)
    for call in CALLS:
        with pytest.raises(UnsupportedError, match=r"assets are switched off|does not have"):
            await call(comfy)
