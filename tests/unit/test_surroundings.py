"""The fixtures in tests/conftest.py, tested by a small test suite that uses them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

SUITE = """
import os, pathlib

def test_changes_a_variable():
    os.environ["LEFT_BEHIND"] = "1"

def test_removes_a_variable():
    del os.environ["KEPT"]

def test_changes_the_working_directory(tmp_path):
    os.chdir(tmp_path)

def test_changes_were_undone():
    assert "LEFT_BEHIND" not in os.environ
    assert os.environ["KEPT"] == "yes"
    assert pathlib.Path.cwd() == pathlib.Path(os.environ["STARTED_IN"])

def test_undoes_its_changes(monkeypatch, tmp_path):
    monkeypatch.setenv("TEMPORARY", "1")
    monkeypatch.chdir(tmp_path)

def test_has_an_empty_home_and_no_settings():
    assert os.environ["HOME"] != os.environ["STARTED_IN"]
    assert "COLABENV_HOME" not in os.environ and "JUPYTER_PATH" not in os.environ
    assert os.environ["COLABENV_TEST_CACHE"] == "/x"
"""


def test_changed_variable_or_working_directory_fails_the_test(tmp_path: Path) -> None:
    shutil.copy(Path(__file__).parents[1] / "conftest.py", tmp_path)
    (tmp_path / "test_suite.py").write_text(SUITE)
    variables = {"KEPT": "yes", "STARTED_IN": str(tmp_path), "HOME": str(tmp_path)}
    user_settings = {"COLABENV_HOME": "/x", "JUPYTER_PATH": "/x", "COLABENV_TEST_CACHE": "/x"}
    # The suite needs no plugin, and loading those that are installed takes most of its time.
    pytest_settings = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--color=no", "-p", "no:cacheprovider", "--rootdir", tmp_path],
        cwd=tmp_path,
        env={**os.environ, **variables, **user_settings, **pytest_settings},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "6 passed, 3 errors" in done.stdout
    for message in (
        "the test changed os.environ: LEFT_BEHIND",
        "the test changed os.environ: KEPT",
        "the test left the working directory at",
    ):
        assert message in done.stdout
