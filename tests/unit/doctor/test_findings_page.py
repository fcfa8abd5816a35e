"""docs/findings.md is what the checks say of themselves."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from colabenv.doctor.checks.registry import FAMILIES, RULES, Rule
from colabenv.doctor.findings_page import render_findings_page

PAGE = Path(__file__).parents[3] / "docs" / "findings.md"


def test_the_page_is_what_the_checks_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == render_findings_page(RULES.values()), (
        "run scripts/refresh-findings"
    )


@pytest.mark.parametrize("one", RULES.values(), ids=lambda one: one.code)
def test_each_check_says_what_it_means(one: Rule) -> None:
    assert re.fullmatch(r"CE[1-9][0-9]{2}", one.code)
    assert one.code[2] in FAMILIES
    assert one.title
    assert not one.title.endswith(".")
    assert len(one.description.split()) >= 15
    assert one.description.endswith(".")
