"""A profile and its requirements files with other versions in them, as texts that are not written yet."""

from __future__ import annotations

import codecs
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from colabenv.errors import ProfileError
from colabenv.lock.lockfile import normalised
from colabenv.profile import edit, requirements


@dataclass
class Rewriting:
    """The texts of a profile's files, changed step by step.

    Attributes:
        profile: real path of the profile.
        before: text by real path, the profile's and those of its requirements files.
        environment: markers' variables (PEP 508); a requirement whose condition is not met is left alone.
        after: the changed texts.
    """

    profile: Path
    before: Mapping[Path, str]
    environment: Mapping[str, str]
    after: dict[Path, str] = field(default_factory=dict)

    def text(self, path: Path) -> str:
        """A file as it is after the changes so far."""
        return self.after.get(path, self.before[path])

    def require(self, wanted: Mapping[str, str]) -> None:
        """Have the profile ask for exact versions, where a package is named already, else as further `packages`.

        Args:
            wanted: version by normalised name.

        Raises:
            ProfileError: the form of a text is one that only a person can change.
        """
        added = [
            f"{name}=={version}" for name, version in wanted.items() if not self._respecify(name, version)
        ]
        if added:
            self.after[self.profile] = edit.add_packages(self.text(self.profile), added)

    def set_stack(self, key: str, version: str) -> None:
        """Have the profile's stack ask for an exact version.

        Raises:
            ProfileError: its form is one that only a person can change.
        """
        self.after[self.profile] = edit.set_stack(self.text(self.profile), key, version)

    def changed(self) -> dict[Path, str]:
        """The texts that are other than before."""
        return {path: text for path, text in self.after.items() if text != self.before[path]}

    def _respecify(self, name: str, version: str) -> bool:
        """Change the places that name a package; False where there are none."""
        found = False
        for number, item in enumerate(edit.packages(self.text(self.profile))):
            if self._names(item, name):
                found = True
                text = edit.replace_package(self.text(self.profile), number, edit.respecified(item, version))
                self.after[self.profile] = text
        others = [path for path in self.before if path != self.profile]
        for path in others:
            found = self._respecify_in(path, name, version) or found
        return found

    def _respecify_in(self, path: Path, name: str, version: str) -> bool:
        """Change the lines of a requirements file that name a package; False where there are none."""
        entries, _ = requirements.parse(self.text(path), str(path))
        numbers = [entry.place.line for entry in entries if self._names(entry.requirement, name)]
        for number in numbers:
            self.after[path] = _with_line(self.text(path), path, number or 0, version)
        return bool(numbers)

    def _names(self, line: str, name: str) -> bool:
        try:
            one = Requirement(line)
        except InvalidRequirement:
            return False
        return normalised(one.name) == name and (
            one.marker is None or one.marker.evaluate(dict(self.environment))
        )


def _with_line(text: str, path: Path, number: int, version: str) -> str:
    """A requirements file with an exact version in a line.

    Raises:
        ProfileError: the line goes on in the next one, or has hashes, which would no longer be right.
    """
    lines = text.splitlines(keepends=True)
    line = lines[number - 1]
    bare = line.rstrip("\r\n")
    if bare.endswith("\\") or "--hash" in bare:
        raise ProfileError(
            f"this line has to have {version} now, and goes on or has hashes, so it is left to you",
            source=str(path),
            line=number,
            value=bare.strip()[:80],
            hint="Change it, and run the same command again.",
        )
    lines[number - 1] = edit.respecified(bare, version) + line[len(bare) :]
    return "".join(lines)


def own_files(profile: Path, named: Sequence[str]) -> list[Path]:
    """A profile and its own requirements files, nested ones included; those of an extended profile are not its own.

    Args:
        profile: real path of a profile that has been read, so that all of its files are there and may be read.
        named: its `requirements`.
    """
    found = [profile]
    waiting = [profile.parent / file for file in named]
    while waiting:
        real = Path(os.path.realpath(waiting.pop()))
        if real not in found:
            found.append(real)
            entries, _ = requirements.parse(real.read_text(encoding="utf-8-sig"), str(real))
            waiting += [real.parent / entry.include for entry in entries if entry.include]
    return found


def texts_of(paths: Sequence[Path]) -> dict[Path, tuple[str, bytes]]:
    """Text and bytes of files, by path; a byte order mark is not in the text."""
    found = {}
    for path in paths:
        data = path.read_bytes()
        found[path] = (data.decode("utf-8-sig"), data)
    return found


def as_bytes(text: str, before: bytes) -> bytes:
    """A changed text as the file's bytes: with a byte order mark if there was one."""
    return (codecs.BOM_UTF8 if before.startswith(codecs.BOM_UTF8) else b"") + text.encode()
