"""Wheels only, unless the profile allows a source build by name."""

from __future__ import annotations

import pytest

from support.bench import TINY, Bench
from support.index_server import Index
from support.packages import sdist

pytestmark = pytest.mark.parametrize("installer", ["uv", "pip"])
FROM_SOURCE = TINY.replace("packages: [tiny]", "packages: [tiny, handmade]")


@pytest.fixture(autouse=True)
def only_source(bench: Bench, index: Index) -> None:
    """`handmade` is there as source alone."""
    index.add(*sdist("handmade", "1.0"))
    bench.profile.write_text(FROM_SOURCE)


def test_source_build_is_refused_by_default(bench: Bench, installer: str) -> None:
    done = bench.up(COLABENV_INSTALLER=installer).expect(4)
    assert "handmade" in done.text
    assert "source_builds: [handmade]" in done.text
    assert not bench.lock.exists()


def test_source_build_is_allowed_by_name(bench: Bench, installer: str) -> None:
    bench.profile.write_text(FROM_SOURCE + "source_builds: [handmade]\n")
    if installer == "pip":  # that an installation with pip works, test_parity shows; here the choice counts
        pins = bench.up("--dry-run", "--json", COLABENV_INSTALLER=installer).expect(0).text
        assert '"handmade": "1.0"' in pins
        return
    bench.up(COLABENV_INSTALLER=installer).expect(0)
    assert bench.cell("import handmade; print(handmade.BUILT_FROM_SOURCE)") == "True"
    assert "handmade==1.0" in bench.lock.read_text()
