"""Print docs/findings.md, generated from the docstrings of the doctor's checks."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterable

import colabenv.doctor.checks  # noqa: F401 - registers the rules
from colabenv.doctor.checks.registry import FAMILIES, RULES, Rule

_HEAD = """\
# What the doctor finds

`colabenv doctor` gives each finding a code. Codes are stable between releases, and `--json` has them as
`findings[].code`. `scripts/refresh-findings` generates this page from the checks; do not edit it.

The doctor lists findings in the order in which to fix them: broken files first, because until they are complete no
version means anything; then packages that overwrite each other, packages from outside, incompatible versions, and the
code itself last. It leaves out findings that follow from another one.
"""


def render_findings_page(rules: Iterable[Rule]) -> str:
    """The text of docs/findings.md."""
    ordered = sorted(rules, key=lambda rule: rule.code)
    rows = [f"| [{rule.code}](#{rule.code.lower()}) | {rule.title} |" for rule in ordered]
    parts = [_HEAD, "\n".join(["| code | finding |", "|---|---|", *rows]) + "\n"]
    for digit, title in sorted(FAMILIES.items()):
        family = [rule for rule in ordered if rule.code[2] == digit]
        if family:
            parts += [f"## {title}\n", *map(_render_rule, family)]
    return "\n".join(parts)


def _render_rule(rule: Rule) -> str:
    text = textwrap.fill(rule.description, 118, break_long_words=False, break_on_hyphens=False)
    # An explicit anchor, so that links survive a new title.
    return f'### <a id="{rule.code.lower()}"></a>{rule.code}: {rule.title}\n\n{text}\n'


if __name__ == "__main__":
    sys.stdout.write(render_findings_page(RULES.values()))
