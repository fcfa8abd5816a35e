"""`status`, `down`, `run`, `verify`, `up` and `check` with a fake home, host and resolver."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from colabenv.commands.check import check
from colabenv.commands.down import down
from colabenv.commands.run import variables_for
from colabenv.commands.status import status
from colabenv.commands.up import up
from colabenv.commands.verify import verify
from colabenv.errors import ColabenvError, LockError, ProfileError, UnsatisfiableError, UsageError
from colabenv.host.probe import Gpu
from colabenv.kernel.lookup import find_environment
from colabenv.lock.lockfile import Pin, parse_lock
from colabenv.output.up import DryRunResult
from colabenv.profile.load import load
from colabenv.profile.urls import index_urls
from support.fake_machine import HOST, PINS, FakeMachine, make_environment, register_kernel

T4 = Gpu("Tesla T4", "580.82.07", "7.5", 15360)


def test_status_shows_the_state_of_each_environment(tmp_path: Path) -> None:
    context = FakeMachine(tmp_path, host=dataclasses.replace(HOST, gpus=(T4,)))
    for name, digest in [("ready", "d1"), ("ready", "d2"), ("unseen", "d1"), ("half", "d1")]:
        make_environment(context, name, digest)
    (context.home.environment("half", "d1") / "stamp.json").unlink()
    for name, digest in [("ready", "d2"), ("orphan", "d9")]:
        register_kernel(context, name, digest)
    result = status(context, None)
    assert {(row.name, row.digest): row.state for row in result.environments} == {
        ("half", "d1"): "broken",
        ("ready", "d1"): "older",
        ("ready", "d2"): "ready",
        ("unseen", "d1"): "unregistered",
    }
    assert result.orphans == ("orphan",)
    assert result.gpus == ("Tesla T4",)
    assert [row.name for row in status(context, "unseen").environments] == ["unseen"]
    assert status(context, "orphan").orphans == ("orphan",)
    with pytest.raises(UsageError, match="no environment named nobody"):
        status(context, "nobody")


def test_down_removes_the_kernel_and_environments_of_one_name(tmp_path: Path) -> None:
    context = FakeMachine(tmp_path)
    prefix = make_environment(context)
    (prefix / "big").write_bytes(b"x" * 5000)
    make_environment(context, digest="d2")
    other = make_environment(context, "demo2")
    spec = register_kernel(context)
    result = down(context, "demo")
    assert result.removed == (str(spec.parent), str(context.home.envs / "demo"))
    assert result.freed_bytes > 5000
    assert not prefix.parent.exists()
    assert not spec.parent.exists()
    assert other.exists()
    with pytest.raises(UsageError, match="no environment named demo") as caught:
        down(context, "demo")
    assert caught.value.hint == "Existing environments: demo2."


def test_down_removes_a_kernel_without_an_environment(tmp_path: Path) -> None:
    context = FakeMachine(tmp_path)
    spec = register_kernel(context)
    assert down(context, "demo").removed == (str(spec.parent),)


def usage_error(function: Callable[..., object], *arguments: object) -> str:
    """Return the message of the UsageError that a call raises, or "" if it raises none."""
    try:
        function(*arguments)
    except UsageError as error:
        return error.message
    return ""


def test_paths_are_not_names_of_environments(tmp_path: Path) -> None:
    context = FakeMachine(tmp_path)
    prefix = make_environment(context)
    for name in ("", ".", "..", "../demo", "demo/d1", ".demo.lock"):
        quoted = name if name and "/" not in name else repr(name)
        expected = f"There is no environment named {quoted}."
        assert usage_error(down, context, name) == expected
        assert usage_error(find_environment, name, context) == expected
    assert prefix.exists()


def test_registered_environment_is_preferred_to_the_newest(tmp_path: Path) -> None:
    context = FakeMachine(tmp_path)
    for digest, built in [("d1", 1.0), ("d2", 2.0), ("d3", 3.0)]:
        make_environment(context, digest=digest, built=built)
    assert find_environment("demo", context).stamp.digest == "d3"
    register_kernel(context, digest="d2")
    assert find_environment("demo", context).stamp.digest == "d2"
    register_kernel(context, digest="gone")
    assert find_environment("demo", context).stamp.digest == "d3"


def test_run_uses_the_programs_and_variables_of_the_environment(tmp_path: Path) -> None:
    context = FakeMachine(tmp_path, PYTHONPATH="/env/python", UV_SYSTEM_PYTHON="true")
    prefix = make_environment(context)
    tool = prefix / "bin" / "tool"
    tool.write_text("#!/bin/sh\nexit 0\n")
    tool.chmod(0o755)
    variables, program = variables_for("demo", "tool", context)
    assert program == str(tool)
    assert variables["VIRTUAL_ENV"] == str(prefix)
    assert not {"PYTHONPATH", "UV_SYSTEM_PYTHON"} & set(variables)
    assert Path(variables_for("demo", "sh", context)[1]).name == "sh"
    with pytest.raises(UsageError, match="no program nothing-such"):
        variables_for("demo", "nothing-such", context)


def test_verify_needs_the_profile(tmp_path: Path) -> None:
    context = FakeMachine(tmp_path)
    make_environment(context)
    with pytest.raises(ProfileError, match="file not found"):
        verify(context, "demo")


PROFILE = "name: demo\npackages: [six]\nkernel: {google_colab: off}\n"


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    (tmp_path / "project").mkdir()
    path = tmp_path / "project" / "p.yaml"
    path.write_text(PROFILE)
    return path


def list_paths(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_dry_run_writes_nothing(tmp_path: Path, profile: Path) -> None:
    before = list_paths(tmp_path)
    context = FakeMachine(tmp_path)
    plan = up(context, str(profile), dry_run=True)
    assert isinstance(plan, DryRunResult)
    assert (plan.variant, plan.kernel, plan.lock_state) == ("cpu", "plain", "new")
    assert plan.pins == {"pip": "25.0", "six": "1.17.0"}
    assert plan.lock == str(profile.parent / "demo.cpu.lock.txt")
    assert list_paths(tmp_path) == before


def test_gpu_variant_is_selected_on_a_gpu_host(tmp_path: Path, profile: Path) -> None:
    context = FakeMachine(tmp_path, host=dataclasses.replace(HOST, gpus=(T4,)))
    assert up(context, str(profile), dry_run=True).as_dict()["variant"] == "gpu"
    without_driver = FakeMachine(tmp_path, host=dataclasses.replace(HOST, gpu_trouble="exit status -9"))
    plan = up(without_driver, str(profile), dry_run=True, variant="gpu").as_dict()
    assert any("exit status -9" in note for note in plan["notes"])
    assert any("has no GPU" in note for note in plan["notes"])


def test_tensorflow_without_gpu_support_is_built_for_the_cpu(tmp_path: Path, profile: Path) -> None:
    with_gpu = FakeMachine(tmp_path, host=dataclasses.replace(HOST, gpus=(T4,)))
    for line in ("1.15", "2.4"):
        profile.write_text(f'name: demo\nstack: {{tensorflow: "{line}"}}\n')
        notes = {}
        for context in (with_gpu, FakeMachine(tmp_path)):
            context.fake.pythons = dict.fromkeys(("3.7", "3.8"), Path(sys.executable))
            plan = up(context, str(profile), dry_run=True)
            assert isinstance(plan, DryRunResult)
            assert (plan.variant, plan.lock) == ("cpu", str(profile.parent / "demo.cpu.lock.txt"))
            notes[context is with_gpu] = plan.notes
        reason = f"TensorFlow {line} runs on the CPU only, because it "
        assert any(note.startswith(reason) and note.endswith("GPU support is 2.5.") for note in notes[True])
        assert not any(note.startswith(reason) for note in notes[False])


@pytest.mark.parametrize("demand", ["accelerator: gpu", "verify: {gpu: required}", "--variant gpu"])
def test_gpu_that_the_user_demands_is_refused_without_gpu_support(
    demand: str, tmp_path: Path, profile: Path
) -> None:
    stack = 'tensorflow: "1.15"' + (f", {demand}" if demand.startswith("acc") else "")
    profile.write_text(f"name: demo\nstack: {{{stack}}}\n{demand if demand.startswith('verify') else ''}\n")
    context = FakeMachine(tmp_path, host=dataclasses.replace(HOST, gpus=(T4,)))
    with pytest.raises(
        UnsatisfiableError, match=r"TensorFlow 1\.15 cannot use a GPU: it needs CUDA 10"
    ) as caught:
        up(context, str(profile), dry_run=True, variant="gpu" if demand.startswith("-") else "auto")
    assert caught.value.hint.startswith("TensorFlow 2.5 to 2.")


def test_frozen_without_a_matching_lock_does_not_resolve(tmp_path: Path, profile: Path) -> None:
    context = FakeMachine(tmp_path)
    with pytest.raises(LockError, match=r"there is no lock .*demo\.cpu\.lock\.txt"):
        up(context, str(profile), frozen=True, dry_run=True)
    assert context.fake.requests == []


def fail_after_locking(profile: Path, context: FakeMachine) -> None:
    """Run an `up` that writes its lock and fails when it creates the environment."""
    context.fake.create_error = ColabenvError("stopped by the test")
    with pytest.raises(ColabenvError, match="stopped by the test"):
        up(context, str(profile))


def test_lock_is_kept_until_the_profile_changes(tmp_path: Path, profile: Path) -> None:
    fail_after_locking(profile, FakeMachine(tmp_path))
    lock = profile.parent / "demo.cpu.lock.txt"
    text = lock.read_text()
    assert parse_lock(text, "x").pins == PINS
    again = FakeMachine(tmp_path)
    plan = up(again, str(profile), frozen=True, dry_run=True).as_dict()
    assert plan["lock_state"] == "kept"
    assert again.fake.requests == []
    profile.write_text(PROFILE.replace("six", "six, attrs"))
    changed = FakeMachine(tmp_path)
    with pytest.raises(LockError, match="made for another version of this profile"):
        up(changed, str(profile), frozen=True, dry_run=True)
    plan = up(changed, str(profile), dry_run=True).as_dict()
    assert plan["lock_state"] == "changed"
    assert changed.fake.requests[0].preferred == PINS
    assert lock.read_text() == text


def test_failed_up_leaves_no_environment_and_no_kernel(tmp_path: Path, profile: Path) -> None:
    fail_after_locking(profile, FakeMachine(tmp_path))
    assert [
        path
        for path in (tmp_path / "home" / "envs").rglob("*")
        if path.is_file() and path.name != ".demo.lock"
    ] == []
    assert not (tmp_path / "jupyter").exists()


def test_unsatisfiable_profile_writes_no_lock(tmp_path: Path, profile: Path) -> None:
    context = FakeMachine(tmp_path, [UnsatisfiableError("No set.")])
    with pytest.raises(UnsatisfiableError):
        up(context, str(profile))
    assert not (profile.parent / "demo.cpu.lock.txt").exists()


def test_fallback_to_a_plain_kernel_is_explained(tmp_path: Path, profile: Path) -> None:
    profile.write_text("name: demo\npackages: [six]\n")
    conflict = UnsatisfiableError("No set.", detail="error: none\n  Because six needs ipython 8\n")
    plan = up(FakeMachine(tmp_path, [conflict, PINS, conflict, PINS]), str(profile), dry_run=True).as_dict()
    assert plan["kernel"] == "plain"
    (note,) = [note for note in plan["notes"] if "ipykernel's own class" in note]
    assert "(six needs ipython 8)" in note
    assert note.endswith("Drive, secrets, files and forms still work.")


@pytest.mark.parametrize(
    ("google_colab", "version", "noted"),
    [("auto", "8.1.9", True), ("auto", "7.8.5", False), ("off", "8.1.9", False)],
)
def test_widgets_that_colab_does_not_show_are_noted(
    tmp_path: Path, profile: Path, google_colab: str, version: str, noted: bool
) -> None:
    profile.write_text(f"name: demo\npackages: [six]\nkernel: {{google_colab: {google_colab}}}\n")
    pins = (Pin("ipywidgets", version, ("sha256:0a",)), *PINS)
    plan = up(FakeMachine(tmp_path, [pins]), str(profile), dry_run=True).as_dict()
    assert any(f"the widgets of ipywidgets {version}" in note for note in plan["notes"]) is noted


def test_check_lists_the_requirements(tmp_path: Path, profile: Path) -> None:
    profile.write_text('name: demo\nstack: {tensorflow: "2.15.1"}\npackages: [six]\n')
    result = check(FakeMachine(tmp_path), str(profile))
    assert result.requirements == ("tensorflow==2.15.1", "six")
    assert result.python == "3.11"
    assert result.lines()[0].startswith(f"✓ {profile} is a valid profile: demo, Python 3.11.")


def test_variables_in_index_urls_are_expanded_or_reported(tmp_path: Path, profile: Path) -> None:
    profile.write_text(PROFILE + 'indexes: [{name: team, url: "https://u:${TEAM_TOKEN}@host/simple"}]\n')
    loaded = load(str(profile)).profile
    assert index_urls(loaded, {"TEAM_TOKEN": "t0k"}) == (("team", "https://u:t0k@host/simple"),)
    with pytest.raises(ProfileError, match="TEAM_TOKEN"):
        index_urls(loaded, {})


def test_context_collects_notes(tmp_path: Path) -> None:
    context = FakeMachine(tmp_path)
    context.progress.note("one")
    context.progress.stage("x")
    context.progress.note("two")
    assert context.notes() == ("one", "two")


def test_unwritable_log_is_ignored(tmp_path: Path) -> None:
    context = FakeMachine(tmp_path)
    context.log("one\n")
    context.log("two\n")
    assert context.log_path.read_text() == "one\ntwo\n"
    (tmp_path / "file").write_text("")
    FakeMachine(tmp_path, COLABENV_HOME=str(tmp_path / "file" / "home")).log("lost")


def test_results_are_plain_data(tmp_path: Path) -> None:
    def is_plain(value: Any) -> bool:
        if isinstance(value, dict):
            return all(isinstance(key, str) and is_plain(inner) for key, inner in value.items())
        if isinstance(value, list | tuple):
            return all(is_plain(inner) for inner in value)
        return value is None or isinstance(value, str | int | float | bool)

    context = FakeMachine(tmp_path)
    make_environment(context)
    assert is_plain(status(context, None).as_dict())
    assert is_plain(down(context, "demo").as_dict())
