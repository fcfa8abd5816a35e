"""`init`: create a profile from a notebook, a requirements file, a pyproject.toml or an environment.yml."""

from __future__ import annotations

import os
from pathlib import Path

from colabenv.commands.context import Context
from colabenv.importers.draft import render_starter_profile, truncate
from colabenv.importers.inference import suggest_profile_name
from colabenv.importers.notebook_profile import TITLES, draft_profile
from colabenv.importers.profile_file import choose_source, choose_target, write_profile
from colabenv.importers.sources import open_source_file, read_source
from colabenv.output.init import InitResult


def init(context: Context, source: str | None = None, *, output: str = "", force: bool = False) -> InitResult:
    """Create a profile from a file or its address, or the only suitable file in a folder; else a starter profile.

    Raises:
        UsageError: the source cannot be read, or the profile exists.
        NetworkError: the source cannot be downloaded.
        DiskError: it cannot be written.
    """
    with open_source_file(source, context.download) as opened:
        path = choose_source(opened)
        if path is None:
            return create_starter(output, force=force)
        named = Path(path.name) if opened != source else path  # a download is as if it were in this folder
        target = choose_target(named, output, force=force)
        context.progress.stage(f"Reading {path.name}")
        evidence = read_source(path)
    stem = path.stem if path.suffix == ".ipynb" else Path(os.path.realpath(named.parent)).name
    draft, text = draft_profile(evidence, stem, named.parent, target)
    write_profile(target, text)
    chosen = [f"{TITLES[key]} {value.text}" for key, value in draft.stack.items() if key in TITLES]
    chosen += [f"Python {draft.python.text}"] if draft.python else []
    count = len(draft.packages)
    return InitResult(
        profile=str(target),
        source=str(path) if opened == source else str(source),
        name=draft.name,
        chosen=(*chosen, f"{count} package{'' if count == 1 else 's'}"),
        notes=tuple(draft.notes),
        left_out=tuple(truncate(value.text, 100) for value in draft.left_out),
        text=text,
    )


def create_starter(output: str, *, force: bool) -> InitResult:
    """Create a short profile to start from; arguments and errors as for `init`."""
    target = choose_target(None, output, force=force)
    name = suggest_profile_name(Path(os.path.realpath(target)).parent.name) or "my-environment"
    text = render_starter_profile(name)
    write_profile(target, text)
    return InitResult(str(target), "", name, (), (), (), text)
