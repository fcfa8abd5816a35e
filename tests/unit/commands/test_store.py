"""`store push`, `store ls`, `store gc`: what is meant, what is refused, what is said."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import sys
import time
from pathlib import Path

import pytest
from colabenv.commands.store_gc import size_of, store_gc, store_ls
from colabenv.commands.store_push import managed_python, push_after, store_push

from colabenv.commands.context import Context
from colabenv.environment.build import Environment, Stamp, read_environment, write_stamp
from colabenv.errors import ModifiedPackageError, ProfileError, StoreError, UsageError
from colabenv.lock.lockfile import Lock, dump
from colabenv.output.console import Console
from colabenv.output.results import UpResult
from colabenv.profile.load import load
from colabenv.store.installed_wheels import tag_here
from colabenv.store.manifest import manifest_name
from colabenv.store.open import require_store_url
from support.pushing import SITE, fake_wheel_hash, make_request

MINOR = f"{sys.version_info.major}.{sys.version_info.minor}"


class Desk:
    """A home with environments whose locks name one wheel for each package, so that no index is asked."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.store = root / "store"
        self.environ = {"COLABENV_HOME": str(root / "home"), "HOME": str(root)}
        self.machine = Context(self.environ)

    def build(self, name: str, *packages: str, built: float = 1.0, profile: str = "") -> Environment:
        """An environment with its profile and its lock."""
        folder = self.machine.home.envs / name
        what = make_request(folder, *packages, profile="0" * 16)
        prefix = folder / ("0" * 16)
        (prefix / "bin").mkdir()
        (prefix / "bin" / "python").symlink_to(sys.executable)
        lock = Lock(dataclasses.replace(what.lock.header, profile=name), what.lock.pins)
        (prefix / "lock.txt").write_text(dump(lock))
        path = self.root / f"{name}.yaml"
        path.write_text(f"name: {name}\n{profile}")
        stamp = Stamp(
            name, "0" * 16, "3.11.9", "cpu", "plain", len(packages), "uv", built, str(path), str(path)
        )
        write_stamp(prefix, stamp)
        made = read_environment(prefix)
        assert made is not None
        return made


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_an_environment_is_kept_and_that_is_said(desk: Desk) -> None:
    desk.build("demo", "six", "attrs")
    done = store_push("demo", str(desk.store), desk.machine)
    assert (done.packages, done.sent, done.variant, done.tag) == (2, 2, "cpu", tag_here("3.11"))
    assert done.sent_bytes == done.bytes > 0
    assert done.left_out == {}
    first, new, *_, last = done.lines()
    assert first.startswith(f"✓ demo is kept in {desk.store}: 2 packages, {size_of(done.bytes)}.")
    assert new == f"  new     2 of them, {size_of(done.bytes)}"
    assert last.endswith(f"colabenv up {desk.root}/demo.yaml --store {desk.store}")
    again = store_push("demo", str(desk.store), desk.machine)
    assert (again.packages, again.sent) == (2, 0)
    assert again.lines()[1] == "  All of it was there already."
    json.dumps(again.as_dict())
    anew = store_push("demo", str(desk.store), desk.machine, anew=True)
    assert anew.sent == 2


def test_without_a_name_the_last_one_or_the_one_around_is_meant(desk: Desk) -> None:
    with pytest.raises(UsageError, match="no environment to keep"):
        store_push("", str(desk.store), desk.machine)
    desk.build("older", "six", built=1.0)
    assert store_push("", str(desk.store), desk.machine).notes == ()
    desk.build("newer", "idna", built=2.0)
    assert store_push("", str(desk.store), desk.machine).name == "newer"
    assert "newer was built last" in desk.machine.notes()[0]
    prefix = desk.machine.home.environment("older", "0" * 16)
    around = Context({**desk.environ, "COLABENV_INSIDE": str(prefix)})
    assert store_push("", str(desk.store), around).name == "older"
    with pytest.raises(UsageError, match="no environment named other"):
        store_push("other", str(desk.store), desk.machine)


def test_the_profile_names_the_store(desk: Desk) -> None:
    desk.build("demo", "six", profile="store: ${PLACE}\n")
    machine = Context({**desk.environ, "PLACE": str(desk.store)})
    assert store_push("", "", machine).store == str(desk.store)
    assert [one.name for one in store_ls("", machine).environments] == ["demo"]
    with pytest.raises(UsageError, match="PLACE, which is not set"):
        store_push("", "", desk.machine)
    with pytest.raises(UsageError, match="turned off"):
        store_push("", "none", machine)


def test_several_profiles_that_disagree_name_no_store(desk: Desk) -> None:
    desk.build("demo", "six", profile=f"store: {desk.store}\n")
    desk.build("other", "six", profile="store: /somewhere/else\n")
    with pytest.raises(UsageError, match="No store is named"):
        store_ls("", desk.machine)
    (desk.root / "other.yaml").write_text("name: [broken\n")
    assert store_ls("", desk.machine).environments == ()


def test_a_damaged_environment_is_refused(desk: Desk) -> None:
    made = desk.build("demo", "six", "attrs")
    (made.prefix / SITE / "six.py").unlink()
    with pytest.raises(
        ModifiedPackageError, match=r"demo is not what was installed: .*six.py is missing"
    ) as caught:
        store_push("demo", str(desk.store), desk.machine)
    assert "colabenv save demo" in caught.value.hint
    assert f"colabenv up {desk.root}/demo.yaml" in caught.value.hint
    assert not desk.store.exists()


def test_another_version_than_the_locks_is_refused(desk: Desk) -> None:
    made = desk.build("demo", "six", "attrs")
    info = made.prefix / SITE / "six-1.0.dist-info"
    info.rename(info.with_name("six-2.0.dist-info"))
    with pytest.raises(ModifiedPackageError, match=r"six 1.0 is now 2.0"):
        store_push("demo", str(desk.store), desk.machine)


def test_what_was_installed_by_hand_is_said(desk: Desk) -> None:
    made = desk.build("demo", "six")
    info = made.prefix / SITE / "extra-3.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: extra\nVersion: 3\n")
    (info / "RECORD").write_text("")
    done = store_push("demo", str(desk.store), desk.machine)
    assert done.packages == 1
    assert done.notes == (
        "What was installed by hand is not kept: extra. colabenv save demo puts it into the lock.",
    )


def test_packages_with_one_file_of_two_contents_are_left_out(desk: Desk) -> None:
    made = desk.build("demo", "six", "attrs", "idna")
    for name, digest in (("six", "sha256=one"), ("attrs", "sha256=two")):
        record = made.prefix / SITE / f"{name}-1.0.dist-info" / "RECORD"
        record.write_text(record.read_text() + f"both/readme.txt,{digest},\n")
    (made.prefix / SITE / "both").mkdir()
    (made.prefix / SITE / "both" / "readme.txt").write_text("")
    done = store_push("demo", str(desk.store), desk.machine)
    assert (done.packages, sorted(done.left_out)) == (1, ["attrs", "six"])
    assert any("six" in line and "both/readme.txt too" in line for line in done.lines())


def test_what_nobody_knows_the_wheel_of_is_left_out(desk: Desk) -> None:
    """No index here: a pin with several wheels cannot be kept, and that is said."""
    made = desk.build("demo", "six", "attrs")
    text = (made.prefix / "lock.txt").read_text()
    several = f"--hash=sha256:{fake_wheel_hash('six')}"
    (made.prefix / "lock.txt").write_text(text.replace(several, f"{several} --hash=sha256:{'0' * 64}"))
    offline = {**desk.environ, "UV_OFFLINE": "1", "UV_CACHE_DIR": str(desk.root / "cache")}
    done = store_push("demo", str(desk.store), Context(offline))
    assert done.packages == 1
    assert "the index did not say" in done.left_out["six"]
    assert any(note.startswith("The index could not be asked") for note in done.notes)
    assert "without six: the index did not say" in "\n".join(done.lines())


def test_where_nothing_can_be_kept_nothing_is_written(desk: Desk) -> None:
    desk.build("demo", "six", profile="source_builds: [six]\n")
    with pytest.raises(StoreError, match="Nothing of demo can be kept: it was built from source"):
        store_push("demo", str(desk.store), desk.machine)
    assert not desk.store.exists()


def test_a_store_on_the_web_is_read_only(desk: Desk) -> None:
    desk.build("demo", "six")
    with pytest.raises(StoreError, match="cannot be written to") as caught:
        store_push("demo", "https://user:geheim@host.invalid/store", desk.machine)
    assert "gs://bucket" in caught.value.hint
    assert "geheim" not in str(caught.value.as_dict())


def test_a_managed_python_is_one_below_our_home(desk: Desk) -> None:
    made = desk.build("demo", "six")
    assert managed_python(made, desk.machine) is None
    real = desk.machine.home.pythons / "cpython-3.11.9-linux-x86_64-gnu" / "bin" / "python3.11"
    real.parent.mkdir(parents=True)
    real.write_text("")
    (made.prefix / "bin" / "python").unlink()
    (made.prefix / "bin" / "python").symlink_to(real)
    assert managed_python(made, desk.machine) == real.parents[1]


def up_result(made: Environment) -> UpResult:
    words = {field.name: "" for field in dataclasses.fields(UpResult) if field.type == "str"}
    given = {"name": "demo", "action": "built", "environment": str(made.prefix), "host": "attached"}
    return UpResult(**{**words, **given, "packages": 1})  # type: ignore[arg-type]


def test_up_says_what_it_kept_or_why_not_and_has_succeeded(desk: Desk) -> None:
    made = desk.build("demo", "six")
    loaded = load(desk.root / "demo.yaml")
    done = push_after(up_result(made), loaded, str(desk.store), desk.machine)
    assert done.pushed["packages"] == 1
    assert any(
        line.startswith(f"  kept    1 package in {desk.store}, {done.pushed['bytes']} bytes of it new")
        for line in done.lines()
    )
    json.dumps(done.as_dict())
    (desk.root / "file").write_text("")
    failed = push_after(up_result(made), loaded, str(desk.root / "file"), desk.machine)
    assert failed.exit_code == 0
    assert "cannot be written to" in failed.pushed["trouble"]
    assert failed.notes[-1].startswith("demo is ready, but it was not kept in the store: ")
    assert not any("kept " in line for line in failed.lines())


def test_what_a_store_has(desk: Desk) -> None:
    empty = store_ls(str(desk.store), desk.machine)
    assert (empty.table(), len(empty.lines())) == (None, 1)
    assert "has no environments" in empty.lines()[0]
    made = desk.build("demo", "six", "attrs")
    desk.build("other", "six", "idna")
    for name in ("demo", "other"):
        store_push(name, str(desk.store), desk.machine)
    lock = make_request(desk.root / "x", "six", "attrs").lock.pins_digest
    old = desk.store / manifest_name(lock, tag_here("3.11"))
    os.utime(old, (time.time() - 3 * 86_400,) * 2)
    found = store_ls(str(desk.store), desk.machine)
    table = found.table()
    assert table is not None
    rows = {row[0]: row for row in table[1]}
    assert rows["demo"][1:4] == ["cpu", "3.11.9", "2"]
    assert rows["demo"][-2:] == ["3 days ago", "3 days ago"]
    assert rows["other"][-1] == "now"
    assert found.lines() == [f"2 environments, 3 layers, {size_of(found.bytes)} in {desk.store}."]
    (desk.store / manifest_name("0" * 64, tag_here("3.11"))).write_text("{")
    assert any("cannot be used" in line for line in store_ls(str(desk.store), desk.machine).lines())
    out = io.StringIO()
    Console(out, io.StringIO(), as_json=True).result(found)
    assert [one["name"] for one in json.loads(out.getvalue())["environments"]] == ["other", "demo"]
    assert made.stamp.name == "demo"


def test_what_is_removed_is_told(desk: Desk) -> None:
    desk.build("demo", "six", "attrs")
    desk.build("other", "six", "idna")
    for name in ("demo", "other"):
        store_push(name, str(desk.store), desk.machine)
    nothing = store_gc(str(desk.store), 30, desk.machine, dry_run=False)
    assert nothing.lines()[0].startswith("✓ There is nothing to remove")
    for path in desk.store.rglob("*"):
        os.utime(path, (time.time() - 40 * 86_400,) * 2)
    store_push("other", str(desk.store), desk.machine)
    dry = store_gc(str(desk.store), 30, desk.machine, dry_run=True)
    assert dry.lines() == [
        f"Would remove from {desk.store}:",
        "  demo (cpu), last used 40 days ago",
        f"  1 layer that no environment needs, {dry.removed[-1].bytes} bytes",
        "Nothing was removed.",
    ]
    done = store_gc(str(desk.store), 30, desk.machine, dry_run=False)
    assert done.removed == dry.removed
    assert done.lines()[0] == f"✓ {size_of(done.bytes)} given back in {desk.store}."
    assert [one.name for one in store_ls(str(desk.store), desk.machine).environments] == ["other"]
    json.dumps(done.as_dict())
    with pytest.raises(UsageError, match="a number of days"):
        store_gc(str(desk.store), -1, desk.machine, dry_run=False)
    with pytest.raises(UsageError):
        store_gc(str(desk.store), float("nan"), desk.machine, dry_run=False)


def test_where_no_store_is_named_three_ways_are_told(desk: Desk) -> None:
    desk.build("demo", "six")
    for work in (
        lambda: store_push("demo", "", desk.machine),
        lambda: store_ls("", desk.machine),
        lambda: store_gc("", 3, desk.machine, dry_run=True),
    ):
        with pytest.raises(UsageError, match="No store is named") as caught:
            work()
        for way in ("--store URL", "COLABENV_STORE", "`store: URL`"):
            assert way in caught.value.hint


def test_a_profile_that_is_gone_is_one_error(desk: Desk) -> None:
    desk.build("demo", "six")
    (desk.root / "demo.yaml").unlink()
    with pytest.raises(ProfileError):
        store_push("demo", str(desk.store), desk.machine)
    assert require_store_url("x", None, {}) == "x"


def test_sizes_for_people() -> None:
    assert [size_of(size) for size in (0, 999, 1000, 1_500_000, 2_340_000_000)] == [
        *("0 bytes", "999 bytes", "1 kB", "1.5 MB", "2.34 GB"),
    ]
