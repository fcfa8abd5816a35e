"""`notebook set` and `notebook new`: notebooks that run in an environment."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from colabenv.commands.context import Context
from colabenv.errors import UsageError
from colabenv.export import badge, notebook_file
from colabenv.export.embed import embed_profile
from colabenv.export.notebook_environment import (
    PACKAGE,
    describe_environment,
    find_profile_beside,
    read_notebook_text,
    write_notebook,
)
from colabenv.export.notebook_file import NotebookEnvironment
from colabenv.output.notebook import NotebookResult
from colabenv.profile.load import load


def set_notebook(
    context: Context,
    notebook: str,
    *,
    profile: str | None = None,
    embed: bool = False,
    install: str = PACKAGE,
    github: str = "",
) -> NotebookResult:
    """Set the kernel, or with `embed` the profile, and the first cell of a notebook; nothing else changes.

    Args:
        context: the command's workspace.
        notebook: path of the notebook.
        profile: path of the profile; by default, the one beside the notebook with its name.
        embed: store the profile and its locks in the notebook's metadata, instead of the name of the kernel.
        install: what pip installs if colabenv is missing: a requirement, path or URL.
        github: where the notebook is on GitHub, OWNER/REPO[@REF][:FOLDER]; "" to read it from the Git clone.

    Raises:
        UsageError: there is no such notebook, or it cannot be used.
        ProfileError: the profile is not valid.
        LockError: a profile to embed has no lock that fits.
        DiskError: the notebook cannot be written.
    """
    name, environment, folder = _prepare(notebook, profile, embed, install, github, context)
    text, mode = read_notebook_text(notebook)
    changed = notebook_file.set_environment(text, environment, notebook)
    if changed != text:
        # Keep a symbolic link, and write the file that it points to.
        write_notebook(Path(os.path.realpath(notebook)), changed, mode)
    return _make_result(notebook, "unchanged" if changed == text else "changed", name, environment, folder)


def new_notebook(
    context: Context,
    notebook: str,
    *,
    profile: str | None = None,
    embed: bool = False,
    install: str = PACKAGE,
    github: str = "",
) -> NotebookResult:
    """Create a notebook with the kernel, the first cell and an empty one. Arguments as for `set_notebook`.

    Raises:
        UsageError: the file exists, or its name does not end in .ipynb.
        ProfileError: the profile is not valid.
        DiskError: the notebook cannot be written.
    """
    if not notebook.endswith(".ipynb"):
        raise UsageError(f"{notebook} is not a valid name for a notebook.", hint=f"Name it {notebook}.ipynb")
    if os.path.lexists(notebook):
        hint = f"To change it: colabenv notebook set {shlex.quote(notebook)}"
        hint += f" --profile {shlex.quote(profile)}" if profile else ""
        raise UsageError(f"{notebook} already exists.", hint=hint)
    name, environment, folder = _prepare(notebook, profile, embed, install, github, context)
    write_notebook(Path(notebook), notebook_file.render_new_notebook(environment))
    return _make_result(notebook, "made", name, environment, folder)


def _prepare(
    notebook: str, profile: str | None, embed: bool, install: str, github: str, context: Context
) -> tuple[str, NotebookEnvironment, badge.GitHubFolder | str]:
    """Check all arguments before anything is written; the profile's name, the environment, and the GitHub folder."""
    reference = profile or find_profile_beside(notebook)
    loaded = load(reference, context.profile_sources())
    embedded = embed_profile(loaded, context) if embed else None
    environment = describe_environment(notebook, reference, loaded.profile, install, embedded)
    if github:
        return loaded.profile.name, environment, badge.parse_github_folder(github)
    return loaded.profile.name, environment, badge.detect_github_folder(Path(notebook).parent)


def _make_result(
    notebook: str, action: str, name: str, environment: NotebookEnvironment, folder: badge.GitHubFolder | str
) -> NotebookResult:
    url = "" if isinstance(folder, str) else folder.url(Path(notebook).name)
    return NotebookResult(
        notebook=notebook,
        action=action,
        name=name,
        kernel_name=environment.kernel,
        profile=environment.profile,
        url=url,
        badge=badge.render_badge(url) if url else "",
        no_badge=folder if isinstance(folder, str) else "",
        embedded=environment.embedded is not None,
    )
