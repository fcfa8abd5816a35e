"""`lock`: both variants from one machine, minimal changes, upgrades, and `--check`."""

from __future__ import annotations

import difflib
import json
import sys
from pathlib import Path

import pytest

from colabenv.commands.lock import lock
from colabenv.commands.up import up
from colabenv.errors import LockError, UnsatisfiableError, UsageError
from colabenv.host.probe import Host
from colabenv.lock.lockfile import Pin, parse_lock
from colabenv.lock.service import VersionChange
from colabenv.output.lock import LockResult
from colabenv.output.up import DryRunResult
from support.fake_machine import FakeMachine

HOST = Host("terminal", "", (), "", "tcp", None, "x86_64-manylinux_2_35")
PROFILE = "name: demo\npackages: [six]\nkernel: {google_colab: off}\n"


def pins(**versions: str) -> tuple[Pin, ...]:
    return tuple(
        Pin(name, version, (f"sha256:{name.encode().hex()}{version.encode().hex()}",))
        for name, version in sorted(versions.items())
    )


OLD = pins(pip="25.0", six="1.16.0", attrs="23.1")
NEW = pins(pip="25.0", six="1.17.0", attrs="23.1")


def new_machine(folder: Path, *answers: tuple[Pin, ...] | UnsatisfiableError) -> FakeMachine:
    """Return a machine without a GPU whose resolver gives these answers."""
    return FakeMachine(folder, answers or (OLD,), HOST)


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    path = tmp_path / "p.yaml"
    path.write_text(PROFILE)
    return path


def states(result: LockResult) -> list[tuple[str, str]]:
    return [(written.variant, written.state) for written in result.locks]


def read_locks(profile: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in profile.parent.glob("*.lock.txt")}


def modification_times(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_both_variants_come_from_a_machine_without_a_gpu(tmp_path: Path, profile: Path) -> None:
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    profile.write_text(
        f"name: demo\npython: {python}\nstack: {{tensorflow: '2.20'}}\nkernel: {{google_colab: off}}\n"
    )
    machine = new_machine(tmp_path)
    result = lock(machine, str(profile))
    assert states(result) == [("cpu", "new"), ("gpu", "new")]
    assert [question.requirements[0] for question in machine.fake.requests] == [
        "tensorflow==2.20.*",
        "tensorflow[and-cuda]==2.20.*",
    ]
    assert sorted(read_locks(profile)) == ["demo.cpu.lock.txt", "demo.gpu.lock.txt"]
    assert all(parse_lock(text, name).pins == OLD for name, text in read_locks(profile).items())


def test_tensorflow_without_gpu_support_has_a_cpu_lock_only(tmp_path: Path, profile: Path) -> None:
    profile.write_text("name: demo\nstack: {tensorflow: '1.15'}\nkernel: {google_colab: off}\n")
    machine = new_machine(tmp_path)
    machine.fake.pythons = {"3.7": Path(sys.executable)}
    assert states(lock(machine, str(profile))) == [("cpu", "new")]
    assert states(lock(machine, str(profile), check=True)) == [("cpu", "kept")]
    with pytest.raises(UnsatisfiableError, match=r"TensorFlow 1\.15 cannot use a GPU"):
        lock(machine, str(profile), variant="gpu")


def test_second_lock_resolves_and_writes_nothing(tmp_path: Path, profile: Path) -> None:
    lock(new_machine(tmp_path), str(profile))
    before = modification_times(tmp_path)
    machine = new_machine(tmp_path)
    result = lock(machine, str(profile))
    assert states(result) == [("cpu", "kept"), ("gpu", "kept")]
    assert result.lines()[0] == "✓ demo is locked for cpu and gpu: nothing had to change."
    assert machine.fake.requests == []
    assert {path: time for path, time in modification_times(tmp_path).items() if "home" not in path} == {
        path: time for path, time in before.items() if "home" not in path
    }


def test_up_uses_the_lock(tmp_path: Path, profile: Path) -> None:
    lock(new_machine(tmp_path), str(profile))
    for variant in ("cpu", "gpu"):
        plan = up(new_machine(tmp_path), str(profile), variant=variant, frozen=True, dry_run=True)
        assert isinstance(plan, DryRunResult)
        assert plan.lock_state == "kept"


def test_changed_profile_keeps_the_pins_that_still_fit(tmp_path: Path, profile: Path) -> None:
    lock(new_machine(tmp_path), str(profile), variant="cpu")
    profile.write_text(PROFILE.replace("six", "six>=1.17"))
    machine = new_machine(tmp_path, NEW)
    result = lock(machine, str(profile), variant="cpu")
    assert machine.preferred() == [{"attrs": "23.1", "pip": "25.0", "six": "1.16.0"}]
    assert result.locks[0].moved == (VersionChange("six", "1.16.0", "1.17.0"),)


def test_upgrade_of_a_package_keeps_the_other_pins(tmp_path: Path, profile: Path) -> None:
    lock(new_machine(tmp_path), str(profile))
    machine = new_machine(tmp_path, NEW)
    result = lock(machine, str(profile), upgrade=("Six",))
    assert machine.preferred() == [{"attrs": "23.1", "pip": "25.0"}] * 2
    assert states(result) == [("cpu", "changed"), ("gpu", "changed")]
    assert "       six 1.16.0 -> 1.17.0" in result.lines()


def test_upgrade_without_a_name_keeps_no_pins(tmp_path: Path, profile: Path) -> None:
    lock(new_machine(tmp_path), str(profile))
    machine = new_machine(tmp_path, OLD, NEW)
    result = lock(machine, str(profile), upgrade=[])
    assert machine.preferred() == [{}, {}]
    assert states(result) == [("cpu", "kept"), ("gpu", "changed")]


def test_changed_package_changes_only_its_lines_of_the_lock(tmp_path: Path, profile: Path) -> None:
    lock(new_machine(tmp_path), str(profile), variant="cpu")
    before = read_locks(profile)["demo.cpu.lock.txt"]
    lock(new_machine(tmp_path, NEW), str(profile), variant="cpu", upgrade=("six",))
    after = read_locks(profile)["demo.cpu.lock.txt"]
    changed = [
        line
        for line in difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0)
        if line[0] in "+-" and not line.startswith(("+++", "---"))
    ]
    assert [line.split("=")[0] for line in changed] == ["-six", "-    --hash", "+six", "+    --hash"]


def test_added_and_removed_packages_and_changed_hashes_are_reported(tmp_path: Path, profile: Path) -> None:
    lock(new_machine(tmp_path), str(profile), variant="cpu")
    changed = (Pin("attrs", "23.1", ("sha256:ff",)), *pins(pip="25.0", wheel="0.45"))
    result = lock(new_machine(tmp_path, changed), str(profile), variant="cpu", upgrade=[])
    assert result.lines()[2:] == [
        "       six 1.16.0 (removed)",
        "       wheel 0.45 (added)",
        "       same version, other files: attrs",
    ]
    document = json.loads(json.dumps(result.as_dict()))
    assert document["locks"][0]["moved"][1] == {"name": "wheel", "old": "", "new": "0.45"}


def test_upgrade_of_an_unlocked_package_is_an_error(tmp_path: Path, profile: Path) -> None:
    lock(new_machine(tmp_path), str(profile))
    machine = new_machine(tmp_path)
    with pytest.raises(UsageError, match="'atrs' is not in the locks") as caught:
        lock(machine, str(profile), upgrade=("atrs",))
    assert "Did you mean attrs?" in caught.value.hint
    assert machine.fake.requests == []


def test_upgrade_without_a_lock_writes_one(tmp_path: Path, profile: Path) -> None:
    result = lock(new_machine(tmp_path), str(profile), variant="cpu", upgrade=("six",))
    assert states(result) == [("cpu", "new")]


def test_no_lock_is_written_if_one_variant_fails(tmp_path: Path, profile: Path) -> None:
    with pytest.raises(UnsatisfiableError):
        lock(new_machine(tmp_path, OLD, UnsatisfiableError("No set.")), str(profile))
    assert read_locks(profile) == {}


def test_accelerator_of_the_profile_selects_the_variants(tmp_path: Path, profile: Path) -> None:
    for accelerator, variants in (("auto", ["cpu", "gpu"]), ("cpu", ["cpu"])):
        profile.write_text(f"{PROFILE}stack: {{accelerator: {accelerator}}}\n")
        result = lock(new_machine(tmp_path / accelerator), str(profile))
        assert [written.variant for written in result.locks] == variants, accelerator


def test_variant_that_the_profile_excludes_is_refused(tmp_path: Path, profile: Path) -> None:
    profile.write_text(f"{PROFILE}stack: {{accelerator: cpu}}\n")
    with pytest.raises(UsageError, match="contradicts accelerator: cpu"):
        lock(new_machine(tmp_path), str(profile), variant="gpu")


def test_lock_contains_no_url_and_no_password(tmp_path: Path, profile: Path) -> None:
    profile.write_text(f"{PROFILE}indexes: [{{name: team, url: 'https://bob:${{PW}}@host.test/simple'}}]\n")
    machine = new_machine(tmp_path)
    machine.environ = {**machine.environ, "PW": "s3cret"}
    lock(machine, str(profile))
    assert machine.fake.requests[0].indexes == (("team", "https://bob:s3cret@host.test/simple"),)
    for text in read_locks(profile).values():
        assert [word for word in ("://", "s3cret", "host.test", "bob") if word in text] == []


def test_check_passes_offline_and_writes_nothing(tmp_path: Path, profile: Path) -> None:
    lock(new_machine(tmp_path), str(profile))
    before = modification_times(tmp_path)
    machine = new_machine(tmp_path)
    result = lock(machine, str(profile), check=True)
    assert result.lines()[0] == "✓ The locks of demo fit the profile (cpu and gpu)."
    assert (machine.fake.requests, machine.probed) == ([], 0)
    assert modification_times(tmp_path) == before


def test_check_lists_missing_and_outdated_locks(tmp_path: Path, profile: Path) -> None:
    lock(new_machine(tmp_path), str(profile), variant="cpu")
    profile.write_text(PROFILE.replace("six", "six, attrs"))
    before = modification_times(tmp_path)
    with pytest.raises(LockError) as caught:
        lock(new_machine(tmp_path), str(profile), check=True)
    assert "demo.cpu.lock.txt was made for another version of this profile" in caught.value.message
    assert f"there is no lock {tmp_path / 'demo.gpu.lock.txt'}" in caught.value.message
    assert caught.value.hint == f"Run colabenv lock {profile}, and commit the locks that it writes."
    assert caught.value.exit_code == 2
    assert modification_times(tmp_path) == before


def test_check_reports_a_damaged_lock(tmp_path: Path, profile: Path) -> None:
    lock(new_machine(tmp_path), str(profile))
    damaged = tmp_path / "demo.gpu.lock.txt"
    damaged.write_text(damaged.read_text().replace("sha256:", "sha:", 3))
    with pytest.raises(LockError, match=r"demo\.gpu\.lock\.txt"):
        lock(new_machine(tmp_path), str(profile), check=True)


def test_check_and_upgrade_exclude_each_other(tmp_path: Path, profile: Path) -> None:
    with pytest.raises(UsageError, match="--check and --upgrade cannot be used together"):
        lock(new_machine(tmp_path), str(profile), check=True, upgrade=[])


def test_lock_is_outdated_if_as_of_changes(tmp_path: Path, profile: Path) -> None:
    profile.write_text(f"{PROFILE}python: '3.11'\nas_of: 2023-04-02\n")
    machine = new_machine(tmp_path)
    result = lock(machine, str(profile), variant="cpu")
    assert parse_lock(read_locks(profile)["demo.cpu.lock.txt"], "x").header.as_of == "2023-04-02"
    assert machine.fake.requests[0].as_of == "2023-04-02"
    assert "Only releases uploaded by the end of 2023-04-02 (UTC) are used." in result.notes
    lock(new_machine(tmp_path), str(profile), variant="cpu", check=True)
    profile.write_text(f"{PROFILE}python: '3.11'\nas_of: 2023-04-03\n")
    with pytest.raises(LockError, match="was made for another version of this profile"):
        lock(new_machine(tmp_path), str(profile), variant="cpu", check=True)
    later = new_machine(tmp_path)
    lock(later, str(profile), variant="cpu")
    assert parse_lock(read_locks(profile)["demo.cpu.lock.txt"], "x").header.as_of == "2023-04-03"
    # The newest releases of another day are not preferred.
    assert later.preferred() == [{}]


def test_differences_from_the_runtime_are_noted_except_kernel_packages(tmp_path: Path, profile: Path) -> None:
    profile.write_text(f"{PROFILE}like: colab-2025.07\n")
    resolved = pins(pip="25.0", six="1.16.0", numpy="2.0.2", notebook="6.4.13")
    machine = new_machine(tmp_path, resolved)
    result = lock(machine, str(profile), variant="cpu")
    (note,) = [note for note in result.notes if "differ from colab-2025.07" in note]
    assert note.endswith(": six 1.16.0 instead of 1.17.0.")
    assert "numpy==2.0.2" in machine.fake.requests[0].constraints
    assert parse_lock(read_locks(profile)["demo.cpu.lock.txt"], "x").header.like == "colab-2025.07"


def test_conflict_names_a_python_newer_than_as_of(tmp_path: Path, profile: Path) -> None:
    profile.write_text(f"{PROFILE}python: '3.13'\nas_of: 2023-04-02\n")
    machine = new_machine(tmp_path, UnsatisfiableError("No set of versions.", hint="Loosen.", detail="why"))
    machine.fake.pythons["3.13"] = Path(sys.executable)
    with pytest.raises(UnsatisfiableError, match="No set of versions") as caught:
        lock(machine, str(profile), variant="cpu")
    assert caught.value.hint.startswith("Python 3.13 was released on 2024-10-07, after as_of: 2023-04-02.")
    assert caught.value.detail == "why"
