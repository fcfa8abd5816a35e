"""The folder a benchmark works in, its environment variables, and timed programs."""

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
#: Folder of a place for what nobody needs any more.
TRASH = ".trash"
#: Seconds after which a program is taken to hang.
_LIMIT = 3600


@dataclass(frozen=True)
class Place:
    """Where everything lies.

    Attributes:
        root: the folder; all that is made lies below it.
        environ: what every program inherits, colabenv and its rivals alike.
    """

    root: Path
    environ: dict[str, str]

    @classmethod
    def at(cls, root: Path) -> Place:
        """A place whose programs write nowhere else and inherit nothing that would help or hinder one of them.

        PYTHONDONTWRITEBYTECODE, above all, would make every start of a rival's kernel compile TensorFlow again;
        colabenv drops it for its environments.
        """
        moved = {
            "IPYTHONDIR": "ipython",
            "JUPYTER_DATA_DIR": "jupyter",
            "JUPYTER_RUNTIME_DIR": "runtime",
            "KERAS_HOME": "keras",
            "XDG_CACHE_HOME": "cache",
        }
        ours = ("COLABENV_", "UV_CACHE_DIR", "PIP_CACHE_DIR", "JUPYTER_")
        kept = {name: value for name, value in remove_leaks(os.environ).items() if not name.startswith(ours)}
        (root / TRASH).mkdir(exist_ok=True)
        return cls(root, {**kept, **{name: str(root / folder) for name, folder in moved.items()}})

    def folder(self, *parts: str) -> Path:
        """A folder below the root, made where it is missing."""
        path = self.root.joinpath(*parts)
        path.mkdir(parents=True, exist_ok=True)
        return path


def remove(*paths: Path) -> None:
    """Empty files and folders, those that are there, and put them aside until the benchmark ends.

    ext4 gives nobody an inode that was freed within the last minutes, and looks through all of them for each file that
    is made. After a tree of 30,000 files was deleted, making the next one took 14 s of system time instead of 2. So
    nothing is deleted before the end. A file that is linked to from elsewhere (uv's cache) keeps its bytes.
    """
    links: Counter[int] = Counter()
    found: list[tuple[str, os.stat_result]] = []
    there = [path for path in paths if path.is_symlink() or path.exists()]
    for path in there:
        for file in [path] if path.is_symlink() or path.is_file() else path.rglob("*"):
            facts = file.lstat()
            if stat.S_ISREG(facts.st_mode):
                links[facts.st_ino] += 1
                found.append((str(file), facts))
    for name, facts in found:
        if links[facts.st_ino] == facts.st_nlink and facts.st_size:
            os.truncate(name, 0)
    for path in there:
        trash = next((folder / TRASH for folder in path.parents if (folder / TRASH).is_dir()), None)
        if trash is not None:
            path.rename(trash / secrets.token_hex(8))
        elif path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def timed(argv: Sequence[str | Path], environ: Mapping[str, str]) -> tuple[float, str]:
    """Run a program to its end.

    Returns:
        Seconds, and its standard output.

    Raises:
        SystemExit: it failed; with the end of what it said.
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
        said = (done.stdout + done.stderr)[-4000:]
        raise SystemExit(f"{' '.join(words[:6])} … ended with exit status {done.returncode}:\n{said}")
    return seconds, done.stdout


def children_cpu() -> float:
    """Seconds of processor time, all cores together, that programs which have ended took so far.

    On a busy machine this tells more than the clock.
    """
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
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
