"""What a running kernel knows of its last failure: the exception, and which modules it has imported from where.

Standard library only, CPython 3.8: the text of this file also runs in the kernels of environments, where nothing of
ours is installed. Nothing is imported that is not there, and no attribute that code could stand behind is asked for.
"""

import json
import linecache
import os
import sys
import traceback

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any

# Characters of a traceback, and frames; a recursion has thousands.
_LONGEST = 100000
_FRAMES = 200


def capture_failure(error: "BaseException | None" = None) -> "dict[str, Any]":
    """The snapshot as JSON has it.

    Args:
        error: the exception in question; by default the last that the interactive interpreter showed.

    Returns:
        `loaded` (module to its version and file), `executable`, `prefix`, `cwd`, and if there was an exception its
        `kind`, `message`, `frames` (file, line, function), `statement` (the line of the person's own) and `text`.
    """
    if error is None:
        error = getattr(sys, "last_value", None)
    try:
        cwd = os.getcwd()
    except OSError:
        cwd = ""
    found = {"loaded": list_loaded_modules(), "executable": sys.executable, "prefix": sys.prefix, "cwd": cwd}
    if error is not None:
        found.update(describe_exception(error))
    return found


def capture_as_json() -> str:
    """The same as ASCII, so that it stands any way through which it is sent."""
    return json.dumps(capture_failure())


def list_loaded_modules() -> "dict[str, list[str]]":
    """Top-level modules that say their version, or lie among installed packages."""
    found = {}
    for name, module in list(sys.modules.items()):
        if "." in name or module is None:
            continue
        # Straight from the dictionary: a lazy module would import things when it is asked.
        values = getattr(module, "__dict__", None) or {}
        version, file = values.get("__version__"), values.get("__file__")
        version = version if type(version) is str else ""
        file = file if type(file) is str else ""
        if version or "site-packages" in file or "dist-packages" in file:
            found[name] = [version, file]
    return found


def describe_exception(error: BaseException) -> "dict[str, Any]":
    """An exception in plain data."""
    frames = list_frames(error.__traceback__)
    try:
        message = str(error)
    except Exception:  # noqa: BLE001 - whatever a stranger's exception does, it is told without its message
        message = ""
    try:
        text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    except Exception:  # noqa: BLE001 - likewise
        text = type(error).__name__ + ": " + message
    return {
        "kind": type(error).__name__,
        "message": message[:_LONGEST],
        "frames": frames,
        "statement": find_statement(error, frames),
        "text": text if len(text) <= _LONGEST else text[: _LONGEST // 2] + "\n...\n" + text[-_LONGEST // 2 :],
    }


def list_frames(trace: "TracebackType | None") -> "list[list[Any]]":
    """(file, line, function) from the outermost in, without those of IPython that run the cell."""
    frames = []  # type: list[list[Any]]
    while trace is not None:
        code = trace.tb_frame.f_code
        inner = trace.tb_next is None
        if frames or inner or not is_shell_file(code.co_filename):
            frames.append([code.co_filename, trace.tb_lineno, code.co_name])
        trace = trace.tb_next
    return frames if len(frames) <= _FRAMES else frames[:20] + frames[20 - _FRAMES :]


def is_shell_file(file: str) -> bool:
    """Whether code of this file only runs a cell."""
    return "/IPython/" in file or "/ipykernel/" in file


def find_statement(error: BaseException, frames: "list[list[Any]]") -> str:
    """The innermost line that is not an installed package's or the standard library's."""
    if isinstance(error, SyntaxError) and error.text:
        return error.text.strip()
    library = os.path.dirname(os.__file__)
    for file, line, _ in reversed(frames):
        installed = (
            "site-packages" in file or "dist-packages" in file or file.startswith((library, "<frozen"))
        )
        text = "" if installed else linecache.getline(file, line).strip()
        if text:
            return text
    return ""
