"""A notebook's text as cells: what was written, what came out, what failed, and when. Pure; nothing is run.

What a notebook holds is nbformat 4's schema ("The Notebook file format" in Jupyter's documentation). Outputs are read
as text alone; pictures and widgets are left out.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any, Final

from colabenv.errors import UsageError

#: Characters of one output that are looked at; of a longer one, as many from its start and from its end.
MAX_OUTPUT: Final = 200_000
#: Characters of a cell's source that are looked at, and of all cells together.
MAX_SOURCE: Final = 300_000
MAX_CODE: Final = 5_000_000
# Kernels that are often named without their language, as Colab does.
_OTHER_KERNELS: Final = re.compile(r"(ir|xr|julia.*|xcpp.*|bash|scala|javascript|deno)", re.IGNORECASE)
_MOMENT: Final = re.compile(r"20[0-9]{2}-[0-9]{2}-[0-9]{2}T")
# ECMA-48 control sequences, which tracebacks and progress bars are full of.
_ANSI: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")


@dataclass(frozen=True)
class Failure:
    """An exception that a cell ended with.

    Attributes:
        name: of its class, `ModuleNotFoundError`.
        value: its message.
        traceback: as it was shown, without colours.
    """

    name: str
    value: str
    traceback: str


@dataclass(frozen=True)
class Cell:
    """A cell.

    Attributes:
        number: its place in the notebook, from 1; cells of all kinds count.
        kind: "code", "markdown" or "raw".
        source: what was written in it, the first `MAX_SOURCE` characters.
        output: the text that came out of it, in order, without colours; progress bars as they ended.
        failure: what it ended with, or None.
        times: when it ran, as its metadata has it: ISO 8601 texts.
    """

    number: int
    kind: str
    source: str
    output: str = ""
    failure: Failure | None = None
    times: tuple[str, ...] = ()


@dataclass(frozen=True)
class Notebook:
    """A notebook.

    Attributes:
        name: of its file, for messages.
        cells: in order.
        python: version of the Python that it ran on last, "3.7.10", or "" where it does not say.
        kernel: name of its kernel, "python3", or "".
        accelerator: what it asks Colab for: "GPU", "TPU" or "".
    """

    name: str
    cells: tuple[Cell, ...]
    python: str = ""
    kernel: str = ""
    accelerator: str = ""

    @property
    def code(self) -> tuple[Cell, ...]:
        """The cells of code."""
        return tuple(cell for cell in self.cells if cell.kind == "code")


def read(text: str, name: str) -> Notebook:
    """Read a notebook.

    Args:
        text: of the .ipynb file.
        name: of the file, for messages.

    Raises:
        UsageError: it is no notebook of nbformat 4 in Python, and why; or it has more code than anybody writes.
    """
    data = checked(text.removeprefix("\ufeff"), name)
    metadata = data["metadata"]
    info, spec, colab = (as_object(metadata.get(key)) for key in ("language_info", "kernelspec", "colab"))
    version = str(info.get("version") or "")
    cells = tuple(_cell(number, cell) for number, cell in enumerate(data["cells"], 1))
    code = sum(len(cell.source) for cell in cells)
    if code > MAX_CODE:
        raise UsageError(
            f"{name} holds {code / 1e6:.0f} MB of text and code; up to {MAX_CODE / 1e6:.0f} MB are read.",
            hint="Is it the file you meant? Data is better kept in files beside a notebook.",
        )
    return Notebook(
        name=name,
        cells=cells,
        python=version if re.fullmatch(r"[23]\.[0-9]{1,2}(\.[0-9]{1,2})?", version) else "",
        kernel=str(spec.get("name") or ""),
        accelerator=str(metadata.get("accelerator") or colab.get("accelerator") or "").upper()[:10],
    )


def checked(text: str, name: str) -> dict[str, Any]:
    """The notebook as JSON has it, if it is one of nbformat 4 in Python.

    Raises:
        UsageError: it is not, and why.
    """
    try:
        notebook = json.loads(text)
    except json.JSONDecodeError as error:
        conflict = "It holds the marks of a merge conflict: solve that first." if "<<<<<<< " in text else ""
        place = f"line {error.lineno}, column {error.colno}"
        hint = conflict or "Is it the file you meant? Jupyter and Colab cannot open it either."
        raise UsageError(f"{name} is not a notebook: no JSON at {place} ({error.msg}).", hint=hint) from None
    except (ValueError, RecursionError) as error:  # JSON, yet beyond what Python reads
        why = "it is nested too deeply" if isinstance(error, RecursionError) else "a number in it is too long"
        raise UsageError(f"{name} is not a notebook: {why}.") from None
    if not isinstance(notebook, dict) or type(notebook.get("nbformat")) is not int:
        raise UsageError(f"{name} is JSON, but not a notebook.", hint="A notebook's file ends in .ipynb.")
    _check_version(notebook["nbformat"], name)
    cells, metadata = notebook.get("cells"), notebook.get("metadata")
    whole = type(notebook.get("nbformat_minor")) is int and isinstance(cells, list)
    if not isinstance(metadata, dict) or not whole or not all(map(_is_cell, cells or ())):
        raise UsageError(
            f"{name} is a damaged notebook: its cells or its metadata are not as nbformat 4 has them.",
            hint="Open it in Jupyter or Colab and save it from there.",
        )
    if language := _other_language(metadata):
        raise UsageError(
            f"{name} is a notebook for {language}; colabenv's environments are Python.",
            hint="Choose a Python kernel in it first, if that is what it should have.",
        )
    return notebook


def as_object(value: object) -> dict[str, Any]:
    """A JSON object, or an empty one where there is something else."""
    return value if isinstance(value, dict) else {}


def joined(source: object) -> str:
    """Text that nbformat has as one string or as a list of lines; "" for anything else."""
    if isinstance(source, list):
        return "".join(line for line in source if isinstance(line, str))
    return source if isinstance(source, str) else ""


def _check_version(version: int, name: str) -> None:
    if version < 4:
        raise UsageError(
            f"{name} is in the old notebook format {version}; format 4 is needed.",
            hint=f"Convert it: jupyter nbconvert --to notebook --inplace {name} (or open it on Colab and save it).",
        )
    if version > 4:
        raise UsageError(f"{name} is in notebook format {version}, which this version does not know.")


def _is_cell(cell: object) -> bool:
    if not isinstance(cell, dict) or not isinstance(cell.get("metadata"), dict):
        return False
    source = cell.get("source")
    lines = source if isinstance(source, list) else [source]
    return isinstance(cell.get("cell_type"), str) and all(isinstance(line, str) for line in lines)


def _other_language(metadata: dict[str, Any]) -> str:
    """The notebook's language where it says one that is not Python, or ""."""
    spec, info = (as_object(metadata.get(key)) for key in ("kernelspec", "language_info"))
    said = spec.get("language") or info.get("name")
    if not said and _OTHER_KERNELS.fullmatch(str(spec.get("name"))):
        said = spec.get("display_name") or spec["name"]
    return "" if not said or str(said).lower() in {"python", "ipython"} else str(said)


def _cell(number: int, cell: dict[str, Any]) -> Cell:
    outputs = cell.get("outputs")
    listed = [as_object(output) for output in outputs] if isinstance(outputs, list) else []
    failed = next((output for output in listed if output.get("output_type") == "error"), None)
    return Cell(
        number=number,
        kind=cell["cell_type"],
        source=joined(cell["source"])[:MAX_SOURCE],
        output="\n".join(filter(None, map(_output, listed))),
        failure=_failure(failed) if failed else None,
        times=tuple(_times(cell["metadata"])),
    )


def _output(output: dict[str, Any]) -> str:
    """The text of one output; an error's is kept as the cell's failure."""
    if output.get("output_type") == "stream":
        return shown(joined(output.get("text")))
    return shown(joined(as_object(output.get("data")).get("text/plain")))


def _failure(output: dict[str, Any]) -> Failure:
    frames = output.get("traceback")
    lines = [frame for frame in frames if isinstance(frame, str)] if isinstance(frames, list) else []
    name, value = (str(output.get(key) or "") for key in ("ename", "evalue"))
    return Failure(name[:200], shown(value), shown("\n".join(lines)))


def shown(text: str) -> str:
    r"""Text as a screen has it in the end: no colours, and of a line that was redrawn with `\r` the last state.

    Of text beyond `2 * MAX_OUTPUT` characters the middle is left out.
    """
    if len(text) > 2 * MAX_OUTPUT:
        text = f"{text[:MAX_OUTPUT]}\n…\n{text[-MAX_OUTPUT:]}"
    plain = _ANSI.sub("", text).replace("\r\n", "\n")
    return "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in plain.split("\n"))


def _times(metadata: dict[str, Any]) -> list[str]:
    """When a cell ran, by Colab (`executionInfo`), JupyterLab (`execution`), ExecuteTime and papermill."""
    found = []
    stamp = as_object(metadata.get("executionInfo")).get("timestamp")
    if isinstance(stamp, int) and 0 < stamp < 10**14:  # milliseconds since 1970
        found.append(_iso(stamp))
    for key in ("execution", "ExecuteTime", "papermill"):
        values = as_object(metadata.get(key)).values()
        found += [value[:40] for value in values if isinstance(value, str) and _MOMENT.match(value)]
    return found


def _iso(milliseconds: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(milliseconds=milliseconds)).isoformat()
