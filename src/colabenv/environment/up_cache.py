"""How an `up` with nothing to do knows it: a receipt of what the last one looked at.

Standard library only, and no process: this is the whole of what runs when nothing has changed.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from colabenv import __version__
from colabenv.host.detect import gpu_marks, kind_of
from colabenv.output.results import UpResult
from colabenv.system.files import sha256_of, write_atomically
from colabenv.system.home import FORMAT, Home

_SUSPECT = "colabenv/suspect"


def path_of(home: Home, profile: str, variant: str) -> Path:
    """Where the receipt of a profile lies."""
    # What ships is no path, so it is the same from every folder.
    key = f"{profile if profile.startswith('builtin:') else os.path.realpath(profile)}|{variant}"
    return home.receipts / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.json"


def write(
    home: Home,
    profile: str,
    variant: str,
    files: Mapping[str, str],
    result: UpResult,
    environ: Mapping[str, str],
) -> None:
    """Keep what an `up` that succeeded looked at.

    Args:
        home: where.
        profile: path as given.
        variant: the `--variant` that was asked for.
        files: sha256 by path of the profile, its requirements files and the lock.
        result: what it did.
        environ: what colabenv inherited.
    """
    spec = result.kernelspec
    receipt = {
        "made": _made(environ),
        "files": {**files, spec: sha256_of(Path(spec))},
        "exist": _needed(result.environment),
        "result": asdict(result),
    }
    write_atomically(path_of(home, profile, variant), json.dumps(receipt))


def read_if_unchanged(home: Home, profile: str, variant: str, environ: Mapping[str, str]) -> UpResult | None:
    """The last result, if nothing it rests on has changed since; None if anything has, or there is none."""
    try:
        receipt: dict[str, Any] = json.loads(path_of(home, profile, variant).read_text(encoding="utf-8"))
        if not _still_true(receipt, home, environ):
            return None
        fields = receipt["result"]
        again = {"action": "unchanged", "devices": tuple(fields["devices"]), "notes": tuple(fields["notes"])}
        again["preload"] = tuple(fields.get("preload", ()))
        inside = environ.get("COLABENV_INSIDE", "") == fields["environment"]
        return UpResult(**{**fields, **again, "host": kind_of(environ), "inside": inside})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _still_true(receipt: dict[str, Any], home: Home, environ: Mapping[str, str]) -> bool:
    doubts = [f"{home.root}/switch/notice.json", f"{receipt['result']['environment']}/{_SUSPECT}"]
    return (
        receipt["made"] == _made(environ)
        # A session could not start in its environment, or `verify` failed: look at everything again.
        and not any(os.path.exists(path) for path in doubts)  # noqa: PTH110
        and all(os.path.exists(path) for path in receipt["exist"])  # noqa: PTH110
        and all(sha256_of(Path(path)) == digest for path, digest in receipt["files"].items())
    )


def mark_suspect(environment: Path) -> None:
    """Have the next `up` look at an environment again, however unchanged it seems."""
    write_atomically(environment / _SUSPECT, "")


def clear_suspect(environment: Path) -> None:
    """Trust an environment again: it has passed its proof."""
    (environment / _SUSPECT).unlink(missing_ok=True)


def _made(environ: Mapping[str, str]) -> list[str]:
    """What else a result depends on."""
    return [__version__, str(FORMAT), gpu_marks(), environ.get("COLABENV_INSTALLER", "")]


def _needed(environment: str) -> list[str]:
    """Files without which the environment is not whole."""
    return [
        f"{environment}/{name}"
        for name in ("stamp.json", "bin/python", "colabenv/launcher.py", "colabenv/settings.json")
    ]
