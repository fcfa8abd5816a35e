"""Attaching in a real front end: the first cells build an environment, and the other cells run in it."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from support.browser.jupyter import Jupyter
from support.browser.tab import FrontEnd, Tab

LOAD, UP = "%load_ext colabenv", "%colabenv up drawing.yaml"
WHERE = "import sys\nprint('Python at', sys.executable)"
PLOT = """\
import matplotlib.pyplot as plt
figure, axes = plt.subplots(figsize=(4, 2))
axes.plot([1, 4, 9, 16])
plt.show()"""
SLIDER = """\
import ipywidgets
slider, output, values = ipywidgets.IntSlider(value=3), ipywidgets.Output(), []
def on_change(change):
    values.append(change['new'])
    with output:
        print('the slider is at', change['new'])
slider.observe(on_change, 'value')
ipywidgets.VBox([slider, output])"""
NAME = "name = input('Your name? ')\nprint('Hello', name)"
REPORT = "print('value', slider.value, 'values', values, 'of', name)"

only_lab = pytest.mark.parametrize("front_end", [FrontEnd.LAB], ids=["lab"])


def test_plot_slider_and_input_work_in_the_environment(jupyter: Jupyter, tab: Tab) -> None:
    tab.open("attach.ipynb", [LOAD, UP, WHERE, PLOT, SLIDER, NAME, REPORT])
    kernel = tab.kernel_id()
    tab.run_all()
    tab.answer("Your name?", "Ada")

    # Two cells run in the notebook's own kernel; then the environment's kernel counts from 1.
    assert [tab.wait_for_end(number) for number in range(7)] == [1, 2, 1, 2, 3, 4, 5]
    expect(tab.output(2)).to_contain_text(f"Python at {jupyter.home}/.local/share/colabenv/envs/drawing/")
    expect(tab.output(5)).to_contain_text("Hello Ada")
    expect(tab.output(6)).to_contain_text("value 3 values [] of Ada")
    plot = tab.output(3).get_by_role("img")
    expect(plot).to_be_visible()
    assert plot.evaluate("image => image.naturalWidth") > 200

    expect(tab.output(4).locator(".widget-readout")).to_have_text("3")
    tab.drag(tab.output(4).get_by_role("slider"), right=400)
    expect(tab.output(4)).to_contain_text("the slider is at 100")
    tab.run(6)
    expect(tab.output(6)).to_contain_text(re.compile(r"value 100 values \[.*100\] of Ada"))

    expect(tab.page.locator("[data-mime-type='application/vnd.jupyter.stderr']")).to_have_count(0)
    assert tab.kernel_id() == kernel


@only_lab
def test_failed_cell_stops_run_all(tab: Tab) -> None:
    tab.open("failing.ipynb", [LOAD, UP, "reached = []", "1 / 0", "reached.append(1)", "print(reached)"])
    tab.run_all()
    tab.wait_for_end(3)
    expect(tab.output(3)).to_contain_text("ZeroDivisionError")
    for number in (4, 5):
        expect(tab.prompt(number)).to_have_text("[ ]:")
    tab.run(5)
    expect(tab.output(5)).to_contain_text("[]")


@only_lab
def test_dead_environment_is_reported_and_the_notebooks_kernel_survives(jupyter: Jupyter, tab: Tab) -> None:
    die = "import ctypes\nctypes.string_at(0)"  # an accident, and not the notebook's own restart
    tab.open(
        "dying.ipynb",
        ["kept = 'still here'", LOAD, UP, die, WHERE, "%%base\nprint(kept)", "%colabenv restart"],
    )
    kernel = tab.kernel_id()
    tab.run_all()
    tab.wait_for_end(3)
    for part in ("'drawing' is gone", "%colabenv restart", "%colabenv detach"):
        expect(tab.output(3)).to_contain_text(part)
    expect(tab.prompt(4)).to_have_text("[ ]:")

    tab.run(5)
    expect(tab.output(5)).to_contain_text("still here")
    tab.run(6)
    tab.run(4)
    expect(tab.output(4)).to_contain_text(f"Python at {jupyter.home}/.local/share/colabenv/envs/drawing/")
    # The page shows no dialog about a dead kernel.
    expect(tab.page.get_by_role("dialog")).to_have_count(0)
    tab.wait_until_idle()
    assert tab.kernel_id() == kernel
