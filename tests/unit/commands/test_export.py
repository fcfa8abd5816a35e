"""`export`: which lock is meant, where the file goes, and what is said about it."""

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
    made = ProfileProject(tmp_path)
    (made.prefix / "colabenv").mkdir()
    (made.prefix / "colabenv" / "settings.json").write_text(json.dumps({"variables": {"FROM": "its kernel"}}))
    assert read_settings(made.prefix)["variables"]
    return made


def test_an_environment_exports_its_lock(project: ProfileProject) -> None:
    project.lock.write_text(project.lock.read_text().replace("1.0", "9.9"))
    project.profile.write_text(PROFILE + "env: {FROM: the profile as it is now}\n")
    made = export(project.machine(BASE), "demo", format="ray")
    runtime = json.loads(made.text)
    assert runtime["uv"]["packages"] == ["base==1.0 --hash=sha256:00", "core==1.0 --hash=sha256:00"]
    assert runtime["env_vars"]["FROM"] == "its kernel"
    assert "Python 3.11" in made.notes[0]
    assert made.lines() == made.text.splitlines()


def test_packages_installed_by_hand_are_not_exported(project: ProfileProject) -> None:
    machine = project.machine(BASE)
    export(machine, "demo", format="requirements")
    assert not any("by hand" in note for note in machine.notes())
    project.put("app", "2.0")
    machine = project.machine(BASE)
    assert "app" not in export(machine, "demo", format="requirements").text
    said = "Not included, because installed by hand: app. To add them to the lock: colabenv save demo"
    assert said in machine.notes()


def test_export_of_a_profile_needs_a_current_lock(project: ProfileProject) -> None:
    with pytest.raises(LockError, match="and export needs a current lock"):
        export(project.machine(BASE), str(project.profile), format="ray")
    made = export(project.machine(BASE), "builtin:quickstart", format="ray", variant="gpu")
    assert (made.name, made.variant) == ("quickstart", "gpu")
    assert any(line.startswith("tensorflow==2.15.1 ") for line in json.loads(made.text)["uv"]["packages"])


def test_files_and_how_to_use_them(project: ProfileProject) -> None:
    target = project.root / "image" / "Dockerfile"
    made = export(project.machine(BASE), "demo", format="dockerfile", output=str(target))
    assert made.text == ""
    assert made.files == (str(target), str(target.parent / "demo.cpu.lock.txt"))
    assert (target.parent / "demo.cpu.lock.txt").read_text() == (project.prefix / "lock.txt").read_text()
    said = made.lines()
    assert said[0] == f"✓ Wrote demo (cpu, 2 packages) to {target} and {target.parent}/demo.cpu.lock.txt."
    assert f"  docker build -t demo -f {target} {target.parent}" in said


def test_stdout_has_only_the_file(project: ProfileProject) -> None:
    out, err = io.StringIO(), io.StringIO()
    screen = Console(out, err)
    machine = project.machine(BASE)
    machine.progress.inner = screen
    made = export(machine, "demo", format="conda")
    screen.result(made)
    assert out.getvalue() == made.text
    assert "conda-forge" in err.getvalue()


def test_unknown_environment_name(project: ProfileProject) -> None:
    with pytest.raises(UsageError, match="no environment named nothing") as raised:
        export(project.machine(BASE), "nothing", format="ray")
    assert raised.value.hint == "Existing environments: demo."
