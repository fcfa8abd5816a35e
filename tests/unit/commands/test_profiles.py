"""What ships: listed, locked for both variants, and used by name without being changed."""

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

SHIPPED = sorted(path.stem for path in find_builtin_folder().glob("*.yaml"))
HOST = Host("terminal", "", (), "", "tcp", None, "")
PINS = (Pin("six", "1.16.0", ("sha256:0a",)),)
NEWER = (Pin("six", "1.17.0", ("sha256:0b",)),)


class Machine(Context):
    """A machine on which the given profiles ship."""

    def __init__(self, folder: Path, pins: tuple[Pin, ...] = PINS) -> None:
        environ = {"HOME": str(folder), "COLABENV_HOME": str(folder / "home"), "PATH": "/usr/bin:/bin"}
        super().__init__(environ, runner=SystemRunner())
        self.fake = FakeInstaller([pins])
        self.shipped = folder / "shipped"

    def host(self) -> Host:
        return HOST

    def installer(self) -> Installer:
        return self.fake

    def outside(self) -> ProfileSources:
        return ProfileSources(self.shipped)


@pytest.fixture
def shipped(tmp_path: Path) -> Path:
    """A folder with one profile and its cpu lock, as they ship."""
    folder = tmp_path / "shipped"
    folder.mkdir()
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    text = f"# What six is for,\n# in two lines.\nname: one\npython: {here}\npackages: [six]\n"
    (folder / "one.yaml").write_text(f"{text}kernel: {{google_colab: off}}\n")
    lock(Machine(tmp_path), str(folder / "one.yaml"), variant="cpu")
    return folder


def test_builtin_profiles_are_listed(tmp_path: Path, shipped: Path) -> None:
    (shipped / "two.yaml").write_text('name: two\nstack: {tensorflow: "2.15.1", keras: "2.15"}\n')
    found = profiles(Machine(tmp_path))
    one, two = found.profiles
    assert (one.name, one.stack, one.about) == ("one", "none", "What six is for, in two lines.")
    assert (one.locks, two.locks) == (("cpu",), ())
    assert (two.python, two.stack, two.about) == ("3.11", "TensorFlow 2.15.1, Keras 2.15", "")
    table = found.table()
    assert table is not None
    assert [row[0] for row in table[1]] == ["one", "two"]
    assert json.loads(json.dumps(found.as_dict()))["profiles"][0]["path"] == str(shipped / "one.yaml")


@pytest.mark.parametrize(
    ("stack", "shown"),
    [
        ("{torch: 2.6, jax: 0.5}", "PyTorch 2.6, JAX 0.5"),
        ("{keras: 3.11, backend: jax, jax: 0.5}", "JAX 0.5, Keras 3.11 on jax"),
        ("{backend: torch}", "Keras on torch"),
    ],
)
def test_every_listed_framework_is_known(tmp_path: Path, shipped: Path, stack: str, shown: str) -> None:
    (shipped / "two.yaml").write_text(f"name: two\nstack: {stack}\n")
    assert profiles(Machine(tmp_path)).profiles[1].stack == shown


def test_missing_builtin_profiles_are_reported(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="are missing from"):
        profiles(Machine(tmp_path))


def test_builtin_profile_uses_its_lock(tmp_path: Path, shipped: Path) -> None:
    plan = up(Machine(tmp_path), "builtin:one", frozen=True, dry_run=True, variant="cpu")
    assert isinstance(plan, DryRunResult)
    assert (plan.lock_state, plan.lock) == ("kept", str(shipped / "one.cpu.lock.txt"))
    with pytest.raises(ProfileError, match="unknown built-in profile") as caught:
        up(Machine(tmp_path), "builtin:none")
    assert caught.value.hint == "Built-in profiles: one."


def test_builtin_folder_is_never_written_and_own_lock_takes_precedence(tmp_path: Path, shipped: Path) -> None:
    before = {path.name: path.read_bytes() for path in shipped.iterdir()}
    done = lock(Machine(tmp_path, NEWER), "builtin:one", variant="both", upgrade=())
    own = tmp_path / "home" / "locks"
    assert [one.path for one in done.locks] == [str(own / f"one.{v}.lock.txt") for v in ("cpu", "gpu")]
    assert {path.name: path.read_bytes() for path in shipped.iterdir()} == before
    plan = up(Machine(tmp_path), "builtin:one", frozen=True, dry_run=True, variant="cpu")
    assert plan.as_dict()["pins"] == {"six": "1.17.0"}


def test_outdated_own_lock_is_replaced_by_the_builtin_one(tmp_path: Path, shipped: Path) -> None:
    lock(Machine(tmp_path, NEWER), "builtin:one", variant="cpu", upgrade=())
    own = tmp_path / "home" / "locks" / "one.cpu.lock.txt"
    made = parse_lock(own.read_text(), "own")
    own.write_text(own.read_text().replace(made.header.digest, "0" * 64))
    plan = up(Machine(tmp_path), "builtin:one", frozen=True, dry_run=True, variant="cpu")
    assert plan.as_dict()["pins"] == {"six": "1.16.0"}


def test_builtin_profile_does_not_depend_on_the_folder(tmp_path: Path, shipped: Path) -> None:
    machine = Machine(tmp_path)
    loaded = load("builtin:one", machine.outside())
    assert (loaded.builtin, loaded.reference) == (True, "builtin:one")
    plain = load(shipped / "one.yaml")
    assert (plain.builtin, plain.reference) == (False, str(shipped.resolve() / "one.yaml"))
    relative, builtin = (
        up_cache.cache_path(machine.home, name, "auto") for name in ("x.yaml", "builtin:one")
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        assert up_cache.cache_path(machine.home, "builtin:one", "auto") == builtin
        assert up_cache.cache_path(machine.home, "x.yaml", "auto") != relative


def test_all_builtin_profiles_exist() -> None:
    tensorflow = {"tf-2.10", "tf-2.15", "tf-2.18", "tf-2.21", "keras-2-on-tf-2.18"}
    assert {"quickstart", "course", "keras-on-jax", "keras-on-torch"} | tensorflow <= set(SHIPPED)


@pytest.mark.parametrize("name", SHIPPED)
def test_each_has_a_description_and_the_name_of_its_file(tmp_path: Path, name: str) -> None:
    (found,) = [
        one for one in profiles(Context({"COLABENV_HOME": str(tmp_path)})).profiles if one.name == name
    ]
    assert load(found.path).profile.name == name
    assert found.about.endswith(".")
    assert found.locks == ("cpu", "gpu")


@pytest.mark.parametrize("name", SHIPPED)
def test_builtin_locks_are_current(tmp_path: Path, name: str) -> None:
    # If this fails after a change to a profile or to the stack's rules: scripts/refresh-locks
    context = Context({"COLABENV_HOME": str(tmp_path)})
    done = lock(context, f"builtin:{name}", check=True)
    assert [(one.variant, one.state) for one in done.locks] == [("cpu", "kept"), ("gpu", "kept")]
    for one in done.locks:
        assert Path(one.path).parent == find_builtin_folder()
        assert "://" not in Path(one.path).read_text()


@pytest.mark.parametrize("name", SHIPPED)
def test_builtin_locks_contain_the_packages_of_their_variant(name: str) -> None:
    locks = {
        variant: parse_lock((find_builtin_folder() / f"{name}.{variant}.lock.txt").read_text(), name)
        for variant in ("cpu", "gpu")
    }
    cuda = {
        v: [pin.name for pin in lock.pins if pin.name.startswith("nvidia-cudnn")] for v, lock in locks.items()
    }
    assert len(cuda["gpu"]) == 1
    # PyTorch has no other wheels on the package index.
    assert cuda["cpu"] == (cuda["gpu"] if name == "keras-on-torch" else [])
    backend = load(find_builtin_folder() / f"{name}.yaml").profile.stack.backend
    assert (locks["cpu"].version_of("tensorflow") is None) == (backend is not None)
    assert locks["cpu"].version_of(backend or "tensorflow")
    assert {lock.header.kernel for lock in locks.values()} == {"colab"}
