"""`init`: writes a profile from a notebook, a requirements file, a pyproject.toml or an environment.yml."""

from __future__ import annotations

import datetime
import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from colabenv.commands.context import Context
from colabenv.errors import ColabenvError, DiskError, UsageError
from colabenv.frameworks import facts
from colabenv.frameworks.plan import make_plan
from colabenv.importers import sources
from colabenv.importers.draft import Draft, Line, minimal, short
from colabenv.importers.guess import guess, profile_name
from colabenv.output.results import Result
from colabenv.profile import diagnostics, document
from colabenv.profile.load import LoadedProfile
from colabenv.profile.model import Profile
from colabenv.profile.problems import profile_error
from colabenv.system.files import write_atomically

_TITLES: Final = {
    "tensorflow": "TensorFlow",
    "keras": "Keras",
    "torch": "PyTorch",
    "jax": "JAX",
    "backend": "Keras on",
}


@dataclass(frozen=True)
class InitResult(Result):
    """A profile that was written.

    Attributes:
        profile: its path, as a command takes it.
        source: what it was made from, "" for a profile to begin with.
        name: of the profile.
        chosen: what it asks for, in short.
        notes: what the person should know.
        left_out: what was written down as a comment.
        text: of the profile.
    """

    profile: str
    source: str
    name: str
    chosen: tuple[str, ...]
    notes: tuple[str, ...]
    left_out: tuple[str, ...]
    text: str

    def lines(self) -> list[str]:
        """What was written, what to look at, and the next command."""
        path = shlex.quote(self.profile)
        if not self.source:
            return [
                f"✓ {self.profile} is written, a profile to begin with: change it to what you need.",
                f"Next: colabenv check {path}, then colabenv up {path}",
            ]
        lines = [f"✓ {self.profile} is written from {self.source}: {', '.join(self.chosen)}."]
        lines += [f"  {note}" for note in self.notes]
        if self.left_out:
            shown = ", ".join(self.left_out[:6]) + (" and more" if len(self.left_out) > 6 else "")
            lines.append(f"  Left out (the profile says why): {shown}")
        lines.append("What was guessed has a comment that says why: read it once.")
        lines.append(f"Next: colabenv up {path}")
        return lines


def init(context: Context, source: str | None = None, *, output: str = "", force: bool = False) -> InitResult:
    """Write a profile.

    Args:
        context: the machine.
        source: path of the notebook or file; None for the only one in this folder, and where there is none, for a
            profile to begin with.
        output: where to; "" for beside the source.
        force: write over a file that is there.

    Raises:
        UsageError: the source cannot be read, or the profile is there already.
        DiskError: it cannot be written.
    """
    if source is not None and not source.isprintable():
        raise UsageError(f"{source!r} is not the path of a file.")
    path = Path(source) if source is not None else _only(Path())
    if path is not None and path.is_dir():
        folder, path = path, _only(path)
        if path is None:
            message = f"There is nothing in {folder} to make a profile from."
            raise UsageError(message, hint=f"init reads: {sources.KINDS}")
    if path is None:
        return begin(output, force=force)
    target = Path(output) if output else _target(path)
    _require_free(target, path, force)
    context.progress.stage(f"Reading {path.name}")
    findings = sources.read(path)
    today = datetime.datetime.now(tz=datetime.timezone.utc).date().isoformat()
    local = sources.local_modules(path.parent)
    stem = path.stem if path.suffix == ".ipynb" else Path(os.path.realpath(path.parent)).name
    draft = guess(findings, stem, facts.table(), local=local, today=today)
    text = _agreed(draft, target)
    _write(target, text)
    stack = [
        f"{_TITLES.get(key, key)} {line.text}" for key, line in draft.stack.items() if key != "accelerator"
    ]
    python = [f"Python {draft.python.text}"] if draft.python else []
    count = len(draft.packages)
    return InitResult(
        profile=str(target),
        source=str(path),
        name=draft.name,
        chosen=(*stack, *python, f"{count} package{'' if count == 1 else 's'}"),
        notes=tuple(draft.notes),
        left_out=tuple(short(line.text, 100) for line in draft.left_out),
        text=text,
    )


def _only(folder: Path) -> Path | None:
    """The one source of a folder, or None.

    Raises:
        UsageError: there are several.
    """
    found = sources.candidates(folder)
    if len(found) > 1:
        shown = ", ".join(str(one) for one in found[:8])
        raise UsageError(
            f"There are several files to make a profile from: {shown}.",
            hint=f"Name one: colabenv init {shlex.quote(str(found[0]))}",
        )
    return found[0] if found else None


def _target(source: Path) -> Path:
    if source.suffix == ".ipynb":
        return source.with_suffix(".yaml")
    return source.with_name("profile.yaml")


def begin(output: str, *, force: bool) -> InitResult:
    """Write a profile to begin with. Arguments and errors as of `init`."""
    target = Path(output or "profile.yaml")
    _require_free(target, None, force)
    name = profile_name(Path(os.path.realpath(target)).parent.name) or "my-environment"
    text = minimal(name)
    _write(target, text)
    return InitResult(str(target), "", name, (), (), (), text)


def _require_free(target: Path, source: Path | None, force: bool) -> None:
    if target.suffix not in (".yaml", ".yml"):
        raise UsageError(f"{target} is no name for a profile.", hint=f"Call it {target.with_suffix('.yaml')}")
    if source is not None and os.path.realpath(target) == os.path.realpath(source):
        raise UsageError(f"{target} is the file to read from.", hint="Give the profile another name with -o.")
    if target.is_dir():
        raise UsageError(f"{target} is a folder.", hint="Give the profile another name with -o.")
    if os.path.lexists(target) and not force:
        path = shlex.quote(str(target))
        raise UsageError(
            f"{target} is there already, and nothing was changed.",
            hint=f"Use it: colabenv up {path}. To write over it: --force. To write elsewhere: -o FILE",
        )


def _agreed(draft: Draft, target: Path) -> str:
    """The profile's text, after the stack's rules have seen it: what they refuse is mended, or said.

    Raises:
        ProfileError: the reader of profiles would not take what was made.
    """
    profile = _read(draft.text(), target)
    refused = {variant: _refusal(profile, target, variant) for variant in ("cpu", "gpu")}
    accelerator = profile.stack.accelerator
    if refused["cpu"] and accelerator != "gpu":
        draft.note(f"As it is, this cannot work: {refused['cpu']}")
    elif refused["gpu"] and accelerator == "auto":
        draft.stack["accelerator"] = Line("cpu", "the reason stands above")
        draft.note(f"It is for the CPU only: {refused['gpu']}")
    text = draft.text()
    _read(text, target)
    return text


def _read(text: str, target: Path) -> Profile:
    """The reader of profiles has the last word, before anything is written."""
    top, problems = document.parse_document(text, str(target))
    profile, more = diagnostics.validate_document(top)
    if profile is None or problems or more:
        raise profile_error([*problems, *more])
    return profile


def _refusal(profile: Profile, target: Path, variant: str) -> str:
    """Why the stack's rules refuse a variant, or ""."""
    loaded = LoadedProfile(profile, target, profile.packages, ())
    try:
        make_plan(loaded, variant)
    except ColabenvError as error:
        return f"{error.message} {error.hint}".strip()
    return ""


def _write(target: Path, text: str) -> None:
    try:
        write_atomically(target, text)
    except DiskError as error:
        hint = "Free some space, or write it to a folder you may write to: -o FILE"
        raise DiskError(error.message, hint=hint) from error
