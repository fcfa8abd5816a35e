"""`lock` with a real index: `--upgrade` changes only the named packages, and pip installs the lock."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from support.index_server import Index
from support.packages import wheel
from support.user_machine import TINY, UserMachine


def versions(machine: UserMachine, variant: str = "cpu") -> dict[str, str]:
    """Name to version of the pins in a lock beside the profile."""
    text = (machine.project / f"tiny.{variant}.lock.txt").read_text()
    assert "://" not in text
    pins = (line.removesuffix(" \\") for line in text.splitlines() if "==" in line)
    return dict(pin.split("==") for pin in pins)


def test_upgrade_changes_only_the_named_package(machine: UserMachine, index: Index) -> None:
    index.add(*wheel("other", "1.0"))
    machine.profile.write_text(TINY.replace("packages: [tiny]", "packages: [tiny, other]"))
    machine.run("lock", "tiny.yaml").expect(0)
    first = versions(machine)
    assert (first["tiny"], first["other"]) == ("1.0", "1.0")
    assert versions(machine, "gpu") == first

    index.add(*wheel("tiny", "1.1"))
    index.add(*wheel("other", "1.1"))
    machine.run("lock", "tiny.yaml").expect(0)
    assert versions(machine) == first
    output = machine.run("lock", "tiny.yaml", "--variant", "cpu", "--upgrade", "tiny").expect(0).text
    assert "tiny 1.0 -> 1.1" in output
    assert versions(machine) == {**first, "tiny": "1.1"}
    assert versions(machine, "gpu") == first
    machine.run("lock", "tiny.yaml", "--upgrade").expect(0)
    assert versions(machine, "gpu") == versions(machine) == {**first, "tiny": "1.1", "other": "1.1"}


def test_check_makes_no_index_request(machine: UserMachine, index: Index) -> None:
    machine.run("lock", "tiny.yaml", "--check").expect(2)
    machine.run("lock", "tiny.yaml").expect(0)
    index.requests.clear()
    machine.run("lock", "tiny.yaml", "--check").expect(0)
    assert index.requests == []


def test_pip_installs_the_lock(machine: UserMachine, index: Index, tmp_path: Path) -> None:
    machine.run("lock", "tiny.yaml", "--variant", "cpu").expect(0)
    venv = tmp_path / "venv"
    seed = [sys.executable, "-m", "virtualenv", "--quiet", "--no-periodic-update", "--no-setuptools"]
    subprocess.run([*seed, "--app-data", str(tmp_path / "app"), str(venv)], check=True, env=machine.environ)
    pip = [str(venv / "bin" / "python"), "-I", "-m", "pip"]
    install = [*pip, "install", "--quiet", "--require-hashes", "-r", str(machine.lock)]
    subprocess.run(install, check=True, env=machine.environ)
    listed = subprocess.run(
        [*pip, "list", "--format=freeze"], check=True, env=machine.environ, capture_output=True, text=True
    ).stdout
    installed = dict(line.lower().replace("_", "-").split("==") for line in listed.splitlines())
    assert installed == versions(machine)
