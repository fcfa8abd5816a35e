"""uv and pip install the same packages, and pip is used if uv cannot run."""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import os
import subprocess
from pathlib import Path

import pytest

from support.index_server import Index
from support.packages import wheel
from support.user_machine import TINY, UserMachine


def list_installed(prefix: Path) -> dict[str, str]:
    """Name to version of the packages that the environment's Python finds."""
    code = (
        "import importlib.metadata as m\n"
        "for d in m.distributions(): print(d.metadata['Name'].lower().replace('_', '-'), d.version)"
    )
    completed = subprocess.run(
        [prefix / "bin" / "python", "-I", "-c", code], capture_output=True, text=True, check=True
    )
    return dict(line.split() for line in completed.stdout.splitlines())


def read_records(prefix: Path) -> dict[str, str]:
    """Path to sha256 of each file with a hash in a RECORD; asserts that the files match."""
    (packages,) = prefix.glob("lib/python3.*/site-packages")
    hashes = {}
    for record in packages.glob("*.dist-info/RECORD"):
        for path, digest, _ in csv.reader(record.read_text().splitlines()):
            if digest:
                raw = hashlib.sha256((packages / path).read_bytes()).digest()
                assert digest == f"sha256={base64.urlsafe_b64encode(raw).rstrip(b'=').decode()}", path
                hashes[os.path.normpath(path)] = digest
    return hashes


def may_differ(path: str) -> bool:
    """Whether a file may differ between installers: scripts name the environment, metadata names the installer."""
    return path.startswith(("..", "bin/")) or path.endswith(("INSTALLER", "REQUESTED", ".pyc"))


@pytest.fixture
def profile_with_requirements(machine: UserMachine, index: Index) -> None:
    """A profile whose package requires another, with a marker."""
    index.add(*wheel("needs_tiny", "2.0", requires=["tiny<2", 'absent; python_version < "3"']))
    machine.profile.write_text(TINY.replace("packages: [tiny]", "packages: [needs-tiny]"))


@pytest.mark.usefixtures("profile_with_requirements")
def test_uv_and_pip_install_the_same_packages(machine: UserMachine) -> None:
    machine.up().expect(0)
    (prefix,) = machine.environments()
    by_uv, files_by_uv, lock = list_installed(prefix), read_records(prefix), machine.lock.read_bytes()
    machine.run("down", "tiny").expect(0)

    # The machine's settings for its own pip are ignored; test_leaks does the same for uv.
    outside = machine.root / "outside"
    (machine.home / ".pip").mkdir()
    (machine.home / ".pip" / "pip.conf").write_text(f"[global]\ntarget = {outside}\nno-index = true\n")
    leaked = {"PIP_TARGET": str(outside), "PIP_PREFIX": str(outside), "PIP_CONSTRAINT": "/nonexistent"}
    result = machine.up(COLABENV_INSTALLER="pip", PIP_REQUIRE_VIRTUALENV="1", PIP_USER="1", **leaked).expect(
        0
    )
    assert "Installing with pip: COLABENV_INSTALLER=pip." in result.text
    assert not outside.exists()
    assert machine.lock.read_bytes() == lock
    assert machine.environments() == [prefix]
    machine.assert_kernel_works()
    assert list_installed(prefix) == by_uv
    files_by_pip = read_records(prefix)
    same = {path: digest for path, digest in files_by_uv.items() if not may_differ(path)}
    assert len(same) > 1000
    assert same == {path: digest for path, digest in files_by_pip.items() if not may_differ(path)}


@pytest.mark.usefixtures("profile_with_requirements")
def test_uv_and_pip_write_the_same_lock(machine: UserMachine) -> None:
    machine.lock.unlink(missing_ok=True)
    by_uv = resolve(machine)
    assert by_uv == resolve(machine, COLABENV_INSTALLER="pip")
    assert by_uv["needs-tiny"] == "2.0"
    assert machine.environments() == []


def resolve(machine: UserMachine, **variables: str) -> dict[str, str]:
    """Name to version of the pins of `up --dry-run`."""
    output = machine.up("--dry-run", "--json", **variables).expect(0).text
    pins: dict[str, str] = json.loads(output[output.index("\n{") + 1 :])["pins"]
    return pins


@pytest.fixture(params=["not installed", "does not run"])
def unusable_uv(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """Variables with which colabenv finds a uv that cannot run."""
    package = tmp_path / "packages" / "uv"
    package.mkdir(parents=True)
    if request.param == "not installed":
        (package / "__init__.py").write_text("raise ImportError('no uv for this machine')\n")
    else:
        binary = package / "uv-for-another-machine"
        binary.write_bytes(b"\x7fELF" + bytes(60))
        binary.chmod(0o755)
        (package / "__init__.py").write_text(f"def find_uv_bin():\n    return {str(binary)!r}\n")
    return {"PYTHONPATH": str(package.parent)}


def test_pip_is_used_if_uv_cannot_run(machine: UserMachine, unusable_uv: dict[str, str]) -> None:
    result = machine.run("up", "tiny.yaml", "--dry-run", **unusable_uv).expect(0)
    assert "Installing with pip: uv does not run here" in result.text


def test_explicit_uv_fails_if_it_cannot_run(machine: UserMachine, unusable_uv: dict[str, str]) -> None:
    result = machine.run("up", "tiny.yaml", "--dry-run", COLABENV_INSTALLER="uv", **unusable_uv).expect(3)
    assert "uv does not run here" in result.text


def test_uv_on_path_is_not_used(machine: UserMachine) -> None:
    folder = machine.root / "bin"
    folder.mkdir()
    (folder / "uv").write_text(f"#!/bin/sh\ntouch {machine.root}/used\nexit 1\n")
    (folder / "uv").chmod(0o755)
    machine.up("--dry-run", PATH=f"{folder}:{machine.environ['PATH']}").expect(0)
    assert not (machine.root / "used").exists()
