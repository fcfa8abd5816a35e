"""The stand-in Colab machine of a run: Colab's published packages, and nothing of this machine changes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from rescuelib.full_base import FullBase
from support.colab import base
from support.colab.machine import ColabMachine
from support.pythons import MINORS

#: The list has the package; `prepare_google_colab` installs it.
_GOOGLE_COLAB_INFO = "google_colab-1.0.0.dist-info"


def prepare_google_colab(full: FullBase, source: Path | None) -> None:
    """Install `google.colab` into a base, in place of another one. Does nothing if the base has this one.

    Args:
        full: the base, which no machine is using unless it has this one.
        source: a folder with Google's own package `google`; None for the tests' stand-in, which has less.
    """
    packages = base.site_packages(full.prefix)
    installed = full.prefix / "google-colab.txt"
    with FileLock(f"{full.prefix}.lock"):
        if installed.exists() and installed.read_text() == str(source):
            return
        shutil.rmtree(packages / "google" / "colab", ignore_errors=True)
        shutil.rmtree(packages / _GOOGLE_COLAB_INFO, ignore_errors=True)
        base.install_google_colab(full.prefix, source)
        installed.write_text(str(source))


@contextmanager
def rescue_machine(full: FullBase, *, colabenv: bool) -> Iterator[ColabMachine]:
    """A fresh machine, which is removed at the end with everything that was installed on it.

    Args:
        full: its base.
        colabenv: whether the user has installed colabenv.

    Raises:
        RuntimeError: colabenv could not be installed.
    """
    settings = {"PIP_CACHE_DIR": "/root/pip", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    wheel = base.build_wheel() if colabenv else None
    with ColabMachine(prepared=full.prefix, pythons=MINORS, env=settings) as machine:
        if not machine.namespaced:
            raise RuntimeError(f"This machine cannot create namespaces: {machine.refusal}")
        if wheel is not None:
            install = ("pip", "install", "--no-index", "--no-deps", "--quiet", wheel)
            done = machine.run(full.prefix / "bin" / "python3", "-m", *install)
            if done.returncode:
                raise RuntimeError(f"colabenv could not be installed:\n{done.stdout}{done.stderr}")
        yield machine
