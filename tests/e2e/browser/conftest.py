"""A browser and a Jupyter server for all tests in this folder, a page for each test, and screenshots."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from support.browser.jupyter import Jupyter
from support.browser.tab import TIMEOUT, FrontEnd, Tab
from support.colab.base import REPOSITORY

HERE = Path(__file__).parent
#: Screenshots and the server's log, which CI may keep.
ARTIFACTS = REPOSITORY / "artifacts" / "browser"

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
INSTALL = "apt-get update && apt-get install -y --no-install-recommends chromium"
# Root cannot use the sandbox. The other options turn off requests to the browser's vendor.
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all tests: the front ends and the environments' packages come from the package index."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.network)


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of the browser. Skips the tests if it is missing and only root can install it."""
    program = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if program is None and os.geteuid() == 0:
        pytest.fail(f"There is no Chromium on this machine. Run: {INSTALL}")
    if program is None:
        pytest.skip(f"There is no Chromium on this machine, and only root may install it: {INSTALL}")
    return program


# Not for the whole session, because Playwright runs an event loop in this thread while it is in use.
@pytest.fixture(scope="package")
def browser(chromium: str) -> Iterator[Browser]:
    """Chromium without a window. It ends with the test process at the latest."""
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        yield started
        started.close()


@pytest.fixture(scope="package")
def jupyter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jupyter]:
    """A server whose folder contains the profiles of these tests."""
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
        shutil.rmtree(folder)  # gigabytes if the cache is on another disk


@pytest.fixture(
    params=[FrontEnd.NOTEBOOK, pytest.param(FrontEnd.LAB, marks=pytest.mark.extended)],
    ids=lambda front_end: front_end.name.lower(),
)
def front_end(request: pytest.FixtureRequest) -> FrontEnd:
    """Each front end in turn. A test for only one of them overrides the parameter."""
    parameter: FrontEnd = request.param
    return parameter


@pytest.fixture
def tab(
    browser: Browser, jupyter: Jupyter, front_end: FrontEnd, request: pytest.FixtureRequest
) -> Iterator[Tab]:
    """An empty page. A screenshot is saved at the end, whether or not the test passes."""
    context = browser.new_context(viewport={"width": 1280, "height": 1400})
    page = context.new_page()
    page.set_default_timeout(TIMEOUT)
    yield Tab(page, jupyter, front_end)
    page.screenshot(path=ARTIFACTS / f"{re.sub(r'[^a-z0-9]+', '-', request.node.name).strip('-')}.png")
    context.close()
    for session in jupyter.server.call("GET", "sessions"):
        jupyter.server.call("DELETE", f"sessions/{session['id']}")
