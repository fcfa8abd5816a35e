"""The base interpreter of the stand-in machine: built once, copied for every machine.

Kept below the tests' cache folder, ``$COLABENV_TEST_CACHE`` or ``.cache`` in the clone, whose folder
``uv`` is uv's own cache.
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

# The namespace package around google.colab, which shares the name `google` with google.auth and others.
GOOGLE_INIT = '__path__ = __import__("pkgutil").extend_path(__path__, __name__)\n'

KERNEL_SPEC = {
    "argv": ["python3", "-m", "colab_kernel_launcher", "-f", "{connection_file}"],
    "display_name": "Python 3",
    "language": "python",
}


def cache_folder() -> Path:
    """The folder that the tests keep between runs."""
    folder = Path(os.environ.get("COLABENV_TEST_CACHE") or REPOSITORY / ".cache").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def base_python(minor: str | None) -> Path:
    """The CPython to make a base of: of that minor version, or the newest that Colab has had.

    Raises:
        LookupError: there is none on this machine.
    """
    found = interpreters()
    for wanted in [minor] if minor else ["3.13", "3.12", "3.11"]:
        if wanted in found:
            return found[wanted].resolve()
    raise LookupError(f"no CPython {minor or '3.11 to 3.13'} on this machine; there is {sorted(found)}")


def run_uv(*arguments: str | Path) -> None:
    """Run the development environment's uv with no settings but the network's; raise with what it said."""
    env = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], **network(os.environ)}
    env["UV_CACHE_DIR"] = str(cache_folder() / "uv")
    command = [find_uv_bin(), "--quiet", "--no-config", *map(str, arguments)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}\n{done.stdout}{done.stderr}")


def digest(parts: Iterable[bytes]) -> str:
    """A short name for the given bytes."""
    whole = hashlib.sha256()
    for part in parts:
        whole.update(len(part).to_bytes(8, "big") + part)
    return whole.hexdigest()[:16]


def site_packages(prefix: Path) -> Path:
    """Where a venv keeps its packages."""
    (folder,) = prefix.glob("lib/python3.*/site-packages")
    return folder


def compile_all(python: Path, folder: Path) -> None:
    """Compile every module there, as on Colab: nothing needs to be written when it is imported later."""
    # Some packages ship modules of other Python versions; those that fail are not imported either.
    command = [str(python), "-I", "-m", "compileall", "-qq", "-j", "2", str(folder)]
    subprocess.run(command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def build_base(python: Path) -> Path:
    """A venv with the packages in pins.txt and Colab's kernel spec; built where it is not there yet."""
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
    """Copy the venv; its programs name their interpreter by its full path, so that is changed."""
    subprocess.run(["cp", "-a", "--reflink=auto", original, prefix], check=True)
    (prefix / "done").unlink()
    old, new = os.fsencode(original), os.fsencode(prefix)
    for program in (prefix / "bin").iterdir():
        if not program.is_symlink() and program.stat().st_size < 100_000:
            text = program.read_bytes()
            if old in text:
                program.write_bytes(text.replace(old, new))


def build_wheel() -> Path:
    """colabenv's wheel as the working tree is now; built where it is not there yet."""
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
    """Install the working tree's colabenv into a base, as its wheel; its dependencies are there."""
    python = prefix / "bin" / "python3"
    run_uv("pip", "install", "--python", python, "--no-deps", "--link-mode", "copy", build_wheel())
    compile_all(python, site_packages(prefix) / "colabenv")


def install_google_colab(prefix: Path, source: Path | None) -> None:
    """Install `google.colab` into a base.

    Args:
        prefix: the base.
        source: a folder that holds the real package's `google`; None for our stand-in.
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
