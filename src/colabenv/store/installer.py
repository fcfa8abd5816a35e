"""An installer that restores packages from a store; another installer installs the rest."""

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
from colabenv.lock.lockfile import Lock, is_same_version
from colabenv.store.download import LayerDownload
from colabenv.store.restore import RestoreSession
from colabenv.store.unpack import move_tree
from colabenv.system.files import remove_tree
from colabenv.system.units import format_count

OnProgress = Callable[[str], None]
_ALL_CACHED = "This machine has all wheels already, so the store was not needed."


@dataclass(frozen=True)
class RestoreSummary:
    """The distributions that came from a store, the number of pins, the bytes of the objects, and the seconds."""

    names: tuple[str, ...] = ()
    wanted: int = 0
    bytes: int = 0
    seconds: float = 0.0


class StoreInstaller:
    """An `Installer` in front of another one, which installs what the store lacks; the session has started before."""

    def __init__(self, inner: Installer, session: RestoreSession, note: Callable[[str], None]) -> None:
        self.inner, self.name, self.reason = inner, inner.name, inner.reason
        #: The uv of `UvInstaller`, which environments link to; None if another installer is used.
        self.binary: Path | None = getattr(inner, "binary", None)
        self.resolve, self.download_python = inner.resolve, inner.download_python
        self.create, self.add, self.has_all = inner.create, inner.add, inner.has_all
        self.restored = RestoreSummary()
        self._session, self._note = session, note
        self._started = time.monotonic()

    def install(self, job: Job, on_progress: OnProgress) -> None:
        """See `Installer.install`. If the installer's cache has everything, linking from there is fastest."""
        if self.inner.has_all(job):
            self._session.give_up(_ALL_CACHED)
            self._note(_ALL_CACHED)
            self._install_from_index(job, on_progress)
            return
        stored = self._session.stored_layers()
        self._session.fetch()
        if stored is not None and stored.layers:
            self._install_with_layers(job, set(stored.layers), on_progress)
            return
        if stored is None:
            self._note(f"The store was not used: {self._session.problem}")
        self._install_from_index(job, on_progress)

    def _install_from_index(self, job: Job, on_progress: OnProgress) -> None:
        """Install everything from the index or, if it cannot be reached, from a store that is only late."""
        self.restored = RestoreSummary(wanted=len(job.lock.pins))
        try:
            self.inner.install(job, on_progress)
        except NetworkError:
            self._session.wait_longer()
            if not self._session.downloads():
                raise
            self._recreate(job)
            self._install_with_layers(job, set(self._session.downloads()), on_progress)

    def _install_with_layers(self, job: Job, stored: set[str], on_progress: OnProgress) -> None:
        """Install what the store lacks while the layers are downloaded, then the layers that failed."""
        restored: dict[str, LayerDownload] = {}
        try:
            self._add_from_index(job, {pin.name for pin in job.lock.pins} - stored, on_progress)
            self._place_layers(job.prefix, restored, on_progress)
            missing = stored - set(restored)
            if missing:
                self._note_missing(missing)
                self._add_missing(job, missing, restored, on_progress)
            self._check_complete(job)
        except StoreError as error:
            self._note(f"{error.message} Installing everything from the index instead.")
            self._session.give_up(error.message)
            self._recreate(job)
            self.inner.install(job, on_progress)
            restored = {}
        self.restored = RestoreSummary(
            tuple(sorted(restored)),
            len(job.lock.pins),
            sum(download.layer.bytes for download in restored.values()),
            time.monotonic() - self._started,
        )

    def _add_missing(
        self, job: Job, missing: set[str], restored: dict[str, LayerDownload], on_progress: OnProgress
    ) -> None:
        """Install missing layers from the index; if it cannot be reached, wait for the store after all."""
        try:
            self._add_from_index(job, missing, on_progress)
        except NetworkError:
            self._note(
                "The index cannot be reached, so the rest comes from the store, however long it takes."
            )
            self._session.wait_longer()
            self._place_layers(job.prefix, restored, on_progress)
            self._add_from_index(job, missing - set(restored), on_progress)

    def _place_layers(
        self, prefix: Path, restored: dict[str, LayerDownload], on_progress: OnProgress
    ) -> None:
        """Move each layer into the environment as soon as it is complete, and add it to `restored`."""
        downloads = self._session.downloads()
        size = sum(download.layer.bytes for download in downloads.values())
        over = False
        while not over:
            over = self._session.wait(0.1)
            for name, download in downloads.items():
                if name not in restored and download.complete and self._finish(download, prefix):
                    self._place_layer(download, prefix)
                    restored[name] = download
            received = self._session.pool.throughput.bytes if self._session.pool else 0
            on_progress(
                f"{len(restored)} of {len(downloads)} packages, "
                f"{min(received, size) / 1e6:.0f} of {size / 1e6:.0f} MB"
            )

    def _finish(self, download: LayerDownload, prefix: Path) -> bool:
        try:
            download.tree.finish(str(prefix))
        except StoreError as error:
            download.problem, download.damaged = error.message, True
        return not download.problem

    def _place_layer(self, download: LayerDownload, prefix: Path) -> None:
        try:
            _remove_distribution(download.layer.name, prefix)
            move_tree(download.tree.folder, prefix)
        except ColabenvError as error:
            # Two layers conflict, or the disk is full; installing from the index shows which.
            raise StoreError(
                f"The store's layer of {download.layer.name} could not be moved into the environment."
            ) from error

    def _note_missing(self, missing: Iterable[str]) -> None:
        """Note how many packages do not come from the store, and why."""
        problems = [
            download.problem
            for name, download in sorted(self._session.downloads().items())
            if name in missing and download.problem
        ]
        why = self._session.problem or (problems[0] if problems else "")
        more = f" and {len(problems) - 1} similar" if len(problems) > 1 else ""
        count = format_count(len(set(missing)), "package")
        self._note(f"Installing {count} from the index instead of the store: {why}{more}")

    def _add_from_index(self, job: Job, names: set[str], on_progress: OnProgress) -> None:
        if names:
            pins = tuple(pin for pin in job.lock.pins if pin.name in names)
            self.inner.add(dataclasses.replace(job, lock=Lock(job.lock.header, pins)), on_progress)

    def _recreate(self, job: Job) -> None:
        remove_tree(job.prefix)
        self.inner.create(job)

    def _check_complete(self, job: Job) -> None:
        """Check that each pin has its dist-info, since a layer's name may not match its content."""
        installed = {dist_info.name: dist_info.version for dist_info in find_dist_infos(job.prefix)}
        for pin in job.lock.pins:
            if not is_same_version(installed.get(pin.name, ""), pin.version):
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
