"""uv and pip yield the same packages, and pip is chosen where uv cannot run."""

from __future__ import annotations

import base64
import csv
import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from support.bench import TINY, Bench
from support.index_server import Index
from support.packages import wheel


def distributions(prefix: Path) -> dict[str, str]:
    """Name to version of what an environment's own Python finds installed."""
    code = (
        "import importlib.metadata as m\n"
        "for d in m.distributions(): print(d.metadata['Name'].lower().replace('_', '-'), d.version)"
    )
    done = subprocess.run(
        [prefix / "bin" / "python", "-I", "-c", code], capture_output=True, text=True, check=True
    )
    return dict(line.split() for line in done.stdout.splitlines())


def recorded(prefix: Path) -> dict[str, str]:
    """Path to sha256 of every file that the RECORDs name with one; asserts that the files are as recorded."""
    (packages,) = prefix.glob("lib/python3.*/site-packages")
    found = {}
    for record in packages.glob("*.dist-info/RECORD"):
        for path, digest, _ in csv.reader(record.read_text().splitlines()):
            if digest:
                raw = hashlib.sha256((packages / path).read_bytes()).digest()
                assert digest == f"sha256={base64.urlsafe_b64encode(raw).rstrip(b'=').decode()}", path
                found[os.path.normpath(path)] = digest
    return found


def foreign(path: str) -> bool:
    """Whether installers rightly differ in a file: scripts name their environment, and notes name the installer."""
    return path.startswith(("..", "bin/")) or path.endswith(("INSTALLER", "REQUESTED", ".pyc"))


@pytest.fixture
def rich_profile(bench: Bench, index: Index) -> None:
    """Packages that need each other, and scripts."""
    index.add(*wheel("needs_tiny", "2.0", requires=["tiny<2", 'absent; python_version < "3"']))
    bench.profile.write_text(TINY.replace("packages: [tiny]", "packages: [needs-tiny]"))


@pytest.mark.usefixtures("rich_profile")
def test_uv_and_pip_install_the_same_packages(bench: Bench) -> None:
    bench.up().expect(0)
    (prefix,) = bench.environments()
    by_uv, files_by_uv, lock = distributions(prefix), recorded(prefix), bench.lock.read_bytes()
    bench.run("down", "tiny").expect(0)

    # What a machine may have set for its own pip takes no effect (test_leaks has the same for uv).
    outside = bench.root / "outside"
    (bench.home / ".pip").mkdir()
    (bench.home / ".pip" / "pip.conf").write_text(f"[global]\ntarget = {outside}\nno-index = true\n")
    leaked = {"PIP_TARGET": str(outside), "PIP_PREFIX": str(outside), "PIP_CONSTRAINT": "/nonexistent"}
    done = bench.up(COLABENV_INSTALLER="pip", PIP_REQUIRE_VIRTUALENV="1", PIP_USER="1", **leaked).expect(0)
    assert "Installing with pip: COLABENV_INSTALLER=pip." in done.text
    assert not outside.exists()
    assert bench.lock.read_bytes() == lock
    assert bench.environments() == [prefix]
    bench.works()
    assert distributions(prefix) == by_uv
    files_by_pip = recorded(prefix)
    same = {path: digest for path, digest in files_by_uv.items() if not foreign(path)}
    assert len(same) > 1000
    assert same == {path: digest for path, digest in files_by_pip.items() if not foreign(path)}


@pytest.mark.usefixtures("rich_profile")
def test_uv_and_pip_write_the_same_lock(bench: Bench) -> None:
    bench.lock.unlink(missing_ok=True)
    by_uv = bench.run("up", "tiny.yaml", "--dry-run", "--json").expect(0).text
    by_pip = bench.run("up", "tiny.yaml", "--dry-run", "--json", COLABENV_INSTALLER="pip").expect(0).text
    assert _pins(by_uv) == _pins(by_pip)
    assert _pins(by_uv)["needs-tiny"] == "2.0"
    assert bench.environments() == []


def _pins(text: str) -> dict[str, str]:
    import json

    pins: dict[str, str] = json.loads(text[text.index("\n{") + 1 :])["pins"]
    return pins


@pytest.fixture(params=["is absent", "does not run"])
def crippled(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """Variables under which colabenv finds a uv that cannot be used."""
    package = tmp_path / "crippled" / "uv"
    package.mkdir(parents=True)
    if request.param == "is absent":
        (package / "__init__.py").write_text("raise ImportError('no uv for this machine')\n")
    else:
        binary = package / "bin-of-another-machine"
        binary.write_bytes(b"\x7fELF" + bytes(60))
        binary.chmod(0o755)
        (package / "__init__.py").write_text(f"def find_uv_bin():\n    return {str(binary)!r}\n")
    return {"PYTHONPATH": str(package.parent)}


def test_pip_is_used_if_uv_cannot_run(bench: Bench, crippled: dict[str, str]) -> None:
    done = bench.run("up", "tiny.yaml", "--dry-run", **crippled).expect(0)
    assert "Installing with pip: uv does not run here" in done.text


def test_explicit_uv_fails_if_it_cannot_run(bench: Bench, crippled: dict[str, str]) -> None:
    done = bench.run("up", "tiny.yaml", "--dry-run", COLABENV_INSTALLER="uv", **crippled).expect(3)
    assert "uv does not run here" in done.text


def test_the_uv_on_path_is_not_used(bench: Bench) -> None:
    folder = bench.root / "bin"
    folder.mkdir()
    (folder / "uv").write_text(f"#!/bin/sh\ntouch {bench.root}/used\nexit 1\n")
    (folder / "uv").chmod(0o755)
    bench.up("--dry-run", PATH=f"{folder}:{bench.environ['PATH']}").expect(0)
    assert not (bench.root / "used").exists()
