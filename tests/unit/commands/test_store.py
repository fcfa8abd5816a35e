"""`store push`, `store ls` and `store gc`: which environment and store they use, what they refuse and report."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import time
from pathlib import Path

import pytest

from colabenv.commands.context import Context
from colabenv.commands.store import store_gc, store_ls, store_push
from colabenv.environment.build import Environment
from colabenv.errors import ModifiedPackageError, ProfileError, StoreError, UsageError
from colabenv.output.console import Console
from colabenv.output.up import UpResult
from colabenv.profile.load import load
from colabenv.store.installed_wheels import tag_here
from colabenv.store.manifest import manifest_name
from colabenv.store.push import find_managed_python, push_after_build
from colabenv.system.units import format_bytes
from support.pushing import SITE, fake_wheel_hash, make_request
from support.store_machine import StoreMachine


@pytest.fixture
def machine(tmp_path: Path) -> StoreMachine:
    return StoreMachine(tmp_path)


def test_push_reports_what_was_uploaded(machine: StoreMachine) -> None:
    machine.build("demo", "six", "attrs")
    done = store_push(machine.context, "demo", store=str(machine.store))
    assert (done.packages, done.sent, done.variant, done.tag) == (2, 2, "cpu", tag_here("3.11"))
    assert done.sent_bytes == done.bytes > 0
    assert done.left_out == {}
    first, new, *_, last = done.lines()
    assert first == f"✓ demo is in {machine.store}: 2 packages, {format_bytes(done.bytes)}."
    assert new == f"  new     2 of them, {format_bytes(done.bytes)}"
    assert last.endswith(f"colabenv up {machine.root}/demo.yaml --store {machine.store}")
    again = store_push(machine.context, "demo", store=str(machine.store))
    assert (again.packages, again.sent) == (2, 0)
    assert again.lines()[1] == "  new     nothing: the store had it all"
    json.dumps(again.as_dict())
    forced = store_push(machine.context, "demo", store=str(machine.store), force=True)
    assert forced.sent == 2


def test_push_without_a_name_takes_the_current_or_the_newest_environment(machine: StoreMachine) -> None:
    with pytest.raises(UsageError, match="no environment to push"):
        store_push(machine.context, "", store=str(machine.store))
    machine.build("older", "six", built=1.0)
    assert store_push(machine.context, "", store=str(machine.store)).notes == ()
    machine.build("newer", "idna", built=2.0)
    assert store_push(machine.context, "", store=str(machine.store)).name == "newer"
    assert "Pushing newer, which was built last" in machine.context.notes()[0]
    prefix = machine.context.home.environment("older", "0" * 16)
    around = Context({**machine.environ, "COLABENV_INSIDE": str(prefix)})
    assert store_push(around, "", store=str(machine.store)).name == "older"
    with pytest.raises(UsageError, match="no environment named other"):
        store_push(machine.context, "other", store=str(machine.store))


def test_the_profile_names_the_store(machine: StoreMachine) -> None:
    machine.build("demo", "six", profile="store: ${PLACE}\n")
    context = Context({**machine.environ, "PLACE": str(machine.store)})
    assert store_push(context, "", store="").store == str(machine.store)
    assert [row.name for row in store_ls(context, store="").environments] == ["demo"]
    with pytest.raises(UsageError, match="PLACE, which is not set"):
        store_push(machine.context, "", store="")
    with pytest.raises(UsageError, match="turned off"):
        store_push(context, "", store="none")


def test_profiles_with_different_stores_name_none(machine: StoreMachine) -> None:
    machine.build("demo", "six", profile=f"store: {machine.store}\n")
    machine.build("other", "six", profile="store: /somewhere/else\n")
    with pytest.raises(UsageError, match="No store is named"):
        store_ls(machine.context, store="")
    (machine.root / "other.yaml").write_text("name: [broken\n")
    assert store_ls(machine.context, store="").environments == ()


def test_push_refuses_a_missing_file(machine: StoreMachine) -> None:
    made = machine.build("demo", "six", "attrs")
    (made.prefix / SITE / "six.py").unlink()
    with pytest.raises(
        ModifiedPackageError, match=r"demo is not what was installed: .*six.py is missing"
    ) as caught:
        store_push(machine.context, "demo", store=str(machine.store))
    assert "colabenv save demo" in caught.value.hint
    assert f"colabenv up {machine.root}/demo.yaml" in caught.value.hint
    assert not machine.store.exists()


def test_push_refuses_another_version_than_the_lock(machine: StoreMachine) -> None:
    made = machine.build("demo", "six", "attrs")
    info = made.prefix / SITE / "six-1.0.dist-info"
    info.rename(info.with_name("six-2.0.dist-info"))
    with pytest.raises(ModifiedPackageError, match=r"six is 2.0, not 1.0"):
        store_push(machine.context, "demo", store=str(machine.store))


def test_push_notes_packages_that_are_not_in_the_lock(machine: StoreMachine) -> None:
    made = machine.build("demo", "six")
    info = made.prefix / SITE / "extra-3.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: extra\nVersion: 3\n")
    (info / "RECORD").write_text("")
    done = store_push(machine.context, "demo", store=str(machine.store))
    assert done.packages == 1
    assert done.notes == (
        "Packages that are not in the lock are not pushed: extra. colabenv save demo adds them to the lock.",
    )


def test_push_leaves_out_packages_that_share_a_file_with_different_content(machine: StoreMachine) -> None:
    made = machine.build("demo", "six", "attrs", "idna")
    for name, digest in (("six", "sha256=one"), ("attrs", "sha256=two")):
        record = made.prefix / SITE / f"{name}-1.0.dist-info" / "RECORD"
        record.write_text(record.read_text() + f"both/readme.txt,{digest},\n")
    (made.prefix / SITE / "both").mkdir()
    (made.prefix / SITE / "both" / "readme.txt").write_text("")
    done = store_push(machine.context, "demo", store=str(machine.store))
    assert (done.packages, sorted(done.left_out)) == (1, ["attrs", "six"])
    assert any("six" in line and "also installs both/readme.txt" in line for line in done.lines())


def test_push_leaves_out_packages_whose_wheel_is_unknown(machine: StoreMachine) -> None:
    """Without an index, the wheel of a pin with several hashes is unknown."""
    made = machine.build("demo", "six", "attrs")
    text = (made.prefix / "lock.txt").read_text()
    several = f"--hash=sha256:{fake_wheel_hash('six')}"
    (made.prefix / "lock.txt").write_text(text.replace(several, f"{several} --hash=sha256:{'0' * 64}"))
    offline = {**machine.environ, "UV_OFFLINE": "1", "UV_CACHE_DIR": str(machine.root / "cache")}
    done = store_push(Context(offline), "demo", store=str(machine.store))
    assert done.packages == 1
    assert "the index did not say" in done.left_out["six"]
    assert any(note.startswith("Could not ask the index") for note in done.notes)
    assert "without six: the index did not say" in "\n".join(done.lines())


def test_push_writes_nothing_if_everything_is_left_out(machine: StoreMachine) -> None:
    machine.build("demo", "six", profile="source_builds: [six]\n")
    with pytest.raises(StoreError, match="Nothing of demo can be pushed: it was built from source"):
        store_push(machine.context, "demo", store=str(machine.store))
    assert not machine.store.exists()


def test_push_to_a_web_server_is_refused(machine: StoreMachine) -> None:
    machine.build("demo", "six")
    with pytest.raises(StoreError, match="cannot be written to") as caught:
        store_push(machine.context, "demo", store="https://user:geheim@host.invalid/store")
    assert "gs://bucket" in caught.value.hint
    assert "geheim" not in str(caught.value.as_dict())


def test_find_managed_python(machine: StoreMachine) -> None:
    made = machine.build("demo", "six")
    assert find_managed_python(made, machine.context.home.pythons) is None
    real = machine.context.home.pythons / "cpython-3.11.9-linux-x86_64-gnu" / "bin" / "python3.11"
    real.parent.mkdir(parents=True)
    real.write_text("")
    (made.prefix / "bin" / "python").unlink()
    (made.prefix / "bin" / "python").symlink_to(real)
    assert find_managed_python(made, machine.context.home.pythons) == real.parents[1]


def up_result(made: Environment) -> UpResult:
    words = {field.name: "" for field in dataclasses.fields(UpResult) if field.type == "str"}
    given = {"name": "demo", "action": "built", "environment": str(made.prefix), "host": "attached"}
    return UpResult(**{**words, **given, "packages": 1})  # type: ignore[arg-type]


def test_push_after_build_reports_success_or_notes_the_problem(machine: StoreMachine) -> None:
    made = machine.build("demo", "six")
    loaded = load(machine.root / "demo.yaml")
    pushed = push_after_build(made.prefix, loaded, str(machine.store), machine.context)
    done = dataclasses.replace(up_result(made), pushed=pushed)
    assert done.pushed["packages"] == 1
    assert any(
        line.startswith(f"  pushed  1 package in {machine.store}, {done.pushed['bytes']} bytes of it new")
        for line in done.lines()
    )
    json.dumps(done.as_dict())
    (machine.root / "file").write_text("")
    pushed = push_after_build(made.prefix, loaded, str(machine.root / "file"), machine.context)
    failed = dataclasses.replace(up_result(made), pushed=pushed)
    assert failed.exit_code == 0
    assert "cannot be written to" in failed.pushed["trouble"]
    assert machine.context.notes()[-1].startswith("demo is ready, but was not pushed to the store: ")
    assert not any("pushed " in line for line in failed.lines())


def test_ls_lists_environments_and_damaged_manifests(machine: StoreMachine) -> None:
    empty = store_ls(machine.context, store=str(machine.store))
    assert (empty.table(), len(empty.lines())) == (None, 1)
    assert "has no environments" in empty.lines()[0]
    made = machine.build("demo", "six", "attrs")
    machine.build("other", "six", "idna")
    for name in ("demo", "other"):
        store_push(machine.context, name, store=str(machine.store))
    lock = make_request(machine.root / "x", "six", "attrs").lock.pins_digest
    old = machine.store / manifest_name(lock, tag_here("3.11"))
    os.utime(old, (time.time() - 3 * 86_400,) * 2)
    found = store_ls(machine.context, store=str(machine.store))
    table = found.table()
    assert table is not None
    rows = {row[0]: row for row in table[1]}
    assert rows["demo"][1:4] == ["cpu", "3.11.9", "2"]
    assert rows["demo"][-2:] == ["3 days ago", "3 days ago"]
    assert rows["other"][-1] == "now"
    assert found.lines() == [f"2 environments, 3 layers, {format_bytes(found.bytes)} in {machine.store}."]
    (machine.store / manifest_name("0" * 64, tag_here("3.11"))).write_text("{")
    assert any(
        "cannot be used" in line for line in store_ls(machine.context, store=str(machine.store)).lines()
    )
    out = io.StringIO()
    Console(out, io.StringIO(), as_json=True).result(found)
    assert [row["name"] for row in json.loads(out.getvalue())["environments"]] == ["other", "demo"]
    assert made.stamp.name == "demo"


def test_gc_reports_what_it_removes(machine: StoreMachine) -> None:
    machine.build("demo", "six", "attrs")
    machine.build("other", "six", "idna")
    for name in ("demo", "other"):
        store_push(machine.context, name, store=str(machine.store))
    nothing = store_gc(machine.context, store=str(machine.store), keep_days=30, dry_run=False)
    assert nothing.lines()[0].startswith("✓ Nothing to remove")
    for path in machine.store.rglob("*"):
        os.utime(path, (time.time() - 40 * 86_400,) * 2)
    store_push(machine.context, "other", store=str(machine.store))
    dry = store_gc(machine.context, store=str(machine.store), keep_days=30, dry_run=True)
    assert dry.lines() == [
        f"Would remove from {machine.store}:",
        "  demo (cpu), last used 40 days ago",
        f"  1 layer that no environment needs, {dry.removed[-1].bytes} bytes",
        "Nothing was removed.",
    ]
    done = store_gc(machine.context, store=str(machine.store), keep_days=30, dry_run=False)
    assert done.removed == dry.removed
    assert done.lines()[0] == f"✓ Freed {format_bytes(done.bytes)} in {machine.store}."
    assert [row.name for row in store_ls(machine.context, store=str(machine.store)).environments] == ["other"]
    json.dumps(done.as_dict())
    with pytest.raises(UsageError, match="a number of days"):
        store_gc(machine.context, store=str(machine.store), keep_days=-1, dry_run=False)
    with pytest.raises(UsageError):
        store_gc(machine.context, store=str(machine.store), keep_days=float("nan"), dry_run=False)


def test_commands_without_a_store_name_three_ways(machine: StoreMachine) -> None:
    machine.build("demo", "six")
    for work in (
        lambda: store_push(machine.context, "demo", store=""),
        lambda: store_ls(machine.context, store=""),
        lambda: store_gc(machine.context, store="", keep_days=3, dry_run=True),
    ):
        with pytest.raises(UsageError, match="No store is named") as caught:
            work()
        for way in ("--store URL", "COLABENV_STORE", "`store: URL`"):
            assert way in caught.value.hint


def test_push_without_the_profile_is_an_error(machine: StoreMachine) -> None:
    machine.build("demo", "six")
    (machine.root / "demo.yaml").unlink()
    with pytest.raises(ProfileError):
        store_push(machine.context, "demo", store=str(machine.store))
