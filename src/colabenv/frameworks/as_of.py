"""`as_of` and `like`: which releases count on a day, or on a Colab runtime. Pure but for the facts it reads."""

from __future__ import annotations

import dataclasses
import datetime
import functools
import importlib.resources
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeAlias

from packaging.specifiers import SpecifierSet
from packaging.version import Version

from colabenv._compat import tomllib
from colabenv.errors import ProfileError, UnsatisfiableError
from colabenv.frameworks import facts
from colabenv.frameworks.facts import Table
from colabenv.frameworks.request import FrameworkRequest
from colabenv.frameworks.runtimes import Runtime
from colabenv.host.interpreters import minor_version

if TYPE_CHECKING:
    from colabenv.frameworks.requirements import Requirements

    Rules: TypeAlias = Callable[[FrameworkRequest], Requirements]

#: When each minor of CPython was released (PEPs 569, 596, 619, 664, 693 and 719).
PYTHON_DAYS: Final = {
    "3.8": "2019-10-14",
    "3.9": "2020-10-05",
    "3.10": "2021-10-04",
    "3.11": "2022-10-24",
    "3.12": "2023-10-02",
    "3.13": "2024-10-07",
}
#: How long it takes, roughly, until most packages have wheels for a new Python.
_SETTLED: Final = datetime.timedelta(days=182)
#: What a profile's `stack` names, in the words of messages.
FRAMEWORKS: Final = {"tensorflow": "TensorFlow", "keras": "Keras", "torch": "PyTorch", "jax": "JAX"}


@functools.cache
def load_release_days() -> dict[str, dict[str, str]]:
    """Framework to release to the day of its upload to the package index, "2024-03-08"; see days.toml."""
    text = importlib.resources.files(__package__).joinpath("days.toml").read_text(encoding="utf-8")
    days: dict[str, dict[str, str]] = tomllib.loads(text)
    return days


def restrict_table(table: Table, as_of: str) -> Table:
    """The facts without the releases after a day. A release whose day is unknown stays."""

    def existed(framework: str, version: str) -> bool:
        return load_release_days()[framework].get(version, "") <= as_of

    return dataclasses.replace(
        table,
        releases=tuple(release for release in table.releases if existed("tensorflow", release.version)),
        keras=tuple(version for version in table.keras if existed("keras", version)),
        torch=tuple(release for release in table.torch if existed("torch", release.version)),
        jax=tuple(release for release in table.jax if existed("jax", release.version)),
    )


def require_released(framework: str, specifier: str, as_of: str) -> None:
    """Refuse a framework of which no release that the profile admits existed on the day.

    Args:
        framework: "tensorflow", "keras", "torch" or "jax".
        specifier: PEP 440.
        as_of: the day.

    Raises:
        UnsatisfiableError: names the day of its release, and the newest before.
    """
    days, allowed = load_release_days()[framework], SpecifierSet(specifier)
    admitted = {release: day for release, day in days.items() if allowed.contains(release)}
    if not admitted or any(day <= as_of for day in admitted.values()):
        return
    title = FRAMEWORKS[framework]
    first, day = min(admitted.items(), key=lambda item: item[1])
    wheels = " as its first wheel" if first == next(iter(days)) else ""
    before = [release for release, released in days.items() if released <= as_of]
    newest = f"The newest {title} on that day was {max(before, key=Version)}. " if before else ""
    raise UnsatisfiableError(
        f"{title} {first} was released on {day}{wheels}, after as_of: {as_of}.",
        hint=f"{newest}Choose an older {title}, or set as_of to {day} or later.",
    )


def choose_python(as_of: str, default: str) -> str:
    """The Python where nothing else decides: the machine's, or the newest that was half a year old on the day.

    Args:
        as_of: the day.
        default: the machine's minor.
    """
    day = datetime.date.fromisoformat(as_of)
    settled = [
        minor
        for minor, released in PYTHON_DAYS.items()
        if datetime.date.fromisoformat(released) + _SETTLED <= day
    ]
    newest = settled[-1] if settled else "3.8"
    return min(default, newest, key=lambda minor: int(minor.split(".")[1]))


def explain_new_python(python: str, as_of: str) -> str:
    """A warning about a Python that was released after the day; "" for others."""
    minor = minor_version(python)
    released = PYTHON_DAYS.get(minor, "")
    if released <= as_of:
        return ""
    return (
        f"Python {minor} was released on {released}, after as_of: {as_of}. Hardly any package of that day has wheels "
        f'for it. Set python: "{choose_python(as_of, minor)}".'
    )


def require_order(like: str, as_of: str) -> None:
    """Refuse a runtime that is newer than the day.

    Args:
        like: "colab-2025.07".
        as_of: the day.

    Raises:
        ProfileError: it is.
    """
    month = like.removeprefix("colab-").replace(".", "-")
    if as_of[:7] < month:
        raise ProfileError(
            f"like: {like} is newer than as_of: {as_of}, so its packages did not exist on that day.",
            value=as_of,
            hint=f"Remove like or as_of, or set as_of to {month}-01 or later.",
        )


def narrow_specifier(framework: str, specifier: str, runtime: Runtime, variant: str) -> str:
    """A framework's specifier, narrowed to the runtime's version where the profile admits that."""
    shipped = runtime.packages(variant).get(framework)
    if shipped is not None and SpecifierSet(specifier).contains(shipped, prereleases=True):
        return f"=={shipped}"
    return specifier


@dataclasses.dataclass(frozen=True)
class PointInTime:
    """The time that a profile means.

    Attributes:
        as_of: a day, or "".
        runtime: the Colab runtime to resemble, or None.
        variant: "cpu" or "gpu".
    """

    as_of: str
    runtime: Runtime | None
    variant: str

    @property
    def shipped(self) -> tuple[tuple[str, str], ...]:
        """(name, version) of the runtime's packages; nothing without one."""
        return tuple(sorted(self.runtime.packages(self.variant).items())) if self.runtime else ()

    def table(self) -> Table:
        """The facts of that time."""
        return restrict_table(facts.load_table(), self.as_of) if self.as_of else facts.load_table()

    def default_python(self, machine: str) -> str:
        """The minor where nothing else decides; `machine` is what it would be today."""
        return choose_python(self.as_of, machine) if self.as_of else machine

    def requirements(self, request: FrameworkRequest, apply_rules: Rules) -> Requirements:
        """What the rules derive for that time, with notes about what it decides.

        Args:
            request: the profile's frameworks.
            apply_rules: derives requirements.

        Raises:
            UnsatisfiableError: the rules refuse it, or it did not exist.
            ProfileError: the runtime is newer than the day.
        """
        if self.runtime is not None and self.as_of:
            require_order(self.runtime.name, self.as_of)
        derived = self._derive(self._narrow(request), apply_rules)
        notes = (*derived.notes, *self._notes(derived.python))
        from_source = {*derived.from_source} if self._jax_has_wheels() else {*derived.from_source, "jax"}
        return dataclasses.replace(derived, notes=notes, from_source=tuple(sorted(from_source)))

    def _narrow(self, request: FrameworkRequest) -> FrameworkRequest:
        """The request, with the runtime's versions where it admits them.

        Raises:
            UnsatisfiableError: no release of a framework that it admits existed.
        """
        narrowed = {}
        for framework in FRAMEWORKS:
            specifier = getattr(request, framework)
            if specifier is not None and self.as_of:
                require_released(framework, specifier, self.as_of)
            if specifier is not None and self.runtime is not None:
                narrowed[framework] = narrow_specifier(framework, specifier, self.runtime, self.variant)
        return dataclasses.replace(request, **narrowed)

    def _jax_has_wheels(self) -> bool:
        """Whether JAX had wheels at that time: TensorFlow 2.12 needs it, and can be older than they are."""
        return not self.as_of or min(load_release_days()["jax"].values()) <= self.as_of

    def _derive(self, request: FrameworkRequest, apply_rules: Rules) -> Requirements:
        """On the profile's Python, else on that of the time, else, where that cannot work, as the rules choose."""
        if request.python is None and (python := self._python(request)):
            try:
                derived = apply_rules(dataclasses.replace(request, python=python))
            except UnsatisfiableError:
                pass
            else:
                note = f"Python {python}: the newest that was at least half a year old on that day."
                return derived if self.runtime else dataclasses.replace(derived, notes=(note, *derived.notes))
        return apply_rules(request)

    def _python(self, request: FrameworkRequest) -> str:
        """The Python of the time; "" where it has none, or where the rules know it as their default."""
        if self.runtime is not None:
            return self.runtime.python
        # A framework has wheels for a new Python sooner than what it needs.
        has_framework = any(getattr(request, framework) for framework in FRAMEWORKS)
        return choose_python(self.as_of, list(PYTHON_DAYS)[-1]) if self.as_of and has_framework else ""

    def _notes(self, python: str) -> list[str]:
        notes = []
        if self.runtime is not None:
            same = python.startswith(self.runtime.python)
            had = "" if same else f" (which had Python {self.runtime.python})"
            notes.append(
                f"Python {python} and the versions of {self.runtime.name}{had}, except where the profile names others."
            )
        if self.as_of:
            notes.append(f"Only releases uploaded by the end of {self.as_of} (UTC) are used.")
            warning = explain_new_python(python, self.as_of)
            notes += [warning] if warning else []
        return notes
