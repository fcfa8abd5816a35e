"""`%colabenv why`: the doctor's explanation of the last exception.

The doctor runs in a separate process: it can be stopped if it takes too long, and it sees what a new process sees.
"""

from __future__ import annotations

import ast
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from colabenv.embedded import capture
from colabenv.errors import ColabenvError, MachineError, UsageError
from colabenv.kernel.register import read_settings
from colabenv.system.process import CompletedProcess, Runner, SystemRunner

if TYPE_CHECKING:
    from colabenv.notebook.environment_kernel import EnvironmentKernel

_TIMEOUT = 120.0  # Seconds. The metadata of Colab's base takes 1 to 3; a folder on Drive takes longer.
_SUMMARY_TIMEOUT = 10.0  # seconds that a summary may delay the end of a failed cell


class Doctor:
    """Runs the doctor for a failure, in a process with the notebook's variables."""

    def __init__(self, runner: Runner | None = None, environ: Mapping[str, str] | None = None) -> None:
        self._runner = runner or SystemRunner()
        self._environ = environ if environ is not None else os.environ

    def explain(self, failure: Mapping[str, Any]) -> str:
        """The doctor's full output about a captured failure.

        Raises:
            UsageError: nothing has failed.
            MachineError: the doctor did not answer.
        """
        if not failure.get("kind"):
            raise UsageError(
                "No cell has failed yet.", hint="Run `%colabenv why` in the cell after the one that failed."
            )
        process = self._run_doctor(failure, _TIMEOUT)
        if process.returncode not in (0, 1):
            raise MachineError(
                "The doctor did not finish.",
                hint="Run the cell again, or run `!python -m colabenv doctor`.",
                detail=(process.output + process.errors).strip()[-2000:],
            )
        return process.output.strip()

    def summarize(self, failure: Mapping[str, Any]) -> list[str]:
        """Two lines: what is wrong and what fixes it; [] if the doctor finds nothing, or takes too long."""
        if not failure.get("kind"):
            return []
        process = self._run_doctor(failure, _SUMMARY_TIMEOUT, "--json")
        try:
            findings = json.loads(process.output).get("findings", [])
        except (ValueError, AttributeError):
            return []
        finding = next((finding for finding in findings if finding["code"] != "CE901"), None)
        if finding is None:
            return []
        fix, *more = finding["commands"] or ["For the full explanation: `%colabenv why`"]
        others = f" (and {len(more)} more: `%colabenv why`)" if more else ""
        return [f"colabenv: {finding['what']} [{finding['code']}]", f"          {fix}{others}"]

    def _run_doctor(self, failure: Mapping[str, Any], timeout: float, *options: str) -> CompletedProcess:
        prefix = str(failure.get("prefix") or "")
        variables = {name: value for name, value in self._environ.items() if name != "COLABENV_INSIDE"}
        if prefix and prefix != sys.prefix:
            if read_settings(Path(prefix)):  # an environment that colabenv built
                variables["COLABENV_INSIDE"] = prefix
            else:
                options = ("--python", str(failure.get("executable")), *options)
        with _write_failure(failure) as file:
            argv = [sys.executable, "-m", "colabenv", "doctor", "--quick", "--snapshot", file, *options]
            return self._runner.run(argv, env=variables, timeout=timeout)


def capture_in_kernel(kernel: EnvironmentKernel) -> dict[str, Any]:
    """Capture the last failure of an environment's kernel; raises `MachineError` if there is no valid answer."""
    source = Path(capture.__file__).read_text(encoding="utf-8")
    names = "{'__name__': 'colabenv_capture'}"
    expression = f"(lambda names: (exec({source!r}, names), names['capture_as_json']())[1])({names})"
    try:
        failure = json.loads(ast.literal_eval(kernel.evaluate(expression)))
    except (ValueError, SyntaxError, TypeError) as error:
        raise MachineError(
            f"The kernel of '{kernel.name}' could not report its last failure.",
            hint="Run the failed cell again, then `%colabenv why`.",
        ) from error
    return failure if isinstance(failure, dict) else {}


def explain_import_errors(shell: Any, doctor: Doctor, show: Callable[[str], None]) -> Callable[[Any], None]:
    """Show a summary below each ImportError of a shell's own cells; returns the handler that it registers."""

    def explain(result: Any) -> None:
        error = getattr(result, "error_in_exec", None)
        if not isinstance(error, ImportError):
            return
        try:
            lines = doctor.summarize(capture.capture_failure(error))
        except (Exception, KeyboardInterrupt):  # noqa: BLE001 - the cell must show its own failure only
            return
        if lines:
            show("\n".join(lines))

    shell.events.register("post_run_cell", explain)
    return explain


def summarize_kernel_failure(kernel: EnvironmentKernel, doctor: Doctor) -> list[str]:
    """The summary of the last failure in an environment's kernel; [] if it is not known."""
    try:
        return doctor.summarize(capture_in_kernel(kernel))
    except ColabenvError:
        return []


@contextmanager
def _write_failure(failure: Mapping[str, Any]) -> Iterator[str]:
    """A temporary file with the captured failure, which only this user can read."""
    handle, name = tempfile.mkstemp(prefix="colabenv-", suffix=".json")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(dict(failure), file)
        yield name
    finally:
        Path(name).unlink(missing_ok=True)
