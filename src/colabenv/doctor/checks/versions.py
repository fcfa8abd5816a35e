"""Versions that do not fit: what the metadata of one distribution asks of another. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from colabenv.doctor.checks.registry import rule
from colabenv.doctor.model import Facts, Finding, Step
from colabenv.doctor.needs import Need, common_range, needs


@rule(
    "CE101",
    "A requirement is not met",
    "A distribution says which versions of another one it needs, and what is installed is not among them, or it is "
    "not installed at all. It may work by luck, and it may fail at import or much later. It is mended by "
    "installing a version that everything here takes.",
    general=True,
)
def unmet(facts: Facts) -> Iterator[Finding]:
    """One finding for each distribution that is too old, too new or not there."""
    lacking: dict[str, list[Need]] = defaultdict(list)
    for need in needs(facts):
        if not need.met:
            lacking[need.dependency].append(need)
    # What is itself to be replaced will come with other needs; where that leaves nothing, all of them count.
    settled = {
        dependency: [need for need in wanted if need.dependant.name not in lacking]
        for dependency, wanted in lacking.items()
    }
    for dependency, wanted in (settled if any(settled.values()) else lacking).items():
        if not wanted:
            continue
        found = wanted[0].found
        have = f"{dependency} {found.version} is installed" if found else f"{dependency} is not installed"
        who = ", ".join(f"{need.dependant.name} {need.dependant.version}" for need in wanted)
        yield Finding(
            "CE101",
            f"{have}, which does not fit {who}.",
            tuple(f"{need.dependant.name} {need.dependant.version} requires {need.line}" for need in wanted),
            "Something installed later replaced it, or was installed without its requirements.",
            (Step("install", (f"{dependency}{common_range(facts, dependency)}",)),),
            covers=tuple(need.key for need in wanted),
        )
