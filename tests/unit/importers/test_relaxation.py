"""Tests of the smaller drafts that are tried if no versions satisfy a draft."""

from __future__ import annotations

from dataclasses import replace

from colabenv.frameworks.facts import load_table
from colabenv.importers.draft import Draft, DraftValue
from colabenv.importers.evidence import read_notebook_evidence
from colabenv.importers.inference import infer_profile
from colabenv.importers.notebook import Cell, Notebook
from colabenv.importers.relaxation import list_relaxations
from colabenv.profile.edit import list_packages

CODE = """\
!pip install tensorflow==2.15 "pandas[excel]==1.9.9" absent==1 other
import cv2, pandas
"""


def relax(code: str, day: str = "") -> list[tuple[str, list[str], str]]:
    """What each smaller draft gives up, its packages and its text."""
    evidence = read_notebook_evidence(Notebook("n", (Cell(1, "code", code, "", None, ()),)))
    draft: Draft = infer_profile(evidence, "n", load_table(), today="2026-11-01")
    draft = replace(draft, as_of=DraftValue(day) if day else None)
    found = list_relaxations(draft, evidence)
    return [(item.what, list_packages(item.text), item.text) for item in found]


def test_each_smaller_draft_gives_up_more() -> None:
    unused, day, versions = relax(CODE, "2023-01-01")
    assert unused[0] == "leaves out absent==1, other, which no cell imports"
    assert unused[1] == ["pandas[excel]==1.9.9", "opencv-python-headless"]
    assert "as_of" in unused[2]
    assert day[0] == "does not select the versions of 2023-01-01"
    assert "as_of: " not in day[2]
    assert versions[0] == "requests no versions of packages"
    assert versions[1] == ["pandas[excel]", "opencv-python-headless"]
    assert 'tensorflow: "2.15"' in versions[2]
    assert "no versions satisfied the profile with pandas==1.9.9" in versions[2]


def test_draft_without_anything_to_give_up_has_none() -> None:
    assert relax("import numpy\nimport sklearn") == []
