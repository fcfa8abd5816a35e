"""The first cell of a notebook that runs in an environment, and reading and writing the notebook's file."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path
from typing import Final

from colabenv.errors import DiskError, UsageError
from colabenv.export.notebook_file import NotebookEnvironment
from colabenv.host.interpreters import minor_version
from colabenv.importers.embedded_profile import EmbeddedProfile
from colabenv.importers.sources import MAX_NOTEBOOK, read_source_bytes
from colabenv.kernel.spec import kernel_name
from colabenv.profile.addresses import is_address
from colabenv.profile.model import Profile
from colabenv.system.files import write_atomically

#: What the first cell installs by default if colabenv is missing.
PACKAGE: Final = "colabenv"


def find_profile_beside(notebook: str) -> str:
    """The profile beside a notebook that has its name; raises UsageError if that file does not exist."""
    path = Path(notebook).with_suffix(".yaml")
    if not path.is_file():
        raise UsageError(
            f"{path} does not exist.",
            hint=f"Name a profile with --profile, or draft one: colabenv init {shlex.quote(notebook)}",
        )
    return str(path)


def describe_environment(
    notebook: str, reference: str, profile: Profile, package: str, embedded: EmbeddedProfile | None = None
) -> NotebookEnvironment:
    """The kernel and the first cell for a notebook.

    `reference` is the profile as the user named it, and `embedded` the same if the notebook itself contains it; pip
    installs `package` if colabenv is missing.

    Raises:
        UsageError: `package` or the path cannot be used in a cell.
    """
    folder, file = os.path.realpath(Path(notebook).parent), Path(reference)
    relative = os.path.relpath(os.path.realpath(file.parent) + f"/{file.name}", folder)
    if reference.startswith("builtin:") or is_address(reference):
        relative = reference
    if relative.startswith("-"):
        relative = f"./{relative}"
    python = minor_version(profile.python or "")
    return NotebookEnvironment(
        kernel=kernel_name(profile.name),
        display_name=profile.kernel.display_name
        or (f"{profile.name} (Python {python})" if python else profile.name),
        profile=relative,
        commands=_write_commands(relative, package, is_embedded=embedded is not None),
        embedded=embedded.metadata() if embedded else None,
    )


def _write_commands(profile: str, package: str, *, is_embedded: bool) -> tuple[str, ...]:
    """The lines of the first cell.

    They import a name from colabenv, because a folder called colabenv can be imported, too. Inside an environment, this
    import also works, so pip is never run there.
    """
    if re.search(r"://[^/@\s]*:[^/@\s]*@", package):
        raise UsageError(
            "--install contains a password, which everyone who gets the notebook could read.",
            hint="Remove it. Put a private index into the profile's `indexes`, with ${NAME} for the password.",
        )
    if not package.strip() or package.startswith("-"):
        raise UsageError(f"pip cannot install {package!r} (--install).", hint=f"The default is {PACKAGE}.")
    quoted_package, path = _quote(package, "--install"), _quote(profile, "The profile's path")
    start = ("%load_ext colabenv", "%colabenv up") if is_embedded else (f"!python -m colabenv up {path}",)
    return (
        f"!python -c 'from colabenv import up' 2>/dev/null || python -m pip install -q {quoted_package}",
        *start,
    )


def _quote(word: str, name: str) -> str:
    """Quote a word for a `!` line, in which IPython replaces `$name` and `{name}` before the shell runs."""
    if match := re.search(r"[${}\x00-\x1f\x7f\ud800-\udfff]", word):
        raise UsageError(
            f"{name} contains the character {match[0]!r}, which a `!` line of a notebook cannot contain.",
            hint="Rename the file or folder, or use another value.",
        )
    return shlex.quote(word)


def read_notebook_text(notebook: str) -> tuple[str, int]:
    """A notebook's text and permissions. Raises UsageError if it cannot be read or written, or is too large."""
    path, quoted = Path(notebook), shlex.quote(notebook)
    missing = f"To create it: colabenv notebook new {quoted} --profile PROFILE"
    data = read_source_bytes(path, MAX_NOTEBOOK, missing)
    if not os.access(path, os.W_OK):
        raise UsageError(f"{notebook} is read-only.", hint=f"Make it writable: chmod u+w {quoted}")
    try:
        return data.decode("utf-8"), path.stat().st_mode & 0o7777
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{notebook} is not a notebook: byte {error.start} is not UTF-8 text.",
            hint="Check that this is the right file.",
        ) from None


def write_notebook(path: Path, text: str, mode: int | None = None) -> None:
    """Write a notebook with permissions `mode`. Raises DiskError if it cannot be written."""
    try:
        write_atomically(path, text.encode())
        if mode is not None:
            path.chmod(mode)
    except DiskError as error:
        raise DiskError(error.message, hint="Free disk space, or use another folder.") from error
