"""A sample of table.toml equals what the package index has.

What the index may add later is not compared: new releases, and the newest CUDA wheel that an open range allows.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from colabenv.frameworks.facts import TensorFlowRelease, load_table
from colabenv.profile.validators import PYTHON_MINORS

pytestmark = [pytest.mark.network, pytest.mark.slow, pytest.mark.extended]

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
SAMPLE = ("2.4.4", "2.6.0", "2.8.4", "2.12.1", "2.14.1", "2.15.0", "2.15.1", "2.16.2", "2.18.1", "2.21.0")
RELEASES = {release.version: release for release in load_table().releases}


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A reader of the package index, without the cache of earlier runs."""
    sys.path.insert(0, str(SCRIPTS))
    index = importlib.import_module("stacktable.index")
    rows_module = importlib.import_module("stacktable.rows")
    yield rows_module.Reader(index.Index(index.find_index_url(), tmp_path_factory.mktemp("index")))
    sys.path.remove(str(SCRIPTS))


@pytest.fixture(scope="module")
def rows(reader: Any) -> dict[str, Any]:
    return {row.release: row for row in reader.rows(SAMPLE)}


@pytest.fixture(params=SAMPLE)
def release(request: pytest.FixtureRequest) -> TensorFlowRelease:
    return RELEASES[request.param]


def supported_pythons(pythons: tuple[str, ...]) -> tuple[str, ...]:
    """The Pythons that profiles can use."""
    return tuple(python for python in pythons if int(python.split(".")[1]) in PYTHON_MINORS)


def test_requirements_of_tensorflow_match_the_table(release: TensorFlowRelease, rows: dict[str, Any]) -> None:
    row = rows[release.version]
    assert release.needs == row.needs
    assert release.source_builds == row.source_builds
    assert release.extra == row.extra
    assert release.cuda_pins == row.cuda_pins


def test_wheels_of_tensorflow_match_the_table(release: TensorFlowRelease, rows: dict[str, Any]) -> None:
    row = rows[release.version]
    assert release.pythons == supported_pythons(row.python)
    assert release.cpu_pythons == supported_pythons(row.cpu_python)


@pytest.fixture(scope="module")
def frameworks(reader: Any) -> Any:
    return importlib.import_module("stacktable.frameworks").Frameworks(reader)


def test_requirements_of_torch_match_the_table(frameworks: Any) -> None:
    releases = {release.version: release for release in load_table().torch}
    for row in frameworks.torch(["2.4.1", "2.6.0", "2.15.0"]):
        release = releases[row.release]
        assert (release.pythons, release.needs) == (row.python, row.needs)
        assert release.cuda == {"": (row.brings, row.wheels_cuda)}


def test_requirements_of_jax_match_the_table(frameworks: Any) -> None:
    releases = {release.version: release for release in load_table().jax}
    for row in frameworks.jax(["0.4.25", "0.5.3", "0.9.2"]):
        release = releases[row.release]
        assert (release.pythons, release.needs) == (row.python, row.needs)
        # The newest CUDA that an open range allows changes with the index.
        wheels = {extra: brings for extra, (brings, _) in release.cuda.items()}
        assert wheels == {n: w for n, w in (("cuda12", row.cuda12), ("cuda13", row.cuda13)) if w}


def test_minimum_backends_of_keras_match_the_table(frameworks: Any) -> None:
    for row in frameworks.keras_backends(["3.0.0", "3.12.4", "3.13.0", "3.15.1"]):
        minimums = load_table().backends[row.release]
        assert minimums == {name: getattr(row, name) for name in ("tensorflow", "jax", "torch")}


def test_each_release_of_the_table_is_on_the_index(reader: Any) -> None:
    on_index = reader.releases()
    newest = list(RELEASES)[-1]
    assert set(RELEASES) <= set(on_index)
    # All other releases on the index are newer than the table.
    later = on_index[on_index.index(newest) + 1 :]
    assert [release for release in on_index if release not in RELEASES] == later


@pytest.mark.parametrize("name", ["tf-keras", "tensorflow-text"])
def test_companions_match_their_tensorflow(name: str, reader: Any, rows: dict[str, Any]) -> None:
    on_index = {pair.release: pair.tensorflow for pair in reader.companions(name, list(rows.values()))}
    in_table = {
        release: pairing.tensorflow
        for pairing in load_table().companions[name]
        for release in pairing.releases
    }
    assert in_table
    assert {release: set(str(spec).split(",")) for release, spec in in_table.items()} == {
        release: set(on_index[release].split(",")) for release in in_table
    }


def test_keras_releases_of_the_table_are_on_the_index(reader: Any) -> None:
    assert set(load_table().keras) <= set(reader.keras())
