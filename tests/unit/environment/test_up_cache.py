"""When an `up` has nothing to do: a receipt holds until anything it rests on changes."""

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
    """A finished `up`: its files on disk and its receipt."""

    def __init__(self, folder: Path) -> None:
        self.home = Home(folder / "home")
        self.profile = folder / "p.yaml"
        self.lock = folder / "demo.cpu.lock.txt"
        self.spec = folder / "kernels" / "colabenv-demo" / "kernel.json"
        self.prefix = self.home.environment("demo", "d1")
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

    def again(self, variant: str = "auto", **environ: str) -> UpResult | None:
        fields = up_cache.read_unchanged(self.home, str(self.profile), variant, environ)
        return None if fields is None else UpResult.unchanged(fields, environ)


@pytest.fixture
def made(tmp_path: Path) -> CachedUp:
    return CachedUp(tmp_path)


def test_unchanged_input_is_a_cache_hit(made: CachedUp) -> None:
    assert made.again() == dataclasses.replace(made.result, action="unchanged")
    assert made.again(UNRELATED="x") is not None


CHANGES: dict[str, Callable[[CachedUp], object]] = {
    "the profile": lambda made: made.profile.write_text("other"),
    "the profile is gone": lambda made: made.profile.unlink(),
    "the lock": lambda made: made.lock.write_text("other"),
    "the lock is gone": lambda made: made.lock.unlink(),
    "the kernelspec": lambda made: made.spec.write_text("other"),
    "the kernelspec is gone": lambda made: made.spec.unlink(),
    **{f"{name} is gone": lambda made, name=name: (made.prefix / name).unlink() for name in NEEDED},  # type: ignore[misc]
    "the environment is suspect": lambda made: up_cache.mark_suspect(made.prefix),
    "the receipt is damaged": lambda made: up_cache.cache_path(
        made.home, str(made.profile), "auto"
    ).write_text("{"),
    "the receipt is a list": lambda made: up_cache.cache_path(
        made.home, str(made.profile), "auto"
    ).write_text("[]"),
    "the receipt is empty": lambda made: up_cache.cache_path(made.home, str(made.profile), "auto").write_text(
        "{}"
    ),
    "the receipt is bytes": lambda made: up_cache.cache_path(
        made.home, str(made.profile), "auto"
    ).write_bytes(b"\xff"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_any_change_invalidates_the_cache(made: CachedUp, change: Callable[[CachedUp], object]) -> None:
    change(made)
    assert made.again() is None


def test_dangling_python_link_invalidates_the_cache(made: CachedUp) -> None:
    (made.prefix / "bin" / "python").unlink()
    (made.prefix / "bin" / "python").symlink_to("/no/such/python")
    assert made.again() is None


def test_other_installer_or_variant_invalidates_the_cache(made: CachedUp) -> None:
    assert made.again(COLABENV_INSTALLER="pip") is None
    assert made.again("gpu") is None


@pytest.mark.parametrize("name", ["made", "files", "exist", "result"])
def test_incomplete_entry_is_ignored(made: CachedUp, name: str) -> None:
    path = up_cache.cache_path(made.home, str(made.profile), "auto")
    document = json.loads(path.read_text())
    del document[name]
    path.write_text(json.dumps(document))
    assert made.again() is None


def test_entry_of_another_version_is_ignored(made: CachedUp) -> None:
    path = up_cache.cache_path(made.home, str(made.profile), "auto")
    document = json.loads(path.read_text())
    document["made"][0] = "0.0.1"
    path.write_text(json.dumps(document))
    assert made.again() is None


def test_rechecked_environment_is_a_cache_hit(made: CachedUp) -> None:
    up_cache.mark_suspect(made.prefix)
    up_cache.clear_suspect(made.prefix)
    up_cache.clear_suspect(made.prefix)
    assert made.again() is not None


def test_path_of_the_profile_does_not_matter(made: CachedUp, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    assert up_cache.read_unchanged(made.home, f"{tmp_path}/link/./p.yaml", "auto", {}) is not None
    (tmp_path / "copy.yaml").write_bytes(made.profile.read_bytes())
    assert up_cache.read_unchanged(made.home, f"{tmp_path}/copy.yaml", "auto", {}) is None


def test_notes_depend_on_the_current_host(made: CachedUp) -> None:
    on_colab = made.again(COLAB_RELEASE_TAG="x")
    assert on_colab is not None
    assert on_colab.host == "colab"
    inside = made.again(COLABENV_INSIDE=str(made.prefix))
    assert inside is not None
    assert inside.inside
    assert os.path.isabs(inside.environment)  # noqa: PTH117
