"""A notebook that is open in JupyterLab or Notebook, and the actions of a user there."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum

from playwright.sync_api import Locator, Page, expect

from support import timeouts
from support.browser.jupyter import Jupyter

DEFAULT_KERNEL = "Python 3 (ipykernel)"
# Milliseconds for actions that may import TensorFlow or build an environment on a busy machine.
TIMEOUT = 1000 * timeouts.TIMEOUT

# Check both together: before the page knows its kernel, it shows "No Kernel" and "idle".
READY = """(kernel) => {
    const name = document.querySelector('.jp-Toolbar-kernelName');
    const status = document.querySelector('.jp-Notebook-ExecutionIndicator');
    return name?.textContent.trim() === kernel && status?.dataset.status === 'idle';
}"""


class FrontEnd(Enum):
    """A program that shows notebooks. The value is the URL path before a notebook's name."""

    LAB = "lab/tree"
    NOTEBOOK = "notebooks"


class Tab:
    """One open notebook.

    Args:
        page: an empty page of the browser.
        jupyter: the server of the notebook.
        front_end: the program that shows it.
    """

    def __init__(self, page: Page, jupyter: Jupyter, front_end: FrontEnd) -> None:
        self.page = page
        self._jupyter = jupyter
        self._front_end = front_end
        self.cells = page.locator(".jp-Notebook .jp-CodeCell")

    def open(self, name: str, cells: Sequence[str]) -> None:
        """Write a notebook for the default kernel and open it."""
        self._jupyter.write(name, cells)
        server = self._jupyter.server
        # `reset` makes JupyterLab forget the notebooks that other tests opened.
        self.page.goto(f"{server.url}/{self._front_end.value}/{name}?reset&token={server.token}")
        self.wait_until_idle()
        expect(self.cells).to_have_count(len(cells))

    def wait_until_idle(self, kernel: str = DEFAULT_KERNEL) -> None:
        """Wait until the page shows that this kernel is connected and idle."""
        self.page.wait_for_function(READY, arg=kernel, timeout=TIMEOUT)

    def menu(self, name: str, item: str) -> None:
        """Choose from the menu bar."""
        self.page.get_by_role("menuitem", name=name, exact=True).click()
        self.page.get_by_role("menuitem", name=item, exact=True).click()

    def pick_kernel(self, display_name: str) -> None:
        """Change the kernel: in JupyterLab by the button at the top right, in Notebook by the menu."""
        if self._front_end is FrontEnd.LAB:
            self.page.locator(".jp-Toolbar-kernelName").click()
        else:
            self.menu("Kernel", "Change Kernel…")
        dialog = self.page.get_by_role("dialog")
        dialog.get_by_role("combobox").select_option(label=display_name)
        dialog.get_by_role("button", name="Select Kernel").click()
        self.wait_until_idle(display_name)

    def run_all(self) -> None:
        """Run > Run All Cells."""
        self.menu("Run", "Run All Cells")

    def run(self, number: int) -> None:
        """Run one cell, counted from 0, and wait until it has ended."""
        before = self.prompt(number).inner_text()
        self.cells.nth(number).locator(".cm-content").click()
        self.page.keyboard.press("Control+Enter")
        expect(self.prompt(number)).not_to_have_text(before)
        self.wait_for_end(number)

    def prompt(self, number: int) -> Locator:
        """The prompt to the left of a cell: `[ ]:`, `[*]:` or `[7]:`."""
        return self.cells.nth(number).locator(".jp-InputPrompt")

    def output(self, number: int) -> Locator:
        """The output of a cell."""
        return self.cells.nth(number).locator(".jp-Cell-outputArea")

    def wait_for_end(self, number: int, timeout: float = TIMEOUT) -> int:
        """Wait until a cell has ended, at most for `timeout` milliseconds; returns its execution count."""
        expect(self.prompt(number)).to_have_text(re.compile(r"\[\d+\]:"), timeout=timeout)
        return int(self.prompt(number).inner_text().strip("[]: \n"))

    def answer(self, prompt: str, text: str) -> None:
        """Type the answer to a cell's `input(prompt)`."""
        question = self.page.locator(".jp-Stdin")
        expect(question).to_contain_text(prompt, timeout=TIMEOUT)
        question.get_by_role("textbox").fill(text)
        question.get_by_role("textbox").press("Enter")

    def drag(self, element: Locator, *, right: float) -> None:
        """Drag an element with the mouse, by a number of pixels."""
        element.hover()
        box = element.bounding_box()
        assert box is not None
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        self.page.mouse.down()
        self.page.mouse.move(x + right, y, steps=8)
        self.page.mouse.up()

    def kernel_id(self) -> str:
        """The server's ID of the kernel of this notebook."""
        (session,) = self._jupyter.server.call("GET", "sessions")
        return str(session["kernel"]["id"])
