"""`save` on an environment whose metadata the test writes, with a resolver whose answers the test gives."""

from __future__ import annotations

from pathlib import Path

import pytest

from colabenv.commands.save import save
from colabenv.environment.build import LOCK_COPY
from colabenv.errors import ColabenvError, DiskError, UnsatisfiableError, UsageError
from colabenv.lock.lockfile import Pin
from colabenv.lock.request import ResolveRequest
from support.fake_installer import FakeInstaller
from support.profile_project import BASE, PROFILE, ProfileProject, lock_text, pins


@pytest.fixture
def project(tmp_path: Path) -> ProfileProject:
    return ProfileProject(tmp_path)


def test_no_changes_resolve_and_write_nothing(project: ProfileProject) -> None:
    before, machine = project.files(), project.machine(BASE)
    done = save(machine, "demo")
    assert done.lines() == ["✓ Nothing to save: demo matches its lock."]
    assert machine.fake.questions == []
    assert project.files() == before


def test_added_package_goes_to_the_profile_and_dependencies_to_the_lock(project: ProfileProject) -> None:
    project.put("app", "2.0", "helper")
    project.put("helper", "3.0", asked=False)
    all_of_it = {**BASE, "app": "2.0", "helper": "3.0"}
    machine = project.machine(all_of_it)
    said = "\n".join(save(machine, "demo").lines())
    assert project.profile.read_text() == PROFILE.replace("[base>=1]", "[base>=1, app==2.0]")
    assert project.locked() == all_of_it
    assert machine.preferred() == [all_of_it]
    assert "app==2.0" in machine.fake.questions[0].requirements
    assert "helper==3.0" not in machine.fake.questions[0].requirements
    assert "✓ Saved what you installed in demo to" in said
    assert "helper 3.0 (added)" in said
    assert "differs from this environment" not in said
    project.stamp(str(project.profile))
    assert save(project.machine(all_of_it), "demo").lines()[0].startswith("✓ Saved"), (
        "until it is built again"
    )


def test_a_dry_run_resolves_and_writes_nothing(project: ProfileProject) -> None:
    project.put("app", "2.0")
    before = project.files()
    done = save(project.machine({**BASE, "app": "2.0"}), "demo", dry_run=True)
    assert project.files() == before
    assert done.changes == ("- packages: [base>=1]", "+ packages: [base>=1, app==2.0]")
    assert "Nothing was written" in done.lines()[0]


def test_allowed_version_changes_only_the_lock(project: ProfileProject) -> None:
    project.put("base", "1.5")
    project.put("core", "0.9", by="uv")
    moved = {"base": "1.5", "core": "0.9"}
    machine = project.machine(moved)
    save(machine, "demo")
    assert project.profile.read_text() == PROFILE
    assert project.locked() == moved
    assert machine.preferred() == [moved]


def test_excluded_version_is_changed_in_place(tmp_path: Path) -> None:
    profile = PROFILE.replace("[base>=1]", "[base >=1]\nrequirements: [more.txt]")
    project = ProfileProject(
        tmp_path, profile, more_txt="-r deep.txt\n", deep_txt="# course\nCore <2   # why\r\nother\n"
    )
    project.put("base", "0.5")
    project.put("core", "2.5")
    save(project.machine({"base": "0.5", "core": "2.5"}), "demo")
    assert project.profile.read_text() == profile.replace("base >=1", "base==0.5")
    assert (tmp_path / "deep.txt").read_bytes() == b"# course\nCore==2.5   # why\r\nother\n"


def test_extended_requirement_is_overridden_in_the_own_profile(tmp_path: Path) -> None:
    common = PROFILE.replace("[base>=1]", "[]\nrequirements: [common.txt]")
    project = ProfileProject(
        tmp_path, "name: demo\nextends: [common.yaml]\n", common_yaml=common, common_txt="base>=1\n"
    )
    project.put("base", "0.5")
    machine = project.machine({**BASE, "base": "0.5"})
    save(machine, "demo")
    assert "base>=1" not in machine.fake.questions[0].requirements
    assert project.profile.read_text() == 'name: demo\nextends: [common.yaml]\npackages:\n  - "base==0.5"\n'
    assert (tmp_path / "common.yaml").read_text() == common
    assert (tmp_path / "common.txt").read_text() == "base>=1\n"


def test_framework_version_is_saved_to_the_stack(tmp_path: Path) -> None:
    stack = "stack: {tensorflow: '2.15.0'}\n"
    project = ProfileProject(tmp_path, PROFILE + stack)
    (project.prefix / LOCK_COPY).write_text(lock_text({**BASE, "tensorflow": "2.15.0"}))
    project.put("tensorflow", "2.15.1")
    machine = project.machine({**BASE, "tensorflow": "2.15.1"})
    save(machine, "demo")
    assert project.profile.read_text() == PROFILE + stack.replace("2.15.0", "2.15.1")
    assert machine.fake.questions[0].requirements[0] == "tensorflow==2.15.1"


def test_pip_is_saved_only_to_the_lock(project: ProfileProject) -> None:
    project.put("pip", "26.0")
    (project.prefix / LOCK_COPY).write_text(lock_text({**BASE, "pip": "25.0"}))
    save(project.machine({**BASE, "pip": "26.0"}), "demo")
    assert project.profile.read_text() == PROFILE
    assert project.locked()["pip"] == "26.0"


def test_both_locks_move_together(project: ProfileProject) -> None:
    gpu = project.root / "demo.gpu.lock.txt"
    gpu.write_text(lock_text({**BASE, "cuda": "12.0"}, "gpu"))
    project.put("app", "2.0")
    machine = project.machine({**BASE, "app": "2.0"}, {**BASE, "app": "2.0", "cuda": "12.0"})
    done = save(machine, "demo")
    assert [one.variant for one in done.locks] == ["cpu", "gpu"]
    assert project.locked("gpu") == {**BASE, "app": "2.0", "cuda": "12.0"}
    assert machine.preferred()[1] == {**BASE, "app": "2.0", "cuda": "12.0"}


def test_unresolvable_changes_write_nothing(project: ProfileProject) -> None:
    (project.root / "demo.gpu.lock.txt").write_text(lock_text(BASE, "gpu"))
    project.put("app", "2.0")
    before = project.files()
    with pytest.raises(UnsatisfiableError, match=r'resolved with "app==2\.0"\. Nothing was saved') as raised:
        save(
            project.machine({**BASE, "app": "2.0"}, UnsatisfiableError("No versions.", detail="why")), "demo"
        )
    assert raised.value.detail == "why"
    assert project.files() == before


def test_profile_is_restored_if_the_lock_cannot_be_written(project: ProfileProject) -> None:
    project.lock.unlink()
    project.lock.mkdir()
    (project.root / "home" / "locks").write_text("in the way")
    project.put("app", "2.0")
    before = project.files()
    with pytest.raises(DiskError, match=r"Nothing was saved") as raised:
        save(project.machine({**BASE, "app": "2.0"}), "demo")
    assert '"app==2.0"' in raised.value.hint
    assert project.files() == before


def test_version_that_the_resolver_would_change_is_pinned(project: ProfileProject) -> None:
    project.put("app", "2.0", "helper")
    project.put("helper", "3.0", asked=False)
    newer, exact = {**BASE, "app": "2.0", "helper": "4.0"}, {**BASE, "app": "2.0", "helper": "3.0"}
    machine = project.machine(newer, exact)
    save(machine, "demo")
    assert "helper==3.0" in machine.fake.questions[1].requirements
    assert "[base>=1, app==2.0, helper==3.0]" in project.profile.read_text()
    assert project.locked() == exact


def test_unresolvable_pin_is_reported_as_a_difference(project: ProfileProject) -> None:
    project.put("app", "2.0", "helper")
    project.put("helper", "3.0", asked=False)
    newer = {**BASE, "app": "2.0", "helper": "4.0", "late": "1"}
    done = save(project.machine(newer, UnsatisfiableError("No versions.")), "demo")
    assert "[base>=1, app==2.0]" in project.profile.read_text()
    assert project.locked() == newer
    assert [one.split(":")[0] for one in done.differs] == [
        "helper 3.0 is installed, but 4.0 is locked",
        "late 1 is locked but not installed here",
    ]


def test_packages_that_cannot_be_locked_are_reported(project: ProfileProject) -> None:
    project.put("mine", "1", "tool")
    (project.packages / "mine-1.dist-info" / "direct_url.json").write_text(
        '{"url": "git+https://u:p@h.test/mine"}'
    )
    project.put("tool", "1", asked=False)
    for file in (project.packages / "core-1.0.dist-info").iterdir():
        file.unlink()
    (project.packages / "core-1.0.dist-info").rmdir()
    project.put("base", "1.0", "core", by="uv")
    before = project.files()
    said = "\n".join(save(project.machine(BASE), "demo").lines())
    assert "Nothing else to save" in said
    assert "mine 1 was installed from git+https://h.test/mine" in said
    assert "tool 1: needed only by packages that are not from an index" in said
    assert "core 1.0 was removed here but stays in the lock: base needs it." in said
    assert project.files() == before


class EditingInstaller(FakeInstaller):
    """Somebody edits a file while versions are chosen."""

    file = Path()

    def resolve(self, request: ResolveRequest) -> tuple[Pin, ...]:
        self.file.write_text(self.file.read_text() + "# and more\n")
        return super().resolve(request)


def test_profile_edited_during_save_is_not_overwritten(project: ProfileProject) -> None:
    project.put("app", "2.0")
    machine = project.machine()
    machine.fake = EditingInstaller([pins({**BASE, "app": "2.0"})])
    machine.fake.file = project.profile
    with pytest.raises(UsageError, match="was changed while"):
        save(machine, "demo")
    assert project.profile.read_text() == PROFILE + "# and more\n"
    assert project.locked() == BASE


def test_packages_are_added_to_the_current_lock(project: ProfileProject) -> None:
    project.lock.write_text(lock_text({**BASE, "core": "1.1"}))
    project.put("app", "2.0")
    machine = project.machine({**BASE, "core": "1.1", "app": "2.0"})
    done = save(machine, "demo")
    assert machine.preferred() == [{**BASE, "core": "1.1", "app": "2.0"}]
    assert any("has changed since demo was built" in note for note in done.notes)
    assert "core 1.0 is installed, but 1.1 is locked" in done.differs[0]


def refused(project: ProfileProject, error: type[ColabenvError]) -> ColabenvError:
    project.put("app", "2.0")
    before = project.files()
    with pytest.raises(error) as raised:
        save(project.machine({**BASE, "app": "2.0"}), "demo")
    assert project.files() == before
    return raised.value


def test_a_profile_that_ships_is_not_changed(project: ProfileProject) -> None:
    project.stamp("builtin:quickstart", name="quickstart")
    project.prefix.parent.rename(project.prefix.parent.with_name("quickstart"))
    project.prefix = project.root / "home" / "envs" / "quickstart" / "0f"
    project.packages = project.prefix / "lib" / "python3.11" / "site-packages"
    project.put("app", "2.0")
    with pytest.raises(UsageError, match="builtin:quickstart is a built-in profile") as raised:
        save(project.machine(BASE), "quickstart")
    assert 'extends: ["builtin:quickstart"]\n    packages: ["app==2.0"]' in raised.value.hint


def test_a_profile_of_another_name_is_another_environment(project: ProfileProject) -> None:
    project.profile.write_text(PROFILE.replace("demo", "other"))
    assert "now describes other, not demo" in refused(project, UsageError).message


@pytest.mark.parametrize("line", ["core==1 --hash=sha256:00\n", "core==1 \\\n  --hash=sha256:00\n"])
def test_requirement_line_with_hashes_must_be_changed_by_hand(tmp_path: Path, line: str) -> None:
    project = ProfileProject(tmp_path, PROFILE + "requirements: [more.txt]\n", more_txt=line)
    project.put("core", "2.0")
    message = str(refused(project, ColabenvError))
    assert "must be changed to 2.0 by hand" in message


def test_byte_order_mark_and_crlf_are_kept(tmp_path: Path) -> None:
    text = "\ufeff" + PROFILE.replace("\n", "\r\n")
    project = ProfileProject(tmp_path, text)
    project.put("app", "2.0")
    save(project.machine({**BASE, "app": "2.0"}), "demo")
    assert project.profile.read_bytes() == text.replace("[base>=1]", "[base>=1, app==2.0]").encode()
