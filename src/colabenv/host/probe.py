"""This machine: Colab or not, its GPUs, how its kernels start."""

from __future__ import annotations

import platform
import shutil
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from colabenv.errors import DiskError, MachineError
from colabenv.host.detect import detect_host_kind
from colabenv.system.files import find_mount, measure_free_space
from colabenv.system.process import Runner

#: Where Colab and NVIDIA's own packages put the tool when it is not on PATH.
_NVIDIA_SMI = ("/opt/bin/nvidia-smi", "/usr/lib64-nvidia/bin/nvidia-smi", "/usr/local/nvidia/bin/nvidia-smi")
_GPU_FIELDS = "name,driver_version,compute_cap,memory.total"
#: Seconds; a hanging driver can block nvidia-smi for minutes.
_GPU_LIMIT = 15.0
#: Bytes. A CPU environment with TensorFlow takes 1.4 to 2.2 GB, one with CUDA wheels 4.4 to 6.3 GB (measured).
_LEAST_FREE = 300_000_000


@dataclass(frozen=True)
class Gpu:
    """One GPU as nvidia-smi lists it.

    Attributes:
        name: such as "Tesla T4".
        driver: version of the driver, such as "550.54.15".
        compute_capability: such as "7.5", or "" if the driver is too old to report it.
        memory_mib: memory in MiB, or 0 if unknown.
    """

    name: str
    driver: str
    compute_capability: str
    memory_mib: int


@dataclass(frozen=True)
class Host:
    """This machine.

    Attributes:
        kind: "colab", "jupyter" (a notebook elsewhere) or "terminal".
        release: Colab's release tag, or "".
        gpus: what nvidia-smi lists; empty on CPU machines.
        gpu_trouble: why nvidia-smi could not list the GPUs, or "".
        transport: how the server communicates with kernels, "ipc" or "tcp".
        google_colab: folder of the base's `google.colab` package, or None.
        platform: uv's name of the platform that locks are made for, or "" for whatever this machine is.
    """

    kind: str
    release: str
    gpus: tuple[Gpu, ...]
    gpu_trouble: str
    transport: str
    google_colab: Path | None
    platform: str

    @property
    def variant(self) -> str:
        """The variant that `accelerator: auto` means here."""
        return "gpu" if self.gpus else "cpu"


def probe_host(environ: Mapping[str, str], runner: Runner) -> Host:
    """Describe the machine. Starts nvidia-smi if it exists; reads files otherwise."""
    gpus, trouble = probe_gpus(environ, runner)
    return Host(
        kind=detect_host_kind(environ),
        release=environ.get("COLAB_RELEASE_TAG", ""),
        gpus=gpus,
        gpu_trouble=trouble,
        transport="ipc" if environ.get("COLAB_JUPYTER_TRANSPORT") == "ipc" else "tcp",
        google_colab=find_google_colab(sys.path),
        platform=find_lock_platform(),
    )


def probe_gpus(environ: Mapping[str, str], runner: Runner) -> tuple[tuple[Gpu, ...], str]:
    """The GPUs, and why nvidia-smi failed, if it did."""
    tool = shutil.which("nvidia-smi", path=environ.get("PATH")) or next(
        (path for path in _NVIDIA_SMI if Path(path).exists()), None
    )
    if tool is None:
        return (), ""
    try:
        process = runner.run(
            [tool, f"--query-gpu={_GPU_FIELDS}", "--format=csv,noheader,nounits"],
            env=environ,
            timeout=_GPU_LIMIT,
        )
    except MachineError as error:
        return (), error.message
    if process.returncode != 0:
        error_lines = (process.output + process.errors).strip().splitlines()
        return (
            (),
            f"nvidia-smi failed: {error_lines[0] if error_lines else f'exit status {process.returncode}'}",
        )
    return parse_gpus(process.output), ""


def parse_gpus(text: str) -> tuple[Gpu, ...]:
    """The GPUs in nvidia-smi's CSV output for `_GPU_FIELDS`; other lines are ignored."""
    gpus = []
    for line in text.splitlines():
        fields = [field.strip() for field in line.split(",")]
        if len(fields) == 4 and fields[0] and fields[1][:1].isdigit():
            capability = fields[2] if fields[2][:1].isdigit() else ""
            gpus.append(Gpu(fields[0], fields[1], capability, int(fields[3]) if fields[3].isdigit() else 0))
    return tuple(gpus)


def find_google_colab(search: Iterable[str]) -> Path | None:
    """The folder of the base's `google.colab` package, from `search` or the system's Pythons, or None."""
    folders = [Path(entry) for entry in search if entry]
    folders += sorted(Path("/usr/local/lib").glob("python3*/dist-packages"), reverse=True)
    for folder in folders:
        package = folder / "google" / "colab"
        if (package / "_kernel.py").is_file():
            return package
    return None


def find_lock_platform() -> str:
    """The platform to lock for: Linux with the glibc of the oldest Colab release that can be selected (2.35).

    A lock made here must install there, so a newer library here does not count; an older one does.
    """
    machine = platform.machine()
    if sys.platform != "linux" or machine not in {"x86_64", "aarch64"}:
        return ""
    name, version = platform.libc_ver()
    if name != "glibc":
        return ""
    minor = int(version.split(".")[1])
    return f"{machine}-manylinux_2_{min(minor, 35)}" if minor >= 28 else f"{machine}-manylinux2014"


def require_suitable_disk(folder: Path) -> None:
    """Refuse a folder that cannot hold an environment.

    Raises:
        DiskError: it is on a FUSE or network mount, or the disk is nearly full.
    """
    mount = find_mount(folder)
    if mount is not None and mount.unfit:
        raise DiskError(
            f"{folder} is on {mount.point}, a {mount.kind} mount. Environments break on such mounts, Google Drive "
            "among them: files vanish or read as empty, and every import goes over the network.",
            hint="Unset COLABENV_HOME, or set it to a folder on the machine's own disk, such as /content/colabenv. "
            "The profile and its lock are small and can stay on Drive.",
        )
    free = measure_free_space(folder)
    if free < _LEAST_FREE:
        raise DiskError(
            f"Only {free // 1_000_000} MB are free on the disk of {folder}. An environment needs at least 0.2 GB, with "
            "TensorFlow at least 1.4 GB.",
            hint="Free disk space, or set COLABENV_HOME to a folder on a larger disk.",
        )
