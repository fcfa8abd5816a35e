"""The design's arrows hold in every module. `tests/arrows.py` is the checker, tried here on bad sources."""

from __future__ import annotations

from pathlib import Path

import pytest

from arrows import complaints

PACKAGE = Path(__file__).resolve().parents[2] / "src" / "colabenv"
MODULES = sorted(PACKAGE.rglob("*.py"))


def dotted(path: Path) -> str:
    """`env.build` for src/colabenv/env/build.py, `env` for src/colabenv/env/__init__.py."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: dotted(path) or "colabenv")
def test_module_keeps_to_the_design(path: Path) -> None:
    package = path.name == "__init__.py"
    assert complaints(dotted(path), path.read_text(encoding="utf-8"), package=package) == []


@pytest.mark.parametrize(
    ("module", "source", "complaint"),
    [
        # against the order of the stages, in every form an import has
        ("profile.source", "from colabenv.lock.model import Lock", "profile may not import lock"),
        ("lock.resolve", "import colabenv.env.build", "lock may not import env"),
        ("lock.resolve", "from colabenv import kernel", "lock may not import kernel"),
        ("lock.resolve", "from ..env.build import Environment", "lock may not import env"),
        ("lock.resolve", "from .. import env", "lock may not import env"),
        ("env.uv", "def f():\n    from colabenv.kernel.spec import Spec", "env may not import kernel"),
        (
            "env.uv",
            "if TYPE_CHECKING:\n    from colabenv.kernel.spec import Spec",
            "env may not import kernel",
        ),
        # work done in another stage, not its data
        ("env.build", "from colabenv.lock.resolve import resolve", "takes data types of lock, not resolve"),
        ("env.build", "import colabenv.lock.model", "takes data types of lock"),
        ("kernel.registry", "from colabenv.env import build", "takes data types of env, not build"),
        # the rooms below and above the stages
        ("errors", "from colabenv.system.files import write", "errors may not import system"),
        ("system.files", "from colabenv.host.probe import Host", "system may not import host"),
        ("host.probe", "from colabenv.profile.model import Profile", "host may not import profile"),
        ("env.build", "from colabenv.commands.up import up", "env may not import commands"),
        ("commands.up", "from colabenv import report", "commands may not import report"),
        ("commands.up", "from colabenv.cli import main", "commands may not import cli"),
        ("report", "from colabenv.commands.up import UpResult", "report may not import commands"),
        ("__main__", "from colabenv.commands.up import up", "__main__ may not import commands"),
        ("", "from colabenv.commands.up import up", "__init__ may not import commands"),
        ("env.build", "from colabenv import up", "only __version__"),
        ("gadgets.x", "", "a room that the design does not know"),
        # what runs outside the environment of colabenv
        ("kernel.launcher", "import yaml", "standard library"),
        ("kernel.launcher", "from colabenv.errors import ProofError", "standard library"),
        ("system.environ", "import environ", "standard library"),
        # processes
        ("env.uv", "import subprocess", "starts processes"),
        ("env.uv", "from subprocess import run", "starts processes"),
        ("env.uv", "import pexpect.popen_spawn", "starts processes"),
        ("env.uv", "import os\nos.execv('x', [])", "starts processes (os.execv)"),
        ("env.uv", "from os import fork", "starts processes"),
        ("env.uv", "import os as o\no.posix_spawn('x', [], {})", "starts processes (o.posix_spawn)"),
        ("env.uv", "import os\nstart = os.system", "starts processes (os.system)"),
        ("env.uv", "import asyncio\nasyncio.create_subprocess_exec('x')", "starts processes"),
        ("kernel.launcher", "import os\nos.fork()", "starts processes"),
        # printing
        ("cli", "print('x')", "only report.py prints"),
        ("cli", "show = print", "only report.py prints"),
        ("cli", "import sys\nsys.stdout.write('x')", "sys.stdout"),
        ("cli", "from sys import stdout", "sys.stdout"),
        ("cli", "import sys as s\nshow(s.stdout)", "sys.stdout"),
        # purity
        ("profile.model", "import os.path", "is pure"),
        ("lock.model", "import random", "is pure"),
        ("stack.rules", "from time import time", "is pure"),
        ("kernel.spec", "from pathlib import Path\nPath('x').read_text()", "is pure"),
        ("doctor.checks", "open('x')", "is pure"),
        ("sources.notebook", "open('x')", "is pure"),
        ("sources.notebook", "from colabenv.system.files import write_atomically", "may not import system"),
    ],
)
def test_a_planted_fault_is_found(module: str, source: str, complaint: str) -> None:
    found = complaints(module, source, package=module == "")
    assert len(found) >= 1
    assert any(complaint in one for one in found), found


@pytest.mark.parametrize(
    ("module", "source"),
    [
        (
            "env.build",
            "from colabenv.lock.model import Lock, dump\nfrom colabenv.profile.source import FORMAT",
        ),
        ("env.build", "from colabenv.env import uv\nfrom . import pip\nfrom .uv import install"),
        ("env.build", "from colabenv.errors import DiskError\nfrom colabenv.system import files"),
        ("lock.resolve", "from colabenv import __version__"),
        ("commands.up", "from colabenv.lock.resolve import resolve"),
        ("notebook.api", "from colabenv.commands.up import up\nfrom colabenv import report"),
        ("report", "if TYPE_CHECKING:\n    from colabenv.commands.up import UpResult\nprint('x')"),
        ("", "def up():\n    from colabenv.notebook.api import up"),
        ("kernel.launcher", "import os, environ\nos.execv('x', [])"),
        ("system.process", "import subprocess, pexpect, os\nos.fork()"),
        ("kernel.spec", "from pathlib import Path, PurePosixPath\nimport json\njson.dumps(str(Path('x')))"),
    ],
)
def test_what_the_design_allows_passes(module: str, source: str) -> None:
    assert complaints(module, source, package=module == "") == []


def test_the_whole_package_is_read() -> None:
    assert {"", "errors", "system.process"} <= {dotted(path) for path in MODULES}
