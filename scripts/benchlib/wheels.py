"""Download the wheels of a lock once and keep them for later runs."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from benchlib.sandbox import Sandbox, run_timed
from colabenv.environment.installers.index_settings import pip_variables
from colabenv.lock.files import read_lock


def download_wheels(sandbox: Sandbox, lock: Path, python: str, cache: Path) -> Path:
    """Download the wheel of each pin for this machine; pip checks the hashes.

    Args:
        sandbox: for temporary files.
        lock: path of the lock.
        python: executable of the Python that the wheels are for.
        cache: the folder in which the wheels are kept between runs.

    Returns:
        The folder with the wheels.
    """
    pins = read_lock(str(lock))
    if pins is None:
        raise SystemExit(f"The lock {lock} does not exist.")
    folder = cache / f"wheels-{pins.pins_digest[:16]}"
    if folder.is_dir():
        return folder
    scratch = cache / f".downloading-{folder.name}"
    shutil.rmtree(scratch, ignore_errors=True)
    venv = sandbox.root / "pip-for-wheels"
    environ = pip_variables(sandbox.environ, (), sandbox.root / "pip-cache")
    create_venv = [sys.executable, "-m", "virtualenv", "--quiet", "--no-periodic-update", "--python", python]
    run_timed([*create_venv, "--app-data", sandbox.root / "app-data", venv], environ)
    pip: list[str | Path] = [venv / "bin" / "python", "-m", "pip", "download", "--quiet", "--no-cache-dir"]
    pip += ["--no-deps", "--only-binary=:all:", "--require-hashes", "-r", lock, "--dest", scratch]
    run_timed(pip, environ)
    scratch.rename(folder)
    return folder
