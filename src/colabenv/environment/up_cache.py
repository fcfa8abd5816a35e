"""The record of everything that the last `up` depended on, from which the next one sees that nothing has changed.

Standard library only, and no process: this is all that runs when nothing has changed.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from colabenv import __version__
from colabenv.host.detect import read_gpu_signature
from colabenv.system.files import hash_file, write_atomically
from colabenv.system.home import FORMAT, Home

_SUSPECT = "colabenv/suspect"


def cache_path(home: Home, profile: str, variant: str) -> Path:
    """The file that holds the record of a profile."""
    # A builtin profile or a pinned address has no path, so its key is the same from every folder.
    is_path = not profile.startswith(("builtin:", "https://", "http://"))
    key = f"{os.path.realpath(profile) if is_path else profile}|{variant}"
    return home.up_cache / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.json"


def write_up_cache(
    home: Home,
    profile: str,
    variant: str,
    files: Mapping[str, str],
    result: Mapping[str, Any],
    environ: Mapping[str, str],
) -> None:
    """Record a successful `up` with `profile` and `--variant` as given, and the fields of its `UpResult`.

    `files` has the sha256 by path of the profile, its requirements files and the lock.
    """
    spec = result["kernelspec"]
    record = {
        "made": _other_inputs(environ),
        "files": {**files, spec: hash_file(Path(spec))},
        "exist": _required_files(result["environment"]),
        "result": dict(result),
    }
    write_atomically(cache_path(home, profile, variant), json.dumps(record))


def read_unchanged(
    home: Home, profile: str, variant: str, environ: Mapping[str, str]
) -> dict[str, Any] | None:
    """The fields of the last result if nothing that it depends on has changed since, else None."""
    try:
        record = json.loads(cache_path(home, profile, variant).read_text(encoding="utf-8"))
        return dict(record["result"]) if _is_current(record, home, environ) else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _is_current(record: dict[str, Any], home: Home, environ: Mapping[str, str]) -> bool:
    # They exist if a session could not start in its environment, or a check failed.
    suspect_marks = [f"{home.root}/switch/notice.json", f"{record['result']['environment']}/{_SUSPECT}"]
    return (
        record["made"] == _other_inputs(environ)
        and not any(os.path.exists(path) for path in suspect_marks)  # noqa: PTH110 - pathlib is slower to load and to ask
        and all(os.path.exists(path) for path in record["exist"])  # noqa: PTH110
        and all(hash_file(Path(path)) == digest for path, digest in record["files"].items())
    )


def mark_suspect(environment: Path) -> None:
    """Make the next `up` examine an environment again."""
    write_atomically(environment / _SUSPECT, "")


def clear_suspect(environment: Path) -> None:
    """Trust an environment again: it has passed its check."""
    (environment / _SUSPECT).unlink(missing_ok=True)


def _other_inputs(environ: Mapping[str, str]) -> list[str]:
    """What a result depends on besides files: versions, the GPU and the installer."""
    return [__version__, str(FORMAT), read_gpu_signature(), environ.get("COLABENV_INSTALLER", "")]


def _required_files(environment: str) -> list[str]:
    """Files that every complete environment has."""
    names = ("stamp.json", "bin/python", "colabenv/launcher.py", "colabenv/settings.json")
    return [f"{environment}/{name}" for name in names]
