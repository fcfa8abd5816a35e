"""The package `colabenv` of an environment: it runs commands with the Python that colabenv is installed in."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from colabenv import embedded
from support.timeouts import TIMEOUT


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """An environment whose base Python is a script that prints its arguments, and fails for `fail.yaml`."""
    package = tmp_path / "colabenv" / "site" / "colabenv"
    package.mkdir(parents=True)
    (package / "__init__.py").write_bytes((embedded.FOLDER / "proxy_package.py").read_bytes())
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho "$@"\ncase "$*" in *fail.yaml) exit 3;; *doctor*) exit 1;; esac\n')
    python.chmod(0o755)
    (tmp_path / "colabenv" / "settings.json").write_text(json.dumps({"base_python": str(python)}))
    return tmp_path


def run(environment: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Run code that uses the package `colabenv` of the environment."""
    program = (
        f"import sys\nsys.path.insert(0, {str(environment / 'colabenv' / 'site')!r})\nimport colabenv\n{code}"
    )
    argv = [sys.executable, "-c", program]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=TIMEOUT)


def test_up_passes_its_options_to_the_command(environment: Path) -> None:
    options = "store='gs://a/b', push=True, dry_run=False, variant=None, restart=True"
    result = run(environment, f"colabenv.up('my.yaml', {options})")
    assert result.stdout == "-m colabenv up --store=gs://a/b --push -- my.yaml\n"


def test_failed_up_raises(environment: Path) -> None:
    result = run(environment, "colabenv.up('fail.yaml')")
    assert result.returncode == 1
    assert result.stderr.endswith("CommandError: `colabenv up` failed; the reason is above.\n")


SHELL = """
class Shell:
    magics = {}
    def register_magic_function(self, function, magic_kind, magic_name):
        self.magics[magic_name] = function
shell = Shell()
colabenv.load_ipython_extension(shell)
"""


def run_magic(environment: Path, *lines: str) -> subprocess.CompletedProcess[str]:
    """Load the extension and run each line with `%colabenv`."""
    return run(environment, f"{SHELL}for line in {lines!r}:\n    shell.magics['colabenv'](line)\n")


def test_magic_runs_commands(environment: Path) -> None:
    lines = ["up my.yaml --push", "lock 'my.yaml'", "doctor", "store push --store x"]
    result = run_magic(environment, *lines)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[1:] == [f"-m colabenv {line}".replace("'", "") for line in lines]


def test_failed_command_of_the_magic_raises(environment: Path) -> None:
    result = run_magic(environment, "lock fail.yaml")
    assert result.stderr.endswith("CommandError: `colabenv lock` failed; the reason is above.\n")


def test_magic_prints_the_environment_instead_of_attaching(environment: Path) -> None:
    result = run_magic(environment, "", "status", "attach demo", "detach")
    assert (result.returncode, result.stderr) == (0, "")
    expected = f"This notebook already runs in the colabenv environment {environment}."
    assert result.stdout.splitlines() == [expected] * 5
