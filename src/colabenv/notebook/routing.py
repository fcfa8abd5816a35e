"""Where a cell runs: in the environment, in Colab's own Python, or in another environment. Pure.

A cell that uses colabenv itself (`%colabenv up`, `!pip install colabenv`, `import colabenv`) runs in Colab's own
Python, where colabenv is installed. It ran there the first time, and does so again on "Run all".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Place = Literal["current", "base", "named"]


@dataclass(frozen=True)
class Route:
    """Where a cell runs: where the notebook is attached (`current`), in Colab's Python, or in environment `name`.

    `skip` is the length of the routing line at the start of the cell.
    """

    place: Place
    name: str = ""
    skip: int = 0

    def code(self, cell: str) -> str:
        """The part of the cell that runs."""
        return cell[self.skip :]

    def pad_code(self, cell: str) -> str:
        """The cell with a blank routing line, so that cursor positions stay the same."""
        return re.sub(r"[^\n]", " ", cell[: self.skip]) + cell[self.skip :]


# A line that uses colabenv, and so runs in the Python that colabenv is installed in.
_ABOUT_COLABENV = re.compile(
    r"""^[ \t]*(?:
        %colabenv\b
      | %(?:load_ext|reload_ext|unload_ext)[ \t]+colabenv\b
      | [!%][ \t]*(?:python[\d.]*[ \t]+-m[ \t]+)?(?:uv[ \t]+)?pip3?[ \t]+install\b[^\n]*\bcolabenv\b
      | ![ \t]*(?:[^\s]*/)?python[\d.]*[ \t]+-m[ \t]+colabenv\b
      | ![ \t]*colabenv\b
      | (?:import|from)[ \t]+colabenv\b
    )""",
    re.MULTILINE | re.VERBOSE,
)
# Code that ends the process that runs it, other than through IPython, as notebooks do to restart their kernel.
_ENDS_PROCESS = re.compile(r"\bos\.(?:kill|killpg|abort|_exit)\s*\(|\braise_signal\s*\(|\bkill\s+-")
_FIRST_LINE = re.compile(r"\A\s*^(?P<line>[^\n]*)\n?", re.MULTILINE)
_BASE = re.compile(r"%%base[ \t]*\Z")
_NAMED = re.compile(r"%%env[ \t]+(?P<name>[^\s]+)[ \t]*\Z")


def ends_process(cell: str) -> bool:
    """Whether a cell contains code that may end its own process, so that its end is no accident."""
    return _ENDS_PROCESS.search(cell) is not None


def route_cell(cell: str) -> Route:
    """Read from a cell's text where it runs.

    The base gets `%%colabenv` cells, and invalid `%%base` or `%%env` lines, because its magics explain what is wrong.
    """
    first = _FIRST_LINE.match(cell)
    line = first["line"] if first else ""
    skip = first.end() if first else 0
    if _BASE.match(line):
        return Route("base", skip=skip)
    if named := _NAMED.match(line):
        return Route("named", name=named["name"], skip=skip)
    if re.match(r"%%(?:base|env|colabenv)\b", line):
        return Route("base")
    if line.startswith("%%"):
        return Route("current")
    return Route("base") if _ABOUT_COLABENV.search(cell) else Route("current")
