"""How `%colabenv why` asks the doctor, and what it makes of the answer."""

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
from colabenv.system.process import Completed

SEEN = {
    "kind": "ImportError",
    "message": "no",
    "prefix": sys.prefix,
    "executable": sys.executable,
    "loaded": {},
}


class Doctors:
    """A runner whose only program is the doctor; notes what it is asked."""

    def __init__(self, returncode: int, output: str) -> None:
        self.done = Completed((), returncode, output, "")
        self.asked: list[list[str]] = []
        self.read: list[Any] = []

    def run(self, argv: Sequence[str], *, env: Mapping[str, str], **options: Any) -> Completed:
        del env, options
        self.asked.append(list(argv))
        self.read.append(json.loads(Path(argv[argv.index("--snapshot") + 1]).read_text()))
        return self.done

    def watch(self, argv: Sequence[str], **options: Any) -> Completed:
        raise AssertionError((argv, options))

    def start(self, argv: Sequence[str], **options: Any) -> Any:
        raise AssertionError((argv, options))


def doctor(
    findings: list[dict[str, Any]] | None = None, code: int = 1, text: str = "said"
) -> tuple[why.Doctor, Doctors]:
    """A doctor that finds this, and its runner."""
    runner = Doctors(code, text if findings is None else json.dumps({"findings": findings}))
    return why.Doctor(runner, {}), runner


def finding(code: str, *commands: str) -> dict[str, Any]:
    return {"code": code, "what": "It is old.", "commands": list(commands)}


def test_all_that_the_doctor_says() -> None:
    asked, runner = doctor()
    assert asked.explain(SEEN) == "said"
    assert runner.asked[0][1:5] == ["-m", "colabenv", "doctor", "--quick"]
    assert runner.read == [SEEN]
    assert not Path(runner.asked[0][6]).exists()
    assert "--python" not in runner.asked[0]


def test_another_python_is_named() -> None:
    asked, runner = doctor()
    asked.explain({**SEEN, "prefix": "/elsewhere", "executable": "/elsewhere/bin/python"})
    assert runner.asked[0][-2:] == ["--python", "/elsewhere/bin/python"]


def test_nothing_has_failed() -> None:
    asked, runner = doctor()
    with pytest.raises(UsageError, match="No cell has failed"):
        asked.explain({"loaded": {}})
    assert asked.two_lines({"loaded": {}}) == []
    assert runner.asked == []


def test_a_doctor_that_does_not_answer() -> None:
    asked, _ = doctor(code=-9, text="")
    with pytest.raises(MachineError):
        asked.explain(SEEN)
    assert asked.two_lines(SEEN) == []


def test_two_lines() -> None:
    asked, _ = doctor([finding("CE401", "change  a  to  b")])
    assert asked.two_lines(SEEN) == ["colabenv: It is old. [CE401]", "          change  a  to  b"]
    asked, _ = doctor([finding("CE401", "one", "two")])
    assert asked.two_lines(SEEN)[1] == "          one (and 1 more: `%colabenv why`)"
    asked, _ = doctor([finding("CE402")])
    assert asked.two_lines(SEEN)[1] == "          `%colabenv why` says more."


def test_what_is_not_known_is_not_said() -> None:
    asked, _ = doctor([finding("CE901", "x")])
    assert asked.two_lines(SEEN) == []


class Shell:
    """The part of an interactive shell that has hooks."""

    def __init__(self) -> None:
        self.hooks: list[Any] = []
        self.events = SimpleNamespace(register=lambda name, hook: self.hooks.append((name, hook)))


def failed(error: BaseException | None) -> SimpleNamespace:
    return SimpleNamespace(error_in_exec=error)


def test_always_is_for_imports_alone() -> None:
    asked, runner = doctor([finding("CE401", "mend")])
    shell, said = Shell(), list[str]()
    explain = why.explain_import_errors(shell, asked, said.append)
    assert shell.hooks == [("post_run_cell", explain)]
    for one in (None, ValueError("x"), KeyboardInterrupt()):
        explain(failed(one))
    assert runner.asked == []
    explain(failed(ModuleNotFoundError("No module named 'x'")))
    assert said == ["colabenv: It is old. [CE401]\n          mend"]


def test_always_never_fails_on_top_of_a_failure() -> None:
    class Broken(why.Doctor):
        def two_lines(self, seen: Mapping[str, Any]) -> list[str]:
            raise KeyboardInterrupt(seen)

    said = list[str]()
    why.explain_import_errors(Shell(), Broken(Doctors(0, ""), {}), said.append)(failed(ImportError("x")))
    assert said == []


class Kernel:
    """An environment's kernel that evaluates in this process, or says nonsense."""

    name = "demo"

    def __init__(self, answer: str | None = None) -> None:
        self.answer = answer

    def evaluate(self, expression: str) -> str:
        return repr(eval(expression)) if self.answer is None else self.answer  # noqa: S307 - as a kernel does


def test_a_kernel_is_asked_with_nothing_of_ours_in_it() -> None:
    seen = why.capture_in_kernel(Kernel())
    assert seen["executable"] == sys.executable
    assert seen["loaded"].keys() >= {"pytest"}
    assert set(seen) <= {*capture.capture_failure(ImportError("x"))}


@pytest.mark.parametrize("answer", ["", "nonsense", "'no json'", "1"])
def test_a_kernel_that_says_nonsense(answer: str) -> None:
    with pytest.raises(MachineError):
        why.capture_in_kernel(Kernel(answer))
    assert why.summarize_kernel_failure(Kernel(answer), doctor()[0]) == []
