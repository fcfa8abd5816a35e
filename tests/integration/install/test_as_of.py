"""`as_of` with an index whose files were all uploaded on 2024-01-01."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.index_server import Index
from support.user_machine import TINY, UserMachine

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"


def write_profile(machine: UserMachine, day: str) -> None:
    """Write a profile with this `as_of`."""
    machine.profile.write_text(f'{TINY}python: "{HERE}"\nas_of: {day}\n')


@pytest.fixture
def index_without_times(index: Index) -> Iterator[Index]:
    """The index without upload times, as many private ones."""
    index.has_upload_times = False
    yield index
    index.has_upload_times = True


def test_as_of_includes_that_day_in_utc(machine: UserMachine) -> None:
    write_profile(machine, "2023-12-31")
    output = machine.run("lock", "tiny.yaml", TZ="Pacific/Kiritimati").expect(4).text
    assert "2024-01-01, when 1.0 came out" in output
    assert "as_of" in output
    assert not machine.lock.exists()
    write_profile(machine, "2024-01-01")
    machine.run("lock", "tiny.yaml", TZ="Pacific/Pago_Pago").expect(0)
    assert "# as-of: 2024-01-01\n" in machine.lock.read_text()
    machine.run("lock", "tiny.yaml", "--check").expect(0)


def test_index_without_upload_times_is_an_error(
    machine: UserMachine, index_without_times: Index, tmp_path: Path
) -> None:
    write_profile(machine, "2025-01-01")
    output = machine.run("lock", "tiny.yaml", UV_CACHE_DIR=str(tmp_path / "cache")).expect(4).text
    assert "The index of tiny does not report upload times" in output
    assert "PEP 700" in output


def test_pip_cannot_resolve_as_of_a_date_but_installs_its_lock(machine: UserMachine) -> None:
    write_profile(machine, "2024-01-01")
    output = machine.up(COLABENV_INSTALLER="pip").expect(3).text
    assert "pip cannot choose versions as of a date" in output
    assert machine.environments() == []
    machine.run("lock", "tiny.yaml", "--variant", "cpu").expect(0)
    machine.up(COLABENV_INSTALLER="pip").expect(0)
    assert machine.kernels() == ["colabenv-tiny"]
