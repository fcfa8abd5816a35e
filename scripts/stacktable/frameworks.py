"""Make the table's rows of PyTorch, JAX and the backends of Keras from the metadata of wheels."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from email.message import Message
from itertools import groupby
from typing import TypeVar

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from stacktable.curated import KERAS_BACKENDS
from stacktable.index import Wheel
from stacktable.rows import (
    OLDEST_PYTHON,
    Reader,
    applies,
    format_requirement,
    list_pythons,
    minor_key,
    read_requirements,
)

OLDEST_TORCH = Version("2.0")
OLDEST_JAX = Version("0.4.20")
#: Highest minor of CPython 3 that a profile can select; the rows leave out newer ones.
NEWEST_PYTHON = 14
#: Requirements that the table lists, because several frameworks limit them.
NEEDS = ("numpy", "ml-dtypes", "typing-extensions", "setuptools", "protobuf")
#: A row of the table of minimum backends in Keras' description, since 3.13.
_MINIMUM = re.compile(r"^\s*\|\s*(TensorFlow|JAX|PyTorch)\s*\|\s*(\d[\w.]*)\s*\|", re.MULTILINE)


@dataclass(frozen=True)
class Torch:
    """A release of PyTorch; see the table's header for the fields."""

    release: str
    python: tuple[str, ...]
    needs: tuple[str, ...]
    brings: tuple[str, ...]
    wheels_cuda: str
    wheels_cudnn: str


@dataclass(frozen=True)
class Jax:
    """A release of JAX; see the table's header for the fields."""

    release: str
    python: tuple[str, ...]
    needs: tuple[str, ...]
    cuda12: tuple[str, ...]
    cuda12_release: str
    cuda13: tuple[str, ...]
    cuda13_release: str


@dataclass(frozen=True)
class Backends:
    """The minimum backends of a release of Keras."""

    release: str
    tensorflow: str
    jax: str
    torch: str
    read: str


_Row = TypeVar("_Row", Torch, Jax, Backends)


def group_rows(rows: Iterable[_Row]) -> list[tuple[list[str], _Row]]:
    """Group consecutive releases with the same facts: the releases and one row for each group."""
    return [
        ([row.release for row in group], group[0])
        for _, same in groupby(
            rows, key=lambda row: [value for name, value in vars(row).items() if name != "release"]
        )
        for group in [list(same)]
    ]


class Frameworks:
    """Makes the rows of PyTorch, JAX and Keras.

    Args:
        reader: reads the index.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def torch(self, releases: Iterable[str] | None = None) -> list[Torch]:
        """The rows of PyTorch, oldest first: of all releases in the table, or of these."""
        names = list(
            releases
            or (release for release in self._reader.wheels("torch") if Version(release) >= OLDEST_TORCH)
        )
        self._reader.read(
            [self._reader.wheels("torch")[name][position] for name in names for position in (0, -1)]
        )
        return [self._torch(name) for name in names]

    def _torch(self, release: str) -> Torch:
        wheels = self._reader.wheels("torch")[release]
        requirements = read_requirements(self._reader.metadata(wheels[-1]))
        # 2.4 declares setuptools, without a version, for the newest Python only.
        first, last = (
            {str(r) for r in read_requirements(self._reader.metadata(w)) if r.specifier}
            for w in (wheels[0], wheels[-1])
        )
        if first != last:
            raise ValueError(f"the wheels of torch {release} declare different requirements")
        pythons = _supported(list_pythons(wheels))
        plain = [r for r in requirements if any(applies(r, python) for python in pythons)]
        brings = self._cuda_wheels(plain, pythons, "")
        return Torch(
            release,
            pythons,
            _needs(plain, pythons),
            brings,
            self._reader.newest(brings, "nvidia-cuda-runtime"),
            self._reader.newest(brings, "nvidia-cudnn"),
        )

    def jax(self, releases: Iterable[str] | None = None) -> list[Jax]:
        """The rows of JAX, oldest first: of all releases in the table, or of these."""
        names = list(
            releases or (release for release in self._reader.wheels("jax") if Version(release) >= OLDEST_JAX)
        )
        self._reader.read([self._reader.wheels("jax")[name][-1] for name in names])
        return [self._jax(name) for name in names]

    def _jax(self, release: str) -> Jax:
        metadata = self._reader.metadata(self._reader.wheels("jax")[release][-1])
        requirements = read_requirements(metadata)
        pythons = self._pythons_of_jax(release, metadata, requirements)
        cuda = {extra: self._jax_cuda(requirements, pythons, extra) for extra in ("cuda12", "cuda13")}
        return Jax(
            release,
            pythons,
            _needs([r for r in requirements if any(applies(r, p) for p in pythons)], pythons),
            cuda["cuda12"],
            self._reader.newest(cuda["cuda12"], "nvidia-cuda-runtime"),
            cuda["cuda13"],
            self._reader.newest(cuda["cuda13"], "nvidia-cuda-runtime"),
        )

    def _pythons_of_jax(
        self, release: str, metadata: Message, requirements: list[Requirement]
    ) -> tuple[str, ...]:
        """The Pythons of the jaxlib that JAX, which is pure, requires."""
        allowed = SpecifierSet(metadata["Requires-Python"] or "")
        jaxlib = next((r for r in requirements if r.name == "jaxlib" and applies(r, "3.11")), None)
        # Up to 0.4.29 only extras require jaxlib.
        specifier = jaxlib.specifier if jaxlib else SpecifierSet(f"=={release}")
        fitting = [
            wheel
            for jaxlib_release, wheels in self._reader.wheels("jaxlib").items()
            if specifier.contains(jaxlib_release)
            for wheel in wheels
        ]
        return _supported(tuple(p for p in list_pythons(fitting) if allowed.contains(f"{p}.99")))

    def _jax_cuda(
        self, requirements: list[Requirement], pythons: tuple[str, ...], extra: str
    ) -> tuple[str, ...]:
        """NVIDIA's wheels that one of JAX' extras installs; empty if the index lacks a part of it."""
        required = [r for r in requirements if extra in str(r.marker) and applies(r, pythons[-1], extra)]
        plugins = [r for r in required if canonicalize_name(r.name) == f"jax-{extra}-plugin"]
        newest = [self._newest_wheel(plugin) for plugin in plugins]
        if not plugins or None in newest:
            return ()
        names = list(self._cuda_wheels(required, pythons, extra))
        for wheel in newest:
            if wheel is not None and plugins[0].extras:
                inner = read_requirements(self._reader.metadata(wheel))
                names += self._cuda_wheels(inner, pythons, next(iter(plugins[0].extras)))
        return tuple(sorted(set(names)))

    def _newest_wheel(self, requirement: Requirement) -> Wheel | None:
        fitting = [
            wheels[-1]
            for release, wheels in self._reader.wheels(canonicalize_name(requirement.name)).items()
            if requirement.specifier.contains(release)
        ]
        return fitting[-1] if fitting else None

    def _cuda_wheels(
        self, requirements: list[Requirement], pythons: tuple[str, ...], extra: str
    ) -> tuple[str, ...]:
        """NVIDIA's distributions among requirements, with those that the empty `cuda-toolkit` requires."""
        texts: list[str] = []
        for requirement in requirements:
            if not any(applies(requirement, python, extra) for python in pythons):
                continue
            name = canonicalize_name(requirement.name)
            if name == "cuda-toolkit":
                wheel = self._newest_wheel(requirement)
                inner = read_requirements(self._reader.metadata(wheel)) if wheel else []
                for part in sorted(requirement.extras):
                    texts += self._cuda_wheels(
                        [r for r in inner if not applies(r, pythons[-1])], pythons, part
                    )
            elif name.startswith("nvidia-"):
                texts.append(format_requirement(requirement, pythons, extra))
        return tuple(sorted(set(texts)))

    def keras_backends(self, releases: Iterable[str] | None = None) -> list[Backends]:
        """The minimum backends of Keras 3, oldest first: of all releases, or of these."""
        known = self._reader.wheels("keras")
        names = list(releases or (release for release in known if Version(release) >= Version("3")))
        self._reader.read([known[name][-1] for name in names])
        backends = []
        for release in names:
            metadata = self._reader.metadata(known[release][-1])
            minimum = dict(_MINIMUM.findall(str(metadata.get_payload())))
            read = "Description" if minimum else "curated"
            minimum = minimum or KERAS_BACKENDS
            backends.append(
                Backends(release, minimum["TensorFlow"], minimum["JAX"], minimum["PyTorch"], read)
            )
        return backends


def _needs(requirements: list[Requirement], pythons: tuple[str, ...]) -> tuple[str, ...]:
    named = [r for r in requirements if canonicalize_name(r.name) in NEEDS and r.specifier]
    return tuple(
        sorted({format_requirement(r, pythons) for r in named if any(applies(r, p) for p in pythons)})
    )


def _supported(pythons: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(p for p in pythons if OLDEST_PYTHON <= minor_key(p) <= NEWEST_PYTHON)
