"""Wheels only, unless the profile allows a source build by name."""

from __future__ import annotations

import pytest

from support.index_server import Index
from support.packages import sdist
from support.user_machine import TINY, UserMachine

pytestmark = pytest.mark.parametrize("installer", ["uv", "pip"])
FROM_SOURCE = TINY.replace("packages: [tiny]", "packages: [tiny, handmade]")


@pytest.fixture(autouse=True)
def source_distribution(machine: UserMachine, index: Index) -> None:
    """`handmade` has a source distribution only."""
    index.add(*sdist("handmade", "1.0"))
    machine.profile.write_text(FROM_SOURCE)


def test_source_build_is_refused_by_default(machine: UserMachine, installer: str) -> None:
    result = machine.up(COLABENV_INSTALLER=installer).expect(4)
    assert "handmade" in result.text
    assert "source_builds: [handmade]" in result.text
    assert not machine.lock.exists()


def test_source_build_is_allowed_by_name(machine: UserMachine, installer: str) -> None:
    machine.profile.write_text(FROM_SOURCE + "source_builds: [handmade]\n")
    if installer == "pip":  # test_parity installs with pip; this test checks the resolution only
        output = machine.up("--dry-run", "--json", COLABENV_INSTALLER=installer).expect(0).text
        assert '"handmade": "1.0"' in output
        return
    machine.up(COLABENV_INSTALLER=installer).expect(0)
    assert machine.cell("import handmade; print(handmade.BUILT_FROM_SOURCE)") == "True"
    assert "handmade==1.0" in machine.lock.read_text()
