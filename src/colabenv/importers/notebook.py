"""Parse a notebook of nbformat 4 ("The Notebook file format" in Jupyter's documentation); outputs as text only."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any, Final

from colabenv.errors import UsageError

#: Characters of an output that are read, from its start and again from its end.
MAX_OUTPUT: Final = 200_000
#: Characters of a cell's source that are read, and of all cells together.
MAX_SOURCE: Final = 300_000
MAX_CODE: Final = 5_000_000
# Kernels that notebooks may name without a language, as Colab does.
_OTHER_KERNELS: Final = re.compile(r"(ir|xr|julia.*|xcpp.*|bash|scala|javascript|deno)", re.IGNORECASE)
_TIME: Final = re.compile(r"20[0-9]{2}-[0-9]{2}-[0-9]{2}T")
# ECMA-48 control sequences of tracebacks and progress bars.
_ANSI: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")


@dataclass(frozen=True)
class CellError:
    """The exception of a cell: its class name, its message, and its traceback without colors."""

    name: str
    value: str
    traceback: str


@dataclass(frozen=True)
class Cell:
    """A cell."""

    number: int  #: its position in the notebook, from 1; all kinds of cells count
    kind: str  #: "code", "markdown" or "raw"
    source: str  #: its text, up to `MAX_SOURCE` characters
    output: str = ""  #: its output as text, without colors and with progress bars in their last state
    failure: CellError | None = None  #: its exception
    times: tuple[str, ...] = ()  #: ISO 8601 times of its runs from its metadata


@dataclass(frozen=True)
class Notebook:
    """A notebook."""

    name: str  #: its file name, for messages
    cells: tuple[Cell, ...]
    python: str = ""  #: the Python version of its last run, "3.7.10", or ""
    kernel: str = ""  #: its kernel's name, "python3", or ""
    accelerator: str = ""  #: the accelerator it requests from Colab: "GPU", "TPU" or ""
    runtime: str = ""  #: the past Colab runtime that it selects, "2025.07", or ""

    @property
    def code(self) -> tuple[Cell, ...]:
        """The code cells."""
        return tuple(cell for cell in self.cells if cell.kind == "code")


def parse_notebook(text: str, name: str) -> Notebook:
    """Parse the text of an .ipynb file; `name` is the file's name in messages.

    Raises:
        UsageError: it is not a Python notebook of nbformat 4, or is too large.
    """
    data = parse_notebook_json(text.removeprefix("\ufeff"), name)
    metadata = data["metadata"]
    info, spec, colab = (as_object(metadata.get(key)) for key in ("language_info", "kernelspec", "colab"))
    version = str(info.get("version") or "")
    runtime = str(as_object(colab.get("runtime_attributes")).get("runtime_version") or "")
    cells = tuple(_cell(number, cell) for number, cell in enumerate(data["cells"], 1))
    code = sum(len(cell.source) for cell in cells)
    if code > MAX_CODE:
        raise UsageError(
            f"{name} is too large: {code / 1e6:.0f} MB of text and code, and the limit is {MAX_CODE / 1e6:.0f} MB.",
            hint="Move data from its cells to files beside the notebook.",
        )
    return Notebook(
        name=name,
        cells=cells,
        python=version if re.fullmatch(r"[23]\.[0-9]{1,2}(\.[0-9]{1,2})?", version) else "",
        kernel=str(spec.get("name") or ""),
        accelerator=str(metadata.get("accelerator") or colab.get("accelerator") or "").upper()[:10],
        runtime=runtime if re.fullmatch(r"20[0-9]{2}\.[01][0-9]", runtime) else "",
    )


def parse_notebook_json(text: str, name: str) -> dict[str, Any]:
    """Parse the text of an .ipynb file to JSON; errors as for `parse_notebook`."""
    try:
        notebook = json.loads(text)
    except json.JSONDecodeError as error:
        conflict = "It has merge conflict markers: resolve the conflict first." if "<<<<<<< " in text else ""
        location = f"line {error.lineno}, column {error.colno}"
        hint = conflict or "Check that this is the right file. Jupyter and Colab cannot open it either."
        message = f"{name} is not a notebook: invalid JSON at {location} ({error.msg})."
        raise UsageError(message, hint=hint) from None
    except (ValueError, RecursionError) as error:  # valid JSON beyond Python's limits
        why = "it is nested too deeply" if isinstance(error, RecursionError) else "a number in it is too long"
        hint = "Check that this is the right file."
        raise UsageError(f"{name} is not a notebook: {why}.", hint=hint) from None
    if not isinstance(notebook, dict) or type(notebook.get("nbformat")) is not int:
        raise UsageError(f"{name} is JSON, but not a notebook.", hint="Give the path of an .ipynb file.")
    _check_version(notebook["nbformat"], name)
    cells, metadata = notebook.get("cells"), notebook.get("metadata")
    complete = type(notebook.get("nbformat_minor")) is int and isinstance(cells, list)
    if not isinstance(metadata, dict) or not complete or not all(map(_is_cell, cells or ())):
        raise UsageError(
            f"{name} is a damaged notebook: its cells or metadata do not follow nbformat 4.",
            hint="Open it in Jupyter or Colab and save it again.",
        )
    if language := _other_language(metadata):
        raise UsageError(
            f"{name} is a notebook for {language}, and colabenv supports only Python.",
            hint="If it should run Python, select a Python kernel in it first.",
        )
    return notebook


def as_object(value: object) -> dict[str, Any]:
    """`value` if it is a JSON object, otherwise an empty one."""
    return value if isinstance(value, dict) else {}


def join_lines(source: object) -> str:
    """A text that nbformat stores as a string or a list of lines; "" for anything else."""
    if isinstance(source, list):
        return "".join(line for line in source if isinstance(line, str))
    return source if isinstance(source, str) else ""


def _check_version(version: int, name: str) -> None:
    if version < 4:
        raise UsageError(
            f"{name} has the old notebook format {version}; format 4 is required.",
            hint=f"Convert it: jupyter nbconvert --to notebook --inplace {name} (or open and save it in Colab).",
        )
    if version > 4:
        raise UsageError(
            f"{name} has notebook format {version}, which this version of colabenv does not support.",
            hint="Upgrade colabenv: pip install --upgrade colabenv",
        )


def _is_cell(cell: object) -> bool:
    if not isinstance(cell, dict) or not isinstance(cell.get("metadata"), dict):
        return False
    source = cell.get("source")
    lines = source if isinstance(source, list) else [source]
    return isinstance(cell.get("cell_type"), str) and all(isinstance(line, str) for line in lines)


def _other_language(metadata: dict[str, Any]) -> str:
    """The notebook's language if it is not Python, or ""."""
    spec, info = (as_object(metadata.get(key)) for key in ("kernelspec", "language_info"))
    language = spec.get("language") or info.get("name")
    if not language and _OTHER_KERNELS.fullmatch(str(spec.get("name"))):
        language = spec.get("display_name") or spec["name"]
    return "" if not language or str(language).lower() in {"python", "ipython"} else str(language)


def _cell(number: int, cell: dict[str, Any]) -> Cell:
    outputs = cell.get("outputs")
    listed = [as_object(output) for output in outputs] if isinstance(outputs, list) else []
    failed = next((output for output in listed if output.get("output_type") == "error"), None)
    return Cell(
        number=number,
        kind=cell["cell_type"],
        source=join_lines(cell["source"])[:MAX_SOURCE],
        output="\n".join(filter(None, map(_output, listed))),
        failure=_failure(failed) if failed else None,
        times=tuple(_times(cell["metadata"])),
    )


def _output(output: dict[str, Any]) -> str:
    """The text of an output; an error becomes the cell's failure instead."""
    if output.get("output_type") == "stream":
        return render_output(join_lines(output.get("text")))
    return render_output(join_lines(as_object(output.get("data")).get("text/plain")))


def _failure(output: dict[str, Any]) -> CellError:
    frames = output.get("traceback")
    lines = [frame for frame in frames if isinstance(frame, str)] if isinstance(frames, list) else []
    name, value = (str(output.get(key) or "") for key in ("ename", "evalue"))
    return CellError(name[:200], render_output(value), render_output("\n".join(lines)))


def render_output(text: str) -> str:
    r"""Text without colors, and with the last state of lines redrawn with `\r`; the middle of long text is left out."""
    if len(text) > 2 * MAX_OUTPUT:
        text = f"{text[:MAX_OUTPUT]}\n…\n{text[-MAX_OUTPUT:]}"
    plain = _ANSI.sub("", text).replace("\r\n", "\n")
    return "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in plain.split("\n"))


def _times(metadata: dict[str, Any]) -> list[str]:
    """The times of a cell's runs from Colab (`executionInfo`), JupyterLab (`execution`), ExecuteTime and papermill."""
    times = []
    stamp = as_object(metadata.get("executionInfo")).get("timestamp")
    if isinstance(stamp, int) and 0 < stamp < 10**14:  # milliseconds since 1970
        run = datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(milliseconds=stamp)
        times.append(run.isoformat())
    for key in ("execution", "ExecuteTime", "papermill"):
        values = as_object(metadata.get(key)).values()
        times += [value[:40] for value in values if isinstance(value, str) and _TIME.match(value)]
    return times
