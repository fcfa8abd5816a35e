"""A profile and its locks in the metadata of a notebook."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from colabenv.errors import UsageError
from colabenv.importers.notebook import as_object, parse_notebook_json
from colabenv.lock.lockfile import lock_file_name, parse_lock
from colabenv.profile import diagnostics, document
from colabenv.profile.problems import profile_error

#: The key in the notebook's metadata.
KEY: Final = "colabenv"
_VARIANTS: Final = ("cpu", "gpu")


@dataclass(frozen=True)
class EmbeddedProfile:
    """The text of a profile, its name, and the text of its locks by variant."""

    text: str
    name: str
    locks: dict[str, str]

    def metadata(self) -> dict[str, Any]:
        """The value of the key `colabenv` in the notebook's metadata."""
        return {"profile": self.text, "locks": self.locks}

    def files(self, target: Path) -> dict[Path, str]:
        """The files to write for a profile at `target`: its text by path, the profile first."""
        locks = {
            target.with_name(lock_file_name(self.name, variant)): text for variant, text in self.locks.items()
        }
        return {target: self.text, **locks}


def find_embedded_profile(text: str, name: str) -> EmbeddedProfile | None:
    """The profile in a notebook's metadata, or None; `name` is the notebook's file name.

    Raises:
        UsageError: the text is not a notebook, or what the metadata has under the key is not a profile.
        ProfileError, LockError: the profile or a lock is not valid.
    """
    content = parse_notebook_json(text.removeprefix("\ufeff"), name)["metadata"].get(KEY)
    if content in (None, {}):
        return None
    profile, locks = as_object(content).get("profile"), as_object(as_object(content).get("locks"))
    if not isinstance(profile, str) or not all(isinstance(lock, str) for lock in locks.values()):
        raise UsageError(
            f"The metadata of {name} contains no valid colabenv profile.",
            hint=f"Store it again: colabenv notebook set {name} --embed",
        )
    source = f"{name} (metadata)"
    top, problems = document.parse_document(profile, source)
    validated, more = diagnostics.validate_document(top)
    if validated is None or problems or more:
        raise profile_error([*problems, *more])
    known: dict[str, str] = {variant: locks[variant] for variant in _VARIANTS if variant in locks}
    for variant, lock in known.items():
        parse_lock(lock, f"{source}, {variant} lock")
    return EmbeddedProfile(profile, validated.name, known)
