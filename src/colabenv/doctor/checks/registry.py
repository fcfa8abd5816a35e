"""How a check becomes known: its code, what it means, and its place in the order of mending. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from colabenv.doctor.model import Facts, Finding

Check = Callable[[Facts], Iterable[Finding]]


@dataclass(frozen=True)
class Rule:
    """One kind of finding.

    Attributes:
        code: "CE" and three digits; the first names the family.
        title: a few words, for lists.
        about: what it means, how it shows and how it is mended; text for docs/findings.md.
        check: yields the findings.
        rank: findings of a lower rank are mended first. See `RANKS`.
        general: whether it is left out where a finding of another rule covers the same or explains the same complaint.
    """

    code: str
    title: str
    about: str
    check: Check
    rank: int
    general: bool = False


#: Families by the first digit, and their rank: broken files first, since no check of versions means anything before
#: they are whole; then packages in each other's way; then what leaks in; then versions; the code itself last.
RANKS = {"5": 10, "2": 20, "3": 30, "1": 40, "4": 50, "9": 90}
FAMILIES = {
    "5": "Broken installations",
    "2": "Frameworks in each other's way",
    "3": "Not isolated",
    "1": "Versions that do not fit",
    "4": "Code of another era",
    "9": "Not explained",
}

RULES: dict[str, Rule] = {}


def rule(
    code: str, title: str, about: str, *, rank: int | None = None, general: bool = False
) -> Callable[[Check], Check]:
    """Register a check. The decorated function stays as it is.

    Args:
        code: not taken yet.
        title: a few words.
        about: one paragraph or more, for docs/findings.md.
        rank: where it differs from its family's.
        general: see `Rule`.
    """
    if code in RULES:
        raise ValueError(f"{code} is taken by {RULES[code].title}")

    def register(check: Check) -> Check:
        chosen = RANKS[code[2]] if rank is None else rank
        RULES[code] = Rule(code, title, about, check, chosen, general)
        return check

    return register


def run(facts: Facts, rules: Iterable[Rule]) -> Iterator[Finding]:
    """Every finding of every rule, those of general rules that another one has covered left out.

    Rules see the facts as they will be when the findings of rules before them are mended: without what is then gone.
    What failed because of broken or foreign files says nothing of the code, so a rule about code that has only such
    failures to go by is left out as well.
    """
    ordered = sorted(rules, key=lambda one: (one.general, one.rank, one.code))
    covered: set[str] = set()
    explained: set[str] = set()
    explained_by_files: set[str] = set()
    found: list[tuple[int, str, Finding]] = []
    for one in ordered:
        for finding in list(one.check(facts)):
            if one.general and (finding.covers or finding.explains):
                left = (set(finding.covers) - covered) | (set(finding.explains) - explained)
                if not left:
                    continue
            if (
                one.rank >= RANKS["4"]
                and finding.explains
                and explained_by_files.issuperset(finding.explains)
            ):
                continue
            found.append((one.rank, one.code, finding))
            covered.update(finding.covers)
            explained.update(finding.explains)
            if one.rank < RANKS["1"]:
                explained_by_files.update(finding.explains)
            if finding.gone:
                left_over = tuple(each for each in facts.distributions if each.info not in finding.gone)
                facts = dataclasses.replace(facts, distributions=left_over)
    for _, _, finding in sorted(found, key=lambda row: row[:2]):
        yield finding
