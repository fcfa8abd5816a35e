"""The folders that colabenv stores its files in."""

from __future__ import annotations

from pathlib import Path

from colabenv.system.home import Home


def test_colabenv_home_is_made_absolute(own_home: Path) -> None:
    def root(setting: str) -> Path:
        return Home.from_environ({"COLABENV_HOME": setting}).root

    assert root("/content/colabenv") == Path("/content/colabenv")
    assert root("/content/../x//y/") == Path("/x/y")
    assert root("~/here") == own_home / "here"


def test_relative_home_is_resolved() -> None:
    assert Home.from_environ({"COLABENV_HOME": "here"}).root == Path.cwd() / "here"


def test_default_home_is_the_users_data_directory(own_home: Path) -> None:
    assert Home.from_environ({}).root == own_home / ".local" / "share" / "colabenv"
    assert Home.from_environ({"COLABENV_HOME": ""}).root == own_home / ".local" / "share" / "colabenv"


def test_all_folders_are_below_the_home() -> None:
    home = Home(Path("/h"))
    assert home.environment("demo", "d1") == Path("/h/envs/demo/d1")
    # Hidden, so that it cannot be the name of an environment.
    assert home.file_lock("demo") == Path("/h/envs/.demo.lock")
    folders = [home.envs, home.locks, home.logs, home.cache, home.pythons, home.up_cache]
    assert len(set(folders)) == 6
    assert all(folder.parent == home.root for folder in folders)
