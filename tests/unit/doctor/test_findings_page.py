"""docs/findings.md is up to date, and every check is documented."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

from colabenv.doctor.checks.registry import FAMILIES, RULES

REPOSITORY = Path(__file__).parents[3]


def test_page_is_up_to_date() -> None:
    script = runpy.run_path(str(REPOSITORY / "scripts" / "findings_page.py"))
    page = (REPOSITORY / "docs" / "findings.md").read_text(encoding="utf-8")
    assert page == script["render_findings_page"](RULES.values()), "run scripts/refresh-findings"


def test_checks_have_a_code_a_title_and_a_description() -> None:
    problems = {
        (rule.code, problem)
        for rule in RULES.values()
        for problem, applies in (
            ("the code is not CE and three digits", not re.fullmatch(r"CE[1-9][0-9]{2}", rule.code)),
            ("the first digit of the code is not a family", rule.code[2] not in FAMILIES),
            ("there is no title", not rule.title),
            ("the title ends with a full stop", rule.title.endswith(".")),
            ("the description has fewer than 15 words", len(rule.description.split()) < 15),
            ("the description does not end with a full stop", not rule.description.endswith(".")),
        )
        if applies
    }
    assert problems == set()
