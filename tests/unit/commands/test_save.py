"""`save` on a fake environment, with a fake resolver."""

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
    result = save(machine, "demo")
    assert result.lines() == ["✓ Nothing to save: demo matches its lock."]
    assert machine.fake.requests == []
    assert project.files() == before


def test_package_is_added_to_the_profile_and_its_dependencies_to_the_lock(project: ProfileProject) -> None:
    project.put("app", "2.0", "helper")
    project.put("helper", "3.0", asked=False)
    installed = {**BASE, "app": "2.0", "helper": "3.0"}
    machine = project.machine(installed)
    output = "\n".join(save(machine, "demo").lines())
    assert project.profile.read_text() == PROFILE.replace("[base>=1]", "[base>=1, app==2.0]")
    assert project.locked() == installed
    assert machine.preferred() == [installed]
    assert "app==2.0" in machine.fake.requests[0].requirements
    assert "helper==3.0" not in machine.fake.requests[0].requirements
    assert "✓ Saved what you installed in demo to" in output
    assert "helper 3.0 (added)" in output
    assert "differs from this environment" not in output
    # Until the environment is built again, it differs from its own lock.
    project.stamp(str(project.profile))
    assert save(project.machine(installed), "demo").lines()[0].startswith("✓ Saved")


def test_dry_run_resolves_and_writes_nothing(project: ProfileProject) -> None:
    project.put("app", "2.0")
    before = project.files()
    result = save(project.machine({**BASE, "app": "2.0"}), "demo", dry_run=True)
    assert project.files() == before
    assert result.changes == ("- packages: [base>=1]", "+ packages: [base>=1, app==2.0]")
    assert "Nothing was written" in result.lines()[0]


def test_version_that_the_profile_allows_changes_only_the_lock(project: ProfileProject) -> None:
    project.put("base", "1.5")
    project.put("core", "0.9", by="uv")
    installed = {"base": "1.5", "core": "0.9"}
    machine = project.machine(installed)
    save(machine, "demo")
    assert project.profile.read_text() == PROFILE
    assert project.locked() == installed
    assert machine.preferred() == [installed]


def test_version_that_the_profile_excludes_is_changed_in_place(tmp_path: Path) -> None:
    profile = PROFILE.replace("[base>=1]", "[base >=1]\nrequirements: [more.txt]")
    project = ProfileProject(
        tmp_path, profile, more_txt="-r deep.txt\n", deep_txt="# course\nCore <2   # why\r\nother\n"
    )
    project.put("base", "0.5")
    project.put("core", "2.5")
    save(project.machine({"base": "0.5", "core": "2.5"}), "demo")
    assert project.profile.read_text() == profile.replace("base >=1", "base==0.5")
    assert (tmp_path / "deep.txt").read_bytes() == b"# course\nCore==2.5   # why\r\nother\n"


def test_requirement_of_an_extended_profile_is_overridden(tmp_path: Path) -> None:
    common = PROFILE.replace("[base>=1]", "[]\nrequirements: [common.txt]")
    project = ProfileProject(
        tmp_path, "name: demo\nextends: [common.yaml]\n", common_yaml=common, common_txt="base>=1\n"
    )
    project.put("base", "0.5")
    machine = project.machine({**BASE, "base": "0.5"})
    save(machine, "demo")
    assert "base>=1" not in machine.fake.requests[0].requirements
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
    assert machine.fake.requests[0].requirements[0] == "tensorflow==2.15.1"


def test_pip_is_saved_only_to_the_lock(project: ProfileProject) -> None:
    project.put("pip", "26.0")
    (project.prefix / LOCK_COPY).write_text(lock_text({**BASE, "pip": "25.0"}))
    save(project.machine({**BASE, "pip": "26.0"}), "demo")
    assert project.profile.read_text() == PROFILE
    assert project.locked()["pip"] == "26.0"


def test_locks_of_both_variants_are_saved(project: ProfileProject) -> None:
    gpu = project.root / "demo.gpu.lock.txt"
    gpu.write_text(lock_text({**BASE, "cuda": "12.0"}, "gpu"))
    project.put("app", "2.0")
    machine = project.machine({**BASE, "app": "2.0"}, {**BASE, "app": "2.0", "cuda": "12.0"})
    result = save(machine, "demo")
    assert [saved.variant for saved in result.locks] == ["cpu", "gpu"]
    assert project.locked("gpu") == {**BASE, "app": "2.0", "cuda": "12.0"}
    assert machine.preferred()[1] == {**BASE, "app": "2.0", "cuda": "12.0"}


def test_unresolvable_changes_write_nothing(project: ProfileProject) -> None:
    (project.root / "demo.gpu.lock.txt").write_text(lock_text(BASE, "gpu"))
    project.put("app", "2.0")
    before = project.files()
    with pytest.raises(UnsatisfiableError, match=r'resolved with "app==2\.0"\. Nothing was saved') as caught:
        save(
            project.machine({**BASE, "app": "2.0"}, UnsatisfiableError("No versions.", detail="why")), "demo"
        )
    assert caught.value.detail == "why"
    assert project.files() == before


def test_profile_is_restored_if_the_lock_cannot_be_written(project: ProfileProject) -> None:
    project.lock.unlink()
    project.lock.mkdir()
    (project.root / "home" / "locks").write_text("in the way")
    project.put("app", "2.0")
    before = project.files()
    with pytest.raises(DiskError, match=r"Nothing was saved") as caught:
        save(project.machine({**BASE, "app": "2.0"}), "demo")
    assert '"app==2.0"' in caught.value.hint
    assert project.files() == before


def test_version_that_the_resolver_would_change_is_pinned(project: ProfileProject) -> None:
    project.put("app", "2.0", "helper")
    project.put("helper", "3.0", asked=False)
    newer = {**BASE, "app": "2.0", "helper": "4.0"}
    installed = {**BASE, "app": "2.0", "helper": "3.0"}
    machine = project.machine(newer, installed)
    save(machine, "demo")
    assert "helper==3.0" in machine.fake.requests[1].requirements
    assert "[base>=1, app==2.0, helper==3.0]" in project.profile.read_text()
    assert project.locked() == installed


def test_unresolvable_pin_is_reported_as_a_difference(project: ProfileProject) -> None:
    project.put("app", "2.0", "helper")
    project.put("helper", "3.0", asked=False)
    newer = {**BASE, "app": "2.0", "helper": "4.0", "late": "1"}
    result = save(project.machine(newer, UnsatisfiableError("No versions.")), "demo")
    assert "[base>=1, app==2.0]" in project.profile.read_text()
    assert project.locked() == newer
    assert [difference.split(":")[0] for difference in result.differs] == [
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
    output = "\n".join(save(project.machine(BASE), "demo").lines())
    assert "Nothing else to save" in output
    assert "mine 1 was installed from git+https://h.test/mine" in output
    assert "tool 1: needed only by packages that are not from an index" in output
    assert "core 1.0 was removed here but stays in the lock: base needs it." in output
    assert project.files() == before


class EditingInstaller(FakeInstaller):
    """An installer that edits a file while it resolves."""

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
    result = save(machine, "demo")
    assert machine.preferred() == [{**BASE, "core": "1.1", "app": "2.0"}]
    assert any("has changed since demo was built" in note for note in result.notes)
    assert "core 1.0 is installed, but 1.1 is locked" in result.differs[0]


def test_builtin_profile_is_not_changed(project: ProfileProject) -> None:
    project.stamp("builtin:quickstart", name="quickstart")
    project.prefix.parent.rename(project.prefix.parent.with_name("quickstart"))
    project.prefix = project.root / "home" / "envs" / "quickstart" / "0f"
    project.packages = project.prefix / "lib" / "python3.11" / "site-packages"
    project.put("app", "2.0")
    with pytest.raises(UsageError, match="builtin:quickstart is a built-in profile") as caught:
        save(project.machine(BASE), "quickstart")
    assert 'extends: ["builtin:quickstart"]\n    packages: ["app==2.0"]' in caught.value.hint


def assert_not_saved(project: ProfileProject, error: type[ColabenvError], message: str) -> None:
    """Assert that an added package cannot be saved, and that no file changes."""
    project.put("app", "2.0")
    before = project.files()
    with pytest.raises(error, match=message):
        save(project.machine({**BASE, "app": "2.0"}), "demo")
    assert project.files() == before


def test_profile_that_was_renamed_is_not_changed(project: ProfileProject) -> None:
    project.profile.write_text(PROFILE.replace("demo", "other"))
    assert_not_saved(project, UsageError, "now describes other, not demo")


@pytest.mark.parametrize("line", ["core==1 --hash=sha256:00\n", "core==1 \\\n  --hash=sha256:00\n"])
def test_requirement_line_with_hashes_must_be_changed_by_hand(tmp_path: Path, line: str) -> None:
    project = ProfileProject(tmp_path, PROFILE + "requirements: [more.txt]\n", more_txt=line)
    project.put("core", "2.0")
    assert_not_saved(project, ColabenvError, "must be changed to 2.0 by hand")


def test_byte_order_mark_and_crlf_are_kept(tmp_path: Path) -> None:
    text = "\ufeff" + PROFILE.replace("\n", "\r\n")
    project = ProfileProject(tmp_path, text)
    project.put("app", "2.0")
    save(project.machine({**BASE, "app": "2.0"}), "demo")
    assert project.profile.read_bytes() == text.replace("[base>=1]", "[base>=1, app==2.0]").encode()
