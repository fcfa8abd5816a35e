"""Change versions in a profile and its requirements files, in memory."""

from __future__ import annotations

import codecs
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from colabenv.errors import ProfileError
from colabenv.profile import edit, requirements


@dataclass
class ProfileRewrite:
    """The texts of a profile's files, edited step by step."""

    profile: Path  #: real path of the profile
    before: Mapping[Path, str]  #: the texts of the profile and its requirements files by real path
    #: PEP 508 marker variables; requirements whose marker does not match are left unchanged
    environment: Mapping[str, str]
    after: dict[Path, str] = field(default_factory=dict)  #: the texts that were edited

    def text(self, path: Path) -> str:
        """The current text of a file."""
        return self.after.get(path, self.before[path])

    def pin_packages(self, versions: Mapping[str, str]) -> None:
        """Pin packages (version by normalized name) where they are listed, or add them to `packages`.

        Raises:
            ProfileError: the change must be made by hand.
        """
        added = [f"{name}=={version}" for name, version in versions.items() if not self._pin(name, version)]
        if added:
            self.after[self.profile] = edit.add_packages(self.text(self.profile), added)

    def set_stack(self, key: str, version: str) -> None:
        """Set a framework's version in the profile's `stack`; raises ProfileError as `pin_packages` does."""
        self.after[self.profile] = edit.set_stack(self.text(self.profile), key, version)

    def list_changes(self) -> dict[Path, str]:
        """The texts that differ from before, by path."""
        return {path: text for path, text in self.after.items() if text != self.before[path]}

    def _pin(self, name: str, version: str) -> bool:
        """Pin a package wherever it is listed; False if it is not listed."""
        pinned = False
        for number, item in enumerate(edit.list_packages(self.text(self.profile))):
            if self._matches(item, name):
                pinned = True
                text = edit.replace_package(
                    self.text(self.profile), number, edit.pin_requirement(item, version)
                )
                self.after[self.profile] = text
        for path in self.before:
            if path == self.profile:
                continue
            for entry in requirements.parse_requirements(self.text(path), str(path))[0]:
                if self._matches(entry.requirement, name):
                    pinned = True
                    self.after[path] = _pin_line(self.text(path), path, entry.location.line or 0, version)
        return pinned

    def _matches(self, line: str, name: str) -> bool:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            return False
        return canonicalize_name(requirement.name) == name and (
            requirement.marker is None or requirement.marker.evaluate(dict(self.environment))
        )


def _pin_line(text: str, path: Path, number: int, version: str) -> str:
    """Pin the requirement on a line of a requirements file."""
    lines = text.splitlines(keepends=True)
    line = lines[number - 1]
    bare = line.rstrip("\r\n")
    if bare.endswith("\\") or "--hash" in bare:
        raise ProfileError(
            f"this line is continued or has hashes, so it must be changed to {version} by hand",
            source=str(path),
            line=number,
            value=bare.strip()[:80],
            hint="Change it, then run the command again.",
        )
    lines[number - 1] = edit.pin_requirement(bare, version) + line[len(bare) :]
    return "".join(lines)


def list_own_files(profile: Path, requirement_files: Sequence[str]) -> list[Path]:
    """A loaded profile (by real path) and its requirements files, nested ones included, without extended profiles."""
    files = [profile]
    pending = [profile.parent / file for file in requirement_files]
    while pending:
        real = Path(os.path.realpath(pending.pop()))
        if real not in files:
            files.append(real)
            entries, _ = requirements.parse_requirements(real.read_text(encoding="utf-8-sig"), str(real))
            pending += [real.parent / entry.include for entry in entries if entry.include]
    return files


def read_texts(paths: Sequence[Path]) -> dict[Path, tuple[str, bytes]]:
    """The text, without a byte order mark, and the bytes of files, by path."""
    contents = {path: path.read_bytes() for path in paths}
    return {path: (data.decode("utf-8-sig"), data) for path, data in contents.items()}


def encode_text(text: str, before: bytes) -> bytes:
    """Encode a changed text, with a byte order mark if the file had one."""
    return (codecs.BOM_UTF8 if before.startswith(codecs.BOM_UTF8) else b"") + text.encode()
