"""Pythons that uv does not offer for download, and the reasons why a download fails.

`python-downloads.json` is in the format of uv's UV_PYTHON_DOWNLOADS_JSON_URL. It has CPython 3.7.9 of the same project
(python-build-standalone) that uv's own list is from. Its release 20200822 is the last with a CPython 3.7.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

from colabenv.environment.installer_errors import classify_error
from colabenv.errors import ColabenvError, CorruptError, DiskError, InterpreterError, NetworkError
from colabenv.host.interpreters import minor_version
from colabenv.profile.validators import PYTHON_SPAN

_FILE = Path(__file__).with_name("python-downloads.json")
_LIST_SETTING = "UV_PYTHON_DOWNLOADS_JSON_URL"
_OTHER_PYTHON = "install Python {}, or set python in the profile to a version that is installed."


def add_download_list(version: str, variables: Mapping[str, str]) -> dict[str, str]:
    """The variables of uv for a download: with colabenv's list if that has the version and the user names no list."""
    if _LIST_SETTING in variables or not _find_own_version(version):
        return dict(variables)
    return {**variables, _LIST_SETTING: str(_FILE)}


def explain_failed_download(version: str, output: str) -> ColabenvError:
    """The error for uv's output about a version that could not be downloaded."""
    error = classify_error(f"downloading Python {version}", output)
    other_python = _OTHER_PYTHON.format(version)
    if isinstance(error, DiskError):
        return error
    if "Python downloads are not allowed" in output or "Network connectivity is disabled" in output:
        setting = "UV_OFFLINE" if "connectivity" in output else "UV_PYTHON_DOWNLOADS=never"
        return InterpreterError(
            f"Python {version} is not installed here, and downloads are turned off ({setting}).",
            hint=f"Remove that setting, {other_python}",
        )
    if re.search(r"HTTP status client error \(404\b", output):
        return NetworkError(
            f"Python {version} is not installed here, and the server to download it from does not have it.",
            hint="If UV_PYTHON_INSTALL_MIRROR or UV_PYTHON_DOWNLOADS_JSON_URL is set, add the file to that server or "
            f"unset the variable. Otherwise {other_python}",
            detail=error.detail,
        )
    if isinstance(error, NetworkError):
        return NetworkError(
            f"Python {version} is not installed here, and the server to download it from could not be reached.",
            hint="Set python in the profile to a version that is installed, or UV_PYTHON_INSTALL_MIRROR to a mirror "
            "that you can reach.",
            detail=error.detail,
        )
    if isinstance(error, CorruptError):
        return CorruptError(
            f"The downloaded Python {version} is damaged, so it was not used.",
            hint="Run the same command again. If that does not help, set UV_PYTHON_INSTALL_MIRROR to another mirror.",
            detail=error.detail,
        )
    own = _find_own_version(version)
    return InterpreterError(
        f"Python {version} is not installed here, and uv could not download it.",
        hint=f"Check the version in the profile; colabenv supports Python {PYTHON_SPAN}."
        + (f" For Python {minor_version(version)}, uv downloads {own}, for Linux on x86-64." if own else ""),
        detail=error.detail,
    )


def _find_own_version(version: str) -> str:
    """The full version in colabenv's own list that has the same minor version, or ""."""
    minor = minor_version(version)
    entries = json.loads(_FILE.read_text(encoding="utf-8")).values()
    versions = (f"{entry['major']}.{entry['minor']}.{entry['patch']}" for entry in entries)
    return next((full for full in versions if minor_version(full) == minor), "")
