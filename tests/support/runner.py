"""A fake runner that starts no processes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from colabenv.errors import MachineError
from colabenv.system.process import CompletedProcess


@dataclass
class RecordedProcess:
    """The result of `RecordedRunner.start`; records whether it was stopped."""

    stopped: bool = False

    def stop(self) -> None:
        """See `BackgroundProcess.stop`."""
        self.stopped = True


@dataclass
class RecordedRunner:
    """Answers from a list of (first words of argv, result) and records the calls."""

    answers: Sequence[tuple[tuple[str, ...], CompletedProcess]] = ()
    calls: list[tuple[tuple[str, ...], dict[str, str]]] = field(default_factory=list)
    started: list[RecordedProcess] = field(default_factory=list)

    def run(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path | None = None,  # noqa: ARG002 - the protocol's
        timeout: float | None = None,  # noqa: ARG002
    ) -> CompletedProcess:
        """Return the first matching result; raises if there is none, as for a program that does not exist."""
        self.calls.append((tuple(argv), dict(env)))
        for start, answer in self.answers:
            if tuple(argv[: len(start)]) == start:
                return answer
        raise MachineError(f"{argv[0]} could not be started.", hint="Check that the file exists.")

    def watch(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        on_output: Callable[[str], None],
        cwd: Path | None = None,
    ) -> CompletedProcess:
        """As `run`; passes the whole output to `on_output` at once."""
        answer = self.run(argv, env=env, cwd=cwd)
        on_output(answer.output)
        return answer

    def start(self, argv: Sequence[str], *, env: Mapping[str, str]) -> RecordedProcess:
        """Record the call; returns a process that records whether it was stopped."""
        self.calls.append((tuple(argv), dict(env)))
        self.started.append(RecordedProcess())
        return self.started[-1]
