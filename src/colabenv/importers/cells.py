"""What a code cell is made of: its Python, and the shell commands among it. Pure; nothing is run.

IPython's own rules decide ("IPython's special syntax" in its documentation): a line that starts with `!` or `%` is no
Python, and a first line that starts with `%%` says what the whole cell is.
"""

from __future__ import annotations

import ast
import re
import shlex
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from colabenv.importers.notebook import Cell, Notebook

#: Longest line of a shell that is looked at, in characters.
MAX_COMMAND: Final = 20_000
_SHELL_CELLS: Final = frozenset({"bash", "sh", "shell", "!", "sx", "system"})
#: Magics of cells that hold something else than Python.
_OTHER_CELLS: Final = frozenset(
    {
        "writefile",
        "file",
        "html",
        "javascript",
        "js",
        "latex",
        "markdown",
        "svg",
        "r",
        "sql",
        "bigquery",
        "perl",
    }
    | {"ruby", "script", "cython", "julia", "cu", "cuda", "cpp"}
)
#: Line magics that are commands of a shell.
_SHELL_MAGICS: Final = frozenset({"pip", "conda", "mamba", "micromamba", "uv", "sx", "system"})
_MAGIC: Final = re.compile(
    r"(?P<indent>[ \t]*)(?:(?P<target>[\w.\[\], \t'\"]+=[ \t]*))?(?P<mark>!!|!|%%?)(?P<rest>.*)"
)
# What IPython runs without a `%` where nothing else has the name.
_AUTOMAGIC: Final = re.compile(r"(?:pip3?|conda|mamba|uv)\s+(?:-\S+\s+)*(?:install|add|pip)\b")
_HELP: Final = re.compile(r"\s*(\?{1,2}[\w.]+|[\w.]+\?{1,2})\s*")


@dataclass(frozen=True)
class Place:
    """Where something stands.

    Attributes:
        cell: number of the notebook's cell, from 1; 0 in a file of another kind.
        line: number of the line in it, from 1; 0 where the whole file is meant.
        file: name of the file, where it is not the one that everything is about.
    """

    cell: int
    line: int
    file: str = ""

    def __str__(self) -> str:
        where = f"cell {self.cell}" if self.cell else f"line {self.line}" if self.line else ""
        return ", ".join(filter(None, (self.file, where)))


@dataclass(frozen=True)
class Command:
    """A command of a shell.

    Attributes:
        text: as written, continued lines joined.
        place: where it begins.
    """

    text: str
    place: Place


def commands(cell: Cell) -> list[Command]:
    """The shell commands of a code cell: `!…`, `%pip …`, `%%bash`, and what Python code hands to a shell."""
    if cell.kind != "code":
        return []
    magic = cell_magic(cell.source)
    if magic in _OTHER_CELLS:
        return []
    lines = list(_joined_lines(cell.source))
    if magic in _SHELL_CELLS:
        return [Command(text, Place(cell.number, line)) for line, text in lines[1:] if text.strip()]
    # In what is Python throughout, a line with a `!` stands in a text.
    written = [] if _parses(cell.source) else lines
    found = [(line, text) for line, whole in written if (text := _shell_line(whole)) is not None]
    found += _handed_over(python_of(cell))
    return [
        Command(text[:MAX_COMMAND], Place(cell.number, line)) for line, text in sorted(found) if text.strip()
    ]


def cell_magic(source: str) -> str:
    """The name of the magic that a cell starts with, `bash` for `%%bash`; "" for none or one that runs Python."""
    first = re.match(r"\s*%%([!\w]+)", source)
    name = first[1].lower() if first else ""
    return name if name in _SHELL_CELLS or name in _OTHER_CELLS else ""


def written_files(notebook: Notebook) -> dict[str, str]:
    """Files that `%%writefile NAME` cells make: their names and texts, the last of each name."""
    found = {}
    for cell in notebook.code:
        if made := re.match(r"\s*%%(?:writefile|file)[ \t]+(?:-a[ \t]+)?(\S+)[ \t]*\n", cell.source):
            found[made[1].strip("'\"").removeprefix("./")] = cell.source[made.end() :]
    return found


def python_of(cell: Cell) -> str:
    """The Python of a code cell, in as many lines; magics are replaced by `pass`, and a cell of another kind is ""."""
    if cell.kind != "code" or cell_magic(cell.source):
        return ""
    if _parses(cell.source):
        return cell.source  # what looks like a magic then stands in a text
    lines = cell.source.split("\n")
    for number, text in _joined_lines(cell.source):
        found = _MAGIC.match(text)
        if found and (not found["target"] or found["mark"] != "%%"):
            value = f"{found['target']}None" if found["target"] else "pass"
            _blank(lines, number, text, f"{found['indent']}{value}")
        elif _HELP.fullmatch(text) or _AUTOMAGIC.match(text.strip()):
            _blank(lines, number, text, "pass")
    return "\n".join(lines)


def tree_of(code: str) -> ast.Module | None:
    """The syntax tree, or None where it is no Python 3, or too much of it."""
    try:
        with warnings.catch_warnings():  # odd escapes in the notebook are not ours to report
            warnings.simplefilter("ignore")
            return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _parses(code: str) -> bool:
    return tree_of(code) is not None


def _blank(lines: list[str], number: int, text: str, instead: str) -> None:
    """Replace what `_joined_lines` gave for line `number`; the number of lines stays."""
    for at in range(number - 1, number + text.count("\n")):
        lines[at] = instead if at == number - 1 else ""


def _joined_lines(source: str) -> Iterator[tuple[int, str]]:
    r"""Lines with their numbers from 1; those of a command that end in `\` come with the next, line break included."""
    parts: list[str] = []
    first = 1
    for number, line in enumerate(source.split("\n"), 1):
        if not parts:
            first = number
        parts.append(line)
        if not (line.rstrip().endswith("\\") and len(parts) < 200):
            yield first, "\n".join(parts)
            parts = []
    if parts:
        yield first, "\n".join(parts)


def _shell_line(text: str) -> str | None:
    """The command of a line, or None where it is none."""
    joined = re.sub(r"\\[ \t]*\n", " ", text)
    found = _MAGIC.match(joined)
    if found is None:
        bare = joined.strip()
        return bare if _AUTOMAGIC.match(bare) else None
    rest = found["rest"].strip()
    if found["mark"] in ("!", "!!"):
        return rest
    name, _, arguments = rest.partition(" ")
    if found["mark"] == "%%" or name not in _SHELL_MAGICS:
        return None
    return arguments if name in ("sx", "system") else rest


def _handed_over(code: str) -> list[tuple[int, str]]:
    """Commands in calls such as `os.system("…")` and `subprocess.run([…])`, with their lines."""
    if not re.search(r"subprocess|system\(|popen", code):
        return []
    tree = tree_of(code)
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and node.args] if tree else []
    found = []
    for call in calls:
        name = ast.unparse(call.func) if isinstance(call.func, (ast.Name, ast.Attribute)) else ""
        if re.search(r"(^|\.)(system|popen|Popen|run|call|check_call|check_output|getoutput)$", name):
            found += [(call.lineno, text)] if (text := _command_text(call.args[0])) else []
    return found


def _command_text(argument: ast.expr) -> str:
    """A command that stands there in full: a text, or a list whose parts are texts or `sys.executable`."""
    if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
        return argument.value
    if isinstance(argument, (ast.List, ast.Tuple)):
        parts = [
            part.value if isinstance(part, ast.Constant) and isinstance(part.value, str) else "python"
            for part in argument.elts
            if isinstance(part, (ast.Constant, ast.Attribute))
        ]
        return shlex.join(parts)
    return ""
