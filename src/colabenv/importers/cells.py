"""Split code cells into Python and shell commands, by IPython's rules ("IPython's special syntax")."""

from __future__ import annotations

import ast
import re
import shlex
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from colabenv.importers.notebook import Cell, Notebook

#: Characters of a shell command that are read.
MAX_COMMAND: Final = 20_000
_SHELL_CELLS: Final = frozenset({"bash", "sh", "shell", "!", "sx", "system"})
#: Cell magics of other languages.
_OTHER_CELLS: Final = (  # noqa: SIM905
    "writefile file html javascript js latex markdown svg r sql bigquery perl ruby script cython julia cu cuda cpp"
).split()
#: Line magics that are shell commands.
_SHELL_MAGICS: Final = frozenset({"pip", "conda", "mamba", "micromamba", "uv", "sx", "system"})
_MAGIC: Final = re.compile(
    r"(?P<indent>[ \t]*)(?:(?P<target>[\w.\[\], \t'\"]+=[ \t]*))?(?P<mark>!!|!|%%?)(?P<rest>.*)"
)
# Commands that IPython also runs without a `%`.
_AUTOMAGIC: Final = re.compile(r"(?:pip3?|conda|mamba|uv)\s+(?:-\S+\s+)*(?:install|add|pip)\b")
_HELP: Final = re.compile(r"\s*(\?{1,2}[\w.]+|[\w.]+\?{1,2})\s*")


@dataclass(frozen=True)
class CellLocation:
    """A line of a source."""

    cell: int  #: the notebook's cell, from 1; 0 outside of notebooks
    line: int  #: the line in the cell or file, from 1; 0 for the whole file
    file: str = ""  #: the file, "" for the source itself

    def __str__(self) -> str:
        where = f"cell {self.cell}" if self.cell else f"line {self.line}" if self.line else ""
        return ", ".join(filter(None, (self.file, where)))


@dataclass(frozen=True)
class ShellCommand:
    """A shell command with continued lines joined, and where it starts."""

    text: str
    location: CellLocation


def find_shell_commands(cell: Cell, names: Mapping[str, str] | None = None) -> list[ShellCommand]:
    """The shell commands of a code cell: `!…`, `%pip …`, `%%bash`, `os.system("…")` and the like.

    `names` are the texts of names that f-strings use.
    """
    if cell.kind != "code":
        return []
    magic = find_cell_magic(cell.source)
    if magic in _OTHER_CELLS:
        return []
    lines = list(_join_lines(cell.source))
    if magic in _SHELL_CELLS:
        return [
            ShellCommand(text, CellLocation(cell.number, line)) for line, text in lines[1:] if text.strip()
        ]
    # In valid Python, a line with a `!` is part of a string.
    shell_lines = [] if parse_code(cell.source) else lines
    commands = [(line, text) for line, whole in shell_lines if (text := _parse_shell_line(whole)) is not None]
    commands += _find_shell_calls(extract_python(cell), names or {})
    return [
        ShellCommand(text[:MAX_COMMAND], CellLocation(cell.number, line))
        for line, text in sorted(commands)
        if text.strip()
    ]


def find_cell_magic(source: str) -> str:
    """The magic of a cell that is not Python, such as `bash` for `%%bash`; "" for none."""
    first = re.match(r"\s*%%([!\w]+)", source)
    name = first[1].lower() if first else ""
    return name if name in _SHELL_CELLS or name in _OTHER_CELLS else ""


def find_written_files(notebook: Notebook) -> dict[str, str]:
    """The files that `%%writefile NAME` cells write: text by name."""
    files = {}
    for cell in notebook.code:
        if match := re.match(r"\s*%%(?:writefile|file)[ \t]+(?:-a[ \t]+)?(\S+)[ \t]*\n", cell.source):
            files[match[1].strip("'\"").removeprefix("./")] = cell.source[match.end() :]
    return files


def extract_python(cell: Cell) -> str:
    """The Python of a code cell with the same number of lines: magics become `pass`, and other languages ""."""
    if cell.kind != "code" or find_cell_magic(cell.source):
        return ""
    if parse_code(cell.source):
        return cell.source  # What looks like a magic is part of a string.
    lines = cell.source.split("\n")
    for number, text in _join_lines(cell.source):
        match = _MAGIC.match(text)
        if match and (not match["target"] or match["mark"] != "%%"):
            value = f"{match['target']}None" if match["target"] else "pass"
            _replace_lines(lines, number, text, f"{match['indent']}{value}")
        elif _HELP.fullmatch(text) or _AUTOMAGIC.match(text.strip()):
            _replace_lines(lines, number, text, "pass")
    return "\n".join(lines)


def parse_code(code: str) -> ast.Module | None:
    """The syntax tree, or None if the code is not Python 3 or too large."""
    try:
        with warnings.catch_warnings():  # The notebook's invalid escapes do not matter here.
            warnings.simplefilter("ignore")
            return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _replace_lines(lines: list[str], number: int, text: str, replacement: str) -> None:
    """Replace what `_join_lines` returned for line `number`, keeping the number of lines."""
    end = number + text.count("\n")
    lines[number - 1 : end] = [replacement, *[""] * (end - number)]


def _join_lines(source: str) -> Iterator[tuple[int, str]]:
    r"""Lines with their numbers from 1; a line that ends in `\` is joined with the next, line break included."""
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


def _parse_shell_line(text: str) -> str | None:
    """The shell command of a line, or None."""
    joined = re.sub(r"\\[ \t]*\n", " ", text)
    match = _MAGIC.match(joined)
    if match is None:
        bare = joined.strip()
        return bare if _AUTOMAGIC.match(bare) else None
    rest = match["rest"].strip()
    if match["mark"] in ("!", "!!"):
        return rest
    name, _, arguments = rest.partition(" ")
    if match["mark"] == "%%" or name not in _SHELL_MAGICS:
        return None
    return arguments if name in ("sx", "system") else rest


def _find_shell_calls(code: str, names: Mapping[str, str]) -> list[tuple[int, str]]:
    """Commands of calls such as `os.system("…")` and `subprocess.run([…])`, with their lines."""
    if not re.search(r"subprocess|system\(|popen", code):
        return []
    tree = parse_code(code)
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and node.args] if tree else []
    commands = []
    for call in calls:
        name = ast.unparse(call.func) if isinstance(call.func, (ast.Name, ast.Attribute)) else ""
        if re.search(r"(^|\.)(system|popen|Popen|run|call|check_call|check_output|getoutput)$", name):
            commands += [(call.lineno, text)] if (text := _read_command(call.args[0], names)) else []
    return commands


def _read_command(argument: ast.expr, names: Mapping[str, str]) -> str:
    """A command: a text, or a list of texts and `sys.executable`."""
    if isinstance(argument, (ast.List, ast.Tuple)):
        words = [
            "python" if isinstance(part, ast.Attribute) else evaluate_text(part, names)
            for part in argument.elts
        ]
        return shlex.join(filter(None, words))
    return evaluate_text(argument, names) or ""


def evaluate_text(node: ast.expr, names: Mapping[str, str]) -> str | None:
    """The text of a literal, a known name, an f-string or a sum of them; None for anything else."""
    if isinstance(node, ast.Constant) and isinstance(node.value, (str, int, float)):
        return None if isinstance(node.value, bool) else str(node.value)
    if isinstance(node, ast.Name):
        return names.get(node.id)
    if isinstance(node, ast.FormattedValue):
        return evaluate_text(node.value, names)
    if isinstance(node, ast.JoinedStr):
        parts = [evaluate_text(part, names) for part in node.values]
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        parts = [evaluate_text(node.left, names), evaluate_text(node.right, names)]
    else:
        return None
    return None if None in parts else "".join(filter(None, parts))
