"""`%colabenv why`: how it runs the doctor and shows its findings."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from colabenv.embedded import capture
from colabenv.errors import MachineError, UsageError
from colabenv.notebook import why
from colabenv.notebook.environment_kernel import EnvironmentKernel
from colabenv.system.process import CompletedProcess

FAILURE = {
    "kind": "ImportError",
    "message": "no",
    "prefix": sys.prefix,
    "executable": sys.executable,
    "loaded": {},
}


class FakeRunner:
    """A runner whose only program is the doctor; records the command lines and snapshots."""

    def __init__(self, returncode: int, output: str) -> None:
        self.completed = CompletedProcess((), returncode, output, "")
        self.commands: list[list[str]] = []
        self.snapshots: list[Any] = []

    def run(self, argv: Sequence[str], *, env: Mapping[str, str], **options: Any) -> CompletedProcess:
        del env, options
        self.commands.append(list(argv))
        self.snapshots.append(json.loads(Path(argv[argv.index("--snapshot") + 1]).read_text()))
        return self.completed

    def watch(self, argv: Sequence[str], **options: Any) -> CompletedProcess:
        raise AssertionError((argv, options))

    def start(self, argv: Sequence[str], **options: Any) -> Any:
        raise AssertionError((argv, options))


def make_doctor(
    findings: list[dict[str, Any]] | None = None, code: int = 1, text: str = "output"
) -> tuple[why.Doctor, FakeRunner]:
    """A doctor with these findings, and its runner."""
    runner = FakeRunner(code, text if findings is None else json.dumps({"findings": findings}))
    return why.Doctor(runner, {}), runner


def finding(code: str, *commands: str) -> dict[str, Any]:
    return {"code": code, "what": "It is old.", "commands": list(commands)}


def test_explain_returns_the_full_output_of_the_doctor() -> None:
    doctor, runner = make_doctor()
    assert doctor.explain(FAILURE) == "output"
    (command,) = runner.commands
    assert command[1:5] == ["-m", "colabenv", "doctor", "--quick"]
    assert runner.snapshots == [FAILURE]
    assert not Path(command[6]).exists()
    assert "--python" not in command


def test_failure_in_another_python_is_explained_for_that_python() -> None:
    doctor, runner = make_doctor()
    doctor.explain({**FAILURE, "prefix": "/elsewhere", "executable": "/elsewhere/bin/python"})
    assert runner.commands[0][-2:] == ["--python", "/elsewhere/bin/python"]


def test_doctor_does_not_run_without_a_failure() -> None:
    doctor, runner = make_doctor()
    with pytest.raises(UsageError, match="No cell has failed"):
        doctor.explain({"loaded": {}})
    assert doctor.summarize({"loaded": {}}) == []
    assert runner.commands == []


def test_killed_doctor_is_an_error_without_a_summary() -> None:
    doctor, _ = make_doctor(code=-9, text="")
    with pytest.raises(MachineError):
        doctor.explain(FAILURE)
    assert doctor.summarize(FAILURE) == []


def test_summary_shows_the_finding_and_its_first_command() -> None:
    doctor, _ = make_doctor([finding("CE401", "change  a  to  b")])
    assert doctor.summarize(FAILURE) == ["colabenv: It is old. [CE401]", "          change  a  to  b"]
    doctor, _ = make_doctor([finding("CE401", "one", "two")])
    assert doctor.summarize(FAILURE)[1] == "          one (and 1 more: `%colabenv why`)"
    doctor, _ = make_doctor([finding("CE402")])
    assert doctor.summarize(FAILURE)[1] == "          For the full explanation: `%colabenv why`"


def test_no_summary_of_an_unknown_failure() -> None:
    doctor, _ = make_doctor([finding("CE901", "x")])
    assert doctor.summarize(FAILURE) == []


class FakeShell:
    """The events of an interactive shell."""

    def __init__(self) -> None:
        self.hooks: list[Any] = []
        self.events = SimpleNamespace(register=lambda name, hook: self.hooks.append((name, hook)))


def cell_result(error: BaseException | None) -> SimpleNamespace:
    return SimpleNamespace(error_in_exec=error)


def test_only_import_errors_are_explained() -> None:
    doctor, runner = make_doctor([finding("CE401", "fix")])
    shell, printed = FakeShell(), list[str]()
    explain = why.explain_import_errors(shell, doctor, printed.append)
    assert shell.hooks == [("post_run_cell", explain)]
    for error in (None, ValueError("x"), KeyboardInterrupt()):
        explain(cell_result(error))
    assert runner.commands == []
    explain(cell_result(ModuleNotFoundError("No module named 'x'")))
    assert printed == ["colabenv: It is old. [CE401]\n          fix"]


def test_errors_of_the_doctor_are_ignored() -> None:
    class BrokenDoctor(why.Doctor):
        def summarize(self, seen: Mapping[str, Any]) -> list[str]:
            raise KeyboardInterrupt(seen)

    printed = list[str]()
    explain = why.explain_import_errors(FakeShell(), BrokenDoctor(FakeRunner(0, ""), {}), printed.append)
    explain(cell_result(ImportError("x")))
    assert printed == []


class FakeKernel(EnvironmentKernel):
    """An environment's kernel that evaluates expressions in this process, or returns `answer`."""

    def __init__(self, answer: str | None = None) -> None:
        self.name = "demo"
        self.answer = answer

    def evaluate(self, expression: str) -> str:
        return repr(eval(expression)) if self.answer is None else self.answer  # noqa: S307 - as a kernel does


def test_snapshot_is_captured_in_a_kernel_without_colabenv() -> None:
    snapshot = why.capture_in_kernel(FakeKernel())
    assert snapshot["executable"] == sys.executable
    assert snapshot["loaded"].keys() >= {"pytest"}
    assert set(snapshot) <= {*capture.capture_failure(ImportError("x"))}


@pytest.mark.parametrize("answer", ["", "nonsense", "'no json'", "1"])
def test_invalid_answer_of_a_kernel_is_an_error_without_a_summary(answer: str) -> None:
    with pytest.raises(MachineError):
        why.capture_in_kernel(FakeKernel(answer))
    assert why.summarize_kernel_failure(FakeKernel(answer), make_doctor()[0]) == []
