"""A profile from its file: text, tree, model, requirements files. It reads, and writes nothing."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from colabenv.profile import document, explain, reading, requirements
from colabenv.profile.model import Profile
from colabenv.profile.problems import Place, Problem, profile_error
from colabenv.profile.urls import expand_url

__all__ = ["LoadedProfile", "expand_url", "load"]

MAX_FILES: Final = 50


@dataclass(frozen=True)
class LoadedProfile:
    """A profile and what belongs to it.

    Attributes:
        profile: the validated profile.
        path: the profile's file, symbolic links followed.
        requirement_lines: the packages, then the lines of the requirements files: normalised PEP 508, in
            order, each once. What `stack` asks for is not among them.
        inputs: every file that was read and the sha256 of its bytes in hex, the profile first.
    """

    profile: Profile
    path: Path
    requirement_lines: tuple[str, ...]
    inputs: tuple[tuple[Path, str], ...]


def load(path: str | os.PathLike[str]) -> LoadedProfile:
    """Read and check a profile and the requirements files it names.

    Args:
        path: the YAML file. Nothing outside its folder is read.

    Raises:
        ProfileError: anything is wrong; the error names every problem found, the first one with its
            place, value and hint, the others in its detail.
    """
    given = os.fspath(path)
    source = reading.read(given, Place(given))
    if isinstance(source, Problem):
        raise profile_error([source])
    top, problems = document.parse(source.text, given)
    profile, wrong = explain.validate(top)
    problems += wrong
    if profile is None or problems:
        raise profile_error(problems)
    files = _RequirementFiles(source)
    beside = _Folder(source.path.parent, Path(given).parent)
    for number, file in enumerate(profile.requirements):
        files.read(file, beside, explain.place_of(top, "requirements", number), ())
    if files.problems:
        raise profile_error(files.problems)
    return LoadedProfile(
        profile=profile,
        path=source.path,
        requirement_lines=tuple(dict.fromkeys([*profile.packages, *files.lines])),
        inputs=tuple(files.inputs.items()),
    )


@dataclass(frozen=True)
class _Folder:
    """The folder of a file that names others: where it is, and how the user would write it."""

    real: Path
    shown: Path


@dataclass
class _RequirementFiles:
    """Reads requirements files, nested ones included, each once, and collects what they say."""

    profile: reading.Source
    lines: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    inputs: dict[Path, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.inputs[self.profile.path] = self.profile.sha256

    def read(self, file: str, folder: _Folder, place: Place, parents: tuple[Path, ...]) -> None:
        """Read `file`, which a file in `folder` names at `place`; `parents` are the files that led here."""
        real = Path(os.path.realpath(folder.real / file))
        if problem := self._refusal(real, place, file, parents):
            self.problems.append(problem)
            return
        if real in self.inputs:
            return
        name = os.path.normpath(folder.shown / file)
        source = reading.read(str(real), place, name)
        if isinstance(source, Problem):
            self.problems.append(source if source.value is None else replace(source, value=file))
            return
        self.inputs[real] = source.sha256
        self._take(source, name, (*parents, real))

    def _take(self, source: reading.Source, name: str, parents: tuple[Path, ...]) -> None:
        entries, problems = requirements.parse(source.text, name)
        self.problems += problems
        folder = _Folder(source.path.parent, Path(name).parent)
        for entry in entries:
            if entry.include:
                self.read(entry.include, folder, entry.place, parents)
            else:
                self.lines.append(entry.requirement)

    def _refusal(self, real: Path, place: Place, file: str, parents: tuple[Path, ...]) -> Problem | None:
        hint = "Put the file beside the profile or below it."
        if not real.is_relative_to(self.profile.path.parent):
            return Problem("this path leads out of the profile's folder", place, file, hint)
        if real == self.profile.path:
            return Problem("this is the profile itself, not a requirements file", place, file)
        if real in parents:
            return Problem("these files include each other in a circle", place, file, "Take one -r out.")
        if len(self.inputs) > MAX_FILES or len(self.lines) > requirements.MAX_LINES:
            return Problem("the requirements files of this profile are too many or too long", place, file)
        return None
