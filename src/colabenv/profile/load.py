"""Load a profile from its file, with what it extends and its requirements files."""

from __future__ import annotations

import datetime
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from colabenv.profile import diagnostics, extends, merge, times
from colabenv.profile.builtin_profiles import find_builtin_folder
from colabenv.profile.extends import ProfilePart, ProfileSources
from colabenv.profile.files import SourceFile
from colabenv.profile.model import Profile
from colabenv.profile.problems import Location, Problem, profile_error
from colabenv.profile.requirements import MAX_LINES, parse_requirements

MAX_FILES: Final = 50


@dataclass(frozen=True)
class LoadedProfile:
    """A profile with everything that belongs to it."""

    profile: Profile  #: the validated profile, merged with what it extends
    path: Path  #: real path of the profile's file; for one from the web, where it would be in the working folder
    #: normalized PEP 508 lines, each once: `packages`, then the requirements files; lines that a later
    #: profile replaces are left out. Frameworks (`stack`) are not included.
    requirement_lines: tuple[str, ...]
    #: every local file that was read, with the SHA-256 of its bytes in hex; the profile first
    inputs: tuple[tuple[Path, str], ...]
    builtin: bool = False  #: it was requested as `builtin:NAME`
    url: str = ""  #: the address that it was requested by, with its digest, or ""

    @property
    def reference(self) -> str:
        """How to refer to the profile from any folder: `builtin:NAME`, its address with its digest, or its path."""
        return f"builtin:{self.path.stem}" if self.builtin else self.url or str(self.path)


def load(
    path: str | os.PathLike[str], sources: ProfileSources | None = None, now: datetime.datetime | None = None
) -> LoadedProfile:
    """Read and validate a profile, the profiles that it extends, and their requirements files.

    Args:
        path: the YAML file, its address, or `builtin:NAME`. Files outside its folder are not read, except built-in
            profiles and .yaml files that it extends; a profile from the web cannot name files.
        sources: where other profiles are read from; by default only the built-in ones are available.
        now: the time, by default the machine's.

    Raises:
        ProfileError: with all problems found, the first as its message and the others in its detail.
        UsageError: the address has no file that can be downloaded.
        NetworkError: a profile could not be downloaded.
    """
    sources = sources or ProfileSources(builtin=find_builtin_folder())
    parts = extends.collect_profiles(os.fspath(path), sources)
    lines: tuple[str, ...] = ()
    inputs: dict[Path, str] = {}
    problems: list[Problem] = []
    for part in parts:
        files = _read_requirement_files(part, sources)
        problems += [*files.problems, *_check_store(part)]
        problems += _check_day(part, now or datetime.datetime.now(datetime.timezone.utc))
        lines = merge.merge_requirements(lines, tuple(dict.fromkeys([*part.profile.packages, *files.lines])))
        inputs = {**files.inputs, **inputs} if part is parts[-1] else {**inputs, **files.inputs}
    if problems:
        raise profile_error(problems)
    profile = merge.merge_profiles([part.profile for part in parts])
    url = parts[-1].url
    return LoadedProfile(
        profile=profile,
        path=Path(os.path.realpath(f"{profile.name}.yaml")) if url else parts[-1].source.path,
        requirement_lines=lines,
        inputs=tuple(inputs.items()),
        builtin=parts[-1].name.startswith("builtin:"),
        url=url,
    )


def _check_day(part: ProfilePart, now: datetime.datetime) -> list[Problem]:
    day = part.profile.as_of
    if day is None or not times.is_future(day, now):
        return []
    hint = "Use a past date, or remove the line to get the newest versions."
    message = f"as_of: {{value}} is in the future; this machine's clock says {now.date()}"
    return [Problem(message, diagnostics.find_location(part.top, "as_of"), day, hint)]


def _check_store(part: ProfilePart) -> list[Problem]:
    """A profile from the web cannot set a store: its digest does not cover what is in that store."""
    if part.root is not None or part.profile.store in {None, "none"}:
        return []
    hint = "Set the store in your own profile if you trust everyone who can write to it."
    location = diagnostics.find_location(part.top, "store")
    return [Problem("a profile from the web cannot set {value}", location, "store", hint)]


def _read_requirement_files(part: ProfilePart, sources: ProfileSources) -> _RequirementFiles:
    files = _RequirementFiles(part.source, part.root, sources)
    for number, file in enumerate(part.profile.requirements):
        location = diagnostics.find_location(part.top, "requirements", number)
        if part.root is None:
            hint = "List the packages under `packages` instead, and update the #sha256 here."
            message = "a profile from the web cannot use requirements files"
            files.problems.append(Problem(message, location, file, hint))
            continue
        shown = part.source.path if part.name.startswith("builtin:") else Path(part.name)
        files.read(file, _Folder(part.source.path.parent, shown.parent), location, ())
    return files


@dataclass(frozen=True)
class _Folder:
    """The folder of a file: its real path, and as the user would write it."""

    real: Path
    shown: Path


@dataclass
class _RequirementFiles:
    """Reads the requirements files of a profile, nested ones included, each once."""

    profile: SourceFile
    root: Path | None
    sources: ProfileSources
    lines: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    inputs: dict[Path, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # A profile from the web is identified by the digest in the profile that names it.
        if self.root is not None:
            self.inputs[self.profile.path] = self.profile.sha256

    def read(self, file: str, folder: _Folder, location: Location, parents: tuple[Path, ...]) -> None:
        """Read a requirements file named at `location` in `folder`; `parents` are the files that led here."""
        real = Path(os.path.realpath(folder.real / file))
        if problem := self._check_path(real, location, file, parents):
            self.problems.append(problem)
            return
        if real in self.inputs:
            return
        name = os.path.normpath(folder.shown / file)
        source = self.sources.read(str(real), location, name)
        if isinstance(source, Problem):
            self.problems.append(source if source.value is None else replace(source, value=file))
            return
        self.inputs[real] = source.sha256
        entries, problems = parse_requirements(source.text, name)
        self.problems += problems
        for entry in entries:
            if entry.include:
                inner = _Folder(source.path.parent, Path(name).parent)
                self.read(entry.include, inner, entry.location, (*parents, real))
            else:
                self.lines.append(entry.requirement)

    def _check_path(
        self, real: Path, location: Location, file: str, parents: tuple[Path, ...]
    ) -> Problem | None:
        if self.root is None or not real.is_relative_to(self.root):
            hint = "Move the file into the profile's folder."
            return Problem("this path is outside the profile's folder", location, file, hint)
        if real == self.profile.path:
            hint = "Remove it: `requirements` lists requirements files."
            return Problem("the profile cannot be its own requirements file", location, file, hint)
        if real in parents:
            hint = "Remove one of the -r lines."
            return Problem("these files include each other in a circle", location, file, hint)
        if len(self.inputs) > MAX_FILES or len(self.lines) > MAX_LINES:
            hint = "Merge the files, or remove requirements."
            problem = "the profile has too many requirements files, or they are too long"
            return Problem(problem, location, file, hint)
        return None
