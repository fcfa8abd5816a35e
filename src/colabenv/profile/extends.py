"""Collect the profiles that a profile extends, in order of precedence."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from colabenv.errors import UsageError
from colabenv.profile import diagnostics, document
from colabenv.profile.addresses import Address, is_address, parse_address
from colabenv.profile.files import SourceFile, decode_text, read_file
from colabenv.profile.model import Profile
from colabenv.profile.problems import Location, Problem, profile_error

MAX_PROFILES: Final = 50
_PROFILES: Final = (".yaml", ".yml")


@dataclass(frozen=True)
class ProfileSources:
    """Where profiles are read from, apart from local files."""

    builtin: Path | None = None  #: folder of the built-in profiles, or None
    #: download a URL with the expected SHA-256 in hex, "" for any; raises NetworkError. None: no downloads.
    fetch: Callable[[str, str], bytes] | None = None
    #: texts to use instead of the files' own, by real path, to try a change before it is written
    edited: Mapping[Path, str] = field(default_factory=dict)

    def read(self, path: str, location: Location, name: str) -> SourceFile | Problem:
        """Read a local file; see `files.read_file`."""
        text = self.edited.get(Path(os.path.realpath(path))) if self.edited else None
        if text is None:
            return read_file(path, location, name)
        digest = hashlib.sha256(text.encode()).hexdigest()
        return SourceFile(Path(os.path.realpath(path)), text, digest)


@dataclass(frozen=True)
class ProfilePart:
    """One of the profiles that are merged."""

    profile: Profile  #: its own content, before merging
    top: document.Mapping  #: its document, for locations
    source: SourceFile  #: its file; the path is meaningful only if `root` is set
    name: str  #: its name in messages
    root: Path | None  #: its requirements files must be in this folder; None for a profile from the web
    url: str = ""  #: the address it was downloaded from, with its digest; "" for a local file


@dataclass(frozen=True)
class _Reference:
    """A profile to read: a local file (`path`, `root`) or a download (`url`, `digest`)."""

    key: str  #: identifies the profile: the real path, or the digest
    name: str  #: its name in messages
    path: str = ""  #: the file to open
    root: Path | None = None  #: its requirements files must be in this folder
    url: str = ""  #: the address to download
    digest: str = ""  #: SHA-256 of the download in hex; "" for the content that an unpinned address has now


def collect_profiles(reference: str, sources: ProfileSources) -> list[ProfilePart]:
    """The profile (a path, an address or `builtin:NAME`) and all that it extends, each once and before what extends it.

    Raises:
        ProfileError: with all problems of all files.
        UsageError: the address has no file that can be downloaded.
        NetworkError: a URL could not be downloaded.
    """
    collector = _Collector(sources)
    location = Location(reference)
    if reference.startswith("builtin:"):
        start = collector.find_builtin(reference, location)
        if isinstance(start, Problem):
            raise profile_error([start])
    elif is_address(reference):
        start = _web_reference(parse_address(reference))
    else:
        real = os.path.realpath(reference) if "\0" not in reference else reference
        start = _Reference(real, reference, reference, Path(real).parent)
    collector.read(start, location, ())
    if collector.problems:
        raise profile_error(collector.problems)
    return collector.parts


@dataclass
class _Collector:
    sources: ProfileSources
    parts: list[ProfilePart] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)

    def read(self, reference: _Reference, location: Location, chain: tuple[str, ...]) -> None:
        """Read a profile, named at `location`, after the profiles it extends; `chain` has the keys that led here."""
        if reference.key in chain:
            hint = "Remove one of them from `extends`."
            self.problems.append(
                Problem("these profiles extend each other in a circle", location, reference.name, hint)
            )
            return
        if reference.key in self.seen:
            return
        self.seen.add(reference.key)
        if len(self.seen) > MAX_PROFILES:
            message, hint = f"more than {MAX_PROFILES} profiles are extended", "Merge some of the profiles."
            self.problems.append(Problem(message, location, reference.name, hint))
            return
        source = self._read_source(reference, location)
        if isinstance(source, Problem):
            self.problems.append(source)
            return
        top, problems = document.parse_document(source.text, reference.name)
        profile, wrong = diagnostics.validate_document(top, extended=bool(chain))
        self.problems += [*problems, *wrong]
        if profile is None:
            return
        for number, target in enumerate(profile.extends):
            target_location = diagnostics.find_location(top, "extends", number)
            extended = self._find(target, reference, target_location)
            if isinstance(extended, Problem):
                self.problems.append(extended)
            else:
                self.read(extended, target_location, (*chain, reference.key))
        url = f"{reference.url}#sha256={source.sha256}" if reference.url else ""
        self.parts.append(ProfilePart(profile, top, source, reference.name, reference.root, url))

    def find_builtin(self, target: str, location: Location) -> _Reference | Problem:
        """The built-in profile of a `builtin:NAME`."""
        name = target.removeprefix("builtin:")
        folder = self.sources.builtin
        names = sorted(path.stem for path in folder.glob("*.yaml")) if folder else []
        if folder is None or name not in names:
            hint = f"Built-in profiles: {', '.join(names)}." if names else "Use the path of a profile."
            return Problem("unknown built-in profile", location, target, hint)
        real = os.path.realpath(folder / f"{name}.yaml")
        return _Reference(real, target, real, Path(real).parent)

    def _find(self, target: str, parent: _Reference, location: Location) -> _Reference | Problem:
        if target.startswith("builtin:"):
            return self.find_builtin(target, location)
        if target.startswith("gh:") or "://" in target:
            try:
                return _web_reference(parse_address(target))
            except UsageError as error:
                return Problem(error.message.rstrip("."), location, target, error.hint)
        if parent.root is None:
            hint = "Use a URL with #sha256=, or builtin:NAME."
            return Problem("a profile from the web cannot extend a local file", location, target, hint)
        return self._find_local(target, parent, parent.root, location)

    @staticmethod
    def _find_local(target: str, parent: _Reference, root: Path, location: Location) -> _Reference | Problem:
        """A file, relative to the one that names it."""
        builtin = parent.name.startswith("builtin:")
        real = Path(os.path.realpath(Path(parent.key).parent / target))
        name = str(real) if builtin else os.path.normpath(Path(parent.name).parent / target)
        if real.is_relative_to(root):
            return _Reference(str(real), name, str(real), root)
        if builtin:
            message = "a built-in profile cannot use files outside its folder"
            return Problem(message, location, target, "Remove this line.")
        if real.suffix not in _PROFILES:
            # Errors quote the file, and somebody else's profile must not make them quote a secret.
            hint = "Rename the file to .yaml, or move it into the profile's folder."
            message = "only .yaml and .yml files are read from outside the profile's folder"
            return Problem(message, location, target, hint)
        return _Reference(str(real), name, str(real), real.parent)

    def _read_source(self, reference: _Reference, location: Location) -> SourceFile | Problem:
        if not reference.url:
            source = self.sources.read(reference.path, location, reference.name)
            if isinstance(source, Problem) and source.value == reference.path:
                return replace(source, value=reference.name)
            return source
        if self.sources.fetch is None:
            hint = "Download the profile and use the local file."
            return Problem("profiles from the web cannot be read here", location, reference.url, hint)
        data = self.sources.fetch(reference.url, reference.digest)
        digest = hashlib.sha256(data).hexdigest()
        if reference.digest and digest != reference.digest:
            hint = f"If you know and trust the change, write #sha256={digest}"
            return Problem("the SHA-256 of this file does not match", location, reference.url, hint)
        text = decode_text(data, reference.name)
        return text if isinstance(text, Problem) else SourceFile(Path(), text, digest)


def _web_reference(address: Address) -> _Reference:
    key = f"sha256:{address.digest}" if address.digest else address.url
    return _Reference(key, address.url, url=address.url, digest=address.digest)
