"""`notebook set` and `notebook new`: a notebook that carries its environment."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path
from typing import Final

from colabenv.commands.context import Context
from colabenv.errors import DiskError, UsageError
from colabenv.export import badge as badges
from colabenv.export import notebook_file
from colabenv.export.notebook_file import Carried
from colabenv.host.interpreters import minor_version
from colabenv.kernel.spec import kernel_name
from colabenv.output.notebook import NotebookResult
from colabenv.profile.load import load
from colabenv.profile.model import Profile
from colabenv.system.files import write_atomically

#: Bytes of the largest notebook that is read. Jupyter needs minutes for such a file, and Colab refuses it.
MAX_BYTES: Final = 200_000_000
INSTALL: Final = "colabenv"


def set_notebook(
    context: Context, notebook: str, *, profile: str, install: str = INSTALL, github: str = ""
) -> NotebookResult:
    """Write the kernel's name and the first cell into a notebook. All else of it stays, byte for byte.

    Args:
        context: the machine.
        notebook: path of the file.
        profile: path of the profile.
        install: what pip installs where colabenv is missing: one requirement, path or URL.
        github: where the notebook lies on GitHub, OWNER/REPO[@REF][:FOLDER]; "" to read it from the clone.

    Raises:
        UsageError: there is no such notebook, or it cannot carry an environment.
        ProfileError: the profile is not valid.
        DiskError: the file cannot be written.
    """
    loaded, carried, place = _prepared(notebook, profile, install, github, context)
    path = Path(os.path.realpath(notebook))  # a link stays one; the file it leads to is written
    text, mode = _read(path, notebook)
    changed = notebook_file.carry(text, carried, notebook)
    if changed != text:
        _write(path, changed, mode)
    return _result(notebook, "unchanged" if changed == text else "changed", loaded, carried, place)


def new_notebook(
    context: Context, notebook: str, *, profile: str, install: str = INSTALL, github: str = ""
) -> NotebookResult:
    """Make a notebook with the kernel's name, the first cell and an empty one. Arguments as of `set_notebook`.

    Raises:
        UsageError: the file is there already, or its name is not a notebook's.
        ProfileError: the profile is not valid.
        DiskError: the file cannot be written.
    """
    if not notebook.endswith(".ipynb"):
        raise UsageError(f"{notebook} is no name for a notebook.", hint=f"Call it {notebook}.ipynb")
    if os.path.lexists(notebook):
        hint = f"To change it: colabenv notebook set {shlex.quote(notebook)} --profile {shlex.quote(profile)}"
        raise UsageError(f"{notebook} is there already.", hint=hint)
    loaded, carried, place = _prepared(notebook, profile, install, github, context)
    _write(Path(notebook), notebook_file.new(carried), None)
    return _result(notebook, "made", loaded, carried, place)


def _prepared(
    notebook: str, reference: str, install: str, github: str, context: Context
) -> tuple[Profile, Carried, badges.GitHubPlace | str]:
    """All that can be wrong with the request is found here, before anything is written."""
    profile = load(reference, context.outside()).profile
    folder = Path(os.path.realpath(Path(notebook).parent))
    file = Path(reference)
    relative = os.path.relpath(os.path.realpath(file.parent) + f"/{file.name}", folder)
    if reference.startswith("builtin:"):
        relative = reference
    if relative.startswith("-"):
        relative = f"./{relative}"
    carried = Carried(
        kernel=kernel_name(profile.name),
        display_name=_display_name(profile),
        profile=relative,
        commands=_commands(relative, install),
    )
    place: badges.GitHubPlace | str
    place = badges.parse(github) if github else badges.detect(folder)
    return profile, carried, place


def _display_name(profile: Profile) -> str:
    """What menus show once `up` has registered the kernel, as far as it is known before."""
    python = minor_version(profile.python or "")
    return profile.kernel.display_name or (f"{profile.name} (Python {python})" if python else profile.name)


def _commands(profile: str, install: str) -> tuple[str, ...]:
    r"""The first cell's lines.

    It asks for a name that colabenv has, for a folder called colabenv would import, too. Inside an environment
    something answers to that name as well, so pip is never run there.
    """
    if re.search(r"://[^/@\s]*:[^/@\s]*@", install):
        raise UsageError(
            "--install has a password in it, which all who get the notebook would read.",
            hint="Leave it out; a team's own index belongs into the profile's indexes, with ${NAME} for the password.",
        )
    if not install.strip() or install.startswith("-"):
        raise UsageError(
            f"--install {install!r} is nothing that pip can install.", hint=f"The default is {INSTALL}."
        )
    package, path = _quoted(install, "--install"), _quoted(profile, "the profile's path")
    return (
        f"!python -c 'from colabenv import up' 2>/dev/null || python -m pip install -q {package}",
        f"!python -m colabenv up {path}",
    )


def _quoted(word: str, what: str) -> str:
    """A word for a `!` line: IPython fills in `$name` and `{name}` before the shell sees it."""
    if odd := re.search(r"[${}\x00-\x1f\x7f\ud800-\udfff]", word):
        raise UsageError(f"{what} holds the character {odd[0]!r}, which a notebook's ! line cannot take.")
    return shlex.quote(word)


def _read(path: Path, shown: str) -> tuple[str, int]:
    """A notebook's text and its permissions."""
    try:
        status = path.stat()
        if not path.is_file():
            raise UsageError(f"{shown} is not a file.")
        if status.st_size > MAX_BYTES:
            raise UsageError(
                f"{shown} has {status.st_size / 1e6:.0f} MB; notebooks up to {MAX_BYTES / 1e6:.0f} MB are read.",
                hint=f"Clear its outputs first: jupyter nbconvert --clear-output --inplace {shlex.quote(shown)}",
            )
        data = path.read_bytes()
    except FileNotFoundError:
        raise UsageError(
            f"There is no notebook {shown}.",
            hint=f"To make one: colabenv notebook new {shlex.quote(shown)} --profile PROFILE",
        ) from None
    except OSError as error:
        raise UsageError(f"{shown} cannot be read: {error.strerror}.") from None
    if not os.access(path, os.W_OK):
        raise UsageError(f"{shown} is read-only.", hint=f"To allow writing: chmod u+w {shlex.quote(shown)}")
    try:
        return data.decode("utf-8"), status.st_mode & 0o7777
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{shown} is not a notebook: byte {error.start} is not UTF-8 text.",
            hint="Is it the file you meant?",
        ) from None


def _write(path: Path, text: str, mode: int | None) -> None:
    try:
        write_atomically(path, text.encode())
        if mode is not None:
            path.chmod(mode)
    except DiskError as error:
        raise DiskError(
            error.message, hint="Free some space, or put it in a folder you may write to."
        ) from error


def _result(
    notebook: str, action: str, profile: Profile, carried: Carried, place: badges.GitHubPlace | str
) -> NotebookResult:
    url = "" if isinstance(place, str) else place.url(Path(notebook).name)
    return NotebookResult(
        notebook=notebook,
        action=action,
        name=profile.name,
        kernel_name=carried.kernel,
        profile=carried.profile,
        url=url,
        badge=badges.badge(url) if url else "",
        no_badge=place if isinstance(place, str) else "",
    )
