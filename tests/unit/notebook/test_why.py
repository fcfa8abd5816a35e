"""`%colabenv why`: how it asks the doctor, and how it shows the answer."""

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
    """A runner whose only program is the doctor; records the requests."""

    def __init__(self, returncode: int, output: str) -> None:
        self.done = CompletedProcess((), returncode, output, "")
        self.asked: list[list[str]] = []
        self.read: list[Any] = []

    def run(self, argv: Sequence[str], *, env: Mapping[str, str], **options: Any) -> CompletedProcess:
        del env, options
        self.asked.append(list(argv))
        self.read.append(json.loads(Path(argv[argv.index("--snapshot") + 1]).read_text()))
        return self.done

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


def test_full_output_of_the_doctor() -> None:
    doctor, runner = make_doctor()
    assert doctor.explain(FAILURE) == "output"
    assert runner.asked[0][1:5] == ["-m", "colabenv", "doctor", "--quick"]
    assert runner.read == [FAILURE]
    assert not Path(runner.asked[0][6]).exists()
    assert "--python" not in runner.asked[0]


def test_another_python_is_an_option() -> None:
    doctor, runner = make_doctor()
    doctor.explain({**FAILURE, "prefix": "/elsewhere", "executable": "/elsewhere/bin/python"})
    assert runner.asked[0][-2:] == ["--python", "/elsewhere/bin/python"]


def test_explain_without_a_failure() -> None:
    doctor, runner = make_doctor()
    with pytest.raises(UsageError, match="No cell has failed"):
        doctor.explain({"loaded": {}})
    assert doctor.summarize({"loaded": {}}) == []
    assert runner.asked == []


def test_doctor_that_is_killed() -> None:
    doctor, _ = make_doctor(code=-9, text="")
    with pytest.raises(MachineError):
        doctor.explain(FAILURE)
    assert doctor.summarize(FAILURE) == []


def test_summarize() -> None:
    doctor, _ = make_doctor([finding("CE401", "change  a  to  b")])
    assert doctor.summarize(FAILURE) == ["colabenv: It is old. [CE401]", "          change  a  to  b"]
    doctor, _ = make_doctor([finding("CE401", "one", "two")])
    assert doctor.summarize(FAILURE)[1] == "          one (and 1 more: `%colabenv why`)"
    doctor, _ = make_doctor([finding("CE402")])
    assert doctor.summarize(FAILURE)[1] == "          For the full explanation: `%colabenv why`"


def test_no_summary_of_an_unknown_failure() -> None:
    doctor, _ = make_doctor([finding("CE901", "x")])
    assert doctor.summarize(FAILURE) == []


class Shell:
    """The part of an interactive shell that has events."""

    def __init__(self) -> None:
        self.hooks: list[Any] = []
        self.events = SimpleNamespace(register=lambda name, hook: self.hooks.append((name, hook)))


def failed(error: BaseException | None) -> SimpleNamespace:
    return SimpleNamespace(error_in_exec=error)


def test_only_import_errors_are_explained() -> None:
    doctor, runner = make_doctor([finding("CE401", "fix")])
    shell, shown = Shell(), list[str]()
    explain = why.explain_import_errors(shell, doctor, shown.append)
    assert shell.hooks == [("post_run_cell", explain)]
    for error in (None, ValueError("x"), KeyboardInterrupt()):
        explain(failed(error))
    assert runner.asked == []
    explain(failed(ModuleNotFoundError("No module named 'x'")))
    assert shown == ["colabenv: It is old. [CE401]\n          fix"]


def test_errors_of_the_doctor_are_ignored() -> None:
    class Broken(why.Doctor):
        def summarize(self, seen: Mapping[str, Any]) -> list[str]:
            raise KeyboardInterrupt(seen)

    shown = list[str]()
    why.explain_import_errors(Shell(), Broken(FakeRunner(0, ""), {}), shown.append)(failed(ImportError("x")))
    assert shown == []


class Kernel(EnvironmentKernel):
    """An environment's kernel that evaluates in this process, or returns `answer`."""

    def __init__(self, answer: str | None = None) -> None:
        self.name = "demo"
        self.answer = answer

    def evaluate(self, expression: str) -> str:
        return repr(eval(expression)) if self.answer is None else self.answer  # noqa: S307 - as a kernel does


def test_capture_in_a_kernel_without_colabenv() -> None:
    seen = why.capture_in_kernel(Kernel())
    assert seen["executable"] == sys.executable
    assert seen["loaded"].keys() >= {"pytest"}
    assert set(seen) <= {*capture.capture_failure(ImportError("x"))}


@pytest.mark.parametrize("answer", ["", "nonsense", "'no json'", "1"])
def test_kernel_with_an_invalid_answer(answer: str) -> None:
    with pytest.raises(MachineError):
        why.capture_in_kernel(Kernel(answer))
    assert why.summarize_kernel_failure(Kernel(answer), make_doctor()[0]) == []
