"""The workspace of a command, with the host, the installer, the profile sources and questions to the user."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from colabenv.system.workspace import Workspace

if TYPE_CHECKING:
    from colabenv.environment.installers.base import Installer
    from colabenv.host.probe import Host
    from colabenv.profile.extends import ProfileSources
    from colabenv.system.process import Runner
    from colabenv.system.progress import Progress


class Context(Workspace):
    """The workspace of a command; `ask` asks the user a question and returns whether the answer is yes."""

    def __init__(
        self,
        environ: Mapping[str, str],
        progress: Progress | None = None,
        runner: Runner | None = None,
        ask: Callable[[str], bool] = lambda _: False,
    ) -> None:
        super().__init__(environ, progress, runner)
        self.ask = ask

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

    def profile_sources(self) -> ProfileSources:
        """Where profiles that are not local files come from: the built-in ones, and the web through a cache."""
        from colabenv.profile.builtin_profiles import find_builtin_folder  # noqa: PLC0415 - see `_host`
        from colabenv.profile.extends import ProfileSources  # noqa: PLC0415
        from colabenv.system.fetch import fetch_file  # noqa: PLC0415

        cache = self.home.cache / "profiles"
        return ProfileSources(find_builtin_folder(), lambda url, digest: fetch_file(url, digest, cache))
