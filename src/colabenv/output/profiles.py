"""What `profiles` returns."""

from __future__ import annotations

from dataclasses import dataclass

from colabenv.output.results import Result


@dataclass(frozen=True)
class BuiltinProfile:
    """A built-in profile.

    Attributes:
        name: its name, for `builtin:NAME`.
        python: the Python that it requests or that is chosen for it.
        stack: its frameworks and their versions.
        about: its purpose, from the comment at its top.
        locks: the variants that have a lock.
        path: its file.
    """

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
