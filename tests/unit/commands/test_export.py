"""`export`: which lock it uses, where it writes files, and what it reports."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from colabenv.commands.export import export
from colabenv.errors import LockError, UsageError
from colabenv.kernel.register import read_settings
from colabenv.output.console import Console
from support.profile_project import BASE, PROFILE, ProfileProject


@pytest.fixture
def project(tmp_path: Path) -> ProfileProject:
    project = ProfileProject(tmp_path)
    (project.prefix / "colabenv").mkdir()
    (project.prefix / "colabenv" / "settings.json").write_text(
        json.dumps({"variables": {"FROM": "its kernel"}})
    )
    assert read_settings(project.prefix)["variables"]
    return project


def test_environment_exports_its_own_lock(project: ProfileProject) -> None:
    project.lock.write_text(project.lock.read_text().replace("1.0", "9.9"))
    project.profile.write_text(PROFILE + "env: {FROM: the edited profile}\n")
    result = export(project.machine(BASE), "demo", format="ray")
    runtime = json.loads(result.text)
    assert runtime["uv"]["packages"] == ["base==1.0 --hash=sha256:00", "core==1.0 --hash=sha256:00"]
    assert runtime["env_vars"]["FROM"] == "its kernel"
    assert "Python 3.11" in result.notes[0]
    assert result.lines() == result.text.splitlines()


def test_packages_installed_by_hand_are_not_exported(project: ProfileProject) -> None:
    machine = project.machine(BASE)
    export(machine, "demo", format="requirements")
    assert not any("by hand" in note for note in machine.notes())
    project.put("app", "2.0")
    machine = project.machine(BASE)
    assert "app" not in export(machine, "demo", format="requirements").text
    note = "Not included, because installed by hand: app. To add them to the lock: colabenv save demo"
    assert note in machine.notes()


def test_export_of_a_profile_needs_a_current_lock(project: ProfileProject) -> None:
    with pytest.raises(LockError, match="and export needs a current lock"):
        export(project.machine(BASE), str(project.profile), format="ray")
    result = export(project.machine(BASE), "builtin:quickstart", format="ray", variant="gpu")
    assert (result.name, result.variant) == ("quickstart", "gpu")
    assert any(line.startswith("tensorflow==2.15.1 ") for line in json.loads(result.text)["uv"]["packages"])


def test_dockerfile_is_written_with_its_lock_and_explained(project: ProfileProject) -> None:
    target = project.root / "image" / "Dockerfile"
    result = export(project.machine(BASE), "demo", format="dockerfile", output=str(target))
    assert result.text == ""
    assert result.files == (str(target), str(target.parent / "demo.cpu.lock.txt"))
    assert (target.parent / "demo.cpu.lock.txt").read_text() == (project.prefix / "lock.txt").read_text()
    lines = result.lines()
    assert lines[0] == f"✓ Wrote demo (cpu, 2 packages) to {target} and {target.parent}/demo.cpu.lock.txt."
    assert f"  docker build -t demo -f {target} {target.parent}" in lines


def test_only_the_exported_file_is_written_to_stdout(project: ProfileProject) -> None:
    out, err = io.StringIO(), io.StringIO()
    console = Console(out, err)
    machine = project.machine(BASE)
    machine.progress.inner = console
    result = export(machine, "demo", format="conda")
    console.result(result)
    assert out.getvalue() == result.text
    assert "conda-forge" in err.getvalue()


def test_unknown_environment_name_is_an_error(project: ProfileProject) -> None:
    with pytest.raises(UsageError, match="no environment named nothing") as caught:
        export(project.machine(BASE), "nothing", format="ray")
    assert caught.value.hint == "Existing environments: demo."
