"""The folder of a benchmark, its environment variables, and programs that are timed."""

from __future__ import annotations

import os
import platform
import resource
import secrets
import shutil
import stat
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from uv import find_uv_bin

from colabenv.embedded.environ import remove_leaks

REPOSITORY = Path(__file__).resolve().parents[2]
#: Folder in a sandbox to which `set_aside` moves files.
TRASH = ".trash"
#: Seconds that a program may take.
_LIMIT = 3600


@dataclass(frozen=True)
class Sandbox:
    """The folder in which a benchmark runs."""

    root: Path
    environ: dict[str, str]  #: environment variables of every program, the same for all contenders

    @classmethod
    def create(cls, root: Path) -> Sandbox:
        """A sandbox whose programs write nowhere else and inherit nothing that favors or slows down one of them.

        For example, with PYTHONDONTWRITEBYTECODE every start of another contender's kernel would compile TensorFlow
        again; colabenv removes that variable for its environments.
        """
        moved = {
            "IPYTHONDIR": "ipython",
            "JUPYTER_DATA_DIR": "jupyter",
            "JUPYTER_RUNTIME_DIR": "runtime",
            "KERAS_HOME": "keras",
            "XDG_CACHE_HOME": "cache",
        }
        removed = ("COLABENV_", "UV_CACHE_DIR", "PIP_CACHE_DIR", "JUPYTER_")
        kept = {
            name: value for name, value in remove_leaks(os.environ).items() if not name.startswith(removed)
        }
        (root / TRASH).mkdir(exist_ok=True)
        return cls(root, {**kept, **{name: str(root / folder) for name, folder in moved.items()}})

    def make_folder(self, *parts: str) -> Path:
        """Create a folder in the sandbox if it does not exist."""
        path = self.root.joinpath(*parts)
        path.mkdir(parents=True, exist_ok=True)
        return path


def set_aside(*paths: Path) -> None:
    """Empty the files that exist and move them to the trash until the benchmark ends.

    ext4 does not reuse an inode freed within the last minutes and searches past all of these for each new file. After a
    tree of 30,000 files was deleted, creating the next one took 14 s of system time instead of 2. So nothing is deleted
    before the end. A file with links from elsewhere (uv's cache) keeps its bytes.
    """
    links: Counter[int] = Counter()
    files: list[tuple[str, os.stat_result]] = []
    existing = [path for path in paths if path.is_symlink() or path.exists()]
    for path in existing:
        for file in [path] if path.is_symlink() or path.is_file() else path.rglob("*"):
            status = file.lstat()
            if stat.S_ISREG(status.st_mode):
                links[status.st_ino] += 1
                files.append((str(file), status))
    for name, status in files:
        if links[status.st_ino] == status.st_nlink and status.st_size:
            os.truncate(name, 0)
    for path in existing:
        trash = next((folder / TRASH for folder in path.parents if (folder / TRASH).is_dir()), None)
        if trash is not None:
            path.rename(trash / secrets.token_hex(8))
        elif path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def run_timed(argv: Sequence[str | Path], environ: Mapping[str, str]) -> tuple[float, str]:
    """Run a program; returns its seconds and its standard output.

    Raises:
        SystemExit: it failed; the message ends with its output.
    """
    words = [str(word) for word in argv]
    started = time.perf_counter()
    done = subprocess.run(
        words,
        env=dict(environ),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=_LIMIT,
    )
    seconds = time.perf_counter() - started
    if done.returncode != 0:
        output = (done.stdout + done.stderr)[-4000:]
        raise SystemExit(f"{' '.join(words[:6])} … exited with {done.returncode}:\n{output}")
    return seconds, done.stdout


def read_child_cpu_seconds() -> float:
    """Processor seconds, over all cores, of child processes that have ended. Load affects them less than time."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def describe_machine() -> dict[str, Any]:
    """The machine on which the figures are measured."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "date": time.strftime("%Y-%m-%d %H:%M %z"),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory / 2**30, 1),
        "system": platform.platform(),
        "python": sys.version.split()[0],
        "uv": subprocess.run(
            [find_uv_bin(), "--version"], capture_output=True, text=True, check=True
        ).stdout.strip(),
        "commit": subprocess.run(
            ["git", "describe", "--always", "--dirty"],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=False,
        ).stdout.strip(),
        "load": list(os.getloadavg()),
    }
