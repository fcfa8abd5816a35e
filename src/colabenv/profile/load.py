"""A profile from its file: text, tree, model, requirements files. It reads, and writes nothing."""

from __future__ import annotations

import datetime
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from colabenv.profile import diagnostics, extends, merge, requirements, times
from colabenv.profile import files as reading
from colabenv.profile.builtin_profiles import profiles_folder
from colabenv.profile.extends import Outside, Part
from colabenv.profile.model import Profile
from colabenv.profile.problems import Place, Problem, profile_error
from colabenv.profile.urls import expand_url

__all__ = ["LoadedProfile", "Outside", "expand_url", "load"]

MAX_FILES: Final = 50


@dataclass(frozen=True)
class LoadedProfile:
    """A profile and what belongs to it.

    Attributes:
        profile: the validated profile, with what it extends merged in.
        path: the profile's file, symbolic links followed.
        requirement_lines: the packages, then the lines of the requirements files: normalised PEP 508, in
            order, each once; of extended profiles what a later one replaces is gone. What `stack` asks for
            is not among them.
        inputs: every file of this machine that was read and the sha256 of its bytes in hex, the profile first.
        shipped: whether it was asked for as `builtin:NAME`.
    """

    profile: Profile
    path: Path
    requirement_lines: tuple[str, ...]
    inputs: tuple[tuple[Path, str], ...]
    shipped: bool = False

    @property
    def reference(self) -> str:
        """What to call it from any folder: `builtin:NAME`, or its path."""
        return f"builtin:{self.path.stem}" if self.shipped else str(self.path)


def load(
    path: str | os.PathLike[str], outside: Outside | None = None, now: datetime.datetime | None = None
) -> LoadedProfile:
    """Read and check a profile, the profiles that it extends, and the requirements files that they name.

    Args:
        path: the YAML file, or `builtin:NAME`. Of this machine nothing outside its folder is read, but for
            profiles that ship, and profiles above that folder that it extends.
        outside: where other profiles come from; by default those that ship, and nothing from the web.
        now: the time, by default the machine's.

    Raises:
        ProfileError: anything is wrong; the error names every problem found, the first one with its
            place, value and hint, the others in its detail.
        NetworkError: an extended profile could not be fetched.
    """
    outside = outside or Outside(shipped=profiles_folder())
    parts = extends.collect(os.fspath(path), outside)
    lines: tuple[str, ...] = ()
    inputs: dict[Path, str] = {}
    problems: list[Problem] = []
    for part in parts:
        files = _files_of(part, outside)
        problems += [*files.problems, *_foreign_store(part)]
        problems += [*_future(part, now or datetime.datetime.now(datetime.timezone.utc))]
        lines = merge.lines(lines, tuple(dict.fromkeys([*part.profile.packages, *files.lines])))
        inputs = {**files.inputs, **inputs} if part is parts[-1] else {**inputs, **files.inputs}
    if problems:
        raise profile_error(problems)
    return LoadedProfile(
        profile=merge.profiles([part.profile for part in parts]),
        path=parts[-1].source.path,
        requirement_lines=lines,
        inputs=tuple(inputs.items()),
        shipped=parts[-1].name.startswith("builtin:"),
    )


def _future(part: Part, now: datetime.datetime) -> list[Problem]:
    """The complaint about an `as_of` that is still to come; none where it is not."""
    day = part.profile.as_of
    if day is None or not times.not_yet(day, now):
        return []
    hint = "Write a day that is over, or take the line out to have the newest of everything."
    problem = f"as_of: this day is still to come; by this machine's clock it is {now.date()}"
    return [Problem(problem, diagnostics.place_of(part.top, "as_of"), day, hint)]


def _foreign_store(part: Part) -> list[Problem]:
    """The complaint about a store that a profile from the web names; none where it does not.

    Its digest holds for its text alone, so whoever writes to that store could change environments unnoticed.
    """
    if part.root is not None or part.profile.store in {None, "none"}:
        return []
    hint = "Name the store in your own profile, if you trust whoever can write to it."
    return [
        Problem(
            "a profile from the web names no store", diagnostics.place_of(part.top, "store"), "store", hint
        )
    ]


def _files_of(part: Part, outside: Outside) -> _RequirementFiles:
    """The requirements files of one profile, read."""
    files = _RequirementFiles(part.source, part.root, outside)
    for number, file in enumerate(part.profile.requirements):
        place = diagnostics.place_of(part.top, "requirements", number)
        if part.root is None:
            hint = "Write the packages into it, and its new digest here."
            files.problems.append(Problem("a profile from a URL has no files beside it", place, file, hint))
            continue
        shown = part.source.path if part.name.startswith("builtin:") else Path(part.name)
        files.read(file, _Folder(part.source.path.parent, shown.parent), place, ())
    return files


@dataclass(frozen=True)
class _Folder:
    """The folder of a file that names others: where it is, and how the user would write it."""

    real: Path
    shown: Path


@dataclass
class _RequirementFiles:
    """Reads requirements files, nested ones included, each once, and collects what they say."""

    profile: reading.Source
    root: Path | None
    outside: Outside
    lines: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    inputs: dict[Path, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # What comes from the web is known by its digest, which the profile that names it holds.
        if self.root is not None:
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
        source = self.outside.read(str(real), place, name)
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
        if self.root is None or not real.is_relative_to(self.root):
            return Problem("this path leads out of the profile's folder", place, file, hint)
        if real == self.profile.path:
            return Problem("this is the profile itself, not a requirements file", place, file)
        if real in parents:
            return Problem("these files include each other in a circle", place, file, "Take one -r out.")
        if len(self.inputs) > MAX_FILES or len(self.lines) > requirements.MAX_LINES:
            return Problem("the requirements files of this profile are too many or too long", place, file)
        return None
