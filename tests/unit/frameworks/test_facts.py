"""The shape of the table that ships: complete, and consistent in itself."""

from __future__ import annotations

import re

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from colabenv.frameworks.facts import TensorFlowRelease, load_table, parse_table

RELEASES = load_table().releases
LINES = [f"2.{minor}" for minor in range(4, 22)]
COMPANIONS = {
    *("tensorflow-hub", "tensorflow-text", "tensorflow-probability", "tensorflow-datasets"),
    *("tensorflow-addons", "tf-keras", "keras-cv", "keras-hub", "keras-tuner"),
}


def version_of(release: TensorFlowRelease) -> str:
    return release.version


def test_every_minor_release_from_2_4_on_is_listed_in_order() -> None:
    versions = [Version(release.version) for release in RELEASES]
    assert versions == sorted(set(versions))
    assert list(dict.fromkeys(release.line for release in RELEASES))[: len(LINES)] == LINES
    assert {"2.4.0", "2.4.4", "2.15.0", "2.15.0.post1", "2.15.1", "2.21.0"} <= {r.version for r in RELEASES}


def check_fields(release: TensorFlowRelease) -> None:
    assert release.pythons
    assert list(release.pythons) == sorted(release.pythons, key=lambda python: int(python[2:]))
    assert set(release.cpu_pythons) <= set(release.pythons)
    names = {Requirement(line).name for line in release.needs}
    assert {"numpy", "protobuf", "h5py", "typing-extensions"} <= names
    assert ("keras" in names) == (Version(release.version) >= Version("2.6"))
    for line in (*release.needs, *release.extra, *release.cuda_pins, *release.build.repairs):
        Requirement(line)


def check_cuda_wheels(release: TensorFlowRelease) -> None:
    if release.build.gpu_trouble:
        assert (release.extra, release.cuda_pins, release.cuda) == ((), (), "")
        return
    assert (Version(release.version) >= Version("2.14")) == bool(release.extra)
    assert release.cuda in load_table().cuda
    # Minor versions of a major are compatible, and the wheels are never older than the build.
    assert Version(release.cuda).major == Version(release.build.cuda).major
    assert Version(release.cuda) >= Version(release.build.cuda)
    assert release.cudnn is not None
    assert release.cudnn.name == f"nvidia-cudnn-cu{Version(release.cuda).major}"
    assert release.cudnn.specifier.contains(f"{Version(release.build.cudnn).major}.99") or "==" in str(
        release.cudnn.specifier
    )


def check_gpu_kernels(release: TensorFlowRelease) -> None:
    kernels = [Version(kernel) for kernel in release.build.kernels]
    assert kernels == sorted(kernels)
    cuda = load_table().cuda.get(release.cuda)
    if cuda is not None:
        assert Version(cuda.oldest) <= kernels[0]
        assert kernels[0] < Version(release.build.ptx) <= Version(cuda.newest)
        assert re.fullmatch(r"[0-9]+(\.[0-9]+)+", cuda.driver)


def check_constraints(release: TensorFlowRelease) -> None:
    known = {"numpy": ["1.19.5", "1.26.4"], "protobuf": ["3.9.2", "3.19.6", "3.20.3"], "keras": ["2.6.0"]}
    for repair in map(Requirement, release.build.repairs):
        taken = release.takes(repair.name)
        if taken is not None and repair.name in known:
            assert any(taken.contains(version) for version in known[repair.name])


@pytest.mark.parametrize("release", RELEASES, ids=version_of)
def test_facts_of_a_release_are_consistent(release: TensorFlowRelease) -> None:
    check_fields(release)
    check_cuda_wheels(release)
    check_gpu_kernels(release)
    check_constraints(release)


def test_pins_replace_extras_that_cannot_be_installed() -> None:
    both = [release for release in RELEASES if release.extra and release.cuda_pins]
    assert [release.version for release in both] == ["2.14.0", "2.14.1", "2.15.0"]
    for release in both:
        assert set(release.cuda_pins) < set(release.extra)
        assert all("tensorrt" in line for line in set(release.extra) - set(release.cuda_pins))


def test_every_companion_is_listed_for_a_tensorflow() -> None:
    companions = load_table().companions
    assert set(companions) == COMPANIONS
    for name, pairings in companions.items():
        versions = [Version(one) for pairing in pairings for one in pairing.releases]
        assert versions == sorted(set(versions)), name
        for pairing in pairings:
            assert any(pairing.tensorflow.contains(release.version) for release in RELEASES), name


@pytest.mark.parametrize("line", LINES[12:])
def test_tf_keras_has_a_row_for_each_tensorflow_with_keras_3(line: str) -> None:
    fitting = [
        one
        for pairing in load_table().companions["tf-keras"]
        if pairing.tensorflow.contains(f"{line}.0")
        for one in pairing.releases
    ]
    assert fitting
    assert all(SpecifierSet(f"=={line}.*").contains(one) for one in fitting)


def test_newest_keras_is_listed() -> None:
    keras = [Version(one) for one in load_table().keras]
    assert keras == sorted(set(keras))
    assert {Version("2.15.0"), Version("3.0.0"), Version("3.15.1")} <= set(keras)


def test_table_with_a_dangling_reference_is_an_error() -> None:
    whole = 'read = "2026-01-01"\nkeras = []\nbuild = []\nwheels = []\ncuda = []\ncompanion = {}\n'
    whole += "torch = []\njax = []\nkeras_backends = []\nrepair = []\n"
    assert parse_table(whole + "tensorflow = []\n").releases == ()
    with pytest.raises(LookupError):
        parse_table(whole + 'tensorflow = [{releases = ["2.4.0"], python = ["3.8"], needs = []}]\n')
    with pytest.raises(ValueError, match=r"nvalid|xpected"):
        parse_table("read = 2026-")
