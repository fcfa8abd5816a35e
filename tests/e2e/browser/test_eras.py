"""A notebook of 2023 in a real front end: one cell at the top, "Run all", a plot, a widget."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import expect

from support.browser.tab import FrontEnd, Tab
from support.colab.base import REPOSITORY

ERAS = REPOSITORY / "tests" / "data" / "eras"
ONE_CELL = "%load_ext colabenv\n%colabenv up"
#: Milliseconds for the added cell, which installs TensorFlow.
UP_LIMIT = 1_500_000


@pytest.mark.wheels
@pytest.mark.timeout(2400)
@pytest.mark.parametrize("front_end", [FrontEnd.LAB], ids=["lab"])
def test_notebook_runs_again_with_one_cell_added(tab: Tab) -> None:
    notebook = json.loads((ERAS / "keras-2.15.ipynb").read_text())
    codes = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    tab.open("keras-2.15.ipynb", [ONE_CELL, *codes])
    tab.run_all()
    tab.wait_for_end(0, UP_LIMIT)
    for number in range(1, len(codes) + 1):
        tab.wait_for_end(number)
    # The last two cells draw a plot and show a slider.
    plot = tab.output(len(codes) - 1).get_by_role("img")
    expect(plot).to_be_visible()
    assert plot.evaluate("image => image.naturalWidth") > 200
    expect(tab.output(len(codes)).locator(".widget-readout")).to_have_text("2")
    expect(tab.page.locator("[data-mime-type='application/vnd.jupyter.error']")).to_have_count(0)
