"""A browser and a Jupyter server for all tests here, a page for each, and pictures of what the pages showed."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from support.browser.jupyter import Jupyter
from support.browser.tab import PATIENCE, FrontEnd, Tab
from support.colab.base import REPOSITORY

HERE = Path(__file__).parent
#: Pictures, and the server's log; CI keeps them where it can.
ARTIFACTS = REPOSITORY / "artifacts" / "browser"

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
INSTALL = "apt-get update && apt-get install -y --no-install-recommends chromium"
# No sandbox, because root may not have one; the rest keeps the browser from talking to its makers.
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The front ends, and what the environments hold, come from the package index."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.network)


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser's program. Only where it is missing and cannot be installed are the tests skipped."""
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None and os.geteuid() == 0:
        pytest.fail(f"There is no Chromium on this machine. Run: {INSTALL}")
    if found is None:
        pytest.skip(f"There is no Chromium on this machine, and only root may install it: {INSTALL}")
    return found


# Not for the whole session: Playwright keeps an event loop running in this thread as long as it is used.
@pytest.fixture(scope="package")
def browser(chromium: str) -> Iterator[Browser]:
    """Chromium without a window. It ends with this process at the latest."""
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        yield started
        started.close()


@pytest.fixture(scope="package")
def jupyter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jupyter]:
    """A server whose folder has the profiles of these tests."""
    folder = tmp_path_factory.mktemp("jupyter")
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    try:
        with Jupyter(folder) as started:
            for profile in HERE.glob("*.yaml"):
                shutil.copy(profile, started.notebooks)
            shutil.copy(REPOSITORY / "profiles" / "quickstart.yaml", started.notebooks)
            yield started
    finally:
        shutil.copy(folder / "log", ARTIFACTS / "server.log")
        shutil.rmtree(folder)  # gigabytes where the cache lies on another disk


@pytest.fixture(params=FrontEnd, ids=lambda front_end: front_end.name.lower())
def front_end(request: pytest.FixtureRequest) -> FrontEnd:
    """Each front end in turn; a test that needs one only overrides it by parameters."""
    chosen: FrontEnd = request.param
    return chosen


@pytest.fixture
def tab(
    browser: Browser, jupyter: Jupyter, front_end: FrontEnd, request: pytest.FixtureRequest
) -> Iterator[Tab]:
    """A page with nothing in it yet. What it shows at the end is kept as a picture, whatever came of the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 1400})
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    yield Tab(page, jupyter, front_end)
    page.screenshot(path=ARTIFACTS / f"{re.sub(r'[^a-z0-9]+', '-', request.node.name).strip('-')}.png")
    context.close()
    for session in jupyter.server.call("GET", "sessions"):
        jupyter.server.call("DELETE", f"sessions/{session['id']}")
