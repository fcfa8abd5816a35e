"""What `check` and `profiles` return."""

from __future__ import annotations

from dataclasses import dataclass

from colabenv.output.results import Result


@dataclass(frozen=True)
class CheckResult(Result):
    """A valid profile."""

    name: str
    source: str  #: its path, or `builtin:NAME`
    python: str  #: the version that it requests, or that colabenv chooses for it
    requirements: tuple[str, ...]  #: the requirements to resolve, PEP 508
    files: tuple[str, ...]  #: paths of the files that it consists of
    notes: tuple[str, ...] = ()  #: why choices were made

    def lines(self) -> list[str]:
        """The outcome, then the requirements."""
        return [
            f"✓ {self.source} is a valid profile: {self.name}, Python {self.python}.",
            *(f"  {line}" for line in self.requirements),
            "Checked offline. To find out whether versions exist that satisfy it: colabenv up --dry-run "
            f"{self.source}",
        ]


@dataclass(frozen=True)
class BuiltinProfile:
    """A built-in profile: its Python, its frameworks, its purpose (`about`), and the variants that have locks."""

    name: str
    python: str
    stack: str
    about: str
    locks: tuple[str, ...]
    path: str


@dataclass(frozen=True)
class ProfilesResult(Result):
    """The built-in profiles, by name."""

    profiles: tuple[BuiltinProfile, ...]

    def table(self) -> tuple[list[str], list[list[str]]] | None:
        """A row for each profile."""
        rows = [[profile.name, profile.python, profile.stack, profile.about] for profile in self.profiles]
        return ["name", "Python", "frameworks", "purpose"], rows

    def lines(self) -> list[str]:
        """How to use them."""
        return [
            "To build one: colabenv up builtin:NAME",
            'To base your own profile on one, add this to it: extends: ["builtin:NAME"]',
        ]
