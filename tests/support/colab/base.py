"""The base environment of the stand-in machine: built once, then copied for each machine.

It is in the tests' cache folder, `$COLABENV_TEST_CACHE` or `.cache` in the clone, next to uv's cache.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from filelock import FileLock
from uv import find_uv_bin

from support.colab.environment import network
from support.pythons import interpreters

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[2]
PINS = HERE / "pins.txt"
LAUNCHER = HERE / "colab_kernel_launcher.py"

# google.colab shares the package `google` with google.auth and others.
GOOGLE_INIT = '__path__ = __import__("pkgutil").extend_path(__path__, __name__)\n'

KERNEL_SPEC = {
    "argv": ["python3", "-m", "colab_kernel_launcher", "-f", "{connection_file}"],
    "display_name": "Python 3",
    "language": "python",
}


def cache_folder() -> Path:
    """The folder that is kept between test runs."""
    folder = Path(os.environ.get("COLABENV_TEST_CACHE") or REPOSITORY / ".cache").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def base_python(minor: str | None) -> Path:
    """The CPython for a base: of this minor version, or the newest that Colab has had.

    Raises:
        LookupError: this machine has none.
    """
    available = interpreters()
    for version in [minor] if minor else ["3.13", "3.12", "3.11"]:
        if version in available:
            return available[version].resolve()
    raise LookupError(f"no CPython {minor or '3.11 to 3.13'} on this machine, only {sorted(available)}")


def run_uv(*arguments: str | Path, limit: int | None = None) -> None:
    """Run the development environment's uv with only the network settings; raises with its output.

    Args:
        arguments: of uv.
        limit: seconds after which it and the programs that it has started are ended; None for no limit.
    """
    env = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], **network(os.environ)}
    env["UV_CACHE_DIR"] = str(cache_folder() / "uv")
    command = [find_uv_bin(), "--quiet", "--no-config", *map(str, arguments)]
    if limit is not None:
        command = ["timeout", str(limit), *command]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}\n{done.stdout}{done.stderr}")


def digest(parts: Iterable[bytes]) -> str:
    """A short digest of the given bytes."""
    sha256 = hashlib.sha256()
    for part in parts:
        sha256.update(len(part).to_bytes(8, "big") + part)
    return sha256.hexdigest()[:16]


def site_packages(prefix: Path) -> Path:
    """The site-packages folder of a venv."""
    (folder,) = prefix.glob("lib/python3.*/site-packages")
    return folder


def compile_all(python: Path, folder: Path) -> None:
    """Compile every module in a folder, as on Colab, so that importing it later writes nothing."""
    # Some packages contain modules for other Python versions. They fail here, but nothing imports them.
    command = [str(python), "-I", "-m", "compileall", "-qq", "-j", "2", str(folder)]
    subprocess.run(command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def build_base(python: Path) -> Path:
    """Return a venv with the packages in pins.txt and Colab's kernelspec; builds it if it does not exist."""
    name = digest([b"1", bytes(python), PINS.read_bytes(), LAUNCHER.read_bytes()])
    prefix = cache_folder() / "colab" / f"base-{name}"
    prefix.parent.mkdir(exist_ok=True)
    done = prefix / "done"
    with FileLock(f"{prefix}.lock"):
        if done.exists():
            return prefix
        shutil.rmtree(prefix, ignore_errors=True)
        run_uv("venv", "--no-project", "--python", python, prefix)
        inside = prefix / "bin" / "python3"
        run_uv("pip", "install", "--python", inside, "--no-deps", "--link-mode", "copy", "-r", PINS)
        shutil.copy(LAUNCHER, site_packages(prefix))
        compile_all(inside, prefix / "lib")
        spec = prefix / "share" / "jupyter" / "kernels" / "python3" / "kernel.json"
        spec.write_text(json.dumps(KERNEL_SPEC, indent=1))
        done.touch()
    return prefix


def copy_base(original: Path, prefix: Path) -> None:
    """Copy a venv, and correct the path of the interpreter in its programs."""
    subprocess.run(["cp", "-a", "--reflink=auto", original, prefix], check=True)
    (prefix / "done").unlink()
    old, new = os.fsencode(original), os.fsencode(prefix)
    for program in (prefix / "bin").iterdir():
        if not program.is_symlink() and program.stat().st_size < 100_000:
            text = program.read_bytes()
            if old in text:
                program.write_bytes(text.replace(old, new))


def build_wheel() -> Path:
    """Return the wheel of the working tree's colabenv; builds it if it does not exist."""
    sources = [REPOSITORY / name for name in ("pyproject.toml", "README.md", "LICENSE")]
    for name in ("src", "profiles"):
        sources += sorted(p for p in (REPOSITORY / name).rglob("*") if p.is_file() and p.suffix != ".pyc")
    parts = [b for p in sources for b in (bytes(p.relative_to(REPOSITORY)), p.read_bytes())]
    folder = cache_folder() / "colab" / f"wheel-{digest(parts)}"
    folder.parent.mkdir(exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not any(folder.glob("*.whl")):
            run_uv(
                "build",
                "--wheel",
                "--no-build-isolation",
                "--python",
                sys.executable,
                "--out-dir",
                folder,
                REPOSITORY,
            )
        (wheel,) = folder.glob("*.whl")
    return wheel


def install_colabenv(prefix: Path) -> None:
    """Install the wheel of the working tree's colabenv into a base, which has its dependencies."""
    python = prefix / "bin" / "python3"
    run_uv("pip", "install", "--python", python, "--no-deps", "--link-mode", "copy", build_wheel())
    compile_all(python, site_packages(prefix) / "colabenv")


def install_google_colab(prefix: Path, source: Path | None) -> None:
    """Install `google.colab` into a base.

    Args:
        prefix: the base.
        source: a folder with the real package's `google`; None for the stand-in.
    """
    packages = site_packages(prefix)
    google = packages / "google"
    google.mkdir(exist_ok=True)
    if source is None:
        (google / "__init__.py").write_text(GOOGLE_INIT)
    else:
        shutil.copy(source / "google" / "__init__.py", google)
    inside = HERE / "google_colab" if source is None else source / "google" / "colab"
    shutil.copytree(inside, google / "colab", ignore=shutil.ignore_patterns("__pycache__"))
    info = packages / "google_colab-1.0.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: google-colab\nVersion: 1.0.0\n")
    (info / "INSTALLER").write_text("pip\n")
    files = [p for p in (*google.rglob("*"), *info.rglob("*")) if p.is_file() and "auth" not in p.parts]
    rows = sorted(f"{p.relative_to(packages).as_posix()},," for p in [*files, info / "RECORD"])
    (info / "RECORD").write_text("\n".join(rows) + "\n")
    compile_all(prefix / "bin" / "python3", google)
