"""TensorFlow on the machine's GPUs: errors, hints and notes."""

from __future__ import annotations

import pytest

from colabenv.errors import UnsatisfiableError
from colabenv.frameworks.conflicts import classify_kernels, explain_unknown_release, format_lines
from colabenv.frameworks.facts import load_table
from colabenv.frameworks.request import FrameworkRequest
from colabenv.frameworks.requirements import Requirements, derive_requirements
from colabenv.host.probe import Gpu

T4 = Gpu("Tesla T4", "550.54.15", "7.5", 15360)
L4 = Gpu("NVIDIA L4", "550.54.15", "8.9", 23034)
H100 = Gpu("NVIDIA H100", "550.54.15", "9.0", 81559)
BLACKWELL = Gpu("NVIDIA RTX PRO 6000", "580.82.07", "12.0", 97887)
KEPLER = Gpu("Tesla K80", "460.32.03", "3.7", 11441)
OLD_DRIVER = Gpu("Tesla T4", "470.82.01", "7.5", 15109)
ANCIENT_DRIVER = Gpu("Tesla T4", "418.67", "7.5", 15109)


def derive(tensorflow: str, *gpus: Gpu, lines: tuple[str, ...] = (), variant: str = "gpu") -> Requirements:
    return derive_requirements(
        FrameworkRequest(tensorflow=tensorflow),
        lines=lines,
        variant=variant,
        default_python="3.12",
        gpus=gpus,
    )


def refusal(tensorflow: str, *gpus: Gpu, lines: tuple[str, ...] = ()) -> UnsatisfiableError:
    with pytest.raises(UnsatisfiableError) as caught:
        derive(tensorflow, *gpus, lines=lines)
    return caught.value


@pytest.mark.parametrize("tensorflow", ["==2.8.4", "==2.10.1", "==2.13.1", "==2.15.1"])
def test_gpu_that_is_too_new_for_the_cuda_release_is_refused(tensorflow: str) -> None:
    error = refusal(tensorflow, BLACKWELL)
    assert "NVIDIA RTX PRO 6000 has compute capability 12.0, but TensorFlow 2." in error.message
    assert error.message.endswith("supports GPUs up to 9.0 only.")
    assert error.hint.startswith("TensorFlow 2.20 and 2.21 can use the GPU of this machine. ")
    assert "--variant cpu" in error.hint


@pytest.mark.parametrize(
    ("gpu", "tensorflow", "message", "hint"),
    [
        (
            OLD_DRIVER,
            "==2.15.1",
            "The driver of Tesla T4 is 470.82.01, but TensorFlow 2.15 uses CUDA 12.2, which needs version 525.60.13 or "
            "newer.",
            "TensorFlow 2.5 to 2.14 can use the GPU of this machine. ",
        ),
        (
            ANCIENT_DRIVER,
            "==2.10.1",
            "The driver of Tesla T4 is 418.67, but TensorFlow 2.10 uses CUDA 11.8, which needs version 450.80.02 or "
            "newer.",
            "To run without the GPU",
        ),
    ],
)
def test_old_driver_is_refused(gpu: Gpu, tensorflow: str, message: str, hint: str) -> None:
    error = refusal(tensorflow, gpu)
    assert error.message == message
    assert error.hint.startswith(hint)


def test_gpu_that_is_too_old_for_the_kernels_is_refused() -> None:
    kepler = Gpu("Tesla K80", "535.0", "3.7", 11441)
    assert refusal("==2.16.2", kepler).message == (
        "Tesla K80 has compute capability 3.7, but TensorFlow 2.16 needs 5.0 or higher."
    )
    pascal = Gpu("Quadro M4000", "550.54.15", "5.2", 8192)
    assert derive("==2.17.1", pascal).variant == "gpu"
    assert "needs 6.0 or higher" in refusal("==2.18.1", pascal).message


@pytest.mark.parametrize("gpu", [T4, L4])
def test_gpus_of_colab_need_no_compilation(gpu: Gpu) -> None:
    for tensorflow in ("==2.7.4", "==2.8.4", "==2.12.1", "==2.15.1", "==2.18.1", "==2.21.0"):
        assert len(derive(tensorflow, gpu).notes) == 1, tensorflow


def test_gpu_newer_than_the_kernels_gets_a_note_about_compilation() -> None:
    assert (
        derive("==2.15.1", H100)
        .notes[-1]
        .startswith("NVIDIA H100 is newer than the kernels compiled into TensorFlow 2.15")
    )
    assert derive("==2.21.0", BLACKWELL, BLACKWELL).notes[1:] == derive("==2.21.0", BLACKWELL).notes[1:]
    assert len(derive("==2.10.1", KEPLER).notes) == 1


def test_one_suitable_gpu_is_enough() -> None:
    assert derive("==2.15.1", BLACKWELL, T4).variant == "gpu"


def test_unknown_gpu_is_not_refused() -> None:
    assert derive("==2.15.1").variant == "gpu"
    assert derive("==2.15.1", Gpu("GRID", "rolling", "", 0)).variant == "gpu"


def test_gpu_does_not_change_the_requirements() -> None:
    assert derive("==2.15.1", T4).lines == derive("==2.15.1").lines


def test_cpu_variant_ignores_the_gpu() -> None:
    assert derive("==2.10.1", BLACKWELL, variant="cpu").lines == ("tensorflow==2.10.1",)


def test_tensorflow_without_gpu_wheels_is_refused() -> None:
    error = refusal("==2.4.4")
    assert "libcusolver.so.10" in error.message
    assert error.hint.startswith("TensorFlow 2.5 to 2.21 can use a GPU")
    assert derive("==2.4.4", variant="cpu").lines == ("tensorflow==2.4.4",)


@pytest.mark.parametrize(
    ("tensorflow", "line"),
    [
        ("==2.14.1", "nvidia-cudnn-cu12"),
        ("==2.10.1", "nvidia_cudnn_cu12==9.1.0.70"),
        ("==2.15.1", "nvidia-cudnn-cu12==9.*"),
        ("==2.18.1", "nvidia-cudnn-cu12~=8.9"),
        ("==2.21.0", "nvidia-cudnn-cu13"),
    ],
)
def test_second_cudnn_is_refused_with_both_pins(tensorflow: str, line: str) -> None:
    error = refusal(tensorflow, lines=("pandas", line))
    assert line in error.message
    assert "needs nvidia-cudnn-cu1" in error.message
    assert "same folder" in error.message


@pytest.mark.parametrize(
    ("tensorflow", "line"),
    [
        ("==2.18.1", "nvidia-cudnn-cu12==9.3.0.75"),
        ("==2.21.0", "nvidia-cudnn-cu12==9.10.*"),
        ("==2.15.1", "nvidia-cudnn-cu12"),
        ("==2.15.1", "nvidia-cublas-cu12"),
    ],
)
def test_cudnn_of_the_same_generation_is_left_to_the_resolver(tensorflow: str, line: str) -> None:
    assert derive(tensorflow, lines=(line,)).lines[-1] == line


def test_kernels_run_within_their_major_version_and_ptx_on_newer_gpus() -> None:
    release = next(release for release in load_table().releases if release.version == "2.17.1")
    support = {
        "3.5": "",
        "5.2": "compiled",
        "7.2": "compiled",
        "8.9": "compiled",
        "9.0": "compiled at start",
    }
    assert {capability: classify_kernels(release, capability) for capability in support} == support


def test_minor_versions_are_formatted_as_ranges() -> None:
    releases = {release.version: release for release in load_table().releases}
    assert format_lines([]) == ""
    assert format_lines([releases["2.15.0"], releases["2.15.1"]]) == "2.15"
    assert format_lines([releases[version] for version in ("2.8.0", "2.9.0", "2.10.0")]) == "2.8 to 2.10"
    assert (
        format_lines([releases[version] for version in ("2.8.0", "2.9.0", "2.11.0")]) == "2.8, 2.9 and 2.11"
    )


def test_unknown_exact_release_gets_a_hint_with_the_known_ones() -> None:
    hint = explain_unknown_release(("numpy<2", "tensorflow==2.15.99"), load_table())
    assert hint.startswith(
        "Unknown TensorFlow release: 2.15.99. The releases of 2.15 are 2.15.0, 2.15.0.post1, 2.15.1 ("
    )
    assert "colabenv knows 1.13.1 to " in explain_unknown_release(("tensorflow==3.1.0",), load_table())


def test_known_release_or_open_range_gets_no_hint() -> None:
    for line in ("tensorflow==2.15.1", "tensorflow==2.15.*", "tensorflow>=2.99", "six==99"):
        assert explain_unknown_release((line,), load_table()) == "", line
