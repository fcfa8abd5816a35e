"""Smaller drafts, for a draft that no versions satisfy: each gives up more of what a notebook seems to need. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from colabenv.importers.distribution_names import load_names
from colabenv.importers.draft import Draft, DraftValue
from colabenv.importers.evidence import Evidence

_MAX_LISTED = 5


@dataclass(frozen=True)
class Relaxation:
    """A smaller profile: what it gives up, as part of a sentence after "the profile", and its text."""

    what: str
    text: str


def list_relaxations(draft: Draft, evidence: Evidence) -> tuple[Relaxation, ...]:
    """Smaller versions of a finished draft, the first with the most of it.

    They give up packages that no cell imports, then the day that selects versions, then the versions of packages. The
    frameworks and the Python stay.
    """
    relaxations = []
    imported = _list_imported(evidence)
    unused = [
        value for value in draft.packages if canonicalize_name(Requirement(value.text).name) not in imported
    ]
    if unused:
        why = "no versions satisfied the profile with it, and no cell imports it"
        draft = replace(
            draft,
            packages=[value for value in draft.packages if value not in unused],
            left_out=[*draft.left_out, *(DraftValue(value.text, why) for value in unused)],
        )
        listed = ", ".join(value.text for value in unused[:_MAX_LISTED])
        more = len(unused) - _MAX_LISTED
        listed += f" and {more} more" if more > 0 else ""
        relaxations.append(Relaxation(f"leaves out {listed}, which no cell imports", draft.text()))
    if draft.as_of:
        day = draft.as_of.text
        note = f"No versions of {day} satisfied this profile, so it has no as_of."
        draft = replace(draft, as_of=None, notes=[*draft.notes, note])
        relaxations.append(Relaxation(f"does not select the versions of {day}", draft.text()))
    if any(Requirement(value.text).specifier for value in draft.packages):
        draft = replace(draft, packages=[_drop_version(value) for value in draft.packages])
        relaxations.append(Relaxation("requests no versions of packages", draft.text()))
    return tuple(relaxations)


def _list_imported(evidence: Evidence) -> set[str]:
    """Canonical names of the distributions whose modules a source imports."""
    names = load_names()
    imported: set[str] = set()
    for item in evidence.imports:
        found = (names.find_distribution(module) for module in (*item.dotted, item.module, item.top))
        imported |= {canonicalize_name(name) for name in (*found, item.top) if name}
    return imported


def _drop_version(value: DraftValue) -> DraftValue:
    requirement = Requirement(value.text)
    if not requirement.specifier:
        return value
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    marker = f"; {requirement.marker}" if requirement.marker else ""
    why = f"no versions satisfied the profile with {requirement.name}{requirement.specifier}"
    return DraftValue(f"{requirement.name}{extras}{marker}", why)
