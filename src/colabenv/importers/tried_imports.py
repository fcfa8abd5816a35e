"""The imports of a notebook, as the check of a drafted environment tries them, and the packages that they lack.

Libraries import packages that they do not declare, because Colab always has them: shap imports matplotlib, deepcell
imports tensorflow-addons. Only trying shows it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from packaging.utils import canonicalize_name

from colabenv.importers.distribution_names import load_names
from colabenv.importers.draft import is_draft
from colabenv.importers.notebook_profile import read_evidence
from colabenv.importers.notebook_source import NotebookSource
from colabenv.importers.sources import find_local_modules
from colabenv.profile import edit

#: Modules whose imports say nothing about the environment: the page's, and colabenv itself.
_IGNORED: Final = ("google.colab", "colabenv")
#: Frameworks belong to `stack`, and their versions decide everything else.
_FRAMEWORKS: Final = frozenset(
    {"tensorflow", "tensorflow-cpu", "keras", "tf-keras", "torch", "jax", "jaxlib"}
)


@dataclass(frozen=True)
class FailedImport:
    """An import that failed: the statement, the module that was not found or "", and the exception in words."""

    statement: str
    missing: str
    error: str


def list_tried_imports(source: NotebookSource, profile: Path) -> tuple[str, ...]:
    """The import statements of a notebook if its profile is a draft; none for a profile that is not.

    Left out are imports inside a `try`, and those of modules in the notebook's folder.
    """
    if not is_draft(profile.read_text(encoding="utf-8", errors="replace")):
        return ()
    local = find_local_modules(source.folder)
    statements = []
    for item in read_evidence(source).imports:
        if (
            item.optional
            or item.top in local
            or f"{item.module}.".startswith(tuple(f"{name}." for name in _IGNORED))
        ):
            continue
        names = ", ".join(item.names)
        statements.append(f"from {item.module} import {names}" if names else f"import {item.module}")
    return tuple(dict.fromkeys(statements))


def find_additions(failed: Sequence[FailedImport], locked: Collection[str]) -> dict[str, FailedImport]:
    """The distributions that provide missing modules, and an import that needs each.

    `locked` are names of distributions that the environment has already.
    """
    names = load_names()
    additions: dict[str, FailedImport] = {}
    for item in failed:
        distribution = names.find_distribution(item.missing) if item.missing else None
        known = {*locked, *additions, *_FRAMEWORKS}
        if distribution and canonicalize_name(distribution) not in known:
            requirement = f"{distribution}{names.until.get(item.missing.partition('.')[0], '')}"
            additions[requirement] = item
    return additions


def add_to_draft(text: str, additions: Mapping[str, FailedImport]) -> str:
    """A draft with packages that its notebook's imports need; may raise `edit.UneditableError`."""
    reasons = {name: f"the check found that `{item.statement}` needs it" for name, item in additions.items()}
    return edit.add_packages(text, list(additions), reasons)
