"""The page of the web service, in a real browser: Chromium, by the name of its Debian package."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from playwright.sync_api import Browser, Locator, Page

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
JPEG = re.compile("^data:image/jpeg;base64,.")
PATIENCE = 30_000
"""Milliseconds that a picture may take."""


@contextmanager
def running(*command: str) -> Generator[str]:
    """Run a program, and return the URL in the first line that it prints."""
    with subprocess.Popen(
        [sys.executable, *command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().split()[1]
        finally:
            process.kill()


@pytest.fixture
def server() -> Iterator[str]:
    slowly = ("--seconds-per-step", "0.15")  # so that there is time to look
    with running("-m", "comfy_trio", "serve", "--port", "0", *slowly) as url:
        yield url


@pytest.fixture
def service(server: str) -> Iterator[str]:
    with running(str(SERVICE), "--bind", "127.0.0.1:0", server) as url:
        yield url


def expect(locator: Locator) -> Any:
    from playwright.sync_api import expect  # which only these tests need

    return expect(locator)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium")
    assert chromium is not None, "these tests drive Chromium: apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, service: str) -> Iterator[Page]:
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(service)
        yield page


def ask(page: Page, words: str) -> None:
    page.get_by_label("What to draw").fill(words)
    page.get_by_role("button", name="Draw").click()


def wait_for_preview(page: Page) -> None:
    expect(page.get_by_alt_text("A preview of it")).to_have_attribute("src", JPEG, timeout=PATIENCE)


def outcomes(server: str) -> list[str]:
    """How the jobs at the server ended."""
    history = httpx.get(f"{server}/history").json()
    return [entry["status"]["messages"][-1][0] for entry in history.values()]


def test_a_picture_comes_into_being(page: Page, server: str, service: str) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    ask(page, "a lighthouse in a storm")
    expect(page.get_by_role("button", name="Draw")).to_be_disabled()
    expect(page.get_by_role("status")).to_have_text("Sample", timeout=PATIENCE)
    wait_for_preview(page)
    expect(page.get_by_role("progressbar")).not_to_have_js_property("value", 0)
    expect(page.get_by_role("status")).to_have_text("Done", timeout=PATIENCE)
    picture = page.get_by_alt_text("a lighthouse in a storm")
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") == 512
    expect(page.get_by_role("progressbar")).to_have_js_property("value", 100)
    expect(page.get_by_role("button", name="Draw")).to_be_enabled()
    assert outcomes(server) == ["execution_success"]
    assert {url for url in asked if not url.startswith("data:")} == {f"{service}/pictures"}


def test_cancel(page: Page, server: str) -> None:
    ask(page, "a boat")
    wait_for_preview(page)
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("status")).to_have_text("Cancelled")
    # The next one is drawn only when that is out of its way.
    page.get_by_role("button", name="Draw").click()
    expect(page.get_by_role("status")).to_have_text("Done", timeout=PATIENCE)
    assert outcomes(server) == ["execution_interrupted", "execution_success"]


def test_by_keyboard_alone(page: Page, server: str) -> None:
    page.keyboard.type("a boat")  # the words have the focus from the beginning
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    wait_for_preview(page)
    page.keyboard.press("Enter")  # "Draw" is disabled, and so "Cancel" has it
    expect(page.get_by_role("status")).to_have_text("Cancelled")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_have_text("Done", timeout=PATIENCE)
    assert outcomes(server) == ["execution_interrupted", "execution_success"]


def test_a_tab_that_is_closed_and_one_that_is_not(page: Page, server: str, service: str) -> None:
    other = page.context.new_page()
    other.goto(service)
    ask(page, "a boat")
    wait_for_preview(page)
    ask(other, "a hill")
    expect(other.get_by_role("status")).to_have_text("Waiting for a server")
    page.close()
    expect(other.get_by_role("status")).to_have_text("Done", timeout=PATIENCE)
    assert outcomes(server) == ["execution_interrupted", "execution_success"]


def test_what_the_server_says_is_shown(browser: Browser, server: str, tmp_path: Path) -> None:
    prompt = {"1": {"class_type": "ProbeText", "inputs": {"text": "", "repeat": 0, "salt": 0}}}
    file = tmp_path / "workflow.json"
    file.write_text(httpx.Response(200, json=prompt).text)
    options = ["--bind", "127.0.0.1:0", "--workflow", str(file), "--input", "1.inputs.text"]
    with running(str(SERVICE), *options, server) as service, browser.new_page() as page:
        page.goto(service)
        ask(page, "a boat")
        told = page.get_by_role("status")
        expect(told).to_contain_text("Value 0 smaller than min of 1")
        expect(told).to_have_class("failed")
        expect(page.get_by_role("button", name="Draw")).to_be_enabled()


def test_a_connection_that_is_lost_is_told(page: Page) -> None:
    page.route("**/pictures", lambda route: route.abort())
    ask(page, "a boat")
    expect(page.get_by_role("status")).to_have_text("The connection was lost.")


@pytest.mark.parametrize("width", [320, 1280])
def test_it_fits_into_the_window(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    ask(page, "a_word_that_is_longer_than_the_line_is_wide" * 5)
    expect(page.get_by_role("status")).to_have_text("Done", timeout=PATIENCE)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
