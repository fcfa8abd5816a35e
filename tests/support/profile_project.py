"""A profile with an environment whose metadata the test writes, and a resolver whose answers it sets."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from colabenv.environment.build import LOCK_COPY, Stamp, write_stamp
from colabenv.errors import UnsatisfiableError
from colabenv.host.probe import Host
from colabenv.lock.lockfile import Header, Lock, Pin, format_lock, parse_lock
from support.fake_machine import FakeMachine

HOST = Host("terminal", "", (), "", "tcp", None, "x86_64-manylinux_2_35")
PROFILE = """\
# ours
name: demo
# as in the course
packages: [base>=1]
kernel: {google_colab: off}
"""
BASE = {"base": "1.0", "core": "1.0"}


def pins(versions: Mapping[str, str]) -> tuple[Pin, ...]:
    return tuple(Pin(name, version, ("sha256:00",)) for name, version in sorted(versions.items()))


def lock_text(versions: Mapping[str, str], variant: str = "cpu") -> str:
    return format_lock(Lock(Header("demo", "0" * 64, "3.11", variant, "plain", ""), pins(versions)))


class ProfileProject:
    """A profile with its lock and its environment.

    Args:
        root: an empty folder.
        profile: text of the profile.
        files: further files: name, with `_` for `.`, to text.
    """

    def __init__(self, root: Path, profile: str = PROFILE, **files: str) -> None:
        self.root = root
        self.profile = root / "demo.yaml"
        self.profile.write_bytes(profile.encode())
        for name, text in files.items():
            (root / name.replace("_", ".")).write_bytes(text.encode())
        self.lock = root / "demo.cpu.lock.txt"
        self.lock.write_text(lock_text(BASE))
        self.prefix = root / "home" / "envs" / "demo" / "0f"
        self.packages = self.prefix / "lib" / "python3.11" / "site-packages"
        self.packages.mkdir(parents=True)
        (self.prefix / "bin").mkdir()
        (self.prefix / "bin" / "python").touch()
        (self.prefix / LOCK_COPY).write_text(lock_text(BASE))
        self.stamp(str(self.profile))
        for name, version in BASE.items():
            self.put(name, version, by="uv")

    def stamp(self, profile: str, name: str = "demo") -> None:
        stamp = Stamp(name, "0f", "3.11.7", "cpu", "plain", 2, "uv", 1.0, profile, str(self.lock))
        write_stamp(self.prefix, stamp)

    def put(self, name: str, version: str, *requires: str, by: str = "pip", asked: bool = True) -> None:
        """Install a distribution, or replace another version of it."""
        for old in self.packages.glob(f"{name}-*.dist-info"):
            for file in old.iterdir():
                file.unlink()
            old.rmdir()
        info = self.packages / f"{name}-{version}.dist-info"
        info.mkdir()
        needs = "".join(f"Requires-Dist: {need}\n" for need in requires)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}")
        (info / "INSTALLER").write_text(by)
        if asked:
            (info / "REQUESTED").touch()

    def machine(self, *answers: Mapping[str, str] | UnsatisfiableError) -> FakeMachine:
        results = [answer if isinstance(answer, UnsatisfiableError) else pins(answer) for answer in answers]
        return FakeMachine(self.root, results, HOST)

    def files(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.root.iterdir() if path.is_file()}

    def locked(self, variant: str = "cpu") -> dict[str, str]:
        text = (self.root / f"demo.{variant}.lock.txt").read_text()
        return {pin.name: pin.version for pin in parse_lock(text, "lock").pins}
