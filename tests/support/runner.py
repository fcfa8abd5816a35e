"""A runner that starts nothing: it answers from a list."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from colabenv.errors import MachineError
from colabenv.system.process import CompletedProcess


@dataclass
class RecordedProcess:
    """What `RecordedRunner.start` answers; notes that it was stopped."""

    stopped: bool = False

    def stop(self) -> None:
        """See `BackgroundProcess.stop`."""
        self.stopped = True


@dataclass
class RecordedRunner:
    """Answers from a list of (first words of argv, answer) and keeps what was asked."""

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
        """Answer from the list; a program that is not on it cannot be started."""
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
        """Answer from the list, its output in one piece."""
        answer = self.run(argv, env=env, cwd=cwd)
        on_output(answer.output)
        return answer

    def start(self, argv: Sequence[str], *, env: Mapping[str, str]) -> RecordedProcess:
        """Keep what was asked, and what became of it."""
        self.calls.append((tuple(argv), dict(env)))
        self.started.append(RecordedProcess())
        return self.started[-1]
