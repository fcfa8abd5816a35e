"""`save` on an environment whose metadata the test writes, with a resolver whose answers the test gives."""

from __future__ import annotations

from pathlib import Path

import pytest

from colabenv.commands.save import save
from colabenv.environment.build import LOCK_COPY
from colabenv.errors import ColabenvError, DiskError, UnsatisfiableError, UsageError
from colabenv.lock.lockfile import Pin
from colabenv.lock.request import ResolveRequest
from support.desk import BASE, PROFILE, Desk, lock_text, pins
from support.fake_installer import FakeInstaller


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_no_changes_resolve_and_write_nothing(desk: Desk) -> None:
    before, machine = desk.files(), desk.machine(BASE)
    done = save(machine, "demo")
    assert done.lines() == ["✓ Nothing to save: demo matches its lock."]
    assert machine.fake.questions == []
    assert desk.files() == before


def test_added_package_goes_to_the_profile_and_dependencies_to_the_lock(desk: Desk) -> None:
    desk.put("app", "2.0", "helper")
    desk.put("helper", "3.0", asked=False)
    all_of_it = {**BASE, "app": "2.0", "helper": "3.0"}
    machine = desk.machine(all_of_it)
    said = "\n".join(save(machine, "demo").lines())
    assert desk.profile.read_text() == PROFILE.replace("[base>=1]", "[base>=1, app==2.0]")
    assert desk.locked() == all_of_it
    assert machine.preferred() == [all_of_it]
    assert "app==2.0" in machine.fake.questions[0].requirements
    assert "helper==3.0" not in machine.fake.questions[0].requirements
    assert "✓ Saved what you installed in demo to" in said
    assert "helper 3.0 (added)" in said
    assert "differs from this environment" not in said
    desk.stamp(str(desk.profile))
    assert save(desk.machine(all_of_it), "demo").lines()[0].startswith("✓ Saved"), "until it is built again"


def test_a_dry_run_resolves_and_writes_nothing(desk: Desk) -> None:
    desk.put("app", "2.0")
    before = desk.files()
    done = save(desk.machine({**BASE, "app": "2.0"}), "demo", dry_run=True)
    assert desk.files() == before
    assert done.changes == ("- packages: [base>=1]", "+ packages: [base>=1, app==2.0]")
    assert "Nothing was written" in done.lines()[0]


def test_allowed_version_changes_only_the_lock(desk: Desk) -> None:
    desk.put("base", "1.5")
    desk.put("core", "0.9", by="uv")
    moved = {"base": "1.5", "core": "0.9"}
    machine = desk.machine(moved)
    save(machine, "demo")
    assert desk.profile.read_text() == PROFILE
    assert desk.locked() == moved
    assert machine.preferred() == [moved]


def test_excluded_version_is_changed_in_place(tmp_path: Path) -> None:
    profile = PROFILE.replace("[base>=1]", "[base >=1]\nrequirements: [more.txt]")
    desk = Desk(tmp_path, profile, more_txt="-r deep.txt\n", deep_txt="# course\nCore <2   # why\r\nother\n")
    desk.put("base", "0.5")
    desk.put("core", "2.5")
    save(desk.machine({"base": "0.5", "core": "2.5"}), "demo")
    assert desk.profile.read_text() == profile.replace("base >=1", "base==0.5")
    assert (tmp_path / "deep.txt").read_bytes() == b"# course\nCore==2.5   # why\r\nother\n"


def test_extended_requirement_is_overridden_in_the_own_profile(tmp_path: Path) -> None:
    common = PROFILE.replace("[base>=1]", "[]\nrequirements: [common.txt]")
    desk = Desk(tmp_path, "name: demo\nextends: [common.yaml]\n", common_yaml=common, common_txt="base>=1\n")
    desk.put("base", "0.5")
    machine = desk.machine({**BASE, "base": "0.5"})
    save(machine, "demo")
    assert "base>=1" not in machine.fake.questions[0].requirements
    assert desk.profile.read_text() == 'name: demo\nextends: [common.yaml]\npackages:\n  - "base==0.5"\n'
    assert (tmp_path / "common.yaml").read_text() == common
    assert (tmp_path / "common.txt").read_text() == "base>=1\n"


def test_framework_version_is_saved_to_the_stack(tmp_path: Path) -> None:
    stack = "stack: {tensorflow: '2.15.0'}\n"
    desk = Desk(tmp_path, PROFILE + stack)
    (desk.prefix / LOCK_COPY).write_text(lock_text({**BASE, "tensorflow": "2.15.0"}))
    desk.put("tensorflow", "2.15.1")
    machine = desk.machine({**BASE, "tensorflow": "2.15.1"})
    save(machine, "demo")
    assert desk.profile.read_text() == PROFILE + stack.replace("2.15.0", "2.15.1")
    assert machine.fake.questions[0].requirements[0] == "tensorflow==2.15.1"


def test_pip_is_saved_only_to_the_lock(desk: Desk) -> None:
    desk.put("pip", "26.0")
    (desk.prefix / LOCK_COPY).write_text(lock_text({**BASE, "pip": "25.0"}))
    save(desk.machine({**BASE, "pip": "26.0"}), "demo")
    assert desk.profile.read_text() == PROFILE
    assert desk.locked()["pip"] == "26.0"


def test_both_locks_move_together(desk: Desk) -> None:
    gpu = desk.root / "demo.gpu.lock.txt"
    gpu.write_text(lock_text({**BASE, "cuda": "12.0"}, "gpu"))
    desk.put("app", "2.0")
    machine = desk.machine({**BASE, "app": "2.0"}, {**BASE, "app": "2.0", "cuda": "12.0"})
    done = save(machine, "demo")
    assert [one.variant for one in done.locks] == ["cpu", "gpu"]
    assert desk.locked("gpu") == {**BASE, "app": "2.0", "cuda": "12.0"}
    assert machine.preferred()[1] == {**BASE, "app": "2.0", "cuda": "12.0"}


def test_unresolvable_changes_write_nothing(desk: Desk) -> None:
    (desk.root / "demo.gpu.lock.txt").write_text(lock_text(BASE, "gpu"))
    desk.put("app", "2.0")
    before = desk.files()
    with pytest.raises(UnsatisfiableError, match=r'resolved with "app==2\.0"\. Nothing was saved') as raised:
        save(desk.machine({**BASE, "app": "2.0"}, UnsatisfiableError("No versions.", detail="why")), "demo")
    assert raised.value.detail == "why"
    assert desk.files() == before


def test_profile_is_restored_if_the_lock_cannot_be_written(desk: Desk) -> None:
    desk.lock.unlink()
    desk.lock.mkdir()
    (desk.root / "home" / "locks").write_text("in the way")
    desk.put("app", "2.0")
    before = desk.files()
    with pytest.raises(DiskError, match=r"Nothing was saved") as raised:
        save(desk.machine({**BASE, "app": "2.0"}), "demo")
    assert '"app==2.0"' in raised.value.hint
    assert desk.files() == before


def test_version_that_the_resolver_would_change_is_pinned(desk: Desk) -> None:
    desk.put("app", "2.0", "helper")
    desk.put("helper", "3.0", asked=False)
    newer, exact = {**BASE, "app": "2.0", "helper": "4.0"}, {**BASE, "app": "2.0", "helper": "3.0"}
    machine = desk.machine(newer, exact)
    save(machine, "demo")
    assert "helper==3.0" in machine.fake.questions[1].requirements
    assert "[base>=1, app==2.0, helper==3.0]" in desk.profile.read_text()
    assert desk.locked() == exact


def test_unresolvable_pin_is_reported_as_a_difference(desk: Desk) -> None:
    desk.put("app", "2.0", "helper")
    desk.put("helper", "3.0", asked=False)
    newer = {**BASE, "app": "2.0", "helper": "4.0", "late": "1"}
    done = save(desk.machine(newer, UnsatisfiableError("No versions.")), "demo")
    assert "[base>=1, app==2.0]" in desk.profile.read_text()
    assert desk.locked() == newer
    assert [one.split(":")[0] for one in done.differs] == [
        "helper 3.0 is installed, but 4.0 is locked",
        "late 1 is locked but not installed here",
    ]


def test_packages_that_cannot_be_locked_are_reported(desk: Desk) -> None:
    desk.put("mine", "1", "tool")
    (desk.packages / "mine-1.dist-info" / "direct_url.json").write_text(
        '{"url": "git+https://u:p@h.test/mine"}'
    )
    desk.put("tool", "1", asked=False)
    for file in (desk.packages / "core-1.0.dist-info").iterdir():
        file.unlink()
    (desk.packages / "core-1.0.dist-info").rmdir()
    desk.put("base", "1.0", "core", by="uv")
    before = desk.files()
    said = "\n".join(save(desk.machine(BASE), "demo").lines())
    assert "Nothing else to save" in said
    assert "mine 1 was installed from git+https://h.test/mine" in said
    assert "tool 1: needed only by packages that are not from an index" in said
    assert "core 1.0 was removed here but stays in the lock: base needs it." in said
    assert desk.files() == before


class Meddling(FakeInstaller):
    """Somebody edits a file while versions are chosen."""

    file = Path()

    def resolve(self, request: ResolveRequest) -> tuple[Pin, ...]:
        self.file.write_text(self.file.read_text() + "# and more\n")
        return super().resolve(request)


def test_profile_edited_during_save_is_not_overwritten(desk: Desk) -> None:
    desk.put("app", "2.0")
    machine = desk.machine()
    machine.fake = Meddling([pins({**BASE, "app": "2.0"})])
    machine.fake.file = desk.profile
    with pytest.raises(UsageError, match="was changed while"):
        save(machine, "demo")
    assert desk.profile.read_text() == PROFILE + "# and more\n"
    assert desk.locked() == BASE


def test_packages_are_added_to_the_current_lock(desk: Desk) -> None:
    desk.lock.write_text(lock_text({**BASE, "core": "1.1"}))
    desk.put("app", "2.0")
    machine = desk.machine({**BASE, "core": "1.1", "app": "2.0"})
    done = save(machine, "demo")
    assert machine.preferred() == [{**BASE, "core": "1.1", "app": "2.0"}]
    assert any("has changed since demo was built" in note for note in done.notes)
    assert "core 1.0 is installed, but 1.1 is locked" in done.differs[0]


def refused(desk: Desk, error: type[ColabenvError]) -> ColabenvError:
    desk.put("app", "2.0")
    before = desk.files()
    with pytest.raises(error) as raised:
        save(desk.machine({**BASE, "app": "2.0"}), "demo")
    assert desk.files() == before
    return raised.value


def test_a_profile_that_ships_is_not_changed(desk: Desk) -> None:
    desk.stamp("builtin:quickstart", name="quickstart")
    desk.prefix.parent.rename(desk.prefix.parent.with_name("quickstart"))
    desk.prefix = desk.root / "home" / "envs" / "quickstart" / "0f"
    desk.packages = desk.prefix / "lib" / "python3.11" / "site-packages"
    desk.put("app", "2.0")
    with pytest.raises(UsageError, match="builtin:quickstart is a built-in profile") as raised:
        save(desk.machine(BASE), "quickstart")
    assert 'extends: ["builtin:quickstart"]\n    packages: ["app==2.0"]' in raised.value.hint


def test_a_profile_of_another_name_is_another_environment(desk: Desk) -> None:
    desk.profile.write_text(PROFILE.replace("demo", "other"))
    assert "now describes other, not demo" in refused(desk, UsageError).message


@pytest.mark.parametrize("line", ["core==1 --hash=sha256:00\n", "core==1 \\\n  --hash=sha256:00\n"])
def test_requirement_line_with_hashes_must_be_changed_by_hand(tmp_path: Path, line: str) -> None:
    desk = Desk(tmp_path, PROFILE + "requirements: [more.txt]\n", more_txt=line)
    desk.put("core", "2.0")
    message = str(refused(desk, ColabenvError))
    assert "must be changed to 2.0 by hand" in message


def test_byte_order_mark_and_crlf_are_kept(tmp_path: Path) -> None:
    text = "\ufeff" + PROFILE.replace("\n", "\r\n")
    desk = Desk(tmp_path, text)
    desk.put("app", "2.0")
    save(desk.machine({**BASE, "app": "2.0"}), "demo")
    assert desk.profile.read_bytes() == text.replace("[base>=1]", "[base>=1, app==2.0]").encode()
