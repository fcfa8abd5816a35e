"""Read table.toml: which versions work together. Its header gives the source of each fact."""

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
from colabenv.profile.validators import PYTHON_MINORS

#: Frameworks as a profile names them, and in messages.
TITLES = {"tensorflow": "TensorFlow", "torch": "PyTorch", "jax": "JAX"}


@dataclass(frozen=True)
class WheelBuild:
    """How the official wheels of a minor line were built.

    Attributes:
        kernels: compute capabilities with compiled kernels, lowest first.
        ptx: the compute capability with PTX, which a driver compiles for newer GPUs.
        repairs: PEP 508 constraints that the line needs today in addition to its requirements.
        gpu_trouble: why it finds no GPU with any wheels, or "".
    """

    cuda: str
    cudnn: str
    kernels: tuple[str, ...]
    ptx: str
    repairs: tuple[str, ...]
    gpu_trouble: str


@dataclass(frozen=True)
class Cuda:
    """A release of CUDA, such as "12.3".

    Attributes:
        oldest: lowest compute capability that it supports.
        newest: highest compute capability that it supports.
        driver: minimum version of NVIDIA's driver on Linux x86-64.
    """

    release: str
    oldest: str
    newest: str
    driver: str


@dataclass(frozen=True)
class TensorFlowRelease:
    """One release of TensorFlow.

    Attributes:
        pythons: minors of CPython with wheels that a profile can name, "3.9", lowest first.
        cpu_pythons: the same for `tensorflow-cpu`.
        needs: those of its declared requirements that the table has, PEP 508.
        source_builds: distributions it needs that have no wheels, so that they are built from source.
        extra: the wheels of `tensorflow[and-cuda]`; empty if there is no such extra.
        cuda_pins: CUDA wheels to require one by one, if the extra is missing or cannot be installed.
        cuda: release of the CUDA runtime in its wheels, or "".
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
        """The range of a distribution that it requires, narrowed by its repairs; None if it does not require it."""
        if all(requirement.name != name for requirement in map(Requirement, self.needs)):
            return None
        requirements = map(Requirement, (*self.needs, *self.build.repairs))
        specifiers = [str(requirement.specifier) for requirement in requirements if requirement.name == name]
        return SpecifierSet(",".join(specifiers))

    @property
    def cudnn(self) -> Requirement | None:
        """The cuDNN wheel that its CUDA wheels include, or None."""
        wheels = map(Requirement, self.cuda_pins or self.extra)
        return next((wheel for wheel in wheels if "cudnn" in wheel.name), None)


@dataclass(frozen=True)
class Pairing:
    """Releases of a companion for the same TensorFlow.

    Attributes:
        releases: lowest first.
        tensorflow: the TensorFlow that they need; empty if they declare none.
        pythons: minors of CPython with wheels, "3.9"; empty for any.
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
        pythons: minors of CPython with wheels that a profile can name, "3.9", lowest first.
        needs: those of its declared requirements that the table has, PEP 508.
        cuda: NVIDIA's wheels, PEP 508, and the release of the CUDA runtime among them, by extra; the extra is "" if
            the wheels are always installed with it.
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
    """A constraint without which releases of "torch", "jax" or "keras" do not run, and what happens otherwise."""

    framework: str
    releases: SpecifierSet
    constraint: str
    why: str


@dataclass(frozen=True)
class Table:
    """All facts; releases are oldest first.

    Attributes:
        read: the day on which the package index was read, "2026-11-22".
        releases: the releases of TensorFlow.
        cuda: the releases of CUDA, by version.
        companions: the pairings of distributions such as tensorflow-text, by name.
        backends: the minimum release of each backend, "tensorflow", "jax" and "torch", by release of Keras 3.
        repairs: the constraints of the other frameworks.
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
        """A release of CUDA, or the newest known one before it with the same major version, which is compatible."""
        if not release:
            return None
        wanted = Version(release)
        known = [
            cuda
            for cuda in self.cuda.values()
            if Version(cuda.release) <= wanted and Version(cuda.release).major == wanted.major
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
        ValueError: it is not TOML.
        LookupError: a part is missing.
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
        kernels=tuple(entry.get("kernels", ())),
        ptx=entry.get("ptx", ""),
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
    return tuple(python for python in pythons if int(python.split(".")[1]) in PYTHON_MINORS)
