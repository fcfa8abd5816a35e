"""docs/findings.md is up to date, and every check is documented."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

from colabenv.doctor.checks.registry import FAMILIES, RULES, Rule

REPOSITORY = Path(__file__).parents[3]


def test_page_is_up_to_date() -> None:
    script = runpy.run_path(str(REPOSITORY / "scripts" / "findings_page.py"))
    page = (REPOSITORY / "docs" / "findings.md").read_text(encoding="utf-8")
    assert page == script["render_findings_page"](RULES.values()), "run scripts/refresh-findings"


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.code)
def test_check_has_a_title_and_a_description(rule: Rule) -> None:
    assert re.fullmatch(r"CE[1-9][0-9]{2}", rule.code)
    assert rule.code[2] in FAMILIES
    assert rule.title
    assert not rule.title.endswith(".")
    assert len(rule.description.split()) >= 15
    assert rule.description.endswith(".")
