"""The embedded server in memory, and a client of it. Under `autojump_clock`, in no real time."""

from __future__ import annotations

import os
import sys
from collections.abc import (  # noqa: TC003  # pytest reads the annotations
    AsyncGenerator,
    Generator,
)
from pathlib import Path

import pytest
from fake_checkouts import children_of, make_checkout
from hypothesis import HealthCheck, settings

import comfy_trio
from comfy_trio import Comfy, open_comfy
from comfy_trio.testing import EmbeddedServer, open_embedded_server

# How fast the machine is must decide nothing.
settings.register_profile("any", deadline=None, suppress_health_check=[HealthCheck.too_slow])
# For `nox -s fuzz`: about an hour of test_fuzz.py, or less by what -k selects.
settings.register_profile("long", settings.get_profile("any"), max_examples=20_000)
settings.load_profile("any")


PACKAGE = Path(comfy_trio.__file__).parent


def pytest_report_header() -> str:
    return f"comfy_trio: {PACKAGE}"


def pytest_configure() -> None:
    """Test no sources by mistake where nox has installed the package."""
    if os.environ.get("COMFY_TRIO_INSTALLED") and not PACKAGE.is_relative_to(sys.prefix):
        pytest.exit(f"the tests are to be those of the installed package, not of {PACKAGE}", 1)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What looks like a checkout of ComfyUI."""
    return make_checkout(tmp_path / "ComfyUI")


@pytest.fixture
def no_process_is_left() -> Generator[None]:
    """Every process that a test started is gone after it."""
    yield
    assert not children_of(os.getpid())


@pytest.fixture
async def server() -> AsyncGenerator[EmbeddedServer, None]:
    async with open_embedded_server() as server:
        yield server


@pytest.fixture
async def comfy(server: EmbeddedServer) -> AsyncGenerator[Comfy, None]:
    async with open_comfy(server.url, transport=server.transport) as comfy:
        yield comfy
