"""`notebook set` and `notebook new`: notebooks that run in an environment."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from colabenv.commands.context import Context
from colabenv.errors import UsageError
from colabenv.export import badge, notebook_file
from colabenv.export.notebook_environment import (
    PACKAGE,
    describe_environment,
    read_notebook_text,
    write_notebook,
)
from colabenv.export.notebook_file import NotebookEnvironment
from colabenv.output.notebook import NotebookResult
from colabenv.profile.load import load


def set_notebook(
    context: Context, notebook: str, *, profile: str, install: str = PACKAGE, github: str = ""
) -> NotebookResult:
    """Set the kernel and the first cell of a notebook. Everything else stays byte for byte.

    Args:
        context: the command's workspace.
        notebook: path of the notebook.
        profile: path of the profile.
        install: what pip installs if colabenv is missing: a requirement, path or URL.
        github: where the notebook is on GitHub, OWNER/REPO[@REF][:FOLDER]; "" to read it from the Git clone.

    Raises:
        UsageError: there is no such notebook, or it cannot be used.
        ProfileError: the profile is not valid.
        DiskError: the notebook cannot be written.
    """
    name, environment, folder = _prepare(notebook, profile, install, github, context)
    text, mode = read_notebook_text(notebook)
    changed = notebook_file.set_environment(text, environment, notebook)
    if changed != text:
        # Keep a symbolic link, and write the file that it points to.
        write_notebook(Path(os.path.realpath(notebook)), changed, mode)
    return _make_result(notebook, "unchanged" if changed == text else "changed", name, environment, folder)


def new_notebook(
    context: Context, notebook: str, *, profile: str, install: str = PACKAGE, github: str = ""
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
        hint = f"To change it: colabenv notebook set {shlex.quote(notebook)} --profile {shlex.quote(profile)}"
        raise UsageError(f"{notebook} already exists.", hint=hint)
    name, environment, folder = _prepare(notebook, profile, install, github, context)
    write_notebook(Path(notebook), notebook_file.render_new_notebook(environment))
    return _make_result(notebook, "made", name, environment, folder)


def _prepare(
    notebook: str, reference: str, install: str, github: str, context: Context
) -> tuple[str, NotebookEnvironment, badge.GitHubFolder | str]:
    """Check all arguments before anything is written; the profile's name, the environment, and the GitHub folder."""
    profile = load(reference, context.profile_sources()).profile
    environment = describe_environment(notebook, reference, profile, install)
    if github:
        return profile.name, environment, badge.parse_github_folder(github)
    return profile.name, environment, badge.detect_github_folder(Path(notebook).parent)


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
    )
