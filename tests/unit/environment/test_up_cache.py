"""The cache of `up`: an entry is valid until one of its inputs changes."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from colabenv.environment import up_cache
from colabenv.output.up import UpResult
from colabenv.system.files import hash_file
from colabenv.system.home import Home

NEEDED = ("stamp.json", "bin/python", "colabenv/launcher.py", "colabenv/settings.json")


class CachedUp:
    """A finished `up`: its files on disk and its cache entry."""

    def __init__(self, folder: Path) -> None:
        self.home = Home(folder / "home")
        self.profile = folder / "p.yaml"
        self.lock = folder / "demo.cpu.lock.txt"
        self.spec = folder / "kernels" / "colabenv-demo" / "kernel.json"
        self.prefix = self.home.environment("demo", "d1")
        self.entry = up_cache.cache_path(self.home, str(self.profile), "auto")
        for path in (self.profile, self.lock, self.spec, *(self.prefix / name for name in NEEDED)):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(path.name)
        self.result = UpResult(
            name="demo",
            action="built",
            kernel_name="colabenv-demo",
            display_name="Demo",
            environment=str(self.prefix),
            python="3.11.7",
            interpreter="/usr/bin/python3.11",
            variant="cpu",
            lock=str(self.lock),
            kernelspec=str(self.spec),
            host="terminal",
            kernel="plain",
            packages=3,
            devices=("CPU",),
            notes=("a note",),
        )
        files = {str(path): hash_file(path) for path in (self.profile, self.lock)}
        up_cache.write_up_cache(
            self.home, str(self.profile), "auto", files, dataclasses.asdict(self.result), {}
        )

    def read_unchanged(self, variant: str = "auto", **environ: str) -> UpResult | None:
        fields = up_cache.read_unchanged(self.home, str(self.profile), variant, environ)
        return None if fields is None else UpResult.unchanged(fields, environ)


@pytest.fixture
def up(tmp_path: Path) -> CachedUp:
    return CachedUp(tmp_path)


def test_unchanged_input_is_a_cache_hit(up: CachedUp) -> None:
    assert up.read_unchanged() == dataclasses.replace(up.result, action="unchanged")
    assert up.read_unchanged(UNRELATED="x") is not None


CHANGES: dict[str, Callable[[CachedUp], object]] = {
    "the profile": lambda up: up.profile.write_text("other"),
    "the profile is gone": lambda up: up.profile.unlink(),
    "the lock": lambda up: up.lock.write_text("other"),
    "the lock is gone": lambda up: up.lock.unlink(),
    "the kernelspec": lambda up: up.spec.write_text("other"),
    "the kernelspec is gone": lambda up: up.spec.unlink(),
    **{f"{name} is gone": lambda up, name=name: (up.prefix / name).unlink() for name in NEEDED},  # type: ignore[misc]
    "the environment is suspect": lambda up: up_cache.mark_suspect(up.prefix),
    "the entry is damaged": lambda up: up.entry.write_text("{"),
    "the entry is a list": lambda up: up.entry.write_text("[]"),
    "the entry is empty": lambda up: up.entry.write_text("{}"),
    "the entry is binary": lambda up: up.entry.write_bytes(b"\xff"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_any_change_invalidates_the_cache(up: CachedUp, change: Callable[[CachedUp], object]) -> None:
    change(up)
    assert up.read_unchanged() is None


def test_dangling_python_link_invalidates_the_cache(up: CachedUp) -> None:
    (up.prefix / "bin" / "python").unlink()
    (up.prefix / "bin" / "python").symlink_to("/no/such/python")
    assert up.read_unchanged() is None


def test_other_installer_or_variant_invalidates_the_cache(up: CachedUp) -> None:
    assert up.read_unchanged(COLABENV_INSTALLER="pip") is None
    assert up.read_unchanged("gpu") is None


def test_incomplete_entry_is_ignored(up: CachedUp) -> None:
    document = json.loads(up.entry.read_text())
    assert set(document) == {"made", "files", "exist", "result"}
    for name in document:
        up.entry.write_text(json.dumps({key: value for key, value in document.items() if key != name}))
        assert up.read_unchanged() is None, name


def test_entry_of_another_version_is_ignored(up: CachedUp) -> None:
    document = json.loads(up.entry.read_text())
    document["made"][0] = "0.0.1"
    up.entry.write_text(json.dumps(document))
    assert up.read_unchanged() is None


def test_environment_that_is_no_longer_suspect_is_a_cache_hit(up: CachedUp) -> None:
    up_cache.mark_suspect(up.prefix)
    up_cache.clear_suspect(up.prefix)
    up_cache.clear_suspect(up.prefix)
    assert up.read_unchanged() is not None


def test_links_to_a_profile_share_its_entry_and_copies_do_not(up: CachedUp, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    assert up_cache.read_unchanged(up.home, f"{tmp_path}/link/./p.yaml", "auto", {}) is not None
    (tmp_path / "copy.yaml").write_bytes(up.profile.read_bytes())
    assert up_cache.read_unchanged(up.home, f"{tmp_path}/copy.yaml", "auto", {}) is None


def test_notes_depend_on_the_current_host(up: CachedUp) -> None:
    on_colab = up.read_unchanged(COLAB_RELEASE_TAG="x")
    assert on_colab is not None
    assert on_colab.host == "colab"
    inside = up.read_unchanged(COLABENV_INSIDE=str(up.prefix))
    assert inside is not None
    assert inside.inside
    assert os.path.isabs(inside.environment)  # noqa: PTH117
