"""What every test runs under: a home of its own, no settings of the person's, and nothing left changed."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent

# Settings of the person or the machine that would change what is tested. COLABENV_TEST_CACHE is ours.
KEPT_AWAY = (
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
OURS = "COLABENV_TEST_CACHE"


def pytest_configure() -> None:
    """Make up for what the shell may have set.

    Ctrl-C is ignored in background jobs, which the tests' children inherit. Where no bytecode is to be written, each
    process of pytest would prepare the assertions of every test again: half of the 5 seconds that reading unit tests
    takes. The variable itself stays as it is, for the children.
    """
    sys.dont_write_bytecode = False
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give the whole run an empty home and keep the person's settings away; give both back at the end."""
    before = dict(os.environ)
    for name in list(os.environ):
        if name.startswith(KEPT_AWAY) and name != OURS:
            del os.environ[name]
    home = tmp_path_factory.mktemp("home")
    os.environ["HOME"] = str(home)
    # Coverage traces threads too. When two start at once on CPython 3.11, one can fail with "Cannot install a trace
    # function while another trace function is being installed".
    threading.settrace(None)
    yield home
    os.environ.clear()
    os.environ.update(before)


def _surroundings() -> tuple[dict[str, str], str]:
    """The environment variables, less the one pytest itself sets for each test, and the folder."""
    variables = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
    return variables, str(Path.cwd())


@pytest.fixture(autouse=True)
def unchanged_surroundings(own_home: Path) -> Iterator[None]:
    """Fail a test that leaves `os.environ` or the working directory changed, and mend both for the next."""
    variables, folder = _surroundings()
    yield
    variables_after, folder_after = _surroundings()
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
    """uv's cache for the tests, kept between runs: $COLABENV_TEST_CACHE/uv, else .cache/uv in the clone."""
    cache = Path(os.environ.get(OURS) or REPOSITORY / ".cache") / "uv"
    cache.mkdir(parents=True, exist_ok=True)
    return cache
