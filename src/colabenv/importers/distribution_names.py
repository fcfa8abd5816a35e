"""Names of modules and distributions, and the Pythons with wheels, from names.toml and pythons.toml."""

from __future__ import annotations

import functools
import importlib.resources
from dataclasses import dataclass
from typing import Any, Final

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from colabenv._compat import tomllib
from colabenv.frameworks.runtimes import load_runtime
from colabenv.profile import times
from colabenv.profile.validators import PYTHON_MINORS

#: The Python versions that colabenv builds, oldest first.
BUILDABLE: Final = tuple(f"3.{minor}" for minor in PYTHON_MINORS)


@dataclass(frozen=True)
class DistributionNames:
    """The content of names.toml."""

    modules: dict[str, str]  #: module to distribution, "" if the index does not have it
    until: dict[str, str]  #: module to the releases of its distribution that still have it
    old: dict[str, str]  #: old distribution name to its current one
    #: conda's name to the index's, "" if it is not a Python package or is installed with another
    conda: dict[str, str]
    calls: dict[str, str]  #: call in code to the distribution that it needs
    source_only: frozenset[str]  #: distributions without wheels
    builds: dict[str, list[str]]  #: distribution to others without wheels that it requires
    #: distribution to `releases` that cannot be built, PEP 440, and the `closest` one that can
    unbuildable: dict[str, dict[str, str]]
    known: frozenset[str]  #: distributions that are on the index

    def find_distribution(self, module: str) -> str | None:
        """The distribution of a dotted module, "" if the index does not have it, None if unknown."""
        parts = module.split(".")
        for length in range(len(parts), 0, -1):
            if (distribution := self.modules.get(".".join(parts[:length]))) is not None:
                return distribution
        name = str(canonicalize_name(parts[0]))
        return name if name in self.known else None


@functools.cache
def load_names() -> DistributionNames:
    """The names of names.toml and of Colab's package lists."""
    data = _load_toml("names.toml")
    listed = {
        name for label in times.RUNTIMES for name in (*load_runtime(label).cpu, *load_runtime(label).gpu)
    }
    from_modules = {str(canonicalize_name(name)) for name in data["modules"].values() if name}
    return DistributionNames(
        modules=data["modules"],
        until=data["until"],
        old=data["old"],
        conda=data["conda"],
        calls=data["calls"],
        source_only=frozenset(data["source_only"]),
        builds=data["builds"],
        unbuildable=data["unbuildable"],
        known=frozenset({*listed, *from_modules, *data["same_name"], *data["source_only"]}),
    )


@functools.cache
def load_wheel_pythons() -> dict[str, dict[str, list[str]]]:
    """For each distribution, the releases at which the Pythons of its wheels change; see pythons.toml."""
    return _load_toml("pythons.toml")


@functools.cache
def load_companions() -> dict[str, dict[str, dict[str, Any]]]:
    """For packages around TensorFlow, the releases at which what they need changes; see companions.toml."""
    return _load_toml("companions.toml")


def find_pythons(name: str, version: str) -> tuple[str, ...] | None:
    """The CPython minors with wheels of a release, oldest first; None if unknown or if any Python works.

    Empty for a release that is older than all with wheels.
    """
    try:
        release = Version(version)
    except InvalidVersion:
        return None
    pythons = load_wheel_pythons().get(name)
    if pythons is None:
        return None
    steps = [minors for first, minors in pythons.items() if Version(first) <= release]
    return tuple(steps[-1] if steps else ()) if not steps or steps[-1] != ["any"] else None


def find_pythons_for_range(name: str, specifier: SpecifierSet) -> tuple[str, ...] | None:
    """The CPython minors with wheels of some matching release; None if unknown or without pin or upper bound."""
    pins = [item.version.removesuffix(".*") for item in specifier if item.operator in ("==", "~=", "===")]
    if pins:
        return find_pythons(name, pins[0])
    uppers = [item.version for item in specifier if item.operator in ("<", "<=")]
    pythons = load_wheel_pythons().get(name)
    if not uppers or pythons is None:
        return None
    firsts = list(pythons)
    minors = [
        minor
        for index, first in enumerate(firsts)
        if specifier.contains(first) or _reaches(specifier, first, firsts[index + 1 : index + 2])
        for minor in pythons[first]
    ]
    if "any" in minors:
        return None
    return tuple(sorted(set(minors), key=Version))


def _reaches(specifier: SpecifierSet, first: str, following: list[str]) -> bool:
    """Whether a range begins between two releases, such as `>=1.20,<1.24` between 1.19.3 and 1.21.2."""
    lowers = [item.version for item in specifier if item.operator in (">", ">=", "~=")]
    return any(
        Version(first) <= Version(lower) and (not following or Version(lower) < Version(following[0]))
        for lower in lowers
    )


def _load_toml(file: str) -> dict[str, Any]:
    text = importlib.resources.files(__package__).joinpath(file).read_text(encoding="utf-8")
    return dict(tomllib.loads(text))
