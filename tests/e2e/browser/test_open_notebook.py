"""One cell and Run all in a real front end: colabenv reads the open notebook, shows a card and continues in it."""

from __future__ import annotations

from playwright.sync_api import expect

from support.browser.jupyter import Jupyter
from support.browser.tab import Tab

ONE_CELL = "%load_ext colabenv\n%colabenv up"
USE = "import sys, six\nprint('six', six.__version__, 'of', sys.prefix)"


def test_one_cell_drafts_builds_and_continues(jupyter: Jupyter, tab: Tab) -> None:
    tab.open("lesson one.ipynb", [ONE_CELL, "%pip install -q six==1.16.0", USE])
    tab.run_all()
    tab.wait_for_end(2)
    card = tab.output(0).locator("table").first
    expect(card).to_contain_text("six==1.16.0")
    expect(tab.output(0)).to_contain_text("wrote lesson one.yaml")
    envs = f"{jupyter.home}/.local/share/colabenv/envs"
    expect(tab.output(2)).to_contain_text(f"six 1.16.0 of {envs}/lesson-one/")
    assert (jupyter.notebooks / "lesson one.yaml").exists()
