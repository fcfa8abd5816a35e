"""A machine with environments to push. Their locks name one wheel for each package, so pushing needs no index."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

from colabenv.commands.context import Context
from colabenv.environment.build import Environment, Stamp, read_environment, write_stamp
from colabenv.lock.lockfile import Lock, format_lock
from support.pushing import make_request


class StoreMachine:
    """A home folder and the path of a store.

    Args:
        root: an empty folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.store = root / "store"
        self.environ = {"COLABENV_HOME": str(root / "home"), "HOME": str(root)}
        self.context = Context(self.environ)

    def build(self, name: str, *packages: str, built: float = 1.0, profile: str = "") -> Environment:
        """Create an environment with its profile and its lock.

        Args:
            name: name of the profile.
            packages: names of packages, all in version 1.0.
            built: time at which the environment was built.
            profile: text of the profile after its name.
        """
        folder = self.context.home.envs / name
        request = make_request(folder, *packages, profile="0" * 16)
        prefix = folder / ("0" * 16)
        (prefix / "bin").mkdir()
        (prefix / "bin" / "python").symlink_to(sys.executable)
        lock = Lock(dataclasses.replace(request.lock.header, profile=name), request.lock.pins)
        (prefix / "lock.txt").write_text(format_lock(lock))
        path = self.root / f"{name}.yaml"
        path.write_text(f"name: {name}\n{profile}")
        stamp = Stamp(
            name, "0" * 16, "3.11.9", "cpu", "plain", len(packages), "uv", built, str(path), str(path)
        )
        write_stamp(prefix, stamp)
        environment = read_environment(prefix)
        assert environment is not None
        return environment
