"""The files that a profile extends, in the order in which they count. It reads, and writes nothing itself."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from colabenv.profile import diagnostics, document, rules
from colabenv.profile import files as reading
from colabenv.profile.model import Profile
from colabenv.profile.problems import Place, Problem, profile_error

MAX_PROFILES: Final = 50
_PROFILES: Final = (".yaml", ".yml")
_RAW: Final = "https://raw.githubusercontent.com"


@dataclass(frozen=True)
class Outside:
    """Where profiles come from that do not lie beside the one that names them.

    Attributes:
        shipped: folder of the profiles that ship with colabenv, or None.
        fetch: the bytes at a URL, which should have that sha256 in hex; raises NetworkError. None where nothing may
            be fetched.
        edited: texts to take for those of files, by real path: a change that is tried before it is written.
    """

    shipped: Path | None = None
    fetch: Callable[[str, str], bytes] | None = None
    edited: Mapping[Path, str] = field(default_factory=dict)

    def read(self, path: str, place: Place, name: str) -> reading.Source | Problem:
        """Read a file of this machine; see `reading.read`."""
        text = self.edited.get(Path(os.path.realpath(path))) if self.edited else None
        if text is None:
            return reading.read(path, place, name)
        digest = hashlib.sha256(text.encode()).hexdigest()
        return reading.Source(Path(os.path.realpath(path)), text, digest)


@dataclass(frozen=True)
class Part:
    """One profile of several that become one.

    Attributes:
        profile: what it says by itself; its name means nothing where it is extended.
        top: its tree, for places.
        source: its text; a path only where `root` is one.
        name: what messages call it.
        root: the folder outside which no requirements file is read for it, or None where it is no file of this machine.
    """

    profile: Profile
    top: document.Mapping
    source: reading.Source
    name: str
    root: Path | None


@dataclass(frozen=True)
class _Named:
    """A profile that is to be read.

    Attributes:
        key: tells it from others: where the file really is, or the digest.
        name: what messages call it.
        path: of a file, as it is opened.
        root: the folder outside which no requirements file is read for it, or None where it is no file of this machine.
        url: of what is no file.
        digest: its sha256 in hex.
    """

    key: str
    name: str
    path: str = ""
    root: Path | None = None
    url: str = ""
    digest: str = ""


def collect(given: str, outside: Outside) -> list[Part]:
    """The profile and all it extends: each once, what is extended before what extends it.

    Args:
        given: a path, or `builtin:NAME`.
        outside: where others come from.

    Raises:
        ProfileError: with every problem found, each in the file where it stands.
        NetworkError: a URL could not be fetched.
    """
    files = _Files(outside)
    place = Place(given)
    if given.startswith("builtin:"):
        start = files.builtin(given, place)
        if isinstance(start, Problem):
            raise profile_error([start])
    else:
        real = os.path.realpath(given) if "\0" not in given else given
        start = _Named(real, given, given, Path(real).parent)
    files.read(start, place, ())
    if files.problems:
        raise profile_error(files.problems)
    return files.parts


@dataclass
class _Files:
    outside: Outside
    parts: list[Part] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)

    def read(self, named: _Named, place: Place, chain: tuple[str, ...]) -> None:
        """Read a profile that is named at `place`, what it extends first; `chain` are those that led here."""
        if named.key in chain:
            hint = "Take one of them out of `extends`."
            self.problems.append(
                Problem("these profiles extend each other in a circle", place, named.name, hint)
            )
            return
        if named.key in self.seen:
            return
        self.seen.add(named.key)
        if len(self.seen) > MAX_PROFILES:
            self.problems.append(
                Problem(f"more than {MAX_PROFILES} profiles are extended", place, named.name)
            )
            return
        source = self._source(named, place)
        if isinstance(source, Problem):
            self.problems.append(source)
            return
        top, problems = document.parse(source.text, named.name)
        profile, wrong = diagnostics.validate(top, extended=bool(chain))
        self.problems += [*problems, *wrong]
        if profile is None:
            return
        for number, wanted in enumerate(profile.extends):
            at = diagnostics.place_of(top, "extends", number)
            found = self._find(wanted, named, at)
            if isinstance(found, Problem):
                self.problems.append(found)
            else:
                self.read(found, at, (*chain, named.key))
        self.parts.append(Part(profile, top, source, named.name, named.root))

    def builtin(self, wanted: str, place: Place) -> _Named | Problem:
        """The profile that ships under `builtin:NAME`."""
        name = wanted.removeprefix("builtin:")
        folder = self.outside.shipped
        there = sorted(path.stem for path in folder.glob("*.yaml")) if folder else []
        if folder is None or name not in there:
            hint = f"There are: {', '.join(there)}." if there else ""
            return Problem("no profile of this name ships with colabenv", place, wanted, hint)
        real = os.path.realpath(folder / f"{name}.yaml")
        return _Named(real, wanted, real, Path(real).parent)

    def _find(self, wanted: str, parent: _Named, place: Place) -> _Named | Problem:
        if wanted.startswith("builtin:"):
            return self.builtin(wanted, place)
        if wanted.startswith("gh:") or "://" in wanted:
            url, _, digest = _address(wanted).partition("#sha256=")
            return _Named(f"sha256:{digest}", url, url=url, digest=digest)
        if parent.root is None:
            hint = "Name it by its own URL with #sha256=, or as builtin:NAME."
            return Problem("a profile from a URL has no files beside it", place, wanted, hint)
        return self._beside(wanted, parent, parent.root, place)

    @staticmethod
    def _beside(wanted: str, parent: _Named, root: Path, place: Place) -> _Named | Problem:
        """A file, relative to the one that names it."""
        shipped = parent.name.startswith("builtin:")
        real = Path(os.path.realpath(Path(parent.key).parent / wanted))
        shown = str(real) if shipped else os.path.normpath(Path(parent.name).parent / wanted)
        if real.is_relative_to(root):
            return _Named(str(real), shown, str(real), root)
        if shipped:
            return Problem("this path leads out of the folder of the profiles that ship", place, wanted)
        if real.suffix not in _PROFILES:
            # An error quotes what it finds, and a stranger's profile must not make it quote anything but profiles.
            hint = "Give the profile such a name, or put it beside this one or below."
            return Problem(
                "above a profile's own folder, only files called .yaml or .yml are read", place, wanted, hint
            )
        # The requirements files that it names lie beside it or below.
        return _Named(str(real), shown, str(real), real.parent)

    def _source(self, named: _Named, place: Place) -> reading.Source | Problem:
        if not named.url:
            source = self.outside.read(named.path, place, named.name)
            if isinstance(source, Problem) and source.value == named.path:
                return replace(source, value=named.name)
            return source
        if self.outside.fetch is None:
            return Problem("profiles from the web cannot be read here", place, named.url)
        data = self.outside.fetch(named.url, named.digest)
        digest = hashlib.sha256(data).hexdigest()
        if digest != named.digest:
            hint = f"If you know and trust the change, write #sha256={digest}"
            return Problem("the file at this address is another than its digest says", place, named.url, hint)
        text = reading.decoded(data, named.name)
        return text if isinstance(text, Problem) else reading.Source(Path(), text, digest)


def _address(wanted: str) -> str:
    """The URL behind `gh:owner/repo/path@ref#sha256=…`; a URL stays as it is."""
    found = re.fullmatch(rules.GITHUB_PATTERN, wanted)
    return f"{_RAW}/{found[1]}/{found[2]}/{found[4]}/{found[3]}#sha256={found[5]}" if found else wanted
