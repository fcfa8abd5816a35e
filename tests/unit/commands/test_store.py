"""`store push`, `store ls` and `store gc`: the environment and store that they use, their results and errors."""

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
    result = store_push(machine.context, "demo", store=str(machine.store))
    assert (result.packages, result.sent, result.variant, result.tag) == (2, 2, "cpu", tag_here("3.11"))
    assert result.sent_bytes == result.bytes > 0
    assert result.left_out == {}
    first, new, *_, last = result.lines()
    assert first == f"✓ demo is in {machine.store}: 2 packages, {format_bytes(result.bytes)}."
    assert new == f"  new     2 of them, {format_bytes(result.bytes)}"
    assert last.endswith(f"colabenv up {machine.root}/demo.yaml --store {machine.store}")
    again = store_push(machine.context, "demo", store=str(machine.store))
    assert (again.packages, again.sent) == (2, 0)
    assert again.lines()[1] == "  new     nothing: the store already had everything"
    json.dumps(again.as_dict())
    forced = store_push(machine.context, "demo", store=str(machine.store), force=True)
    assert forced.sent == 2


def test_push_without_a_name_uses_the_current_or_the_newest_environment(machine: StoreMachine) -> None:
    with pytest.raises(UsageError, match="no environment to push"):
        store_push(machine.context, "", store=str(machine.store))
    machine.build("older", "six", built=1.0)
    assert store_push(machine.context, "", store=str(machine.store)).notes == ()
    machine.build("newer", "idna", built=2.0)
    assert store_push(machine.context, "", store=str(machine.store)).name == "newer"
    assert "Pushing newer, which was built last" in machine.context.notes()[0]
    prefix = machine.context.home.environment("older", "0" * 16)
    inside = Context({**machine.environ, "COLABENV_INSIDE": str(prefix)})
    assert store_push(inside, "", store=str(machine.store)).name == "older"
    with pytest.raises(UsageError, match="no environment named other"):
        store_push(machine.context, "other", store=str(machine.store))


def test_profile_names_the_store(machine: StoreMachine) -> None:
    machine.build("demo", "six", profile="store: ${PLACE}\n")
    context = Context({**machine.environ, "PLACE": str(machine.store)})
    assert store_push(context, "", store="").store == str(machine.store)
    assert [row.name for row in store_ls(context, store="").environments] == ["demo"]
    with pytest.raises(UsageError, match="PLACE, which is not set"):
        store_push(machine.context, "", store="")
    with pytest.raises(UsageError, match="turned off"):
        store_push(context, "", store="none")


def test_ls_needs_a_store_if_the_profiles_name_different_ones(machine: StoreMachine) -> None:
    machine.build("demo", "six", profile=f"store: {machine.store}\n")
    machine.build("other", "six", profile="store: /somewhere/else\n")
    with pytest.raises(UsageError, match="No store is named"):
        store_ls(machine.context, store="")
    (machine.root / "other.yaml").write_text("name: [broken\n")
    assert store_ls(machine.context, store="").environments == ()


def test_push_refuses_a_missing_file(machine: StoreMachine) -> None:
    environment = machine.build("demo", "six", "attrs")
    (environment.prefix / SITE / "six.py").unlink()
    with pytest.raises(
        ModifiedPackageError, match=r"demo is not what was installed: .*six.py is missing"
    ) as caught:
        store_push(machine.context, "demo", store=str(machine.store))
    assert "colabenv save demo" in caught.value.hint
    assert f"colabenv up {machine.root}/demo.yaml" in caught.value.hint
    assert not machine.store.exists()


def test_push_refuses_a_version_that_is_not_in_the_lock(machine: StoreMachine) -> None:
    environment = machine.build("demo", "six", "attrs")
    info = environment.prefix / SITE / "six-1.0.dist-info"
    info.rename(info.with_name("six-2.0.dist-info"))
    with pytest.raises(ModifiedPackageError, match=r"six is 2.0, not 1.0"):
        store_push(machine.context, "demo", store=str(machine.store))


def test_push_notes_packages_that_are_not_in_the_lock(machine: StoreMachine) -> None:
    environment = machine.build("demo", "six")
    info = environment.prefix / SITE / "extra-3.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: extra\nVersion: 3\n")
    (info / "RECORD").write_text("")
    result = store_push(machine.context, "demo", store=str(machine.store))
    assert result.packages == 1
    assert result.notes == (
        "Packages that are not in the lock are not pushed: extra. colabenv save demo adds them to the lock.",
    )


def test_push_leaves_out_packages_that_overwrite_each_other(machine: StoreMachine) -> None:
    environment = machine.build("demo", "six", "attrs", "idna")
    for name, digest in (("six", "sha256=one"), ("attrs", "sha256=two")):
        record = environment.prefix / SITE / f"{name}-1.0.dist-info" / "RECORD"
        record.write_text(record.read_text() + f"both/readme.txt,{digest},\n")
    (environment.prefix / SITE / "both").mkdir()
    (environment.prefix / SITE / "both" / "readme.txt").write_text("")
    result = store_push(machine.context, "demo", store=str(machine.store))
    assert (result.packages, sorted(result.left_out)) == (1, ["attrs", "six"])
    assert any("six" in line and "also installs both/readme.txt" in line for line in result.lines())


def test_push_leaves_out_packages_whose_wheel_is_unknown(machine: StoreMachine) -> None:
    """Without an index, the wheel of a pin with several hashes is unknown."""
    environment = machine.build("demo", "six", "attrs")
    lock = environment.prefix / "lock.txt"
    wheel_hash = f"--hash=sha256:{fake_wheel_hash('six')}"
    lock.write_text(lock.read_text().replace(wheel_hash, f"{wheel_hash} --hash=sha256:{'0' * 64}"))
    offline = {**machine.environ, "UV_OFFLINE": "1", "UV_CACHE_DIR": str(machine.root / "cache")}
    result = store_push(Context(offline), "demo", store=str(machine.store))
    assert result.packages == 1
    assert "the index did not say" in result.left_out["six"]
    assert any(note.startswith("Could not ask the index") for note in result.notes)
    assert "without six: the index did not say" in "\n".join(result.lines())


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
    environment = machine.build("demo", "six")
    assert find_managed_python(environment, machine.context.home.pythons) is None
    real = machine.context.home.pythons / "cpython-3.11.9-linux-x86_64-gnu" / "bin" / "python3.11"
    real.parent.mkdir(parents=True)
    real.write_text("")
    (environment.prefix / "bin" / "python").unlink()
    (environment.prefix / "bin" / "python").symlink_to(real)
    assert find_managed_python(environment, machine.context.home.pythons) == real.parents[1]


def up_result(environment: Environment) -> UpResult:
    empty = {field.name: "" for field in dataclasses.fields(UpResult) if field.type == "str"}
    values = {"name": "demo", "action": "built", "environment": str(environment.prefix), "host": "attached"}
    return UpResult(**{**empty, **values, "packages": 1})  # type: ignore[arg-type]


def test_push_after_build_reports_success_and_notes_a_failure(machine: StoreMachine) -> None:
    environment = machine.build("demo", "six")
    loaded = load(machine.root / "demo.yaml")
    pushed = push_after_build(environment.prefix, loaded, str(machine.store), machine.context)
    result = dataclasses.replace(up_result(environment), pushed=pushed)
    assert result.pushed["packages"] == 1
    assert any(
        line.startswith(f"  pushed  1 package in {machine.store}, {result.pushed['bytes']} bytes of it new")
        for line in result.lines()
    )
    json.dumps(result.as_dict())
    (machine.root / "file").write_text("")
    pushed = push_after_build(environment.prefix, loaded, str(machine.root / "file"), machine.context)
    failed = dataclasses.replace(up_result(environment), pushed=pushed)
    assert failed.exit_code == 0
    assert "cannot be written to" in failed.pushed["trouble"]
    assert machine.context.notes()[-1].startswith("demo is ready, but was not pushed to the store: ")
    assert not any("pushed " in line for line in failed.lines())


def test_ls_lists_environments_and_damaged_manifests(machine: StoreMachine) -> None:
    empty = store_ls(machine.context, store=str(machine.store))
    assert (empty.table(), len(empty.lines())) == (None, 1)
    assert "has no environments" in empty.lines()[0]
    environment = machine.build("demo", "six", "attrs")
    machine.build("other", "six", "idna")
    for name in ("demo", "other"):
        store_push(machine.context, name, store=str(machine.store))
    digest = make_request(machine.root / "x", "six", "attrs").lock.pins_digest
    old = machine.store / manifest_name(digest, tag_here("3.11"))
    os.utime(old, (time.time() - 3 * 86_400,) * 2)
    result = store_ls(machine.context, store=str(machine.store))
    table = result.table()
    assert table is not None
    rows = {row[0]: row for row in table[1]}
    assert rows["demo"][1:4] == ["cpu", "3.11.9", "2"]
    assert rows["demo"][-2:] == ["3 days ago", "3 days ago"]
    assert rows["other"][-1] == "now"
    assert result.lines() == [f"2 environments, 3 layers, {format_bytes(result.bytes)} in {machine.store}."]
    (machine.store / manifest_name("0" * 64, tag_here("3.11"))).write_text("{")
    assert any(
        "cannot be used" in line for line in store_ls(machine.context, store=str(machine.store)).lines()
    )
    out = io.StringIO()
    Console(out, io.StringIO(), as_json=True).result(result)
    assert [row["name"] for row in json.loads(out.getvalue())["environments"]] == ["other", "demo"]
    assert environment.stamp.name == "demo"


def test_gc_reports_what_it_removes(machine: StoreMachine) -> None:
    machine.build("demo", "six", "attrs")
    machine.build("other", "six", "idna")
    for name in ("demo", "other"):
        store_push(machine.context, name, store=str(machine.store))
    recent = store_gc(machine.context, store=str(machine.store), keep_days=30, dry_run=False)
    assert recent.lines()[0].startswith("✓ Nothing to remove")
    for path in machine.store.rglob("*"):
        os.utime(path, (time.time() - 40 * 86_400,) * 2)
    store_push(machine.context, "other", store=str(machine.store))
    plan = store_gc(machine.context, store=str(machine.store), keep_days=30, dry_run=True)
    assert plan.lines() == [
        f"Would remove from {machine.store}:",
        "  demo (cpu), last used 40 days ago",
        f"  1 layer that no environment needs, {plan.removed[-1].bytes} bytes",
        "Nothing was removed.",
    ]
    result = store_gc(machine.context, store=str(machine.store), keep_days=30, dry_run=False)
    assert result.removed == plan.removed
    assert result.lines()[0] == f"✓ Freed {format_bytes(result.bytes)} in {machine.store}."
    assert [row.name for row in store_ls(machine.context, store=str(machine.store)).environments] == ["other"]
    json.dumps(result.as_dict())
    with pytest.raises(UsageError, match=r"^Invalid value for --keep-days: -1\.$") as caught:
        store_gc(machine.context, store=str(machine.store), keep_days=-1, dry_run=False)
    assert "--keep-days 30" in caught.value.hint
    with pytest.raises(UsageError):
        store_gc(machine.context, store=str(machine.store), keep_days=float("nan"), dry_run=False)


def test_error_without_a_store_lists_the_ways_to_name_one(machine: StoreMachine) -> None:
    machine.build("demo", "six")
    for command in (
        lambda: store_push(machine.context, "demo", store=""),
        lambda: store_ls(machine.context, store=""),
        lambda: store_gc(machine.context, store="", keep_days=3, dry_run=True),
    ):
        with pytest.raises(UsageError, match="No store is named") as caught:
            command()
        for way in ("--store URL", "COLABENV_STORE", "`store: URL`"):
            assert way in caught.value.hint


def test_push_without_the_profile_is_an_error(machine: StoreMachine) -> None:
    machine.build("demo", "six")
    (machine.root / "demo.yaml").unlink()
    with pytest.raises(ProfileError):
        store_push(machine.context, "demo", store=str(machine.store))
