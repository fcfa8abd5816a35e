"""How checks are registered: with a code, a description, and the order in which to fix what they find."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from colabenv.doctor.model import Facts, Finding

Check = Callable[[Facts], Iterable[Finding]]


@dataclass(frozen=True)
class Rule:
    """One kind of finding."""

    code: str  #: "CE" and three digits; the first one names the family
    title: str
    description: str  #: what it means, how it shows and what the fix does; text of docs/findings.md
    check: Check
    rank: int  #: see `RANKS`; the lowest is fixed first
    general: bool = False  #: whether findings that cover the same requirements or errors replace its own


#: Ranks by family: broken files first, because until they are complete no version means anything; then packages that
#: overwrite each other; then what comes in from outside; then versions; the code itself last.
RANKS = {"5": 10, "2": 20, "3": 30, "1": 40, "4": 50, "9": 90}
FAMILIES = {
    "5": "Broken installations",
    "2": "Packages that overwrite each other",
    "3": "Packages and settings from outside",
    "1": "Incompatible versions",
    "4": "Code for older releases",
    "9": "Unexplained errors",
}

RULES: dict[str, Rule] = {}


def rule(code: str, *, rank: int | None = None, general: bool = False) -> Callable[[Check], Check]:
    """Register a check, whose docstring is its title and description, and give its findings the code."""
    if code in RULES:
        raise ValueError(f"{code} is the code of {RULES[code].title}")

    def register(check: Check) -> Check:
        @functools.wraps(check)
        def check_with_code(facts: Facts) -> Iterator[Finding]:
            for finding in check(facts):
                yield dataclasses.replace(finding, code=code)

        title, _, description = (check.__doc__ or "").partition(".\n")
        own_rank = RANKS[code[2]] if rank is None else rank
        RULES[code] = Rule(code, title, " ".join(description.split()), check_with_code, own_rank, general)
        return check_with_code

    return register


def run_rules(facts: Facts, rules: Iterable[Rule]) -> Iterator[Finding]:
    """Every finding of every rule, except those of general rules that another finding covers.

    Each rule sees the facts as they will be when earlier findings are fixed, without the distributions that they
    remove. Errors caused by broken or foreign files say nothing about the code, so a finding about code that explains
    only such errors is left out as well.
    """
    covered: set[str] = set()
    explained: set[str] = set()
    explained_by_files: set[str] = set()
    ranked: list[tuple[int, str, Finding]] = []
    for each in sorted(rules, key=lambda rule: (rule.general, rule.rank, rule.code)):
        for finding in list(each.check(facts)):
            explains = set(finding.explains)
            is_redundant = explains <= explained and covered.issuperset(finding.covers)
            if each.general and (finding.covers or explains) and is_redundant:
                continue
            if each.rank >= RANKS["4"] and explains and explains <= explained_by_files:
                continue
            ranked.append((each.rank, each.code, finding))
            covered.update(finding.covers)
            explained |= explains
            if each.rank < RANKS["1"]:
                explained_by_files |= explains
            if finding.removes:
                remaining = (item for item in facts.distributions if item.info not in finding.removes)
                facts = dataclasses.replace(facts, distributions=tuple(remaining))
    yield from (finding for _, _, finding in sorted(ranked, key=lambda row: row[:2]))
