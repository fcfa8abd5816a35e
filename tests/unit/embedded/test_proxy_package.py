"""The package `colabenv` inside an environment passes commands on to the Python that colabenv is installed in."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from colabenv import embedded
from support.patience import PATIENCE


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
    program = (
        f"import sys\nsys.path.insert(0, {str(environment / 'colabenv' / 'site')!r})\nimport colabenv\n{code}"
    )
    argv = [sys.executable, "-c", program]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=PATIENCE)


def test_up_passes_every_option_on(environment: Path) -> None:
    options = "store='gs://a/b', push=True, dry_run=False, variant=None, restart=True"
    done = run(environment, f"colabenv.up('my.yaml', {options})")
    assert done.stdout == "-m colabenv up --store=gs://a/b --push -- my.yaml\n"


def test_a_failed_up_raises(environment: Path) -> None:
    done = run(environment, "colabenv.up('fail.yaml')")
    assert done.returncode == 1
    assert done.stderr.endswith("CommandError: `colabenv up` failed; the reason is above.\n")


SHELL = """
class Shell:
    magics = {}
    def register_magic_function(self, function, magic_kind, magic_name):
        self.magics[magic_name] = function
shell = Shell()
colabenv.load_ipython_extension(shell)
"""


@pytest.mark.parametrize("line", ["up 'my.yaml' --push", "lock my.yaml", "doctor", "store push --store x"])
def test_the_magic_runs_the_commands_of_the_shell(environment: Path, line: str) -> None:
    done = run(environment, f"{SHELL}shell.magics['colabenv']({line!r})")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"-m colabenv {line}".replace("'", "")


def test_a_failed_command_of_the_magic_raises(environment: Path) -> None:
    done = run(environment, f"{SHELL}shell.magics['colabenv']('lock fail.yaml')")
    assert done.stderr.endswith("CommandError: `colabenv lock` failed; the reason is above.\n")


@pytest.mark.parametrize("line", ["", "status", "attach demo", "detach"])
def test_the_magic_says_where_cells_run(environment: Path, line: str) -> None:
    done = run(environment, f"{SHELL}shell.magics['colabenv']({line!r})")
    assert done.stdout == f"This notebook already runs in the colabenv environment {environment}.\n" * 2
