"""Installing packages from a store, and from the package index those that the store does not have."""

from __future__ import annotations

import hashlib
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import zstandard

from colabenv.environment.build import Environment, Stamp, build
from colabenv.environment.installers.base import Job
from colabenv.errors import CorruptError, DiskError, NetworkError
from colabenv.host.interpreters import Interpreter
from colabenv.lock.lockfile import Header, Lock, Pin
from colabenv.store.installer import StoreInstaller
from colabenv.store.manifest import Chunk, Layer
from colabenv.store.restore import RestoreSession
from colabenv.store.throughput import RestoreLimits
from colabenv.system.progress import SilentProgress
from support.fake_installer import FakeInstaller
from support.memory_store import (
    TAG,
    MemoryStore,
    make_chunk,
    make_layer,
    make_package_layer,
    make_raw_chunk,
    put_manifest,
)

SITE = "lib/python3.11/site-packages"
NAMES = ("attrs", "idna", "six")
WHEELS = {name: f"{number:064x}" for number, name in enumerate(NAMES, start=1)}
LOCK = Lock(
    Header("demo", "0" * 64, "3.11", "cpu", "plain", ""),
    tuple(Pin(name, "1.0", (f"sha256:{WHEELS[name]}",)) for name in NAMES),
)
PYTHON = Interpreter(Path(sys.executable), "3.11.7", "on PATH")
STAMP = Stamp("demo", "d1", "3.11.7", "cpu", "plain", 3, "uv", 0, "/p/profile.yaml", "/p/demo.cpu.lock.txt")
PATIENT = RestoreLimits(answer=60, later_answer=60, min_elapsed=60)
IMPATIENT = RestoreLimits(
    answer=0.3, later_answer=0.3, min_elapsed=0.4, min_download=0.2, silence=0.3, interval=0.05
)
UNREACHABLE = NetworkError("The package index could not be reached while installing.")


@dataclass
class Machine:
    """A machine with a folder for environments, a package index and a store."""

    root: Path
    store: MemoryStore = field(default_factory=MemoryStore)
    index: FakeInstaller = field(default_factory=FakeInstaller)
    limits: RestoreLimits = PATIENT
    notes: list[str] = field(default_factory=list)

    def up(self) -> tuple[Environment, StoreInstaller]:
        """Build the environment as `up` does."""
        session = RestoreSession(lambda: self.store, lambda _: None, self.limits)
        try:
            session.begin(LOCK, TAG, self.root)
            installer = StoreInstaller(self.index, session, self.notes.append)
            job = Job(LOCK, PYTHON, self.root / "d1", (), ())
            return build(job, STAMP, installer, SilentProgress())[0], installer
        finally:
            session.close()

    def index_calls(self) -> list[tuple[str, tuple[str, ...]]]:
        """The calls of the index's installer: method and package names."""
        return [
            (method, tuple(pin.name for pin in job.lock.pins))
            for method, job in self.index.jobs
            if method != "create"
        ]

    def restored_modules(self) -> list[str]:
        """The modules that came from the store."""
        return sorted(path.name for path in (self.root / "d1" / SITE).glob("*.py"))

    def leftovers(self) -> list[str]:
        """Files beside the environment."""
        return sorted(path.name for path in self.root.iterdir() if path.name != "d1")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def make_layers(*names: str) -> list[tuple[Layer, bytes]]:
    """Intact layers of these packages."""
    return [make_package_layer(name, "1.0", WHEELS[name]) for name in names]


def test_all_packages_are_restored_from_the_store(machine: Machine) -> None:
    put_manifest(machine.store, LOCK.pins_digest, *make_layers(*NAMES))
    environment, installer = machine.up()
    assert machine.index_calls() == []
    assert machine.restored_modules() == ["attrs_0.py", "idna_0.py", "six_0.py"]
    assert installer.restored.names == NAMES
    assert installer.restored.wanted == 3
    assert installer.restored.bytes == sum(len(data) for _, data in make_layers(*NAMES))
    assert environment.stamp.installer == "uv"
    assert machine.notes == []
    assert machine.leftovers() == []


def test_packages_missing_from_the_store_are_installed_from_the_index(machine: Machine) -> None:
    put_manifest(machine.store, LOCK.pins_digest, *make_layers("six", "idna"))
    _, installer = machine.up()
    assert machine.index_calls() == [("add", ("attrs",))]
    assert installer.restored.names == ("idna", "six")
    assert machine.notes == []


def test_store_is_not_used_if_all_wheels_are_cached(machine: Machine) -> None:
    machine.index.all_here = True
    put_manifest(machine.store, LOCK.pins_digest, *make_layers(*NAMES))
    _, installer = machine.up()
    assert machine.index_calls() == [("install", NAMES)]
    assert installer.restored.names == ()
    assert machine.notes == ["This machine has all wheels already, so the store was not needed."]
    assert machine.leftovers() == []


def test_store_is_used_if_the_cache_is_damaged_and_the_index_unreachable(machine: Machine) -> None:
    machine.index.all_here, machine.index.install_error = True, UNREACHABLE
    put_manifest(machine.store, LOCK.pins_digest, *make_layers(*NAMES))
    _, installer = machine.up()
    assert installer.restored.names == NAMES
    assert machine.leftovers() == []


def test_empty_store_installs_from_the_index(machine: Machine) -> None:
    _, installer = machine.up()
    assert machine.index_calls() == [("install", NAMES)]
    assert installer.restored.names == ()
    assert machine.notes == []


def flipped_bit() -> tuple[Layer, bytes]:
    layer, data = make_package_layer("six", "1.0", WHEELS["six"], size=400)
    return layer, data[:60] + bytes([data[60] ^ 4]) + data[61:]


def truncated() -> tuple[Layer, bytes]:
    layer, data = make_package_layer("six", "1.0", WHEELS["six"], parts=3, size=400)
    return layer, data[:-7]


def make_forged_layer(chunk: bytes, files: int = 1) -> tuple[Layer, bytes]:
    return make_layer("six", "1.0", WHEELS["six"], [chunk], files)


def path_outside() -> tuple[Layer, bytes]:
    return make_forged_layer(make_raw_chunk([["../../escaped.py", "f", 0o644, 1, 4, 0, 4]], b"evil"))


def absolute_path() -> tuple[Layer, bytes]:
    return make_forged_layer(make_raw_chunk([["/tmp/colabenv-escaped.py", "f", 0o644, 1, 4, 0, 4]], b"evil"))


def link_to_outside() -> tuple[Layer, bytes]:
    return make_forged_layer(make_raw_chunk([[f"{SITE}/evil", "l", 0o777, 1, 11, 0, 11]], b"/etc/passwd"))


def device() -> tuple[Layer, bytes]:
    return make_forged_layer(make_raw_chunk([[f"{SITE}/null", "c", 0o666, 1, 0, 0, 0]]))


def setuid_program() -> tuple[Layer, bytes]:
    return make_forged_layer(make_raw_chunk([["bin/six", "f", 0o4755, 1, 4, 0, 4]], b"evil"))


def other_python() -> tuple[Layer, bytes]:
    return make_forged_layer(make_raw_chunk([["bin/python", "f", 0o755, 1, 4, 0, 4]], b"evil"))


def decompression_bomb() -> tuple[Layer, bytes]:
    data = zstandard.compress(bytes(200 << 20))
    chunk = Chunk(len(data), 1000, hashlib.sha256(data).hexdigest())
    return Layer("six", "1.0", WHEELS["six"], 1, (chunk,)), data


def missing_file() -> tuple[Layer, bytes]:
    return make_forged_layer(make_chunk({f"{SITE}/six.py": b"x"}), files=2)


def garbage() -> tuple[Layer, bytes]:
    return make_forged_layer(b"\xff" * 100)


INVALID_LAYERS = (
    flipped_bit,
    truncated,
    path_outside,
    absolute_path,
    link_to_outside,
    device,
    setuid_program,
    other_python,
    decompression_bomb,
    missing_file,
    garbage,
)


@pytest.mark.parametrize("make_invalid_layer", INVALID_LAYERS, ids=lambda function: function.__name__)
def test_package_with_an_invalid_layer_is_installed_from_the_index(
    machine: Machine, make_invalid_layer: Callable[[], tuple[Layer, bytes]]
) -> None:
    put_manifest(machine.store, LOCK.pins_digest, *make_layers("idna", "attrs"), make_invalid_layer())
    _, installer = machine.up()
    assert machine.index_calls() == [("add", ("six",))]
    assert installer.restored.names == ("attrs", "idna")
    assert machine.restored_modules() == ["attrs_0.py", "idna_0.py"]
    (note,) = machine.notes
    assert "Installing 1 package from the index instead" in note
    assert "six 1.0" in note
    assert machine.leftovers() == []
    assert not Path("/tmp/colabenv-escaped.py").exists()
    assert not list(machine.root.parent.glob("escaped.py"))


def test_package_with_a_missing_object_is_installed_from_the_index(machine: Machine) -> None:
    put_manifest(machine.store, LOCK.pins_digest, *make_layers(*NAMES))
    del machine.store.objects[make_layers("idna")[0][0].object_name(TAG)]
    machine.up()
    assert machine.index_calls() == [("add", ("idna",))]


def test_nothing_is_restored_if_a_layer_has_another_package(machine: Machine) -> None:
    # The layer matches the manifest, so the manifest is wrong, and nothing in the store can be trusted.
    evil = make_layer("six", "1.0", WHEELS["six"], [make_chunk({f"{SITE}/evil.py": b"evil"})], 1)
    put_manifest(machine.store, LOCK.pins_digest, *make_layers("idna", "attrs"), evil)
    _, installer = machine.up()
    assert machine.index_calls() == [("install", NAMES)]
    assert machine.restored_modules() == []
    assert installer.restored.names == ()
    assert "does not contain six 1.0" in machine.notes[0]


def test_nothing_is_restored_if_layers_conflict(machine: Machine) -> None:
    folder = make_layer("six", "1.0", WHEELS["six"], [make_chunk({f"{SITE}/both/in.py": b"1"})], 1)
    file = make_layer("idna", "1.0", WHEELS["idna"], [make_chunk({f"{SITE}/both": b"2"})], 1)
    put_manifest(machine.store, LOCK.pins_digest, *make_layers("attrs"), folder, file)
    machine.up()
    assert machine.index_calls() == [("install", NAMES)]
    assert machine.restored_modules() == []
    assert machine.leftovers() == []


def unreachable_index() -> FakeInstaller:
    return FakeInstaller(install_error=UNREACHABLE, add_error=UNREACHABLE)


def test_slow_store_is_used_if_the_index_is_unreachable(machine: Machine) -> None:
    machine.index = unreachable_index()
    machine.store.waiting = "layers/"
    machine.limits = replace(IMPATIENT, answer=60, later_answer=60)
    put_manifest(machine.store, LOCK.pins_digest, *make_layers(*NAMES))
    threading.Timer(1, machine.store.resume.set).start()
    _, installer = machine.up()
    assert machine.index_calls() == [("add", NAMES)]
    assert installer.restored.names == NAMES
    assert "sent nothing" in machine.notes[0]
    assert "however long it takes" in machine.notes[1]


def test_store_that_answers_late_is_used_if_the_index_is_unreachable(machine: Machine) -> None:
    machine.index = unreachable_index()
    machine.store.waiting = "manifests/"
    machine.limits = IMPATIENT
    put_manifest(machine.store, LOCK.pins_digest, *make_layers(*NAMES))
    threading.Timer(1, machine.store.resume.set).start()
    _, installer = machine.up()
    assert machine.index_calls() == [("install", NAMES)]
    assert installer.restored.names == NAMES


@pytest.mark.parametrize("stored", [(), ("six",)], ids=["empty store", "incomplete store"])
def test_missing_package_is_an_error_if_the_index_is_unreachable(
    machine: Machine, stored: Sequence[str]
) -> None:
    machine.index = unreachable_index()
    put_manifest(machine.store, LOCK.pins_digest, *make_layers(*stored))
    with pytest.raises(NetworkError):
        machine.up()
    assert machine.leftovers() == []
    assert not (machine.root / "d1").exists()


@pytest.mark.parametrize(
    "error",
    [
        DiskError("The disk filled up."),
        CorruptError("A file is not what the lock says."),
        KeyboardInterrupt(),
    ],
)
def test_errors_of_the_index_installer_are_raised(machine: Machine, error: BaseException) -> None:
    machine.index = FakeInstaller(add_error=error)
    put_manifest(machine.store, LOCK.pins_digest, *make_layers("six"))
    with pytest.raises(type(error)):
        machine.up()
    assert machine.leftovers() == []
    assert not (machine.root / "d1").exists()


def test_another_release_in_the_new_environment_is_removed(machine: Machine) -> None:
    class PreinstallingInstaller(FakeInstaller):
        def create(self, job: Job) -> None:
            super().create(job)
            site = job.prefix / SITE
            (site / "six").mkdir(parents=True)
            (site / "six" / "old.py").write_text("old")
            (site / "six" / "a,b.py").write_text("old")
            (site / "six-0.9.dist-info").mkdir()
            (site / "six-0.9.dist-info" / "RECORD").write_text(
                'six/old.py,,\n"six/a,b.py",,\n../../../bin/python,,\n/etc/hostname,,\nsix-0.9.dist-info/RECORD,,\n'
            )

    machine.index = PreinstallingInstaller()
    put_manifest(machine.store, LOCK.pins_digest, *make_layers(*NAMES))
    machine.up()
    site = machine.root / "d1" / SITE
    assert not (site / "six" / "old.py").exists()
    assert not (site / "six" / "a,b.py").exists()
    assert sorted(path.name for path in site.glob("six-*")) == ["six-1.0.dist-info"]
    assert (machine.root / "d1" / "bin" / "python").exists()
