"""`profiles`, and the built-in profiles: locked for both variants, used by name and never changed."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from colabenv.commands.context import Context
from colabenv.commands.lock import lock
from colabenv.commands.profiles import profiles
from colabenv.commands.up import up
from colabenv.environment import up_cache
from colabenv.environment.installers.base import Installer
from colabenv.errors import MachineError, ProfileError
from colabenv.host.probe import Host
from colabenv.lock.lockfile import Pin, parse_lock
from colabenv.output.up import DryRunResult
from colabenv.profile.builtin_profiles import find_builtin_folder
from colabenv.profile.extends import ProfileSources
from colabenv.profile.load import load
from colabenv.system.process import SystemRunner
from support.fake_installer import FakeInstaller

BUILTIN_NAMES = sorted(path.stem for path in find_builtin_folder().glob("*.yaml"))
HOST = Host("terminal", "", (), "", "tcp", None, "")
PINS = (Pin("six", "1.16.0", ("sha256:0a",)),)
NEWER = (Pin("six", "1.17.0", ("sha256:0b",)),)


class Machine(Context):
    """A machine whose built-in profiles are in the folder `builtin`."""

    def __init__(self, folder: Path, pins: tuple[Pin, ...] = PINS) -> None:
        environ = {"HOME": str(folder), "COLABENV_HOME": str(folder / "home"), "PATH": "/usr/bin:/bin"}
        super().__init__(environ, runner=SystemRunner())
        self.fake = FakeInstaller([pins])
        self.builtin = folder / "builtin"

    def host(self) -> Host:
        return HOST

    def installer(self) -> Installer:
        return self.fake

    def profile_sources(self) -> ProfileSources:
        return ProfileSources(self.builtin)


@pytest.fixture
def builtin(tmp_path: Path) -> Path:
    """A folder of built-in profiles, with one profile and its cpu lock."""
    folder = tmp_path / "builtin"
    folder.mkdir()
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    text = f"# What six is for,\n# in two lines.\nname: one\npython: {python}\npackages: [six]\n"
    (folder / "one.yaml").write_text(f"{text}kernel: {{google_colab: off}}\n")
    lock(Machine(tmp_path), str(folder / "one.yaml"), variant="cpu")
    return folder


def test_builtin_profiles_are_listed(tmp_path: Path, builtin: Path) -> None:
    (builtin / "two.yaml").write_text('name: two\nstack: {tensorflow: "2.15.1", keras: "2.15"}\n')
    result = profiles(Machine(tmp_path))
    one, two = result.profiles
    assert (one.name, one.stack, one.about) == ("one", "none", "What six is for, in two lines.")
    assert (one.locks, two.locks) == (("cpu",), ())
    assert (two.python, two.stack, two.about) == ("3.11", "TensorFlow 2.15.1, Keras 2.15", "")
    table = result.table()
    assert table is not None
    assert [row[0] for row in table[1]] == ["one", "two"]
    assert json.loads(json.dumps(result.as_dict()))["profiles"][0]["path"] == str(builtin / "one.yaml")


def test_list_names_every_framework(tmp_path: Path, builtin: Path) -> None:
    for stack, expected in (
        ("{torch: 2.6, jax: 0.5}", "PyTorch 2.6, JAX 0.5"),
        ("{keras: 3.11, backend: jax, jax: 0.5}", "JAX 0.5, Keras 3.11 on jax"),
        ("{backend: torch}", "Keras on torch"),
    ):
        (builtin / "two.yaml").write_text(f"name: two\nstack: {stack}\n")
        assert profiles(Machine(tmp_path)).profiles[1].stack == expected


def test_missing_builtin_profiles_are_reported(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="are missing from"):
        profiles(Machine(tmp_path))


def test_builtin_profile_uses_its_lock(tmp_path: Path, builtin: Path) -> None:
    plan = up(Machine(tmp_path), "builtin:one", frozen=True, dry_run=True, variant="cpu")
    assert isinstance(plan, DryRunResult)
    assert (plan.lock_state, plan.lock) == ("kept", str(builtin / "one.cpu.lock.txt"))
    with pytest.raises(ProfileError, match="unknown built-in profile") as caught:
        up(Machine(tmp_path), "builtin:none")
    assert caught.value.hint == "Built-in profiles: one."


def test_lock_of_a_builtin_profile_is_written_to_the_home_and_preferred(
    tmp_path: Path, builtin: Path
) -> None:
    before = {path.name: path.read_bytes() for path in builtin.iterdir()}
    result = lock(Machine(tmp_path, NEWER), "builtin:one", variant="both", upgrade=())
    folder = tmp_path / "home" / "locks"
    assert [written.path for written in result.locks] == [
        str(folder / "one.cpu.lock.txt"),
        str(folder / "one.gpu.lock.txt"),
    ]
    assert {path.name: path.read_bytes() for path in builtin.iterdir()} == before
    plan = up(Machine(tmp_path), "builtin:one", frozen=True, dry_run=True, variant="cpu")
    assert plan.as_dict()["pins"] == {"six": "1.17.0"}


@pytest.mark.usefixtures("builtin")
def test_builtin_lock_is_used_if_the_lock_in_the_home_is_outdated(tmp_path: Path) -> None:
    lock(Machine(tmp_path, NEWER), "builtin:one", variant="cpu", upgrade=())
    path = tmp_path / "home" / "locks" / "one.cpu.lock.txt"
    digest = parse_lock(path.read_text(), "own").header.digest
    path.write_text(path.read_text().replace(digest, "0" * 64))
    plan = up(Machine(tmp_path), "builtin:one", frozen=True, dry_run=True, variant="cpu")
    assert plan.as_dict()["pins"] == {"six": "1.16.0"}


def test_builtin_profile_does_not_depend_on_the_folder(tmp_path: Path, builtin: Path) -> None:
    machine = Machine(tmp_path)
    loaded = load("builtin:one", machine.profile_sources())
    assert (loaded.builtin, loaded.reference) == (True, "builtin:one")
    plain = load(builtin / "one.yaml")
    assert (plain.builtin, plain.reference) == (False, str(builtin.resolve() / "one.yaml"))

    def cache_path(profile: str) -> Path:
        return up_cache.cache_path(machine.home, profile, "auto")

    relative_path, builtin_path = cache_path("x.yaml"), cache_path("builtin:one")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        assert cache_path("builtin:one") == builtin_path
        assert cache_path("x.yaml") != relative_path


def test_all_builtin_profiles_exist() -> None:
    tensorflow = {"tf-2.10", "tf-2.15", "tf-2.18", "tf-2.21", "keras-2-on-tf-2.18"}
    assert {"quickstart", "course", "keras-on-jax", "keras-on-torch"} | tensorflow <= set(BUILTIN_NAMES)


def test_builtin_profiles_have_a_description_and_the_name_of_their_file(tmp_path: Path) -> None:
    rows = profiles(Context({"COLABENV_HOME": str(tmp_path)})).profiles
    assert sorted(row.name for row in rows) == BUILTIN_NAMES
    for row in rows:
        assert load(row.path).profile.name == row.name
        assert row.about.endswith("."), row.name
        assert row.locks == ("cpu", "gpu"), row.name


def test_builtin_locks_are_current(tmp_path: Path) -> None:
    context = Context({"COLABENV_HOME": str(tmp_path)})
    for name in BUILTIN_NAMES:
        # Raises LockError if a lock no longer fits its profile; then run scripts/refresh-locks.
        result = lock(context, f"builtin:{name}", check=True)
        assert [(checked.variant, checked.state) for checked in result.locks] == [
            ("cpu", "kept"),
            ("gpu", "kept"),
        ], name
        for checked in result.locks:
            assert Path(checked.path).parent == find_builtin_folder(), name
            assert "://" not in Path(checked.path).read_text(), checked.path


def test_builtin_locks_contain_the_packages_of_their_variant() -> None:
    for name in BUILTIN_NAMES:
        cpu, gpu = (
            parse_lock((find_builtin_folder() / f"{name}.{variant}.lock.txt").read_text(), name)
            for variant in ("cpu", "gpu")
        )
        cpu_cudnn, gpu_cudnn = (
            [pin.name for pin in variant.pins if pin.name.startswith("nvidia-cudnn")]
            for variant in (cpu, gpu)
        )
        assert len(gpu_cudnn) == 1, name
        # PyTorch has no other wheels on the package index.
        assert cpu_cudnn == (gpu_cudnn if name == "keras-on-torch" else []), name
        backend = load(find_builtin_folder() / f"{name}.yaml").profile.stack.backend
        assert (cpu.version_of("tensorflow") is None) == (backend is not None), name
        assert cpu.version_of(backend or "tensorflow"), name
        assert {cpu.header.kernel, gpu.header.kernel} == {"colab"}, name
