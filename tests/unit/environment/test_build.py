"""Building environments: stamped last, removed if the build fails, and reused if complete."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from colabenv.environment.build import (
    Environment,
    Stamp,
    build,
    environment_digest,
    find_environments,
    read_environment,
    rebuild,
    write_stamp,
)
from colabenv.environment.installers.base import Installer, Job
from colabenv.errors import CorruptError, DiskError, NetworkError
from colabenv.host.interpreters import Interpreter
from colabenv.lock.lockfile import Header, Lock, Pin
from colabenv.system.home import Home
from colabenv.system.progress import SilentProgress
from support.fake_installer import FakeInstaller

LOCK = Lock(
    Header("demo", "0" * 64, "3.11", "cpu", "colab", ""),
    (Pin("numpy", "1.26.4", ("sha256:00",)), Pin("pip", "25.0", ("sha256:01",))),
)
PYTHON = Interpreter(Path(sys.executable), "3.11.7", "on PATH")
STAMP = Stamp("demo", "d1", "3.11.7", "cpu", "colab", 2, "uv", 0, "/p/profile.yaml", "/p/demo.cpu.lock.txt")


class StampWatcher:
    """An installer that records whether the environment was already stamped."""

    name = "uv"
    reason = ""

    def __init__(self) -> None:
        self.inner = FakeInstaller()
        self.stamped: list[bool] = []
        self.resolve = self.inner.resolve
        self.add = self.inner.add
        self.has_all = self.inner.has_all
        self.download_python = self.inner.download_python

    def create(self, job: Job) -> None:
        self.stamped.append(job.prefix.exists())
        self.inner.create(job)

    def install(self, job: Job, on_progress: Callable[[str], None]) -> None:
        self.stamped.append((job.prefix / "stamp.json").exists())
        self.inner.install(job, on_progress)


def make_job(prefix: Path) -> Job:
    return Job(LOCK, PYTHON, prefix, (), ())


class RecordedProgress(SilentProgress):
    """Progress that records its texts."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def stage(self, title: str) -> None:
        self.texts.append(title)

    def update(self, text: str) -> None:
        self.texts.append(text)

    def note(self, text: str) -> None:
        self.texts.append(text)


def test_stamp_is_written_last(tmp_path: Path) -> None:
    prefix = tmp_path / "envs" / "demo" / "d1"
    installer: Installer = StampWatcher()
    environment, seconds = build(make_job(prefix), STAMP, installer, SilentProgress())
    assert isinstance(installer, StampWatcher)
    assert installer.stamped == [False, False]
    assert environment == Environment(prefix, dataclasses.replace(STAMP, built=environment.stamp.built))
    assert environment.stamp.built > 1_700_000_000
    assert environment.python == prefix / "bin" / "python"
    assert set(seconds) == {"create", "install"}
    assert read_environment(prefix) == environment


def test_progress_is_reported(tmp_path: Path) -> None:
    progress = RecordedProgress()
    build(make_job(tmp_path / "e"), STAMP, FakeInstaller(), progress)
    assert progress.texts == [
        "Creating the environment",
        "Installing",
        "1 of 2 packages",
        "2 of 2 packages",
    ]


def test_complete_environment_is_reused(tmp_path: Path) -> None:
    build(make_job(tmp_path / "e"), STAMP, FakeInstaller(), SilentProgress())
    installer = FakeInstaller()
    environment, seconds = build(make_job(tmp_path / "e"), STAMP, installer, SilentProgress())
    assert installer.jobs == []
    assert seconds == {}
    assert environment == read_environment(tmp_path / "e")


def test_incomplete_environment_is_removed_first(tmp_path: Path) -> None:
    prefix = tmp_path / "e"
    (prefix / "bin").mkdir(parents=True)
    (prefix / "leftover.txt").write_text("half")
    (prefix.parent / ".trash-e-1-2" / "lib").mkdir(parents=True)
    build(make_job(prefix), STAMP, FakeInstaller(), SilentProgress())
    assert not (prefix / "leftover.txt").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["e"]
    assert read_environment(prefix) is not None


@pytest.mark.parametrize("stage", ["create_error", "install_error"])
@pytest.mark.parametrize("error", [CorruptError("bad bytes"), KeyboardInterrupt(), OSError("no")])
def test_failed_build_removes_the_environment_and_raises_the_error(
    tmp_path: Path, stage: str, error: BaseException
) -> None:
    prefix = tmp_path / "envs" / "demo" / "d1"
    installer = FakeInstaller(**{stage: error})  # type: ignore[arg-type]
    with pytest.raises(type(error)) as caught:
        build(make_job(prefix), STAMP, installer, SilentProgress())
    assert caught.value is error
    assert list(prefix.parent.iterdir()) == []


def test_folder_that_cannot_be_created_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "envs").write_text("a file where a folder should be")
    with pytest.raises((DiskError, OSError)):
        build(make_job(tmp_path / "envs" / "demo" / "d1"), STAMP, FakeInstaller(), SilentProgress())


def test_damaged_stamp_is_ignored(tmp_path: Path) -> None:
    FakeInstaller().create(make_job(tmp_path / "e"))
    for content in (
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"name": "demo"}',
        b'{"unknown": 1}',
        b"\x00",
        b"\xff\xfe\xfa",
    ):
        (tmp_path / "e" / "stamp.json").write_bytes(content)
        assert read_environment(tmp_path / "e") is None, content


def test_environment_without_its_python_is_incomplete(tmp_path: Path) -> None:
    build(make_job(tmp_path / "e"), STAMP, FakeInstaller(), SilentProgress())
    (tmp_path / "e" / "bin" / "python").unlink()
    (tmp_path / "e" / "bin" / "python").symlink_to(tmp_path / "uninstalled")
    assert read_environment(tmp_path / "e") is None


def test_environments_are_listed_by_name_with_the_newest_first(tmp_path: Path) -> None:
    home = Home(tmp_path)
    for name, digest, built in [("b", "1", 10.0), ("a", "1", 5.0), ("a", "2", 7.0), ("a", ".trash-3", 9.0)]:
        prefix = home.environment(name, digest)
        FakeInstaller().create(make_job(prefix))
        write_stamp(prefix, dataclasses.replace(STAMP, name=name, digest=digest, built=built))
    FakeInstaller().create(make_job(home.environment("a", "incomplete")))
    home.file_lock("a").touch()
    environments = [
        (environment.stamp.name, environment.stamp.digest) for environment in find_environments(home)
    ]
    assert environments == [("a", "2"), ("a", "1"), ("b", "1")]
    assert [environment.stamp.name for environment in find_environments(home, "b")] == ["b"]
    assert list(find_environments(home, "nobody")) == []
    assert list(find_environments(Home(tmp_path / "absent"))) == []


def test_stamp_is_readable_text(tmp_path: Path) -> None:
    write_stamp(tmp_path, STAMP)
    assert json.loads((tmp_path / "stamp.json").read_text())["profile"] == "/p/profile.yaml"
    assert os.stat(tmp_path / "stamp.json").st_mode & 0o777 == 0o644  # noqa: PTH116


def compute_digest(**changed: object) -> str:
    lock = dataclasses.replace(
        LOCK,
        header=dataclasses.replace(LOCK.header, **changed.pop("header", {})),  # type: ignore[arg-type]
        pins=changed.pop("pins", LOCK.pins),  # type: ignore[arg-type]
    )
    interpreter = changed.pop("interpreter", PYTHON)
    return environment_digest(lock, interpreter, **{"variables": {}, "google_colab": "auto"} | changed)  # type: ignore[arg-type]


def test_digest_covers_everything_that_affects_behavior() -> None:
    digests = [
        compute_digest(pins=LOCK.pins[:1]),
        compute_digest(pins=(dataclasses.replace(LOCK.pins[0], hashes=("sha256:99",)), LOCK.pins[1])),
        compute_digest(header={"variant": "gpu"}),
        compute_digest(header={"kernel": "plain"}),
        compute_digest(interpreter=dataclasses.replace(PYTHON, version="3.11.8")),
        compute_digest(variables={"A": "1"}),
        compute_digest(google_colab="off"),
    ]
    assert len({compute_digest(), *digests}) == 8
    assert all(len(text) == 16 for text in digests)


def test_digest_ignores_names_paths_and_the_order_of_variables() -> None:
    assert compute_digest() == compute_digest(header={"profile": "renamed", "digest": "1" * 64})
    assert compute_digest() == compute_digest(
        interpreter=Interpreter(Path("/elsewhere/python"), "3.11.7", "pyenv")
    )
    assert compute_digest(variables={"A": "1", "B": "2"}) == compute_digest(variables={"B": "2", "A": "1"})


def test_failed_rebuild_restores_the_old_environment(tmp_path: Path) -> None:
    prefix = tmp_path / "d1"
    build(make_job(prefix), STAMP, FakeInstaller(), SilentProgress())
    (prefix / "marker").write_text("old")
    with pytest.raises(NetworkError):
        rebuild(make_job(prefix), STAMP, FakeInstaller(install_error=NetworkError("gone")), SilentProgress())
    assert (prefix / "marker").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["d1"]
    rebuild(make_job(prefix), STAMP, FakeInstaller(), SilentProgress())
    assert not (prefix / "marker").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["d1"]
