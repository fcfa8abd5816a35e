"""Wheels only, unless the profile allows a source build by name."""

from __future__ import annotations

import pytest

from support.bench import TINY, Bench
from support.index_server import Index
from support.packages import sdist

pytestmark = pytest.mark.parametrize("installer", ["uv", "pip"])
FROM_SOURCE = TINY.replace("packages: [tiny]", "packages: [tiny, handmade]")


@pytest.fixture(autouse=True)
def source_distribution(bench: Bench, index: Index) -> None:
    """`handmade` has a source distribution only."""
    index.add(*sdist("handmade", "1.0"))
    bench.profile.write_text(FROM_SOURCE)


def test_source_build_is_refused_by_default(bench: Bench, installer: str) -> None:
    result = bench.up(COLABENV_INSTALLER=installer).expect(4)
    assert "handmade" in result.text
    assert "source_builds: [handmade]" in result.text
    assert not bench.lock.exists()


def test_source_build_is_allowed_by_name(bench: Bench, installer: str) -> None:
    bench.profile.write_text(FROM_SOURCE + "source_builds: [handmade]\n")
    if installer == "pip":  # test_parity installs with pip; this test checks the resolution only
        output = bench.up("--dry-run", "--json", COLABENV_INSTALLER=installer).expect(0).text
        assert '"handmade": "1.0"' in output
        return
    bench.up(COLABENV_INSTALLER=installer).expect(0)
    assert bench.cell("import handmade; print(handmade.BUILT_FROM_SOURCE)") == "True"
    assert "handmade==1.0" in bench.lock.read_text()
