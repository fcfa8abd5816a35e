"""What goes with which TensorFlow: the reader of table.toml, whose header says how each part came to be known."""

from __future__ import annotations

import functools
import importlib.resources
from dataclasses import dataclass
from typing import Any

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from colabenv._compat import tomllib
from colabenv.host.interpreters import minor_version

#: Frameworks as a profile names them, and what people call them.
TITLES = {"tensorflow": "TensorFlow", "torch": "PyTorch", "jax": "JAX"}
#: Minors of CPython 3 that a profile can name.
MINORS = range(8, 14)


@dataclass(frozen=True)
class WheelBuild:
    """How the official wheels of a minor line were built.

    Attributes:
        cuda: release of CUDA, "12.3".
        cudnn: release of cuDNN.
        kernels: compute capabilities with compiled kernels, lowest first.
        ptx: the one with PTX, which a driver compiles for newer GPUs.
        repairs: PEP 508 constraints that the line needs today beyond what it declares.
        gpu_trouble: why wheels alone do not make it find a GPU, or "".
    """

    cuda: str
    cudnn: str
    kernels: tuple[str, ...]
    ptx: str
    repairs: tuple[str, ...]
    gpu_trouble: str


@dataclass(frozen=True)
class Cuda:
    """A release of CUDA.

    Attributes:
        release: "12.3".
        oldest: lowest compute capability that it drives.
        newest: highest compute capability that it drives.
        driver: least version of NVIDIA's driver on Linux x86-64.
    """

    release: str
    oldest: str
    newest: str
    driver: str


@dataclass(frozen=True)
class TensorFlowRelease:
    """One release of TensorFlow.

    Attributes:
        version: "2.15.1".
        pythons: minors of CPython with wheels that a profile can name, "3.9", lowest first.
        cpu_pythons: likewise, of `tensorflow-cpu`.
        needs: what it declares, PEP 508, as far as the table holds it.
        source_builds: distributions it needs that have no wheels, so that they are built from source.
        extra: what `tensorflow[and-cuda]` brings; empty where there is no such extra.
        cuda_pins: CUDA wheels to name one by one, where the extra is missing or cannot be installed.
        cuda: release of the CUDA runtime in its wheels, "" where there are none.
        build: how it was built.
    """

    version: str
    pythons: tuple[str, ...]
    cpu_pythons: tuple[str, ...]
    needs: tuple[str, ...]
    source_builds: tuple[str, ...]
    extra: tuple[str, ...]
    cuda_pins: tuple[str, ...]
    cuda: str
    build: WheelBuild

    @property
    def line(self) -> str:
        """The minor line, "2.15"."""
        return minor_version(self.version)

    @property
    def title(self) -> str:
        """Name and line: "TensorFlow 2.15"."""
        return f"TensorFlow {self.line}"

    def takes(self, name: str) -> SpecifierSet | None:
        """The range of a distribution that it declares, narrowed by its repairs; None where it declares none."""
        declared = [one for one in map(Requirement, self.needs) if one.name == name]
        repairs = [one for one in map(Requirement, self.build.repairs) if one.name == name]
        if not declared:
            return None
        return SpecifierSet(",".join(str(one.specifier) for one in (*declared, *repairs)))

    @property
    def cudnn(self) -> Requirement | None:
        """The cuDNN wheel that its CUDA wheels include, or None."""
        return next((r for r in map(Requirement, self.cuda_pins or self.extra) if "cudnn" in r.name), None)


@dataclass(frozen=True)
class Pairing:
    """Releases of a companion that go with the same TensorFlow.

    Attributes:
        releases: lowest first.
        tensorflow: the TensorFlow that they go with; empty where they name none.
        pythons: minors of CPython with wheels, "3.9"; empty where any takes them.
        source_builds: distributions they need that have no wheels, so that they are built from source.
    """

    releases: tuple[str, ...]
    tensorflow: SpecifierSet
    pythons: tuple[str, ...]
    source_builds: tuple[str, ...]


@dataclass(frozen=True)
class TorchOrJaxRelease:
    """One release of PyTorch or JAX.

    Attributes:
        framework: "torch" or "jax".
        version: "2.6.0".
        pythons: minors of CPython with wheels that a profile can name, "3.9", lowest first.
        needs: what it declares, PEP 508, as far as the table holds it.
        cuda: how it can come with NVIDIA's wheels: extra ("" where it brings them always) to those wheels, PEP 508, and
            the release of the CUDA runtime among them.
    """

    framework: str
    version: str
    pythons: tuple[str, ...]
    needs: tuple[str, ...]
    cuda: dict[str, tuple[tuple[str, ...], str]]

    @property
    def line(self) -> str:
        """The minor line, "2.6"."""
        return minor_version(self.version)


@dataclass(frozen=True)
class Repair:
    """A constraint without which releases of a framework do not run.

    Attributes:
        framework: "torch", "jax" or "keras".
        releases: the releases in question.
        constraint: PEP 508.
        why: what happens otherwise.
    """

    framework: str
    releases: SpecifierSet
    constraint: str
    why: str


@dataclass(frozen=True)
class Table:
    """All facts.

    Attributes:
        read: the day the package index was read, "2026-11-22".
        releases: TensorFlow's, oldest first.
        keras: every release of Keras, oldest first.
        cuda: release to its facts.
        companions: distribution to its pairings, oldest first.
        torch: PyTorch's releases, oldest first.
        jax: JAX' releases, oldest first.
        backends: release of Keras 3 to the least release of each backend, "tensorflow", "jax" and "torch".
        repairs: of the frameworks beside TensorFlow.
    """

    read: str
    releases: tuple[TensorFlowRelease, ...]
    keras: tuple[str, ...]
    cuda: dict[str, Cuda]
    companions: dict[str, tuple[Pairing, ...]]
    torch: tuple[TorchOrJaxRelease, ...]
    jax: tuple[TorchOrJaxRelease, ...]
    backends: dict[str, dict[str, str]]
    repairs: tuple[Repair, ...]

    def cuda_of(self, release: str) -> Cuda | None:
        """A release of CUDA, or the newest known one before it of the same major, which is compatible with it."""
        known = [
            cuda
            for cuda in self.cuda.values()
            if release
            and Version(cuda.release) <= Version(release)
            and cuda.release.split(".")[0] == release.split(".", maxsplit=1)[0]
        ]
        return max(known, key=lambda cuda: Version(cuda.release), default=None)

    def others(self, framework: str) -> tuple[TorchOrJaxRelease, ...]:
        """The releases of "torch" or "jax", oldest first."""
        return self.torch if framework == "torch" else self.jax


@functools.cache
def load_table() -> Table:
    """The facts that ship with colabenv."""
    return parse_table(
        importlib.resources.files(__package__).joinpath("table.toml").read_text(encoding="utf-8")
    )


def parse_table(text: str) -> Table:
    """Read a table.

    Args:
        text: content of table.toml.

    Raises:
        ValueError: it is no TOML.
        LookupError: a part of it is missing, or refers to another that is.
    """
    data = tomllib.loads(text)
    builds = {line: _build(entry) for entry in data["build"] for line in entry["lines"]}
    wheels = {entry["name"]: tuple(entry["requirements"]) for entry in data["wheels"]}
    return Table(
        read=data["read"],
        releases=tuple(
            _release(version, entry, builds, wheels)
            for entry in data["tensorflow"]
            for version in entry["releases"]
        ),
        keras=tuple(data["keras"]),
        cuda={entry["release"]: Cuda(**entry) for entry in data["cuda"]},
        companions={name: tuple(map(_pairing, pairs)) for name, pairs in data["companion"].items()},
        torch=_others("torch", data["torch"], wheels),
        jax=_others("jax", data["jax"], wheels),
        backends={
            release: {name: entry[name] for name in ("tensorflow", "jax", "torch")}
            for entry in data["keras_backends"]
            for release in entry["releases"]
        },
        repairs=tuple(
            Repair(**{**entry, "releases": SpecifierSet(entry["releases"])}) for entry in data["repair"]
        ),
    )


def _build(entry: dict[str, Any]) -> WheelBuild:
    return WheelBuild(
        cuda=entry["cuda"],
        cudnn=entry["cudnn"],
        kernels=tuple(entry["kernels"]),
        ptx=entry["ptx"],
        repairs=tuple(entry.get("repairs", ())),
        gpu_trouble=entry.get("gpu_trouble", ""),
    )


def _release(
    version: str, entry: dict[str, Any], builds: dict[str, WheelBuild], wheels: dict[str, tuple[str, ...]]
) -> TensorFlowRelease:
    return TensorFlowRelease(
        version=version,
        pythons=_supported(entry["python"]),
        cpu_pythons=_supported(entry.get("cpu_python", ())),
        needs=tuple(entry["needs"]),
        source_builds=tuple(entry.get("source_builds", ())),
        extra=wheels[entry["extra"]] if "extra" in entry else (),
        cuda_pins=wheels[entry["cuda_pins"]] if "cuda_pins" in entry else (),
        cuda=entry.get("wheels_cuda", ""),
        build=builds[minor_version(version)],
    )


def _others(
    framework: str, entries: list[dict[str, Any]], wheels: dict[str, tuple[str, ...]]
) -> tuple[TorchOrJaxRelease, ...]:
    return tuple(
        TorchOrJaxRelease(
            framework,
            version,
            _supported(entry["python"]),
            tuple(entry.get("needs", ())),
            _cuda_of(entry, wheels),
        )
        for entry in entries
        for version in entry["releases"]
    )


def _cuda_of(
    entry: dict[str, Any], wheels: dict[str, tuple[str, ...]]
) -> dict[str, tuple[tuple[str, ...], str]]:
    if "brings" in entry:
        return {"": (wheels[entry["brings"]], entry["wheels_cuda"])}
    return {
        extra: (wheels[entry[extra]], entry[f"{extra}_release"])
        for extra in ("cuda12", "cuda13")
        if extra in entry
    }


def _pairing(entry: dict[str, Any]) -> Pairing:
    return Pairing(
        releases=tuple(entry["releases"]),
        tensorflow=SpecifierSet(entry.get("tensorflow", "")),
        pythons=tuple(entry.get("python", ())),
        source_builds=tuple(entry.get("source_builds", ())),
    )


def _supported(pythons: list[str]) -> tuple[str, ...]:
    return tuple(python for python in pythons if int(python.split(".")[1]) in MINORS)
