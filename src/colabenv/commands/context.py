"""The workspace of a command, with the host, the installer, the profile sources and questions to the user."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from colabenv.system.workspace import Workspace

if TYPE_CHECKING:
    from pathlib import Path

    from colabenv.environment.installers.base import Installer
    from colabenv.host.probe import Host
    from colabenv.importers.notebook_source import CellProfile, NotebookSource
    from colabenv.importers.references import FoundProfile
    from colabenv.profile.extends import ProfileSources
    from colabenv.system.process import Runner
    from colabenv.system.progress import Progress

#: Seconds and bytes that the download of a notebook or profile may take.
NOTEBOOK_SECONDS = 60.0
NOTEBOOK_BYTES = 64 * 1024 * 1024


class Context(Workspace):
    """The workspace of a command.

    `ask` asks the user a question and returns whether the answer is yes; `open_notebook` finds the notebook that the
    command runs in, or the profile in its cell, if there is one.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        progress: Progress | None = None,
        runner: Runner | None = None,
        ask: Callable[[str], bool] = lambda _: False,
        open_notebook: Callable[[], NotebookSource | CellProfile] | None = None,
    ) -> None:
        super().__init__(environ, progress, runner)
        self.ask = ask
        self.open_notebook = open_notebook
        self._drafts: Mapping[Path, str] = {}

    @cached_property
    def _host(self) -> Host:
        from colabenv.host.probe import probe_host  # noqa: PLC0415 - not needed by an `up` with nothing to do

        return probe_host(self.environ, self.runner)

    def host(self) -> Host:
        """This machine, probed once."""
        return self._host

    @cached_property
    def _installer(self) -> Installer:
        from colabenv.environment.installers.select import select_installer  # noqa: PLC0415 - see `_host`

        return select_installer(self)

    def installer(self) -> Installer:
        """The installer, selected once."""
        return self._installer

    def find_profile(self, reference: str | None, *, write: bool = True) -> FoundProfile:
        """Find the profile that a command is about; see `importers.references.find_profile`.

        With `write` False, `profile_sources` has the text of a profile that was only drafted.
        """
        from colabenv.importers.references import find_profile  # noqa: PLC0415 - see `_host`

        found = find_profile(reference, self, self.download, open_notebook=self.open_notebook, write=write)
        self._drafts = found.drafts
        return found

    def download(self, url: str, digest: str) -> bytes:
        """Download a profile or notebook, with the expected SHA-256 in hex or ""; raises NetworkError."""
        from colabenv.system.fetch import fetch_file  # noqa: PLC0415 - see `_host`

        self.progress.stage(f"Downloading {url}")
        return fetch_file(url, digest, self._downloads, NOTEBOOK_SECONDS, NOTEBOOK_BYTES)

    @property
    def _downloads(self) -> Path:
        return self.home.cache / "profiles"

    def profile_sources(self) -> ProfileSources:
        """Where profiles that are not local files come from: the built-in ones, and the web through a cache."""
        from colabenv.profile.builtin_profiles import find_builtin_folder  # noqa: PLC0415 - see `_host`
        from colabenv.profile.extends import ProfileSources  # noqa: PLC0415
        from colabenv.system.fetch import fetch_file  # noqa: PLC0415

        return ProfileSources(
            find_builtin_folder(), lambda url, digest: fetch_file(url, digest, self._downloads), self._drafts
        )
