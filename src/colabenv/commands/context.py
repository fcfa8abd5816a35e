"""What several commands need: the machine's parts put together once, and the proof."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from colabenv.errors import LockError, UsageError
from colabenv.system.home import Home
from colabenv.system.process import Runner, SystemRunner
from colabenv.system.progress import Progress, Silent

if TYPE_CHECKING:
    from colabenv.environment.build import Environment
    from colabenv.environment.installers.base import Installer
    from colabenv.host.probe import Host
    from colabenv.kernel.check import CheckReport
    from colabenv.lock.lockfile import Lock
    from colabenv.profile.extends import ProfileSources
    from colabenv.profile.model import Profile


@dataclass
class _Noting:
    """Passes progress on, and keeps the notes for the result."""

    inner: Progress
    kept: list[str] = field(default_factory=list)

    def stage(self, title: str) -> None:
        self.inner.stage(title)

    def update(self, text: str) -> None:
        self.inner.update(text)

    def note(self, text: str) -> None:
        self.kept.append(text)
        self.inner.note(text)


class Context:
    """The machine as commands see it. Built by `cli`, or by tests with parts of their own.

    Args:
        environ: what colabenv inherited.
        progress: takes what stages say; nobody by default.
        runner: starts programs.
        ask: puts a question to the person; whether the answer is yes. By default it is no.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        progress: Progress | None = None,
        runner: Runner | None = None,
        ask: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self.environ = environ
        self.ask = ask
        self.home = Home.from_environ(environ)
        self.runner: Runner = runner or SystemRunner()
        self.progress = _Noting(progress or Silent())
        self._started = time.strftime("%Y%m%d-%H%M%S")

    def notes(self) -> tuple[str, ...]:
        """What was noted so far."""
        return tuple(self.progress.kept)

    @cached_property
    def _host(self) -> Host:
        from colabenv.host.probe import probe  # noqa: PLC0415 - not needed by an `up` with nothing to do

        return probe(self.environ, self.runner)

    def host(self) -> Host:
        """The machine, probed once."""
        return self._host

    @cached_property
    def _installer(self) -> Installer:
        from colabenv.environment.installers.select import select_installer  # noqa: PLC0415

        return select_installer(self.environ, self.runner, self.home, self.log)

    def installer(self) -> Installer:
        """The installer, chosen once."""
        return self._installer

    def outside(self) -> ProfileSources:
        """Where profiles come from that are extended: those that ship, and the web by way of a cache."""
        from colabenv.profile.builtin_profiles import find_builtin_folder  # noqa: PLC0415
        from colabenv.profile.extends import ProfileSources  # noqa: PLC0415
        from colabenv.system.fetch import fetch  # noqa: PLC0415

        cache = self.home.cache / "profiles"
        return ProfileSources(find_builtin_folder(), lambda url, digest: fetch(url, digest, cache))

    @property
    def log_path(self) -> Path:
        """This run's log."""
        return self.home.logs / f"{self._started}.log"

    def log(self, text: str) -> None:
        """Add to this run's log; a log that cannot be written stops nothing."""
        try:
            self.log_path.parent.mkdir(parents=True, exist_ok=True)
            with self.log_path.open("a", encoding="utf-8") as file:
                file.write(text)
        except OSError:
            pass


def index_urls(profile: Profile, environ: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """(name, URL) of the profile's indexes, variables filled in.

    Raises:
        ProfileError: a variable is not set.
    """
    from colabenv.profile.urls import expand_url  # noqa: PLC0415

    return tuple((index.name, expand_url(index.url, environ)) for index in profile.indexes)


def check_environment(
    profile: Profile, environment: Environment, lock: Lock, host: Host, context: Context
) -> CheckReport:
    """Run the proof of a profile in a built environment and pass its notes on.

    Raises:
        ProofError: it failed.
    """
    from colabenv.kernel import check, register  # noqa: PLC0415

    wanted = ""
    if register.read_settings(environment.prefix).get("google_colab"):
        wanted = "google.colab._kernel.Kernel"
    gpu = (
        "required"
        if profile.verify.gpu == "required"
        else "expected"
        if lock.header.variant == "gpu"
        else "none"
    )
    proof = check.check_kernel(
        check.CheckRequest(
            name=profile.name,
            kernels=environment.prefix / "colabenv" / "kernels",
            prefix=environment.prefix,
            imports=tuple(dict.fromkeys((*profile.verify.imports, *profile.kernel.preload))),
            code=profile.verify.code,
            versions={pin.name: pin.version for pin in lock.pins},
            kernel_class=wanted,
            gpu=gpu,
            transport=host.transport,
            log=context.log_path.with_suffix(".kernel.log"),
            on_step=context.progress.update,
        )
    )
    for note in proof.notes:
        context.progress.note(note)
    return proof


def find_environment(name: str, context: Context) -> Environment:
    """The environment whose kernel is registered under `name`, else the newest of that name.

    Raises:
        UsageError: there is none.
    """
    from colabenv.environment.build import find_environments  # noqa: PLC0415
    from colabenv.kernel.register import find_kernels_folder, read_registered_spec  # noqa: PLC0415

    found = list(find_environments(context.home, name)) if _is_name(name) else []
    spec = read_registered_spec(name, find_kernels_folder(context.environ)) or {}
    digest = spec.get("metadata", {}).get("colabenv", {}).get("digest")
    chosen = next((environment for environment in found if environment.stamp.digest == digest), None)
    if chosen is not None or found:
        return chosen or found[0]
    known = sorted({environment.stamp.name for environment in find_environments(context.home)})
    raise UsageError(
        f"There is no environment named {quote_name(name)}.",
        hint=f"There are: {', '.join(known)}." if known else "Build one with: colabenv up PROFILE",
    )


def lock_of(environment: Environment) -> Lock:
    """The lock that an environment was built from: its own copy, else the file that its stamp names.

    Raises:
        LockError: neither is there, or it cannot be read.
    """
    from colabenv.environment.build import LOCK_COPY  # noqa: PLC0415
    from colabenv.lock.files import read_at  # noqa: PLC0415

    stamp = environment.stamp
    lock = read_at(str(environment.prefix / LOCK_COPY)) or read_at(stamp.lock)
    if lock is None:
        raise LockError(f"{stamp.lock} is gone.", hint=f"Restore it, or run: colabenv up {stamp.profile}")
    return lock


def quote_name(name: str) -> str:
    """A name for a message: as it is where it could be one, else in quotes."""
    return name if re.fullmatch(r"[\w.-]+", name) else repr(name)


def _is_name(name: str) -> bool:
    return bool(name) and "/" not in name and not name.startswith(".")
