"""What the stages of one run share: variables, folders, the runner of programs, progress and the log."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from colabenv.system.certificates import SystemCertificates
from colabenv.system.files import hold_file_lock
from colabenv.system.home import Home
from colabenv.system.process import Runner, SystemRunner
from colabenv.system.progress import Card, Progress, SilentProgress


@dataclass
class _RecordingProgress:
    """Passes progress on, and keeps the notes for the result."""

    inner: Progress
    notes: list[str] = field(default_factory=list)

    def stage(self, title: str) -> None:
        self.inner.stage(title)

    def update(self, text: str) -> None:
        self.inner.update(text)

    def note(self, text: str) -> None:
        self.notes.append(text)
        self.inner.note(text)

    def card(self, card: Card) -> None:
        self.inner.card(card)


class Workspace:
    """The shared state of one run's stages. `environ` are the variables that colabenv inherited."""

    def __init__(
        self, environ: Mapping[str, str], progress: Progress | None = None, runner: Runner | None = None
    ) -> None:
        self.environ = environ
        self.home = Home.from_environ(environ)
        self.runner: Runner = runner or SystemRunner()
        self.progress = _RecordingProgress(progress or SilentProgress())
        self.certificates = SystemCertificates(self.progress.note)
        self._started = time.strftime("%Y%m%d-%H%M%S")

    def notes(self) -> tuple[str, ...]:
        """The notes so far."""
        return tuple(self.progress.notes)

    @property
    def log_path(self) -> Path:
        """The log of this run."""
        return self.home.logs / f"{self._started}.log"

    def log(self, text: str) -> None:
        """Append to the log; a log that cannot be written stops nothing."""
        with contextlib.suppress(OSError):
            self.log_path.parent.mkdir(parents=True, exist_ok=True)
            with self.log_path.open("a", encoding="utf-8") as file:
                file.write(text)

    @contextlib.contextmanager
    def hold_environment(self, name: str) -> Iterator[bool]:
        """Hold the file lock of a name; yields whether another colabenv held it before. Raises `DiskError`."""
        waited = False

        def report_wait() -> None:
            nonlocal waited
            waited = True
            self.progress.note(f"Another colabenv is working on {name}; waiting for it to finish.")

        with hold_file_lock(self.home.file_lock(name), report_wait):
            yield waited
