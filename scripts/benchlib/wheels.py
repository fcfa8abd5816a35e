"""The wheels of a lock, downloaded once from the real index and kept for further runs."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from benchlib.place import Place, timed
from colabenv.environment.installers.index_settings import pip_variables
from colabenv.lock.files import read_lock


def downloaded(place: Place, lock: Path, python: str, cache: Path) -> Path:
    """A folder with the wheel of each pin for this machine, each checked against the lock by pip.

    Args:
        place: for scratch files.
        lock: whose wheels.
        python: executable of the Python they are for.
        cache: where the folder is kept between runs.
    """
    pins = read_lock(str(lock))
    if pins is None:
        raise SystemExit(f"There is no lock {lock}.")
    folder = cache / f"wheels-{pins.pins_digest[:16]}"
    if folder.is_dir():
        return folder
    scratch = cache / f".filling-{folder.name}"
    shutil.rmtree(scratch, ignore_errors=True)
    venv = place.root / "pip-for-wheels"
    environ = pip_variables(place.environ, (), place.root / "pip-cache")
    made = [sys.executable, "-m", "virtualenv", "--quiet", "--no-periodic-update", "--python", python]
    timed([*made, "--app-data", place.root / "app-data", venv], environ)
    pip: list[str | Path] = [venv / "bin" / "python", "-m", "pip", "download", "--quiet", "--no-cache-dir"]
    pip += ["--no-deps", "--only-binary=:all:", "--require-hashes", "-r", lock, "--dest", scratch]
    timed(pip, environ)
    scratch.rename(folder)
    return folder
