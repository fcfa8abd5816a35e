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
    started = time.monotonic()
    if inputs.snapshot is None:  # in a notebook, `%colabenv why` shows only the answer
        workspace.progress.stage(f"Reading the packages of {target.label}")
    interpreter_facts = gather_facts(
        target, workspace.runner, [(gpu.name, gpu.driver, gpu.compute_capability) for gpu in gpus]
    )
    if "SyntaxError" in interpreter_facts.start_error:
        _require_python_3_6(target, workspace.runner)
    if target.is_colab:
        packages = (load_runtime(name).packages(variant) for name in RUNTIMES for variant in ("cpu", "gpu"))
        interpreter_facts = dataclasses.replace(interpreter_facts, colab_packages=tuple(packages))
    facts = add_inputs(interpreter_facts, inputs)
    read_at = time.monotonic()
    if not quick and not inputs.is_specific:
        workspace.progress.stage("Trying imports")
        facts = try_imports(facts, target, workspace.runner)
    tried_at = time.monotonic()
    findings = select_findings(interpreter_facts, facts, inputs)
    seconds = {
        "metadata": read_at - started,
        "imports": tried_at - read_at,
        "checks": time.monotonic() - tried_at,
    }
    return Diagnosis(facts, findings, seconds)


def _require_python_3_6(target: Target, runner: Runner) -> None:
    """Refuse a Python that cannot run the probe."""
    code = "import sys; sys.stdout.write('%d.%d' % sys.version_info[:2])"
    process = runner.run([target.python, "-E", "-S", "-c", code], env=target.environ, timeout=10.0)
    version = process.output.strip()
    if re.fullmatch(r"2\.\d+|3\.[0-5]", version):
        hint = "The doctor supports Python 3.6 and newer."
        raise UsageError(f"{target.label} is Python {version}.", hint=hint)
