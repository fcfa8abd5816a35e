"""Deriving requirements: variants, Python, constraints of old releases, CUDA wheels, Keras and companions."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from colabenv.errors import UnsatisfiableError, UsageError
from colabenv.frameworks import conflicts
from colabenv.frameworks.facts import load_table
from colabenv.frameworks.keras import LEGACY_KERAS
from colabenv.frameworks.request import FrameworkRequest
from colabenv.frameworks.requirements import Requirements, choose_variant, derive_requirements
from colabenv.frameworks.selection import select_tensorflow


def test_variant_precedence_is_option_profile_host() -> None:
    # The arguments are the profile's accelerator, --variant and the variant of the host.
    variants = {
        ("auto", "auto", "cpu"): "cpu",
        ("auto", "auto", "gpu"): "gpu",
        ("cpu", "auto", "gpu"): "cpu",
        ("gpu", "auto", "cpu"): "gpu",
        ("auto", "gpu", "cpu"): "gpu",
        ("auto", "cpu", "gpu"): "cpu",
        ("gpu", "gpu", "cpu"): "gpu",
    }
    assert {arguments: choose_variant(*arguments) for arguments in variants} == variants


@pytest.mark.parametrize(("accelerator", "option"), [("cpu", "gpu"), ("gpu", "cpu")])
def test_variant_that_contradicts_the_profile_is_refused(accelerator: str, option: str) -> None:
    with pytest.raises(UsageError, match=f"--variant {option} contradicts") as caught:
        choose_variant(accelerator, option, "cpu")
    for text in ("Leave out --variant", "accelerator: auto", f"--variant {accelerator}"):
        assert text in caught.value.hint


def derive(
    tensorflow: str | None = None,
    python: str | None = None,
    *,
    keras: str | None = None,
    lines: tuple[str, ...] = (),
    variant: str = "cpu",
) -> Requirements:
    return derive_requirements(
        FrameworkRequest(python, tensorflow, keras), lines=lines, variant=variant, default_python="3.12"
    )


def refusal(tensorflow: str, python: str | None = None, **more: Any) -> UnsatisfiableError:
    with pytest.raises(UnsatisfiableError) as caught:
        derive(tensorflow, python, **more)
    return caught.value


def test_frameworks_come_before_other_packages() -> None:
    requirements = derive("==2.15.1", "3.11", keras="==2.15.*", lines=("pandas==2.1.4", "numpy"))
    assert requirements.lines == ("tensorflow==2.15.1", "keras==2.15.*", "pandas==2.1.4", "numpy")
    assert (requirements.python, requirements.variant, requirements.notes) == ("3.11", "cpu", ())


def test_profile_without_frameworks() -> None:
    requirements = derive(lines=("torch",))
    assert (requirements.python, requirements.lines, requirements.constraints) == ("3.12", ("torch",), ())
    assert requirements.notes == ("Python 3.12: the profile does not request one.",)


def test_newest_python_with_wheels_is_used_with_a_note() -> None:
    pythons = {
        "==2.4.*": "3.8",
        "==2.6.5": "3.9",
        "==2.8.4": "3.10",
        "==2.13.*": "3.11",
        "==2.15.1": "3.11",
        "==2.16.*": "3.12",
        "==2.20.0": "3.13",
    }
    for specifier, python in pythons.items():
        requirements = derive(specifier)
        assert requirements.python == python, specifier
        assert f"Python {python}: the newest that TensorFlow" in requirements.notes[0], specifier


@pytest.mark.parametrize(
    ("specifier", "python"),
    [
        ("==2.15.1", "3.12"),
        ("==2.15.1", "3.8"),
        ("==2.13.*", "3.12.1"),
        ("==2.21.0", "3.9"),
        ("==2.4.4", "3.9"),
    ],
)
def test_python_without_wheels_is_refused_with_a_suggestion(specifier: str, python: str) -> None:
    error = refusal(specifier, python)
    assert f"no wheels for Python {python}" in error.message
    assert error.hint.startswith('Set python: "3.')
    assert "remove python" in error.hint


def test_hint_names_the_releases_for_the_python() -> None:
    error = refusal("==2.15.1", "3.12")
    assert error.message == "TensorFlow 2.15 has no wheels for Python 3.12."
    assert error.hint == (
        'Set python: "3.11" (TensorFlow 2.15 supports Python 3.9 to 3.11), or choose another release: '
        "TensorFlow 2.16 to 2.21 works on Python 3.12. If you remove python from the profile, colabenv picks one that "
        "works."
    )


def test_hint_for_a_release_with_a_single_python() -> None:
    table = load_table()
    release = dataclasses.replace(table.releases[0], pythons=("3.8",))
    error = conflicts.explain_missing_wheels("tensorflow", release, "3.11", table.releases)
    assert f"(TensorFlow {release.line} supports Python 3.8)" in error.hint


def test_hint_for_a_python_without_any_tensorflow() -> None:
    assert "or choose" not in refusal("==2.15.1", "3.14").hint


def test_specifier_selects_the_newest_release_for_the_python() -> None:
    versions = {
        ("==2.15.1", None): "2.15.1",
        ("==2.15.*", None): "2.15.1",
        ("==2.15.0", None): "2.15.0",
        ("~=2.15.0", None): "2.15.1",
        ("<2.16", None): "2.15.1",
        (">=2.12,<2.14", None): "2.13.1",
        ("==2.9.3", None): "2.9.3",
        (">=2.12", "3.9"): "2.20.0",
        (">=2.12", "3.8.10"): "2.13.1",
        ("", "3.8"): "2.13.1",
        # A patch release that is newer than the table.
        ("==2.15.9", None): "2.15.1",
    }
    assert {
        (specifier, python): select_tensorflow(specifier, python, None, load_table())[-1].version
        for specifier, python in versions
    } == versions


@pytest.mark.parametrize("specifier", ["==1.12.0", ">=3", "==2.99.0"])
def test_unknown_release_is_passed_on_unchanged(specifier: str) -> None:
    assert select_tensorflow(specifier, "3.11", "==3.5", load_table()) == []
    requirements = derive(specifier, "3.11", keras="==3.5", variant="gpu", lines=("tensorflow-text",))
    assert requirements.lines == (f"tensorflow[and-cuda]{specifier}", "keras==3.5", "tensorflow-text")
    assert requirements.constraints == ()


def test_old_releases_add_their_constraints() -> None:
    constraints = {
        "==1.13.*": ("numpy<1.16.3", "protobuf<3.21", "h5py<3"),
        "==1.15.*": ("numpy<1.19", "protobuf<3.21", "h5py<3"),
        "==2.1.0": ("numpy<1.19", "protobuf<3.21", "h5py<3"),
        "==2.3.*": ("protobuf<3.21",),
        "==2.6.0": ("keras<2.7", "tensorflow-estimator<2.7", "protobuf<3.21", "setuptools<81"),
        "==2.8.4": ("numpy<2", "protobuf<3.21", "setuptools<81"),
        "==2.10.1": ("numpy<2", "setuptools<81"),
        "==2.15.1": ("setuptools<81",),
        "==2.21.0": (),
    }
    assert {specifier: derive(specifier).constraints for specifier in constraints} == constraints


def test_cuda_wheels_are_named_before_2_14() -> None:
    assert derive("==2.10.1").lines == ("tensorflow==2.10.1",)
    lines = derive("==2.10.1", variant="gpu").lines
    assert lines[0] == "tensorflow==2.10.1"
    assert {"nvidia-cuda-runtime-cu11==11.8.89", "nvidia-cudnn-cu11==8.6.0.163"} < set(lines)


def test_newer_releases_use_the_and_cuda_extra() -> None:
    for version in ("2.15.0.post1", "2.15.1", "2.16.1", "2.18.1", "2.21.0"):
        assert derive(f"=={version}", variant="gpu").lines == (f"tensorflow[and-cuda]=={version}",)


@pytest.mark.parametrize(("version", "cudnn"), [("2.14.1", "cu11==8.7.0.84"), ("2.15.0", "cu12==8.9.4.25")])
def test_extra_that_cannot_be_installed_is_replaced_by_its_wheels(version: str, cudnn: str) -> None:
    lines = derive(f"=={version}", variant="gpu").lines
    assert lines[0] == f"tensorflow=={version}"
    assert f"nvidia-cudnn-{cudnn}" in lines
    assert not any("tensorrt" in line for line in lines)


@pytest.mark.parametrize("tensorflow", ["==2.16.*", "==2.18.1", "==2.21.0"])
def test_keras_2_on_a_tensorflow_with_keras_3_is_tf_keras_of_the_same_minor_version(tensorflow: str) -> None:
    line = tensorflow.strip("=.*")[:4]
    for keras in ("==2.15.*", "<3", "==2.*"):
        requirements = derive(tensorflow, keras=keras)
        assert requirements.lines == (f"tensorflow{tensorflow}", f"tf-keras=={line}.*"), keras
        assert requirements.variables == ((LEGACY_KERAS, "1"),), keras
        assert f"tf-keras {line}" in requirements.notes[-1], keras


@pytest.mark.parametrize(
    ("tensorflow", "keras", "version"),
    [
        ("==2.15.1", "==2.15.*", "2.15.1"),
        ("==2.16.*", "==3.5.*", "2.16.2"),
        ("==2.21.0", "==3.12.1", "2.21.0"),
        # Keras releases that are newer than the table.
        ("==2.21.0", "==3.99.1", "2.21.0"),
        ("==2.21.0", "==3.30.*", "2.21.0"),
        # Of several TensorFlow releases, one that accepts this Keras is used.
        (">=2.12", "==2.13.*", "2.13.1"),
        (">=2.12", "==2.15.*", "2.15.1"),
        (">=2.12", "==3.1.*", "2.16.2"),
    ],
)
def test_keras_that_fits_is_required_unchanged(tensorflow: str, keras: str, version: str) -> None:
    assert select_tensorflow(tensorflow, None, keras, load_table())[-1].version == version
    requirements = derive(tensorflow, keras=keras)
    assert requirements.lines == (f"tensorflow{tensorflow}", f"keras{keras}")
    assert requirements.variables == ()


def test_keras_is_part_of_tensorflow_up_to_2_5() -> None:
    requirements = derive("==2.5.*", keras="==2.5.*")
    assert requirements.lines == ("tensorflow==2.5.*",)
    assert "Keras is part of TensorFlow 2.5; no other Keras is installed." in requirements.notes
    assert "includes its own Keras" in refusal("==2.4.*", keras="==2.15.*").message


@pytest.mark.parametrize(
    ("tensorflow", "keras", "version", "line"),
    [
        ("==1.15.*", "==2.3.1", "1.15.5", "keras==2.3.1"),
        ("==2.1.*", "==2.3.*", "2.1.4", "keras==2.3.*"),
        ("==2.4.*", "==2.4.*", "2.4.4", "keras==2.4.*"),
        # A range must not reach a Keras for a later TensorFlow.
        ("==1.15.*", ">=2.2", "1.15.5", "keras>=2.2,<=2.3.1"),
        # The newest TensorFlow that this Keras runs on, since it declares none.
        (">=1.13", "==2.2.5", "1.15.5", "keras==2.2.5"),
        (">=1.13", "==2.3.1", "2.2.3", "keras==2.3.1"),
        (">=2", "==2.4.3", "2.5.3", "keras==2.4.3"),
    ],
)
def test_keras_before_2_6_is_installed_beside_tensorflow(
    tensorflow: str, keras: str, version: str, line: str
) -> None:
    release = select_tensorflow(tensorflow, None, keras, load_table())[-1]
    assert release.version == version
    requirements = derive(tensorflow, keras=keras)
    assert requirements.lines == (f"tensorflow{tensorflow}", line)
    assert f"tensorflow=={release.line}.*" in requirements.constraints


def test_keras_2_2_4_needs_an_older_numpy() -> None:
    assert "numpy<1.16.3" in derive("==1.15.*", keras="==2.2.4").constraints
    assert "numpy<1.16.3" not in derive("==1.15.*", keras="==2.2.5").constraints


def test_keras_for_another_tensorflow_is_refused_with_the_closest() -> None:
    assert 'Set tensorflow: "1.15"' in refusal("==2.0.*", keras="==2.2.4").hint
    error = refusal("==2.3.*", keras="==2.3.1")
    assert error.message == "TensorFlow 2.3 includes its own Keras, but the profile requests keras==2.3.1."
    assert 'Set tensorflow: "2.2" (keras==2.3.1 works with TensorFlow 1.13 to 2.2 and' in error.hint


def test_keras_among_the_packages_fits_tensorflow() -> None:
    assert "keras<=2.3.1" in derive("==1.15.*", lines=("keras",)).constraints
    assert "keras<=2.4.3" in derive("==2.3.*", lines=("keras",)).constraints
    assert not any(line.startswith("keras<=") for line in derive("==2.16.*", lines=("keras",)).constraints)
    error = refusal("==1.15.*", lines=("keras==2.4.3",))
    assert "keras==2.4.3 needs tensorflow<2.6,>=2.2" in error.message
    assert "Use keras 2.3.1 with TensorFlow 1.15" in error.hint


def test_incompatible_keras_is_refused_with_the_tensorflow_for_it() -> None:
    error = refusal("==2.15.1", keras="==3.5.*")
    assert error.message == (
        "TensorFlow 2.15 needs keras<2.16,>=2.15.0, but the profile requests keras==3.5.*."
    )
    assert error.hint == (
        'Set tensorflow: "2.16" (keras==3.5.* works with TensorFlow 2.16 to 2.19), or remove keras and colabenv '
        "installs the one that fits."
    )


def test_hint_for_a_keras_without_a_tensorflow() -> None:
    assert refusal("==2.15.1", keras="==2.5.7").hint.startswith('Set tensorflow: "2.5" (')
    assert refusal("==2.15.1", keras="==1.0").hint == "Remove keras and colabenv installs the one that fits."


@pytest.mark.parametrize(
    ("tensorflow", "line", "constraint"),
    [
        ("==2.15.1", "tensorflow-probability", "tensorflow-probability<=0.23.0"),
        ("==2.17.1", "tensorflow-probability>=0.20", "tensorflow-probability<=0.24.0"),
        ("==2.8.4", "Tensorflow_Hub", "tensorflow-hub<=0.16.0"),
        ("==2.13.1", "tensorflow-text", "tensorflow-text<=2.13.0"),
        ("==1.13.*", "tensorflow-hub", "tensorflow-hub<=0.2.0"),
        ("==1.14.*", "tensorflow-hub", "tensorflow-hub<=0.9.0"),
        ("==1.15.*", "tensorflow-probability", "tensorflow-probability<=0.8.0"),
        ("==2.0.*", "tensorflow-addons", "tensorflow-addons<=0.6.0"),
        ("==2.1.*", "tensorflow-datasets", "tensorflow-datasets<=4.7.0"),
        ("==2.10.1", "tensorflow-addons[x]", "tensorflow-addons<=0.20.0"),
    ],
)
def test_companion_is_constrained_to_its_tensorflow(tensorflow: str, line: str, constraint: str) -> None:
    python = "3.10" if tensorflow in ("==2.10.1", "==2.13.1", "==2.15.1") else None
    assert constraint in derive(tensorflow, python, lines=(line,)).constraints


def test_no_constraint_for_other_companions_or_the_newest_tensorflow() -> None:
    assert (
        derive("==2.21.0", lines=("tensorflow-probability", "tensorflow-datasets", "pandas")).constraints
        == ()
    )


def test_companion_for_another_tensorflow_is_refused() -> None:
    error = refusal("==2.15.1", lines=("tensorflow-probability==0.25.0",))
    assert error.message == (
        "tensorflow-probability==0.25.0 needs tensorflow>=2.18, but the profile requests TensorFlow 2.15.1."
    )
    assert error.hint.startswith("Use tensorflow-probability 0.23.0 with TensorFlow 2.15. ")
    # If the profile accepts several TensorFlow releases, the resolver selects a compatible one.
    assert derive(">=2.15", lines=("tensorflow-text==2.15.0",)).lines[0] == "tensorflow>=2.15"


def test_dependencies_without_wheels_are_built_from_source() -> None:
    requirements = derive("==2.6.5")
    assert requirements.from_source == ("clang", "termcolor", "wrapt")
    assert (
        requirements.notes[-1] == "Built from source, because there are no wheels: clang, termcolor, wrapt."
    )
    assert derive("==2.8.4").from_source == ()


@pytest.mark.parametrize("line", ["tensorflow-datasets", "keras-cv==0.9.0"])
def test_requirements_of_a_companion_are_built_from_source(line: str) -> None:
    assert derive("==2.15.1", lines=(line,)).from_source == ("promise",)
