"""`as_of` and `like`: what of the stack's facts holds on a day, or on a Colab runtime."""

from __future__ import annotations

import dataclasses
import datetime
import functools
import importlib.resources
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, TypeAlias

from packaging.specifiers import SpecifierSet
from packaging.version import Version

from colabenv._compat import tomllib
from colabenv.errors import ProfileError, UnsatisfiableError
from colabenv.frameworks import facts
from colabenv.frameworks.facts import Table
from colabenv.frameworks.runtimes import Runtime
from colabenv.host.interpreters import minor_version

if TYPE_CHECKING:
    from colabenv.frameworks.requirements import Requirements

    Versions: TypeAlias = Mapping[str, str | None]
    Rules: TypeAlias = Callable[[str | None, Versions], Requirements]

#: When each minor of CPython came out (PEPs 569, 596, 619, 664, 693 and 719).
PYTHON_DAYS: Final = {
    "3.8": "2019-10-14",
    "3.9": "2020-10-05",
    "3.10": "2021-10-04",
    "3.11": "2022-10-24",
    "3.12": "2023-10-02",
    "3.13": "2024-10-07",
}
#: How long after a Python came out most packages had wheels for it, roughly.
_SETTLED: Final = datetime.timedelta(days=182)
#: What a profile's `stack` names, in the words of messages.
FRAMEWORKS: Final = {"tensorflow": "TensorFlow", "keras": "Keras", "torch": "PyTorch", "jax": "JAX"}


@functools.cache
def load_release_days() -> dict[str, dict[str, str]]:
    """Framework to release to the day on which it came to the package index, "2024-03-08"; see days.toml."""
    text = importlib.resources.files(__package__).joinpath("days.toml").read_text(encoding="utf-8")
    found: dict[str, dict[str, str]] = tomllib.loads(text)
    return found


def restrict_table(table: Table, as_of: str) -> Table:
    """The facts as they were on a day: later releases are gone. What has no known day stays."""
    known = load_release_days()
    return dataclasses.replace(
        table,
        releases=tuple(one for one in table.releases if known["tensorflow"].get(one.version, "") <= as_of),
        keras=tuple(one for one in table.keras if known["keras"].get(one, "") <= as_of),
        torch=tuple(one for one in table.torch if known["torch"].get(one.version, "") <= as_of),
        jax=tuple(one for one in table.jax if known["jax"].get(one.version, "") <= as_of),
    )


def require_released(framework: str, specifier: str, as_of: str) -> None:
    """Refuse a framework of which nothing that the profile admits was there on the day.

    Args:
        framework: "tensorflow", "keras", "torch" or "jax".
        specifier: PEP 440.
        as_of: the day.

    Raises:
        UnsatisfiableError: with the day on which it came out, and what was there.
    """
    allowed = SpecifierSet(specifier)
    admitted = {
        release: day for release, day in load_release_days()[framework].items() if allowed.contains(release)
    }
    if not admitted or any(day <= as_of for day in admitted.values()):
        return
    title = FRAMEWORKS[framework]
    first, day = min(admitted.items(), key=lambda item: item[1])
    wheels = " as its first wheel" if first == next(iter(load_release_days()[framework])) else ""
    before = [release for release, came in load_release_days()[framework].items() if came <= as_of]
    newest = f"The newest {title} of that day was {max(before, key=Version)}. " if before else ""
    raise UnsatisfiableError(
        f"{title} {first} came out on {day}{wheels}, after as_of: {as_of}.",
        hint=f"{newest}Name an older {title}, or set as_of to {day} or later.",
    )


def choose_python(as_of: str, default: str) -> str:
    """The Python where nothing else decides: that of the machine, but none that had not been out for half a year.

    Args:
        as_of: the day.
        default: minor.
    """
    day = datetime.date.fromisoformat(as_of)
    settled = [
        one for one, came in PYTHON_DAYS.items() if datetime.date.fromisoformat(came) + _SETTLED <= day
    ]
    settled = settled or ["3.8"]
    return min(default, settled[-1], key=lambda minor: int(minor.split(".")[1]))


def explain_new_python(python: str, as_of: str) -> str:
    """What to say of a Python that came out after the day; "" of others."""
    minor = minor_version(python)
    came = PYTHON_DAYS.get(minor, "")
    if came <= as_of:
        return ""
    return (
        f"Python {minor} came out on {came}, after as_of: {as_of}. Packages of that day have hardly any wheels for it: "
        f'python: "{choose_python(as_of, minor)}" fits.'
    )


def require_order(like: str, as_of: str) -> None:
    """Refuse a runtime that came after the day.

    Args:
        like: "colab-2025.07".
        as_of: the day.

    Raises:
        ProfileError: it did.
    """
    month = like.removeprefix("colab-").replace(".", "-")
    if as_of[:7] < month:
        raise ProfileError(
            f"like: {like} is newer than as_of: {as_of}, so what it shipped was not there on that day.",
            value=as_of,
            hint=f"Take one of the two out, or set as_of to a day from {month}-01 on.",
        )


def narrow_specifier(framework: str, specifier: str, runtime: Runtime, variant: str) -> str:
    """A framework's specifier, narrowed to what the runtime shipped where the profile admits that.

    Args:
        framework: distribution.
        specifier: the profile's, PEP 440.
        runtime: the one to be like.
        variant: "cpu" or "gpu".
    """
    shipped = runtime.packages(variant).get(framework)
    if shipped is not None and SpecifierSet(specifier).contains(shipped, prereleases=True):
        return f"=={shipped}"
    return specifier


@dataclasses.dataclass(frozen=True)
class PointInTime:
    """The time that a profile means.

    Attributes:
        as_of: a day, or "".
        runtime: the Colab runtime to be like, or None.
        variant: "cpu" or "gpu".
    """

    as_of: str
    runtime: Runtime | None
    variant: str

    @property
    def shipped(self) -> tuple[tuple[str, str], ...]:
        """(name, version) of what the runtime shipped; nothing without one."""
        return tuple(sorted(self.runtime.packages(self.variant).items())) if self.runtime else ()

    def table(self) -> Table:
        """The facts of that time."""
        return restrict_table(facts.load_table(), self.as_of) if self.as_of else facts.load_table()

    def narrowed(self, versions: Versions) -> Versions:
        """What the profile asks for, as it was at that time: where it admits what the runtime shipped, just that.

        Args:
            versions: framework to PEP 440 specifier, None for one that is not asked for.

        Raises:
            UnsatisfiableError: a framework of which nothing that the profile admits was there.
        """
        found = dict(versions)
        for framework, specifier in versions.items():
            if specifier is None:
                continue
            if self.runtime is not None:
                found[framework] = narrow_specifier(framework, specifier, self.runtime, self.variant)
            if self.as_of:
                require_released(framework, specifier, self.as_of)
        return found

    def default_python(self, machines: str) -> str:
        """The minor where nothing else decides; `machines` is what it would be today."""
        return choose_python(self.as_of, machines) if self.as_of else machines

    def requirements(self, python: str | None, versions: Versions, ask: Rules) -> Requirements:
        """What the rules answer for that time, with notes of what it decides.

        Args:
            python: the profile's, or None.
            versions: framework to PEP 440 specifier, None for one that is not asked for.
            ask: the rules, which take the same two.

        Raises:
            UnsatisfiableError: what the rules refuse, or what was not there.
            ProfileError: the runtime came after the day.
        """
        if self.runtime is not None and self.as_of:
            require_order(self.runtime.name, self.as_of)
        found = self._answered(python, self.narrowed(versions), ask)
        source = () if self._jax_has_wheels() or "jax" in found.from_source else ("jax",)
        return dataclasses.replace(
            found,
            notes=(*found.notes, *self._notes(found.python)),
            from_source=tuple(sorted((*found.from_source, *source))),
        )

    def _jax_has_wheels(self) -> bool:
        """Whether JAX had wheels at that time: TensorFlow 2.12 asks for it, and could be older than they are."""
        return not self.as_of or min(load_release_days()["jax"].values()) <= self.as_of

    def _answered(self, python: str | None, versions: Versions, ask: Rules) -> Requirements:
        """On the profile's Python, else on that of the time, else, where that cannot work, as the rules pick."""
        if python is None and (own := self._python(versions)):
            try:
                found = ask(own, versions)
            except UnsatisfiableError:
                pass
            else:
                why = f"Python {own}: the newest that had been out for half a year by then."
                return found if self.runtime else dataclasses.replace(found, notes=(why, *found.notes))
        return ask(python, versions)

    def _python(self, versions: Versions) -> str:
        """The Python of the time; "" where it has none, or where the rules know it as their default."""
        if self.runtime is not None:
            return self.runtime.python
        # A framework has wheels for a new Python sooner than what it needs.
        return (
            choose_python(self.as_of, list(PYTHON_DAYS)[-1]) if self.as_of and any(versions.values()) else ""
        )

    def _notes(self, python: str) -> list[str]:
        notes = []
        if self.runtime is not None:
            than = "" if python.startswith(self.runtime.python) else f" (which had {self.runtime.python})"
            notes.append(
                f"Python {python} and the versions of {self.runtime.name}{than}, where the profile names no other."
            )
        if self.as_of:
            notes.append(f"Only what was uploaded by the end of {self.as_of} (UTC) is chosen.")
            trouble = explain_new_python(python, self.as_of)
            notes += [trouble] if trouble else []
        return notes
