"""The folders of COLABENV_HOME."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

FORMAT = 1  # raised when the layout of an environment changes, so that older ones are rebuilt beside it


@dataclass(frozen=True)
class Home:
    """The folders below `root`, which is COLABENV_HOME."""

    root: Path

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Home:
        """COLABENV_HOME, or `colabenv` in the user's data directory (XDG on Linux)."""
        setting = environ.get("COLABENV_HOME")
        if setting:
            return cls(Path(os.path.abspath(os.path.expanduser(setting))))  # noqa: PTH100, PTH111 - no disk access
        from platformdirs import user_data_path  # noqa: PLC0415 - not needed where the user chose

        return cls(user_data_path("colabenv", appauthor=False))

    @property
    def envs(self) -> Path:
        """Environments: NAME/DIGEST."""
        return self.root / "envs"

    @property
    def locks(self) -> Path:
        """Locks of profiles whose own folder is read-only."""
        return self.root / "locks"

    @property
    def logs(self) -> Path:
        """Output of installers and checks, one file for each run."""
        return self.root / "logs"

    @property
    def cache(self) -> Path:
        """Downloads, unless the user chose another cache."""
        return self.root / "cache"

    @property
    def pythons(self) -> Path:
        """Interpreters that uv downloaded."""
        return self.root / "pythons"

    @property
    def up_cache(self) -> Path:
        """Records of the last `up` of each profile (environment/up_cache.py)."""
        return self.root / "receipts"

    def environment(self, name: str, digest: str) -> Path:
        """Folder of one environment."""
        return self.envs / name / digest

    def file_lock(self, name: str) -> Path:
        """The file lock that `up`, `down` and others hold while they change the environments of a name."""
        return self.envs / f".{name}.lock"
