"""Examine an interpreter: gather its facts, try imports, and run the checks."""

from __future__ import annotations

import dataclasses
import re
import time
from collections.abc import Sequence

from colabenv.doctor.facts import Target, gather_facts, try_imports
from colabenv.doctor.inputs import DoctorInputs, add_inputs, select_findings
from colabenv.doctor.model import Diagnosis
from colabenv.errors import UsageError
from colabenv.frameworks.runtimes import load_runtime
from colabenv.host.probe import Gpu
from colabenv.profile.times import RUNTIMES
from colabenv.system.process import Runner
from colabenv.system.workspace import Workspace


def examine(
    target: Target, inputs: DoctorInputs, workspace: Workspace, gpus: Sequence[Gpu], *, quick: bool
) -> Diagnosis:
    """Find what is wrong with an interpreter; `quick` skips the import attempts.

    Raises:
        UsageError: the Python is older than 3.6.
    """
    began = time.monotonic()
    if inputs.snapshot is None:  # in a notebook, `%colabenv why` shows only the answer
        workspace.progress.stage(f"Reading the packages of {target.label}")
    before = gather_facts(
        target, workspace.runner, [(gpu.name, gpu.driver, gpu.compute_capability) for gpu in gpus]
    )
    if "SyntaxError" in before.start_error:
        _require_python_3_6(target, workspace.runner)
    if target.is_colab:
        packages = (load_runtime(name).packages(variant) for name in RUNTIMES for variant in ("cpu", "gpu"))
        before = dataclasses.replace(before, colab_packages=tuple(packages))
    facts = add_inputs(before, inputs)
    read = time.monotonic()
    if not quick and not inputs.is_specific:
        workspace.progress.stage("Trying imports")
        facts = try_imports(facts, target, workspace.runner)
    tried = time.monotonic()
    findings = select_findings(before, facts, inputs)
    seconds = {"metadata": read - began, "imports": tried - read, "checks": time.monotonic() - tried}
    return Diagnosis(facts, findings, seconds)


def _require_python_3_6(target: Target, runner: Runner) -> None:
    """Refuse a Python that cannot run the probe."""
    code = "import sys; sys.stdout.write('%d.%d' % sys.version_info[:2])"
    done = runner.run([target.python, "-E", "-S", "-c", code], env=target.environ, timeout=10.0)
    version = done.output.strip()
    if re.fullmatch(r"2\.\d+|3\.[0-5]", version):
        hint = "The doctor supports Python 3.6 and newer."
        raise UsageError(f"{target.label} is Python {version}.", hint=hint)
