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
    if not is_draft(profile):
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


def find_additions(
    failed: Sequence[FailedImport], locked: Collection[str], present: Collection[str]
) -> dict[str, FailedImport]:
    """The requirements that provide missing modules, and an import that needs each.

    `locked` are names of distributions that the environment has, and `present` the requirements of the profile. A
    distribution that is there without the module gets a limit, if its newer releases no longer have it.
    """
    names = load_names()
    additions: dict[str, FailedImport] = {}
    for item in failed:
        distribution = next(filter(None, map(names.find_distribution, _list_candidates(item))), "")
        limit = names.until.get(item.missing.partition(".")[0], "")
        requirement = f"{distribution}{limit}"
        is_there = canonicalize_name(distribution) in {*locked, *_FRAMEWORKS} and not limit
        if distribution and not is_there and requirement not in present:
            additions.setdefault(requirement, item)
    return additions


def _list_candidates(item: FailedImport) -> list[str]:
    """Dotted names that the missing module may stand for, the longest first.

    Without `google-cloud-storage`, `from google.cloud import storage` misses `google` or `google.cloud`.
    """
    words = item.statement.replace(",", " ").split()
    module, names = words[1], words[3:] if words[0] == "from" else []
    dotted = [*(f"{module}.{name}" for name in names), module]
    inner = [name for name in dotted if name.startswith(f"{item.missing}.")]
    return [*inner, item.missing] if item.missing else []


def add_to_draft(text: str, additions: Mapping[str, FailedImport]) -> str:
    """A draft with packages that its notebook's imports need; may raise `edit.UneditableError`."""
    reasons = {name: f"the check found that `{item.statement}` needs it" for name, item in additions.items()}
    return edit.add_packages(text, list(additions), reasons)
