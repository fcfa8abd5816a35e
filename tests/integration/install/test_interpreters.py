"""uv downloads a Python that the machine does not have, here from a mirror on loopback."""

from __future__ import annotations

from pathlib import Path

from support.bench import Bench
from support.index_server import Fault, Index


def test_interpreter_is_downloaded(bench: Bench, mirror: Index, python: tuple[str, Path]) -> None:
    output = bench.up().expect(0).text
    pythons = bench.store / "pythons"
    assert f"from {pythons}" in output
    assert "(downloaded by uv)" in output
    version, base = bench.cell("import sys; print('%d.%d' % sys.version_info[:2], sys.base_prefix)").split()
    assert version == python[0]
    assert Path(base).resolve().is_relative_to(pythons)
    # The next environment uses the same Python.
    bench.run("down", "tiny").expect(0)
    mirror.asked.clear()
    del mirror.other["/pythons/python.tar.gz"]
    bench.up().expect(0)
    assert not [request for request in mirror.asked if "pythons" in request]


def test_missing_mirror(bench: Bench, mirror: Index) -> None:
    mirror.stop()
    output = bench.up().expect(3).text
    assert "the server to download it from could not be reached" in output
    assert "UV_PYTHON_INSTALL_MIRROR" in output
    assert bench.environments() == []


def test_truncated_download(bench: Bench, mirror: Index) -> None:
    mirror.faults["python.tar.gz"] = Fault(drop_after=100_000)
    assert "could not be reached" in bench.up().expect(3).text
    assert bench.environments() == []


def test_damaged_download(bench: Bench, mirror: Index) -> None:
    mirror.faults["python.tar.gz"] = Fault(flip=True)
    assert "is damaged, so it was not used" in bench.up().expect(3).text
    assert bench.environments() == []


def test_unavailable_version(bench: Bench, mirror: Index, python: tuple[str, Path]) -> None:
    bench.profile.write_text(bench.profile.read_text().replace(f'"{python[0]}"', f'"{python[0]}.99"'))
    output = bench.up().expect(3).text
    assert f"Python {python[0]}.99 is not installed here, and uv could not download it" in output


def test_pip_cannot_download_an_interpreter(bench: Bench, mirror: Index) -> None:
    output = bench.up(COLABENV_INSTALLER="pip").expect(3).text
    assert "COLABENV_INSTALLER" in output
