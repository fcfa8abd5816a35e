"""docs/findings.md, written from the checks themselves. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from colabenv.doctor.checks.registry import FAMILIES, Rule

_WIDTH = 118
_HEAD = """\
# What the doctor finds

`colabenv doctor` names each thing that it finds by a code, which stays the same from release to release: `--json` has
it as `findings[].code`. This page is written from the checks by `scripts/refresh-findings`; do not edit it.

Findings come in the order in which they are best mended: broken files first, since no check of versions means anything
before they are whole; then packages in each other's way, then what gets in from outside, then versions, and the
code itself last. One that follows from another is left out.
"""


def document(rules: Iterable[Rule]) -> str:
    """The whole page.

    Args:
        rules: every rule that is registered.
    """
    ordered = sorted(rules, key=lambda one: one.code)
    parts = [_HEAD, _contents(ordered)]
    for digit, title in sorted(FAMILIES.items()):
        family = [one for one in ordered if one.code[2] == digit]
        if family:
            parts.append(f"## {title}\n")
            parts += [_entry(one) for one in family]
    return "\n".join(parts)


def _contents(rules: list[Rule]) -> str:
    rows = [f"| [{one.code}](#{one.code.lower()}) | {one.title} |" for one in rules]
    return "\n".join(["| code | what |", "|---|---|", *rows]) + "\n"


def _entry(one: Rule) -> str:
    paragraphs = [
        textwrap.fill(text, _WIDTH, break_long_words=False, break_on_hyphens=False)
        for text in one.about.split("\n\n")
    ]
    # The anchor holds where the title changes.
    return f'### <a id="{one.code.lower()}"></a>{one.code}: {one.title}\n\n' + "\n\n".join(paragraphs) + "\n"
