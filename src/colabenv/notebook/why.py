"""`%colabenv why`: the doctor's answer to the exception of the cell before.

The doctor runs in a process of its own. It can be ended when it takes too long, it sees what a fresh process sees,
and what the notebook has imported or patched does not matter to it.
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
from typing import Any, Protocol

from colabenv.embedded import capture
from colabenv.errors import ColabenvError, MachineError, UsageError
from colabenv.kernel.register import read_settings
from colabenv.system.process import Completed, Runner, SystemRunner

#: Seconds. The metadata of Colab's base takes 1 to 3; a folder on Drive takes longer.
_PATIENCE = 120.0
#: Seconds that a failed cell may take longer for its two lines.
_SHORT_PATIENCE = 10.0


class EvaluatingKernel(Protocol):
    """An environment's kernel, as far as it can be asked."""

    name: str

    def evaluate(self, expression: str) -> str:
        """The `repr` of an expression there."""


class Doctor:
    """Asks the doctor about a failure.

    Args:
        runner: starts its process.
        environ: the notebook's variables.
    """

    def __init__(self, runner: Runner | None = None, environ: Mapping[str, str] | None = None) -> None:
        self._runner = runner or SystemRunner()
        self._environ = environ if environ is not None else os.environ

    def explain(self, seen: Mapping[str, Any]) -> str:
        """All that it says about a snapshot.

        Raises:
            UsageError: nothing has failed.
            MachineError: it did not answer.
        """
        if not seen.get("kind"):
            raise UsageError(
                "No cell has failed yet.", hint="`%colabenv why` explains the exception before it."
            )
        done = self._ask(seen, _PATIENCE)
        if done.returncode not in (0, 1):
            raise MachineError(
                "The doctor did not answer.", detail=(done.output + done.errors).strip()[-2000:]
            )
        return done.output.strip()

    def two_lines(self, seen: Mapping[str, Any]) -> list[str]:
        """What is wrong, and what mends it; nothing where it is not known, or not known in time."""
        if not seen.get("kind"):
            return []
        done = self._ask(seen, _SHORT_PATIENCE, "--json")
        try:
            findings = json.loads(done.output).get("findings", [])
        except (ValueError, AttributeError):
            return []
        first = next((one for one in findings if one["code"] != "CE901"), None)
        if first is None:
            return []
        mends = [str(line) for line in first["commands"]]
        more = f" (and {len(mends) - 1} more: `%colabenv why`)" if len(mends) > 1 else ""
        return [
            f"colabenv: {first['what']} [{first['code']}]",
            f"          {mends[0]}{more}" if mends else "          `%colabenv why` says more.",
        ]

    def _ask(self, seen: Mapping[str, Any], patience: float, *options: str) -> Completed:
        with _file_with(seen) as file:
            where = self._where(seen)
            argv = [
                sys.executable,
                "-m",
                "colabenv",
                "doctor",
                "--quick",
                "--snapshot",
                file,
                *where,
                *options,
            ]
            return self._runner.run(argv, env=self._variables(seen), timeout=patience)

    def _where(self, seen: Mapping[str, Any]) -> list[str]:
        """How the command line names the interpreter of a snapshot."""
        if seen.get("prefix") == sys.prefix or self._is_ours(seen):
            return []
        return ["--python", str(seen.get("executable"))]

    def _variables(self, seen: Mapping[str, Any]) -> dict[str, str]:
        variables = {name: value for name, value in self._environ.items() if name != "COLABENV_INSIDE"}
        return variables | ({"COLABENV_INSIDE": str(seen["prefix"])} if self._is_ours(seen) else {})

    def _is_ours(self, seen: Mapping[str, Any]) -> bool:
        """Whether a snapshot is from an environment that colabenv has built."""
        prefix = str(seen.get("prefix") or "")
        return prefix != sys.prefix and bool(prefix) and bool(read_settings(Path(prefix)))


def capture_in_kernel(kernel: EvaluatingKernel) -> dict[str, Any]:
    """The snapshot of an environment's kernel.

    Raises:
        MachineError: it gave none.
    """
    source = Path(capture.__file__).read_text(encoding="utf-8")
    names = "{'__name__': 'colabenv_snapshot'}"
    expression = f"(lambda names: (exec({source!r}, names), names['capture_as_json']())[1])({names})"
    try:
        data = json.loads(ast.literal_eval(kernel.evaluate(expression)))
    except (ValueError, SyntaxError, TypeError) as error:
        raise MachineError(f"The kernel of '{kernel.name}' could not say what failed.") from error
    return data if isinstance(data, dict) else {}


def explain_import_errors(ip: Any, doctor: Doctor, say: Callable[[str], None]) -> Callable[[Any], None]:
    """Have two lines said under each ImportError of a shell's own cells.

    Args:
        ip: the interactive shell.
        doctor: knows the cause.
        say: shows text in the cell.

    Returns:
        What was registered for `post_run_cell`.
    """

    def explain(result: Any) -> None:
        error = getattr(result, "error_in_exec", None)
        if not isinstance(error, ImportError):
            return
        try:
            lines = doctor.two_lines(capture.capture_failure(error))
        except (Exception, KeyboardInterrupt):  # noqa: BLE001 - the cell's own failure is all that may be seen of this
            return
        if lines:
            say("\n".join(lines))

    ip.events.register("post_run_cell", explain)
    return explain


def summarize_kernel_failure(kernel: EvaluatingKernel, doctor: Doctor) -> list[str]:
    """The two lines about what failed in an environment's kernel; none where that is not known."""
    try:
        return doctor.two_lines(capture_in_kernel(kernel))
    except ColabenvError:
        return []


@contextmanager
def _file_with(seen: Mapping[str, Any]) -> Iterator[str]:
    """A file with the snapshot that only this user can read, for as long as it is needed."""
    handle, name = tempfile.mkstemp(prefix="colabenv-", suffix=".json")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(dict(seen), file)
        yield name
    finally:
        Path(name).unlink(missing_ok=True)
