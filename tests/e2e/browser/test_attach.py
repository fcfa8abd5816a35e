"""A notebook of the default kernel whose cells run in an environment that its first cells built."""

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
slider, said, seen = ipywidgets.IntSlider(value=3), ipywidgets.Output(), []
def moved(change):
    seen.append(change['new'])
    with said:
        print('the slider is at', change['new'])
slider.observe(moved, 'value')
ipywidgets.VBox([slider, said])"""
NAME = "name = input('Your name? ')\nprint('Hello', name)"
REPORT = "print('value', slider.value, 'seen', seen, 'of', name)"

only_lab = pytest.mark.parametrize("front_end", [FrontEnd.LAB], ids=["lab"])


def test_run_all_with_a_plot_a_slider_and_a_question(jupyter: Jupyter, tab: Tab) -> None:
    tab.open("attach.ipynb", [LOAD, UP, WHERE, PLOT, SLIDER, NAME, REPORT])
    kernel = tab.kernel_id()
    tab.run_all()
    tab.answer("Your name?", "Ada")

    # two cells of the notebook's own kernel; then the environment counts for itself
    assert [tab.wait_for_end(number) for number in range(7)] == [1, 2, 1, 2, 3, 4, 5]
    expect(tab.output(2)).to_contain_text(f"Python at {jupyter.home}/.local/share/colabenv/envs/drawing/")
    expect(tab.output(5)).to_contain_text("Hello Ada")
    expect(tab.output(6)).to_contain_text("value 3 seen [] of Ada")
    plot = tab.output(3).get_by_role("img")
    expect(plot).to_be_visible()
    assert plot.evaluate("image => image.naturalWidth") > 200

    expect(tab.output(4).locator(".widget-readout")).to_have_text("3")
    tab.drag(tab.output(4).get_by_role("slider"), right=400)
    expect(tab.output(4)).to_contain_text("the slider is at 100")
    tab.run(6)
    expect(tab.output(6)).to_contain_text(re.compile(r"value 100 seen \[.*100\] of Ada"))

    expect(tab.page.locator("[data-mime-type='application/vnd.jupyter.stderr']")).to_have_count(0)
    assert tab.kernel_id() == kernel


@only_lab
def test_a_failing_cell_stops_run_all(tab: Tab) -> None:
    tab.open("failing.ipynb", [LOAD, UP, "reached = []", "1 / 0", "reached.append(1)", "print(reached)"])
    tab.run_all()
    tab.wait_for_end(3)
    expect(tab.output(3)).to_contain_text("ZeroDivisionError")
    for number in (4, 5):
        expect(tab.prompt(number)).to_have_text("[ ]:")
    tab.run(5)
    expect(tab.output(5)).to_contain_text("[]")


@only_lab
def test_dead_environment_is_reported_and_the_notebooks_kernel_stays(jupyter: Jupyter, tab: Tab) -> None:
    die = "import os\nos.kill(os.getpid(), 9)"
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
    # the page neither asked nor told the person anything about a kernel that died
    expect(tab.page.get_by_role("dialog")).to_have_count(0)
    tab.wait_until_idle()
    assert tab.kernel_id() == kernel
