"""What `init` knows: names that differ, and for which Python there are wheels. Reads the data files beside it."""

from __future__ import annotations

import functools
import importlib.resources
from dataclasses import dataclass
from typing import Any, Final

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from colabenv._compat import tomllib
from colabenv.frameworks.facts import MINORS
from colabenv.frameworks.runtimes import runtime
from colabenv.profile import times

#: The Pythons that a profile can name, oldest first.
BUILDABLE: Final = tuple(f"3.{minor}" for minor in MINORS)


@dataclass(frozen=True)
class Names:
    """See names.toml.

    Attributes:
        modules: module to distribution; "" for what is on no index.
        until: module to the releases of its distribution that have it, where the newest do not.
        old: distribution to the one that it stands for.
        conda: conda's name to the index's; "" for what is no Python package, or comes with another.
        calls: piece of code to distribution.
        source_only: distributions without wheels.
        known: distributions that are on the index for certain.
    """

    modules: dict[str, str]
    until: dict[str, str]
    old: dict[str, str]
    conda: dict[str, str]
    calls: dict[str, str]
    source_only: frozenset[str]
    known: frozenset[str]

    def distribution(self, module: str) -> str | None:
        """The distribution that brings a dotted module; "" where none does, None where that is not known."""
        parts = module.split(".")
        for length in range(len(parts), 0, -1):
            found = self.modules.get(".".join(parts[:length]))
            if found is not None:
                return found
        name = str(canonicalize_name(parts[0]))
        return name if name in self.known else None


@functools.cache
def names() -> Names:
    """The names that ship, and those on the lists of Colab's runtimes."""
    data = _toml("names.toml")
    listed = {name for one in times.RUNTIMES for name in (*runtime(one).cpu, *runtime(one).gpu)}
    brought = {str(canonicalize_name(name)) for name in data["modules"].values() if name}
    return Names(
        modules=data["modules"],
        until=data["until"],
        old=data["old"],
        conda=data["conda"],
        calls=data["calls"],
        source_only=frozenset(data["source_only"]),
        known=frozenset({*listed, *brought, *data["same_name"], *data["source_only"]}),
    )


@functools.cache
def wheels() -> dict[str, dict[str, list[str]]]:
    """Distribution to the releases with which the Pythons of its wheels change; see pythons.toml."""
    return _toml("pythons.toml")


def pythons_for(name: str, version: str) -> tuple[str, ...] | None:
    """The minors of CPython with wheels of a release, oldest first, those that no profile can name included.

    Args:
        name: canonical name of a distribution.
        version: of the release.

    Returns:
        None where nothing is known, or any Python will do.
    """
    asked = Version(version)
    steps = [pythons for first, pythons in wheels().get(name, {}).items() if Version(first) <= asked]
    return tuple(steps[-1]) if steps and steps[-1] != ["any"] else None


def pythons_for_range(name: str, specifier: SpecifierSet) -> tuple[str, ...] | None:
    """The minors of CPython with wheels of some release that a range admits; None where nothing is known.

    Only upper bounds and pins say something: the newest release that is admitted has to have wheels.
    """
    pins = [one.version.removesuffix(".*") for one in specifier if one.operator in ("==", "~=", "===")]
    if pins:
        return pythons_for(name, pins[0])
    if not any(one.operator in ("<", "<=") for one in specifier):
        return None
    found = [pythons for first, pythons in wheels().get(name, {}).items() if specifier.contains(first)]
    return tuple(dict.fromkeys(one for pythons in found for one in pythons if one != "any")) or None


def _toml(file: str) -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads(
        importlib.resources.files(__package__).joinpath(file).read_text(encoding="utf-8")
    )
    return found
