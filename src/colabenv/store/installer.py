"""An installer that takes from a store what it has, and has another one install the rest."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from colabenv.environment.distributions import find_dist_infos
from colabenv.environment.installers.base import Installer, Job
from colabenv.errors import ColabenvError, NetworkError, StoreError
from colabenv.lock.lockfile import Lock, Pin, same_version
from colabenv.lock.request import ResolveRequest
from colabenv.store.download import LayerDownload
from colabenv.store.restore import RestoreSession
from colabenv.store.unpack import move_tree
from colabenv.system.files import remove_tree

_ALL_HERE = "This machine has all the wheels already, so the store was not needed."


@dataclass(frozen=True)
class RestoreSummary:
    """What came from a store.

    Attributes:
        names: of the distributions.
        wanted: how many the lock has.
        bytes: of their objects.
        seconds: from the first question to the last file.
    """

    names: tuple[str, ...]
    wanted: int
    bytes: int
    seconds: float


class StoreInstaller:
    """An `Installer` in front of another.

    Args:
        inner: installs what the store lacks.
        session: has begun to fetch.
        note: takes what the person should know.
    """

    def __init__(self, inner: Installer, session: RestoreSession, note: Callable[[str], None]) -> None:
        self.inner = inner
        self.restored = RestoreSummary((), 0, 0, 0.0)
        self._session, self._note = session, note
        self._started = time.monotonic()

    @property
    def name(self) -> str:
        """See `Installer.name`."""
        return self.inner.name

    @property
    def reason(self) -> str:
        """See `Installer.reason`."""
        return self.inner.reason

    @property
    def binary(self) -> Path | None:
        """The uv of `UvInstaller`, which environments link to; None where another installs."""
        return getattr(self.inner, "binary", None)

    def resolve(self, request: ResolveRequest) -> tuple[Pin, ...]:
        """See `Resolver.resolve`."""
        return self.inner.resolve(request)

    def create(self, job: Job) -> None:
        """See `Installer.create`."""
        self.inner.create(job)

    def add(self, job: Job, on_progress: Callable[[str], None]) -> None:
        """See `Installer.add`."""
        self.inner.add(job, on_progress)

    def has_all(self, job: Job) -> bool:
        """See `Installer.has_all`."""
        return self.inner.has_all(job)

    def download_python(self, version: str) -> Path:
        """See `Installer.download_python`."""
        return self.inner.download_python(version)

    def install(self, job: Job, on_progress: Callable[[str], None]) -> None:
        """See `Installer.install`. What lies in the installer's own cache is linked from there, which nothing beats."""
        if self.inner.has_all(job):
            self._session.give_up(_ALL_HERE)
            self._note(_ALL_HERE)
            self._without_layers(job, on_progress)
            return
        found = self._session.found()
        self._session.fetch()
        if found is None or not found.layers:
            if found is None:
                self._note(f"The store was not used: {self._session.trouble}")
            self._without_layers(job, on_progress)
        else:
            self._with_layers(job, set(found.layers), on_progress)

    def _without_layers(self, job: Job, on_progress: Callable[[str], None]) -> None:
        """Install all from the index; where that cannot be reached, from a store that is merely late."""
        self.restored = RestoreSummary((), len(job.lock.pins), 0, 0.0)
        try:
            self.inner.install(job, on_progress)
        except NetworkError:
            self._session.insist()
            if not self._session.arrivals():
                raise
            self._anew(job)
            self._with_layers(job, set(self._session.arrivals()), on_progress)

    def _with_layers(self, job: Job, has: set[str], on_progress: Callable[[str], None]) -> None:
        """Install what the store lacks while the rest comes from there, then what did not come."""
        taken: dict[str, LayerDownload] = {}
        try:
            self._from_index(job, {pin.name for pin in job.lock.pins} - has, on_progress)
            self._place(job.prefix, taken, on_progress)
            lacking = has - set(taken)
            if lacking:
                self._say_lacking(lacking)
                self._rest(job, lacking, taken, on_progress)
            self._see_that_all_is_there(job)
        except StoreError as error:
            self._note(f"{error.message} Installing everything from the index instead.")
            self._session.give_up(error.message)
            self._anew(job)
            self.inner.install(job, on_progress)
            taken = {}
        self.restored = RestoreSummary(
            tuple(sorted(taken)),
            len(job.lock.pins),
            sum(arrival.layer.bytes for arrival in taken.values()),
            time.monotonic() - self._started,
        )

    def _rest(
        self, job: Job, lacking: set[str], taken: dict[str, LayerDownload], on_progress: Callable[[str], None]
    ) -> None:
        """Install from the index what did not come; where that cannot be reached, wait for the store after all."""
        try:
            self._from_index(job, lacking, on_progress)
        except NetworkError:
            self._note(
                "The index cannot be reached, so the rest is taken from the store however long it takes."
            )
            self._session.insist()
            self._place(job.prefix, taken, on_progress)
            lacking -= set(taken)
            if lacking:
                self._from_index(job, lacking, on_progress)

    def _place(
        self, prefix: Path, taken: dict[str, LayerDownload], on_progress: Callable[[str], None]
    ) -> None:
        """Move each layer into the environment as soon as it has come; `taken` fills up."""
        arrivals = self._session.arrivals()
        size = sum(arrival.layer.bytes for arrival in arrivals.values())
        over = False
        while not over:
            over = self._session.settled(0.1)
            for name, arrival in arrivals.items():
                if name not in taken and arrival.whole and self._sealed(arrival, prefix):
                    self._merge(arrival, prefix)
                    taken[name] = arrival
            come = self._session.stream.pace.bytes if self._session.stream else 0
            on_progress(
                f"{len(taken)} of {len(arrivals)} packages, {min(come, size) / 1e6:.0f} of {size / 1e6:.0f} MB"
            )

    def _sealed(self, arrival: LayerDownload, prefix: Path) -> bool:
        try:
            arrival.tree.finish(str(prefix))
        except StoreError as error:
            arrival.trouble, arrival.damaged = error.message, True
        return not arrival.trouble

    def _merge(self, arrival: LayerDownload, prefix: Path) -> None:
        try:
            _remove_distribution(arrival.layer.name, prefix)
            move_tree(arrival.tree.folder, prefix)
        except ColabenvError as error:
            # Two layers that do not go together, or a disk that is full: the index, which comes next, tells which.
            raise StoreError(f"{arrival.layer.name} from the store could not be put in place.") from error

    def _say_lacking(self, lacking: Iterable[str]) -> None:
        """One sentence for the person: what is not taken from the store, and why."""
        damaged = [
            arrival.trouble
            for name, arrival in sorted(self._session.arrivals().items())
            if name in lacking and arrival.trouble
        ]
        why = self._session.trouble or (damaged[0] if damaged else "")
        more = f" and {len(damaged) - 1} more like it" if len(damaged) > 1 else ""
        count = len(set(lacking))
        which = "1 package is" if count == 1 else f"{count} packages are"
        self._note(f"{which} installed from the index instead of taken from the store: {why}{more}")

    def _from_index(self, job: Job, names: set[str], on_progress: Callable[[str], None]) -> None:
        if names:
            pins = tuple(pin for pin in job.lock.pins if pin.name in names)
            part = dataclasses.replace(job, lock=Lock(job.lock.header, pins))
            self.inner.add(part, on_progress)

    def _anew(self, job: Job) -> None:
        """Begin again with an empty environment."""
        remove_tree(job.prefix)
        self.inner.create(job)

    def _see_that_all_is_there(self, job: Job) -> None:
        """Check that each pin has its dist-info: a layer might hold something else than its name says.

        Raises:
            StoreError: one has none.
        """
        installed = {info.name: info.version for info in find_dist_infos(job.prefix)}
        for pin in job.lock.pins:
            if not same_version(installed.get(pin.name, ""), pin.version):
                raise StoreError(
                    f"The store's layer of {pin.name} does not contain {pin.name} {pin.version}."
                )


def _remove_distribution(name: str, prefix: Path) -> None:
    """Remove another release that the new environment came with, such as virtualenv's pip."""
    for dist_info in find_dist_infos(prefix):
        if dist_info.name != name:
            continue
        with contextlib.suppress(ValueError):
            for file in dist_info.read_record() or ():
                if not file.path.startswith("/") and ".." not in file.path:
                    (dist_info.site_packages / file.path).unlink(missing_ok=True)
        remove_tree(dist_info.folder)
