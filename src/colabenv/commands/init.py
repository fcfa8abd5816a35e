"""`init`: create a profile from a notebook, a requirements file, a pyproject.toml or an environment.yml."""

from __future__ import annotations

import datetime
import os
from pathlib import Path
from typing import Final

from colabenv.commands.context import Context
from colabenv.frameworks import facts
from colabenv.importers.draft import render_starter_profile, truncate
from colabenv.importers.inference import infer_profile, suggest_profile_name
from colabenv.importers.profile_file import choose_source, choose_target, finish_draft, write_profile
from colabenv.importers.sources import find_local_modules, read_source
from colabenv.output.init import InitResult

_TITLES: Final = {
    "tensorflow": "TensorFlow",
    "keras": "Keras",
    "torch": "PyTorch",
    "jax": "JAX",
    "backend": "Keras on",
}


def init(context: Context, source: str | None = None, *, output: str = "", force: bool = False) -> InitResult:
    """Create a profile from a file, or from the only suitable file in a folder; without one, a starter profile.

    Raises:
        UsageError: the source cannot be read, or the profile exists.
        DiskError: it cannot be written.
    """
    path = choose_source(source)
    if path is None:
        return create_starter(output, force=force)
    target = choose_target(path, output, force=force)
    context.progress.stage(f"Reading {path.name}")
    evidence = read_source(path)
    today = datetime.datetime.now(tz=datetime.timezone.utc).date().isoformat()
    local = find_local_modules(path.parent)
    stem = path.stem if path.suffix == ".ipynb" else Path(os.path.realpath(path.parent)).name
    draft = infer_profile(evidence, stem, facts.load_table(), local=local, today=today)
    text = finish_draft(draft, target)
    write_profile(target, text)
    chosen = [f"{_TITLES[key]} {value.text}" for key, value in draft.stack.items() if key in _TITLES]
    chosen += [f"Python {draft.python.text}"] if draft.python else []
    count = len(draft.packages)
    return InitResult(
        profile=str(target),
        source=str(path),
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
