"""The base of a stand-in Colab machine with every package that Colab publishes and the package index has."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock

from support.colab import base

LISTS = base.REPOSITORY / "src" / "colabenv" / "frameworks" / "colab"
#: torch and its companions, which load its libraries. The index has torch only with CUDA's libraries, several GB.
LEFT_OUT = re.compile(r"(torch|torchao|torchaudio|torchcodec|torchdata|torchtune|torchvision|nvidia-.*)==")
_PACKAGES_AT_ONCE = 40
#: Seconds of one installation, which may have to build a package from source.
_LIMIT = 300


@dataclass(frozen=True)
class FullBase:
    """A prepared base.

    Attributes:
        prefix: the virtual environment.
        release: Colab's release, such as `2026.08`.
        python: the minor version of its Python.
        installed: the number of packages of the list that it has.
        missing: the pins of the list that it does not have.
    """

    prefix: Path
    release: str
    python: str
    installed: int
    missing: list[str]


def newest_release() -> str:
    """The newest Colab release whose list colabenv ships."""
    return max(path.stem for path in LISTS.glob("*.txt"))


def build_full_base(release: str) -> FullBase:
    """Return the base of a Colab release in the cache folder; builds it if it does not exist.

    Raises:
        LookupError: this machine has no CPython of the release's version, or the list names none.
    """
    text = (LISTS / f"{release}.txt").read_text(encoding="utf-8")
    wanted = re.search(r"Base Python (3\.\d+)\.", text)
    if wanted is None:
        raise LookupError(f"{release}.txt does not name its Python")
    minor = wanted[1]
    python = base.base_python(minor)
    pins = read_pins(text)
    name = base.digest(
        [b"1", bytes(python), text.encode(), base.PINS.read_bytes(), base.LAUNCHER.read_bytes()]
    )
    prefix = base.cache_folder() / "colab" / f"full-{name}"
    prefix.parent.mkdir(exist_ok=True)
    record = prefix / "record.json"
    with FileLock(f"{prefix}.lock"):
        if not record.exists():
            shutil.rmtree(prefix, ignore_errors=True)
            missing = create(python, prefix, pins)
            done = FullBase(prefix, release, minor, len(pins) - len(missing), missing)
            record.write_text(json.dumps({**asdict(done), "prefix": str(prefix)}, indent=1))
        content = json.loads(record.read_text())
    return FullBase(**{**content, "prefix": prefix})


def read_pins(text: str) -> list[str]:
    """The pins of a list for CPU machines, without the packages that are left out."""
    common = text.partition("[both]")[2].partition("[gpu]")[0].replace("[cpu]", "")
    return [line for line in common.split() if "==" in line and not LEFT_OUT.match(line)]


def create(python: Path, prefix: Path, pins: Sequence[str]) -> list[str]:
    """Create a base with Colab's kernel and the pins; returns the pins that could not be installed."""
    base.run_uv("venv", "--no-project", "--python", python, prefix)
    inside = prefix / "bin" / "python3"
    base.run_uv("pip", "install", "--python", inside, "--no-deps", "-r", base.PINS)

    def install(*arguments: str) -> bool:
        try:
            base.run_uv("pip", "install", "--python", inside, "--no-deps", *arguments, limit=_LIMIT)
        except RuntimeError:
            return False
        return True

    groups = [pins[start : start + _PACKAGES_AT_ONCE] for start in range(0, len(pins), _PACKAGES_AT_ONCE)]
    without_wheel = [pin for group in groups for pin in failing(group, lambda p: install("--no-build", *p))]
    missing = [pin for pin in without_wheel if not install(pin)]
    shutil.copy(base.LAUNCHER, base.site_packages(prefix))
    spec = prefix / "share" / "jupyter" / "kernels" / "python3" / "kernel.json"
    spec.write_text(json.dumps(base.KERNEL_SPEC, indent=1))
    base.compile_all(inside, prefix / "lib")
    return missing


def failing(pins: Sequence[str], install: Callable[[Sequence[str]], bool]) -> list[str]:
    """The pins that make `install` fail, found by halving; it has been called with all others."""
    if not pins or install(pins):
        return []
    if len(pins) == 1:
        return list(pins)
    middle = len(pins) // 2
    return failing(pins[:middle], install) + failing(pins[middle:], install)
