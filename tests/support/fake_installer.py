"""A fake installer: it uses no network and no packages, but creates real folders."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from colabenv.environment.installers.base import Job
from colabenv.errors import ColabenvError, InterpreterError
from colabenv.lock.lockfile import Pin
from colabenv.lock.request import ResolveRequest


@dataclass
class FakeInstaller:
    """Resolves from a list of answers and creates folders that look like environments.

    Attributes:
        answers: results of `resolve`, one per call; errors are raised. The last one repeats.
        create_error: raised by `create` after it has created the folder.
        install_error: raised by `install` after it has written a file.
        add_error: raised by `add` after it has written a file.
        all_here: result of `has_all`.
        pythons: executable by version, for `download_python`.
        name: see `Installer.name`.
        reason: see `Installer.reason`.
        requests: requests to `resolve`.
        jobs: jobs of `create`, `install` and `add`, as (verb, job).
    """

    answers: Sequence[tuple[Pin, ...] | ColabenvError] = ((),)
    create_error: BaseException | None = None
    install_error: BaseException | None = None
    add_error: BaseException | None = None
    all_here: bool = False
    pythons: dict[str, Path] = field(default_factory=dict)
    name: str = "uv"
    reason: str = ""
    requests: list[ResolveRequest] = field(default_factory=list)
    jobs: list[tuple[str, Job]] = field(default_factory=list)

    def resolve(self, request: ResolveRequest) -> tuple[Pin, ...]:
        """See `Resolver.resolve`."""
        answer = self.answers[min(len(self.requests), len(self.answers) - 1)]
        self.requests.append(request)
        if isinstance(answer, ColabenvError):
            raise answer
        return answer

    def create(self, job: Job) -> None:
        """See `Installer.create`: creates a `bin/python` that is a link to this Python."""
        self.jobs.append(("create", job))
        (job.prefix / "bin").mkdir(parents=True)
        (job.prefix / "bin" / "python").symlink_to(sys.executable)
        if self.create_error is not None:
            raise self.create_error

    def install(self, job: Job, on_progress: Callable[[str], None]) -> None:
        """See `Installer.install`: creates a file and a dist-info folder for each pin."""
        self.jobs.append(("install", job))
        self._fill(job, on_progress, self.install_error)

    def add(self, job: Job, on_progress: Callable[[str], None]) -> None:
        """See `Installer.add`: does the same as `install`."""
        self.jobs.append(("add", job))
        self._fill(job, on_progress, self.add_error)

    def has_all(self, job: Job) -> bool:  # noqa: ARG002 - the protocol's
        """See `Installer.has_all`."""
        return self.all_here

    def _fill(self, job: Job, on_progress: Callable[[str], None], error: BaseException | None) -> None:
        packages = job.prefix / "packages"
        packages.mkdir(exist_ok=True)
        for number, pin in enumerate(job.lock.pins, start=1):
            (packages / pin.name).write_text(pin.version, encoding="utf-8")
            info = f"{pin.name.replace('-', '_')}-{pin.version}.dist-info"
            (job.prefix / "lib" / f"python{job.interpreter.minor}" / "site-packages" / info).mkdir(
                parents=True, exist_ok=True
            )
            on_progress(f"{number} of {len(job.lock.pins)} packages")
        if error is not None:
            raise error

    def download_python(self, version: str) -> Path:
        """See `Installer.download_python`."""
        if version not in self.pythons:
            raise InterpreterError(f"Python {version} is not available.", hint="This is a fake.")
        return self.pythons[version]
