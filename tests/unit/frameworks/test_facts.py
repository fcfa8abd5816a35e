"""The included table of framework releases is complete and consistent."""

from __future__ import annotations

import re

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from colabenv.frameworks.facts import TensorFlowRelease, load_table, parse_table

RELEASES = load_table().releases
LINES = [*(f"1.{minor}" for minor in range(13, 16)), *(f"2.{minor}" for minor in range(22))]
COMPANIONS = {
    *("tensorflow-hub", "tensorflow-text", "tensorflow-probability", "tensorflow-datasets"),
    *("tensorflow-addons", "tf-keras", "keras-cv", "keras-hub", "keras-tuner", "keras"),
}


def test_every_minor_release_from_1_13_on_is_listed_in_order() -> None:
    versions = [Version(release.version) for release in RELEASES]
    assert versions == sorted(set(versions))
    assert list(dict.fromkeys(release.line for release in RELEASES))[: len(LINES)] == LINES
    assert {"1.13.1", "1.15.5", "2.4.0", "2.4.4", "2.15.0", "2.15.0.post1", "2.15.1", "2.21.0"} <= {
        release.version for release in RELEASES
    }


def check_fields(release: TensorFlowRelease) -> None:
    assert release.pythons, release.version
    pythons = sorted(release.pythons, key=lambda python: int(python[2:]))
    assert list(release.pythons) == pythons, release.version
    assert set(release.cpu_pythons) <= set(release.pythons), release.version
    names = {Requirement(line).name for line in release.needs}
    assert {"numpy", "protobuf", "wrapt"} - {"wrapt" if release.line == "1.13" else ""} <= names, (
        release.version
    )
    assert ({"h5py", "typing-extensions"} <= names) or Version(release.version) < Version("2.4"), (
        release.version
    )
    assert ("keras" in names) == (Version(release.version) >= Version("2.6")), release.version
    for line in (*release.needs, *release.extra, *release.cuda_pins, *release.build.repairs):
        Requirement(line)


def check_cuda_wheels(release: TensorFlowRelease) -> None:
    if release.build.gpu_trouble:
        assert (release.extra, release.cuda_pins, release.cuda) == ((), (), ""), release.version
        return
    assert (Version(release.version) >= Version("2.14")) == bool(release.extra), release.version
    assert release.cuda in load_table().cuda, release.version
    # Minor versions of CUDA are compatible, and the wheels are never older than the CUDA of the build.
    assert Version(release.cuda).major == Version(release.build.cuda).major, release.version
    assert Version(release.cuda) >= Version(release.build.cuda), release.version
    assert release.cudnn is not None, release.version
    assert release.cudnn.name == f"nvidia-cudnn-cu{Version(release.cuda).major}", release.version
    specifier, major = release.cudnn.specifier, Version(release.build.cudnn).major
    assert specifier.contains(f"{major}.99") or "==" in str(specifier), release.version


def check_gpu_kernels(release: TensorFlowRelease) -> None:
    if release.build.gpu_trouble:
        return
    kernels = [Version(kernel) for kernel in release.build.kernels]
    assert kernels == sorted(kernels), release.version
    cuda = load_table().cuda.get(release.cuda)
    if cuda is not None:
        assert Version(cuda.oldest) <= kernels[0], release.version
        assert kernels[0] < Version(release.build.ptx) <= Version(cuda.newest), release.version
        assert re.fullmatch(r"[0-9]+(\.[0-9]+)+", cuda.driver), release.version


def check_constraints(release: TensorFlowRelease) -> None:
    known = {
        "numpy": ["1.16.2", "1.18.5", "1.19.5", "1.26.4"],
        "protobuf": ["3.9.2", "3.19.6", "3.20.3"],
        "keras": ["2.6.0"],
    }
    for repair in map(Requirement, release.build.repairs):
        accepted = release.takes(repair.name)
        if accepted is not None and repair.name in known:
            assert any(accepted.contains(version) for version in known[repair.name]), release.version


def test_facts_of_each_release_are_consistent() -> None:
    for release in RELEASES:
        check_fields(release)
        check_cuda_wheels(release)
        check_gpu_kernels(release)
        check_constraints(release)


def test_pins_replace_extras_that_cannot_be_installed() -> None:
    releases = [release for release in RELEASES if release.extra and release.cuda_pins]
    assert [release.version for release in releases] == ["2.14.0", "2.14.1", "2.15.0"]
    for release in releases:
        assert set(release.cuda_pins) < set(release.extra)
        assert all("tensorrt" in line for line in set(release.extra) - set(release.cuda_pins))


def test_every_companion_is_listed_for_a_tensorflow() -> None:
    companions = load_table().companions
    assert set(companions) == COMPANIONS
    for name, pairings in companions.items():
        versions = [Version(version) for pairing in pairings for version in pairing.releases]
        assert versions == sorted(set(versions)), name
        for pairing in pairings:
            assert any(pairing.tensorflow.contains(release.version) for release in RELEASES), name


def test_each_tensorflow_with_keras_3_has_a_tf_keras_of_its_minor_version() -> None:
    for line in LINES[LINES.index("2.16") :]:
        versions = [
            version
            for pairing in load_table().companions["tf-keras"]
            if pairing.tensorflow.contains(f"{line}.0")
            for version in pairing.releases
        ]
        assert versions, line
        assert all(SpecifierSet(f"=={line}.*").contains(version) for version in versions), line


def test_keras_releases_are_listed_in_order() -> None:
    keras = [Version(version) for version in load_table().keras]
    assert keras == sorted(set(keras))
    assert {Version("2.15.0"), Version("3.0.0"), Version("3.15.1")} <= set(keras)


def test_table_with_a_dangling_reference_is_an_error() -> None:
    text = 'read = "2026-01-01"\nkeras = []\nbuild = []\nwheels = []\ncuda = []\ncompanion = {}\n'
    text += "torch = []\njax = []\nkeras_backends = []\nrepair = []\n"
    assert parse_table(text + "tensorflow = []\n").releases == ()
    with pytest.raises(LookupError):
        parse_table(text + 'tensorflow = [{releases = ["2.4.0"], python = ["3.8"], needs = []}]\n')
    with pytest.raises(ValueError, match=r"nvalid|xpected"):
        parse_table("read = 2026-")
