"""Detecting the machine: GPUs from nvidia-smi, the google.colab package, the disk."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from colabenv.errors import DiskError
from colabenv.host.detect import detect_host_kind, read_gpu_signature
from colabenv.host.probe import (
    Gpu,
    find_google_colab,
    find_lock_platform,
    parse_gpus,
    probe_gpus,
    probe_host,
    require_suitable_disk,
)
from colabenv.system.process import CompletedProcess
from support.runner import RecordedRunner

T4 = "Tesla T4, 580.82.07, 7.5, 15360\n"


@pytest.fixture
def nvidia_smi(tmp_path: Path) -> Path:
    """An nvidia-smi on PATH, for which a recorded runner answers."""
    path = tmp_path / "bin" / "nvidia-smi"
    path.parent.mkdir()
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def probe_with_answer(nvidia_smi: Path, answer: CompletedProcess) -> tuple[tuple[Gpu, ...], str]:
    return probe_gpus({"PATH": str(nvidia_smi.parent)}, RecordedRunner([((str(nvidia_smi),), answer)]))


@pytest.mark.parametrize(
    ("text", "gpus"),
    [
        (T4, (Gpu("Tesla T4", "580.82.07", "7.5", 15360),)),
        (
            "NVIDIA A100-SXM4-40GB, 550.54.15, 8.0, 40960\nNVIDIA L4, 550.54.15, 8.9, 23034\n",
            (
                Gpu("NVIDIA A100-SXM4-40GB", "550.54.15", "8.0", 40960),
                Gpu("NVIDIA L4", "550.54.15", "8.9", 23034),
            ),
        ),
        ("Tesla K80, 460.32.03, [N/A], [N/A]\n", (Gpu("Tesla K80", "460.32.03", "", 0),)),
        ("NVIDIA GB10, 580.95, 12.1, [Not Supported]\r\n", (Gpu("NVIDIA GB10", "580.95", "12.1", 0),)),
        ("No devices were found\n", ()),
        ("", ()),
        (f"Warning: persistence mode is off, 1, 2\n\n{T4}", (Gpu("Tesla T4", "580.82.07", "7.5", 15360),)),
    ],
)
def test_gpus_are_read_from_csv(nvidia_smi: Path, text: str, gpus: tuple[Gpu, ...]) -> None:
    assert parse_gpus(text) == gpus
    assert probe_with_answer(nvidia_smi, CompletedProcess((), 0, text)) == (gpus, "")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (CompletedProcess((), 6, "No devices were found\n"), "No devices were found"),
        (
            CompletedProcess(
                (),
                9,
                "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\nMore.\n",
            ),
            "couldn't communicate with the NVIDIA driver",
        ),
        (
            CompletedProcess(
                (),
                18,
                "Failed to initialize NVML: Driver/library version mismatch\nNVML library version: 580\n",
            ),
            "version mismatch",
        ),
        (CompletedProcess((), -9, ""), "exit status -9"),
        (CompletedProcess((), 1, "", "libnvidia-ml.so: cannot open shared object file\n"), "libnvidia-ml.so"),
    ],
)
def test_failing_nvidia_smi_is_reported(nvidia_smi: Path, answer: CompletedProcess, message: str) -> None:
    gpus, trouble = probe_with_answer(nvidia_smi, answer)
    assert gpus == ()
    assert message in trouble
    assert "\n" not in trouble


def test_nvidia_smi_that_cannot_be_started_is_reported(nvidia_smi: Path) -> None:
    gpus, trouble = probe_gpus({"PATH": str(nvidia_smi.parent)}, RecordedRunner())
    assert gpus == ()
    assert "could not be started" in trouble


@pytest.mark.skipif(
    any(
        Path(path, "nvidia-smi").exists()
        for path in ("/opt/bin", "/usr/lib64-nvidia/bin", "/usr/local/nvidia/bin")
    ),
    reason="this machine has an nvidia-smi outside of PATH",
)
def test_no_nvidia_smi_means_no_gpu(tmp_path: Path) -> None:
    runner = RecordedRunner()
    assert probe_gpus({"PATH": str(tmp_path)}, runner) == ((), "")
    assert runner.calls == []


def test_colab_machine_with_a_gpu(nvidia_smi: Path) -> None:
    environ = {
        "PATH": str(nvidia_smi.parent),
        "COLAB_RELEASE_TAG": "release-colab_20260820",
        "COLAB_JUPYTER_TRANSPORT": "ipc",
    }
    host = probe_host(environ, RecordedRunner([((str(nvidia_smi),), CompletedProcess((), 0, T4))]))
    assert (host.kind, host.release, host.transport) == ("colab", "release-colab_20260820", "ipc")
    assert [gpu.name for gpu in host.gpus] == ["Tesla T4"]
    assert host.variant == "gpu"


def test_gpu_that_does_not_respond_selects_the_cpu_variant(nvidia_smi: Path) -> None:
    host = probe_host(
        {"PATH": str(nvidia_smi.parent)}, RecordedRunner([((str(nvidia_smi),), CompletedProcess((), -9, ""))])
    )
    assert host.variant == "cpu"
    assert host.gpu_trouble
    assert host.transport == "tcp"


@pytest.mark.parametrize(
    ("environ", "marker_exists", "kind"),
    [
        ({}, False, "terminal"),
        ({"JPY_PARENT_PID": "80"}, False, "jupyter"),
        ({"JPY_SESSION_NAME": "a.ipynb"}, False, "jupyter"),
        ({"COLAB_RELEASE_TAG": "x", "JPY_PARENT_PID": "80"}, False, "colab"),
        ({"JPY_PARENT_PID": "80"}, True, "colab"),
        ({"COLAB_RELEASE_TAG": ""}, False, "terminal"),
    ],
)
def test_kind_of_machine_is_detected(
    tmp_path: Path, environ: dict[str, str], marker_exists: bool, kind: str
) -> None:
    marker = tmp_path / "hostname"
    if marker_exists:
        marker.write_text("x")
    assert detect_host_kind(environ, marker) == kind


def test_gpu_signature_is_stable() -> None:
    assert read_gpu_signature() == read_gpu_signature()
    assert read_gpu_signature().count("|") == 1


def test_google_colab_is_found_by_its_kernel_module(tmp_path: Path) -> None:
    for name, file in [("a", "auth.py"), ("b", "_kernel.py"), ("c", "_kernel.py")]:
        package = tmp_path / name / "google" / "colab"
        package.mkdir(parents=True)
        (package / file).write_text("")
    folder = find_google_colab(["", *(str(tmp_path / name) for name in "abc")])
    assert folder == tmp_path / "b" / "google" / "colab"


def test_lock_platform_suits_colab() -> None:
    platform = find_lock_platform()
    assert platform == "" or (sys.platform == "linux" and "manylinux" in platform)
    if "manylinux_2_" in platform:
        assert 28 <= int(platform.rsplit("_", 1)[1]) <= 35


def test_suitable_disk_is_accepted(tmp_path: Path) -> None:
    require_suitable_disk(tmp_path / "envs")


def test_full_disk_is_refused() -> None:
    with pytest.raises(DiskError, match="Only 0 MB are free") as caught:
        require_suitable_disk(Path("/proc/self"))
    assert "COLABENV_HOME" in caught.value.hint
