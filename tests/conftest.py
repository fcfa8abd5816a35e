"""Hooks and fixtures for all tests: an empty home, none of the user's settings, and a check for leftover changes."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent

# Settings of the user or the machine that would change what is tested, by prefix.
REMOVED_VARIABLES = (
    "COLABENV_",
    "JUPYTER_",
    "IPYTHON",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_RUNTIME_DIR",
    "XDG_STATE_HOME",
    "VIRTUAL_ENV",
    "PYTHONPATH",
    "NO_COLOR",
    "FORCE_COLOR",
    "CLICOLOR",
)
# The only variable with one of these prefixes that the tests keep.
CACHE_VARIABLE = "COLABENV_TEST_CACHE"


ONE_PROCESS_FOLDERS = (
    "tests/e2e/browser/",
    "tests/e2e/colab/",
    "tests/integration/attach/",
    "tests/integration/faults/",
    "tests/integration/install/",
    "tests/integration/restore/",
    "tests/integration/store/",
)


def pytest_configure() -> None:
    """Undo two settings of the shell that affect the tests.

    Background jobs ignore Ctrl-C, and child processes inherit this. With PYTHONDONTWRITEBYTECODE, each pytest process
    would rewrite the assertions of every test again, which is half of the 5 seconds that collecting the unit tests
    takes. The variable itself stays set for child processes.
    """
    sys.dont_write_bytecode = False
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Run the tests of these folders in one process each, which then has one set of servers and environments."""
    from xdist.scheduler import LoadFileScheduling

    class FolderScheduling(LoadFileScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            path: str = super()._split_scope(nodeid)
            return next((folder for folder in ONE_PROCESS_FOLDERS if path.startswith(folder)), path)

    return FolderScheduling(config, log)


@pytest.fixture(scope="session", autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Run all tests with an empty home and without the user's settings; restore both at the end."""
    before = dict(os.environ)
    for name in list(os.environ):
        if name.startswith(REMOVED_VARIABLES) and name != CACHE_VARIABLE:
            del os.environ[name]
    home = tmp_path_factory.mktemp("home")
    os.environ["HOME"] = str(home)
    # Coverage traces threads too. When two start at once on CPython 3.11, one can fail with "Cannot install a trace
    # function while another trace function is being installed".
    threading.settrace(None)
    yield home
    os.environ.clear()
    os.environ.update(before)


def _read_process_state() -> tuple[dict[str, str], str]:
    """The environment variables, without the one that pytest sets for each test, and the working directory."""
    variables = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
    return variables, str(Path.cwd())


@pytest.fixture(autouse=True)
def unchanged_process_state(own_home: Path) -> Iterator[None]:
    """Fail a test that leaves `os.environ` or the working directory changed, and restore both for the next test."""
    variables, folder = _read_process_state()
    yield
    variables_after, folder_after = _read_process_state()
    os.chdir(folder)
    for name in set(variables_after) - set(variables):
        del os.environ[name]
    os.environ.update(variables)
    changed = sorted(
        name
        for name in set(variables) | set(variables_after)
        if variables.get(name) != variables_after.get(name)
    )
    assert not changed, f"the test changed os.environ: {', '.join(changed)}"
    assert folder_after == folder, f"the test left the working directory at {folder_after}"


@pytest.fixture(scope="session")
def uv_cache() -> Path:
    """uv's cache for the tests, kept between runs: $COLABENV_TEST_CACHE/uv, or .cache/uv in the clone."""
    cache = Path(os.environ.get(CACHE_VARIABLE) or REPOSITORY / ".cache") / "uv"
    cache.mkdir(parents=True, exist_ok=True)
    return cache
