"""Compiles bytecode during the check; TensorFlow's first import spends half of its time on that."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator

from colabenv import embedded
from colabenv.environment.build import Environment
from colabenv.environment.distributions import find_site_packages
from colabenv.errors import MachineError
from colabenv.system.process import Runner

#: Distributions and their folders to compile. What an import reaches last comes first, since the check's imports start
#: at the other end.
_LARGE = (
    ("keras", "keras"),
    ("tf-keras", "tf_keras"),
    ("tensorflow", "tensorflow/python"),
    ("tensorflow", "tensorflow"),
    ("jax", "jax"),
    ("torch", "torch"),
)


@contextlib.contextmanager
def compile_in_background(
    environment: Environment, distributions: Collection[str], runner: Runner
) -> Iterator[None]:
    """Compile the large frameworks among `distributions` in another process, until the body ends."""
    site = next(iter(find_site_packages(environment.prefix)), None)
    folders = [folder for name, folder in _LARGE if name in distributions]
    if site is None or not folders:
        yield
        return
    script = str(embedded.FOLDER / "precompile.py")
    argv = [str(environment.python), "-I", script, str(site), *folders]
    try:
        child = runner.start(argv, env={"PATH": "/usr/bin:/bin"})
    except MachineError:
        # The check reports a Python that does not start.
        yield
        return
    try:
        yield
    finally:
        child.stop()
