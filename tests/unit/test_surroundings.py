"""The fixtures of tests/conftest.py do what they promise: run on a small suite of their own."""

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

def test_changes_the_folder(tmp_path):
    os.chdir(tmp_path)

def test_surroundings_were_restored():
    assert "LEFT_BEHIND" not in os.environ
    assert os.environ["KEPT"] == "yes"
    assert pathlib.Path.cwd() == pathlib.Path(os.environ["STARTED_IN"])

def test_restores_its_changes(monkeypatch, tmp_path):
    monkeypatch.setenv("TEMPORARY", "1")
    monkeypatch.chdir(tmp_path)

def test_has_a_home_of_its_own():
    assert os.environ["HOME"] != os.environ["STARTED_IN"]
    assert "COLABENV_HOME" not in os.environ and "JUPYTER_PATH" not in os.environ
    assert os.environ["COLABENV_TEST_CACHE"] == "/x"
"""


def test_changed_surroundings_fail_the_test(tmp_path: Path) -> None:
    shutil.copy(Path(__file__).parents[1] / "conftest.py", tmp_path)
    (tmp_path / "test_suite.py").write_text(SUITE)
    settings = {"KEPT": "yes", "STARTED_IN": str(tmp_path), "HOME": str(tmp_path)}
    persons = {"COLABENV_HOME": "/x", "JUPYTER_PATH": "/x", "COLABENV_TEST_CACHE": "/x"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--color=no", "-p", "no:cacheprovider", "--rootdir", tmp_path],
        cwd=tmp_path,
        env={**os.environ, **settings, **persons},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "6 passed, 3 errors" in done.stdout
    for complaint in (
        "the test changed os.environ: LEFT_BEHIND",
        "the test changed os.environ: KEPT",
        "the test left the working directory at",
    ):
        assert complaint in done.stdout
