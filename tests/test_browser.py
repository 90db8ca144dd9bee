"""The page of the web service, in a real browser: Chromium, by the name of its Debian package."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from playwright.sync_api import Locator, Page

pytestmark = pytest.mark.browser

SERVICE = Path(__file__).parent.parent / "examples" / "web_service" / "service.py"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@contextmanager
def running(*command: str, **environment: str) -> Generator[str]:
    """Run a program, and return the URL in the first line that it prints."""
    with subprocess.Popen(
        [sys.executable, *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, **environment},
    ) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().split()[1]
        finally:
            process.kill()


@pytest.fixture
def server() -> Iterator[str]:
    with running("-m", "comfy_trio", "serve", "--port", "0") as url:
        yield url


@pytest.fixture
def service(server: str) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with running(str(SERVICE), server, BIND=f"127.0.0.1:{port}") as url:
        yield url


def expect(locator: Locator) -> Any:
    from playwright.sync_api import expect  # which only these tests need

    return expect(locator)


@pytest.fixture
def page(service: str) -> Iterator[Page]:
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium")
    assert chromium is not None, "these tests drive Chromium: apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_context().new_page()
        page.goto(service)
        yield page
        browser.close()


def outcomes(server: str) -> list[str]:
    """How the jobs at the server ended."""
    history = httpx.get(f"{server}/history").json()
    return [entry["status"]["messages"][-1][0] for entry in history.values()]


def test_a_picture_comes_into_being(page: Page, server: str) -> None:
    page.get_by_label("What to draw").fill("a lighthouse in a storm")
    page.get_by_role("button", name="Draw").click()
    expect(page.get_by_role("button", name="Draw")).to_be_disabled()
    expect(page.get_by_role("status")).to_have_text("Sample", timeout=20_000)
    page.wait_for_function("picture.src.startsWith('data:image/jpeg') && progress.value > 0")
    expect(page.get_by_role("status")).to_have_text("Done", timeout=30_000)
    picture = page.get_by_alt_text("a lighthouse in a storm")
    assert picture.evaluate("image => image.naturalWidth") == 512
    expect(page.get_by_role("button", name="Draw")).to_be_enabled()
    assert outcomes(server) == ["execution_success"]


def test_cancel(page: Page, server: str) -> None:
    page.get_by_label("What to draw").fill("a boat")
    page.get_by_role("button", name="Draw").click()
    page.wait_for_function("picture.src.startsWith('data:image/jpeg')")
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("status")).to_have_text("Cancelled")
    # The next one is drawn only when that is out of its way.
    page.get_by_role("button", name="Draw").click()
    expect(page.get_by_role("status")).to_have_text("Done", timeout=30_000)
    assert outcomes(server) == ["execution_interrupted", "execution_success"]


def test_a_tab_that_is_closed_and_one_that_is_not(page: Page, server: str, service: str) -> None:
    other = page.context.new_page()
    other.goto(service)
    page.get_by_label("What to draw").fill("a boat")
    page.get_by_role("button", name="Draw").click()
    page.wait_for_function("picture.src.startsWith('data:image/jpeg')")
    other.get_by_label("What to draw").fill("a hill")
    other.get_by_role("button", name="Draw").click()
    expect(other.get_by_role("status")).to_have_text("Wait for a server")
    page.close()
    expect(other.get_by_role("status")).to_have_text("Done", timeout=30_000)
    assert outcomes(server) == ["execution_interrupted", "execution_success"]


def test_a_connection_that_is_lost_is_told(page: Page) -> None:
    page.route("**/pictures", lambda route: route.abort())
    page.get_by_label("What to draw").fill("a boat")
    page.get_by_role("button", name="Draw").click()
    expect(page.get_by_role("status")).to_have_text("The connection was lost.")
