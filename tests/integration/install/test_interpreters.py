"""uv downloads a Python that the machine does not have, here from a mirror on loopback."""

from __future__ import annotations

from pathlib import Path

from support.index_server import Fault, Index
from support.user_machine import UserMachine


def test_interpreter_is_downloaded(machine: UserMachine, mirror: Index, python: tuple[str, Path]) -> None:
    output = machine.up().expect(0).text
    pythons = machine.colabenv_home / "pythons"
    assert f"from {pythons}" in output
    assert "(downloaded by uv)" in output
    version, base = machine.cell("import sys; print('%d.%d' % sys.version_info[:2], sys.base_prefix)").split()
    assert version == python[0]
    assert Path(base).resolve().is_relative_to(pythons)
    # The next environment uses the same Python.
    machine.run("down", "tiny").expect(0)
    mirror.requests.clear()
    del mirror.extra_files["/pythons/python.tar.gz"]
    machine.up().expect(0)
    assert not [request for request in mirror.requests if "pythons" in request]


def test_missing_mirror(machine: UserMachine, mirror: Index) -> None:
    mirror.stop()
    output = machine.up().expect(3).text
    assert "the server to download it from could not be reached" in output
    assert "UV_PYTHON_INSTALL_MIRROR" in output
    assert machine.environments() == []


def test_truncated_download(machine: UserMachine, mirror: Index) -> None:
    mirror.faults["python.tar.gz"] = Fault(drop_after=100_000)
    assert "could not be reached" in machine.up().expect(3).text
    assert machine.environments() == []


def test_damaged_download(machine: UserMachine, mirror: Index) -> None:
    mirror.faults["python.tar.gz"] = Fault(flip=True)
    assert "is damaged, so it was not used" in machine.up().expect(3).text
    assert machine.environments() == []


def test_unavailable_version(machine: UserMachine, mirror: Index, python: tuple[str, Path]) -> None:
    machine.profile.write_text(machine.profile.read_text().replace(f'"{python[0]}"', f'"{python[0]}.99"'))
    output = machine.up().expect(3).text
    assert f"Python {python[0]}.99 is not installed here, and uv could not download it" in output


def test_pip_cannot_download_an_interpreter(machine: UserMachine, mirror: Index) -> None:
    output = machine.up(COLABENV_INSTALLER="pip").expect(3).text
    assert "COLABENV_INSTALLER" in output
