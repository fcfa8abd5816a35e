"""Bytecode while the proof runs: TensorFlow's first import spends half of its processor time on compiling."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator

from colabenv import embedded
from colabenv.environment.build import Environment
from colabenv.environment.distributions import find_site_packages
from colabenv.errors import MachineError
from colabenv.system.process import Runner

#: Distribution, and the folder of it to compile. What an import reaches late comes first: the proof compiles from the
#: other end, so that the two seldom meet.
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
    """Compile large frameworks in a process of its own for as long as the body runs.

    Args:
        environment: that was just built.
        distributions: what it holds; where none of the large ones is among them nothing is started.
        runner: starts the process.
    """
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
        # A Python that does not start is for the proof to report.
        yield
        return
    try:
        yield
    finally:
        child.stop()
