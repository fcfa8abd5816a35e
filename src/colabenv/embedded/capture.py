"""Captures what a running kernel knows about its last failure: the exception, and the modules it has imported.

Standard library only, Python 3.6 syntax: this text also runs in the kernels of environments, where colabenv is not
installed. It imports nothing that is not loaded and reads no attribute that could run code.
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

# Limits on the characters of a traceback and on its frames; a recursion has thousands.
_MAX_CHARACTERS = 100000
_MAX_FRAMES = 200


def capture_failure(error: "BaseException | None" = None) -> "dict[str, Any]":
    """A failure as JSON-compatible data; by default that of the exception which the interpreter showed last.

    It has `loaded` (module to its version and file), `executable`, `prefix`, `cwd`, and if there was an exception its
    `kind`, `message`, `frames` (file, line, function), `statement` (the innermost line of the notebook) and `text`.
    """
    if error is None:
        error = getattr(sys, "last_value", None)
    try:
        cwd = os.getcwd()
    except OSError:
        cwd = ""
    captured = {
        "loaded": list_loaded_modules(),
        "executable": sys.executable,
        "prefix": sys.prefix,
        "cwd": cwd,
    }
    return captured if error is None else dict(captured, **describe_exception(error))


def capture_as_json() -> str:
    """The last failure as ASCII, which survives any channel."""
    return json.dumps(capture_failure())


def list_loaded_modules() -> "dict[str, list[str]]":
    """[version, file] of the top-level modules that have a version or are installed packages."""
    modules = {}
    for name, module in list(sys.modules.items()):
        if "." in name or module is None:
            continue
        # From the dictionary, because reading an attribute of a lazy module would import it.
        values = getattr(module, "__dict__", None) or {}
        version, file = values.get("__version__"), values.get("__file__")
        version = version if type(version) is str else ""
        file = file if type(file) is str else ""
        if version or "site-packages" in file or "dist-packages" in file:
            modules[name] = [version, file]
    return modules


def describe_exception(error: BaseException) -> "dict[str, Any]":
    """An exception as plain data."""
    frames = list_frames(error.__traceback__)
    try:
        message = str(error)
    except Exception:  # noqa: BLE001 - the exception's own __str__ may fail in any way
        message = ""
    try:
        text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    except Exception:  # noqa: BLE001 - it calls __str__, too
        text = type(error).__name__ + ": " + message
    half = _MAX_CHARACTERS // 2
    return {
        "kind": type(error).__name__,
        "message": message[:_MAX_CHARACTERS],
        "frames": frames,
        "statement": find_statement(error, frames),
        "text": text if len(text) <= _MAX_CHARACTERS else text[:half] + "\n...\n" + text[-half:],
    }


def list_frames(trace: "TracebackType | None") -> "list[list[Any]]":
    """[file, line, function] from the outermost frame in, without IPython's frames that run the cell."""
    frames = []  # type: list[list[Any]]
    while trace is not None:
        code = trace.tb_frame.f_code
        in_shell = "/IPython/" in code.co_filename or "/ipykernel/" in code.co_filename
        if frames or trace.tb_next is None or not in_shell:
            frames.append([code.co_filename, trace.tb_lineno, code.co_name])
        trace = trace.tb_next
    return frames if len(frames) <= _MAX_FRAMES else frames[:20] + frames[20 - _MAX_FRAMES :]


def find_statement(error: BaseException, frames: "list[list[Any]]") -> str:
    """The innermost line that belongs neither to an installed package nor to the standard library."""
    if isinstance(error, SyntaxError) and error.text:
        return error.text.strip()
    libraries = (os.path.dirname(os.__file__), "<frozen")
    for file, line, _ in reversed(frames):
        installed = "site-packages" in file or "dist-packages" in file or file.startswith(libraries)
        text = "" if installed else linecache.getline(file, line).strip()
        if text:
            return text
    return ""
