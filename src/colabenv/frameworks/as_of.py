"""`as_of` and `like`: the frameworks of a day, or of a Colab runtime. Pure, except that it reads the facts."""

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

#: When each minor of CPython was released (PEPs 537, 569, 596, 619, 664, 693, 719 and 745).
PYTHON_DAYS: Final = {
    "3.7": "2018-06-27",
    "3.8": "2019-10-14",
    "3.9": "2020-10-05",
    "3.10": "2021-10-04",
    "3.11": "2022-10-24",
    "3.12": "2023-10-02",
    "3.13": "2024-10-07",
    "3.14": "2025-10-07",
}
#: Roughly how long it takes until most packages have wheels for a new Python.
_WHEEL_DELAY: Final = datetime.timedelta(days=182)
#: The frameworks of a profile's `stack`, and their names in messages.
FRAMEWORKS: Final = {"tensorflow": "TensorFlow", "keras": "Keras", "torch": "PyTorch", "jax": "JAX"}


@functools.cache
def load_release_days() -> dict[str, dict[str, str]]:
    """The days, "2024-03-08", on which releases were uploaded, by framework and version; see days.toml."""
    text = importlib.resources.files(__package__).joinpath("days.toml").read_text(encoding="utf-8")
    days: dict[str, dict[str, str]] = tomllib.loads(text)
    return days


def restrict_table(table: Table, as_of: str) -> Table:
    """The facts without the releases after a day. Releases whose day is unknown are kept."""

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
    """Check that a release of a framework that the profile allows existed on a day.

    Args:
        framework: "tensorflow", "keras", "torch" or "jax".
        specifier: the profile's, PEP 440.
        as_of: the day.

    Raises:
        UnsatisfiableError: none existed. The error has the day of the first, and the newest release on the day.
    """
    days, specifiers = load_release_days()[framework], SpecifierSet(specifier)
    allowed = {release: day for release, day in days.items() if specifiers.contains(release)}
    if not allowed or any(day <= as_of for day in allowed.values()):
        return
    title = FRAMEWORKS[framework]
    first, day = min(allowed.items(), key=lambda item: item[1])
    wheels = ", the first with wheels," if first == next(iter(days)) else ""
    before = [release for release, released in days.items() if released <= as_of]
    newest = f"The newest {title} on that day was {max(before, key=Version)}. " if before else ""
    raise UnsatisfiableError(
        f"{title} {first}{wheels} was released on {day}, after as_of: {as_of}.",
        hint=f"{newest}Choose an older {title}, or set as_of to {day} or later.",
    )


def choose_python(as_of: str, default: str) -> str:
    """The newest Python that was at least half a year old on a day, but no newer than `default`.

    Args:
        as_of: the day.
        default: a minor, such as "3.12".
    """
    day = datetime.date.fromisoformat(as_of)
    supported = [
        minor
        for minor, released in PYTHON_DAYS.items()
        if datetime.date.fromisoformat(released) + _WHEEL_DELAY <= day
    ]
    newest = supported[-1] if supported else next(iter(PYTHON_DAYS))
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
    """Check that a runtime is not newer than a day.

    Args:
        like: "colab-2025.07".
        as_of: the day.

    Raises:
        ProfileError: it is newer.
    """
    month = like.removeprefix("colab-").replace(".", "-")
    if as_of[:7] < month:
        raise ProfileError(
            f"like: {like} is newer than as_of: {as_of}, so its packages did not exist on that day.",
            value=as_of,
            hint=f"Remove like or as_of, or set as_of to {month}-01 or later.",
        )


def narrow_specifier(framework: str, specifier: str, runtime: Runtime, variant: str) -> str:
    """A framework's specifier, narrowed to the runtime's version if it allows that version."""
    version = runtime.packages(variant).get(framework)
    if version is not None and SpecifierSet(specifier).contains(version, prereleases=True):
        return f"=={version}"
    return specifier


@dataclasses.dataclass(frozen=True)
class PointInTime:
    """The `as_of` and `like` of a profile, for one variant.

    Attributes:
        as_of: a day, or "".
        runtime: the Colab runtime whose versions are preferred, or None.
        variant: "cpu" or "gpu".
    """

    as_of: str
    runtime: Runtime | None
    variant: str

    @property
    def shipped(self) -> tuple[tuple[str, str], ...]:
        """(name, version) of the runtime's packages; empty without a runtime."""
        return tuple(sorted(self.runtime.packages(self.variant).items())) if self.runtime else ()

    def table(self) -> Table:
        """The facts of that time."""
        return restrict_table(facts.load_table(), self.as_of) if self.as_of else facts.load_table()

    def default_python(self, machine: str) -> str:
        """The minor for a profile that requests no Python and no framework; `machine` is the one without `as_of`."""
        return choose_python(self.as_of, machine) if self.as_of else machine

    def requirements(self, request: FrameworkRequest, apply_rules: Rules) -> Requirements:
        """Derive the requirements of that time, with notes that explain its effect.

        Args:
            request: the profile's frameworks.
            apply_rules: derives requirements.

        Raises:
            UnsatisfiableError: the frameworks cannot work, or did not exist at that time.
            ProfileError: the runtime is newer than the day.
        """
        if self.runtime is not None and self.as_of:
            require_order(self.runtime.name, self.as_of)
        derived = self._derive(self._narrow(request), apply_rules)
        notes = (*derived.notes, *self._notes(derived.python))
        from_source = {*derived.from_source} if self._jax_has_wheels() else {*derived.from_source, "jax"}
        return dataclasses.replace(derived, notes=notes, from_source=tuple(sorted(from_source)))

    def _narrow(self, request: FrameworkRequest) -> FrameworkRequest:
        """The request, with the runtime's versions if it allows them.

        Raises:
            UnsatisfiableError: no release of a framework that it allows existed.
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
        """Whether JAX had wheels at that time: TensorFlow 2.12 needs JAX, and is older than its first wheels."""
        return not self.as_of or min(load_release_days()["jax"].values()) <= self.as_of

    def _derive(self, request: FrameworkRequest, apply_rules: Rules) -> Requirements:
        """Apply the rules with the profile's Python, else with that of the time, else with the one that they choose."""
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
        """The Python to try first; "" if the rules choose one."""
        if self.runtime is not None:
            return self.runtime.python
        # Frameworks have wheels for a new Python before the packages that they need.
        has_framework = any(getattr(request, framework) for framework in FRAMEWORKS)
        return choose_python(self.as_of, list(PYTHON_DAYS)[-1]) if self.as_of and has_framework else ""

    def _notes(self, python: str) -> list[str]:
        notes = []
        if self.runtime is not None:
            is_same = python.startswith(self.runtime.python)
            difference = "" if is_same else f" (which had Python {self.runtime.python})"
            notes.append(
                f"Python {python} and the versions of {self.runtime.name}{difference}, unless the profile requests "
                "others."
            )
        if self.as_of:
            notes.append(f"Only releases uploaded by the end of {self.as_of} (UTC) are used.")
            warning = explain_new_python(python, self.as_of)
            notes += [warning] if warning else []
        return notes
