"""Installing from a store, and from the index what the store lacks."""

from __future__ import annotations

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
from colabenv.store.manifest import Layer
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
CALM = RestoreLimits(answer=60, later_answer=60, min_elapsed=60)
QUICK = RestoreLimits(
    answer=0.3, later_answer=0.3, min_elapsed=0.4, min_download=0.2, silence=0.3, interval=0.05
)
GONE = NetworkError("The package index could not be reached while installing.")


@dataclass
class Machine:
    """A folder, an index and a store."""

    root: Path
    store: MemoryStore = field(default_factory=MemoryStore)
    index: FakeInstaller = field(default_factory=FakeInstaller)
    limits: RestoreLimits = CALM
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

    def asked(self) -> list[tuple[str, tuple[str, ...]]]:
        """The calls of the inner installer: the verb and the names."""
        return [
            (verb, tuple(pin.name for pin in job.lock.pins))
            for verb, job in self.index.jobs
            if verb != "create"
        ]

    def modules(self) -> list[str]:
        """The modules that came from the store."""
        return sorted(path.name for path in (self.root / "d1" / SITE).glob("*.py"))

    def left(self) -> list[str]:
        """Other files beside the environment."""
        return sorted(path.name for path in self.root.iterdir() if path.name != "d1")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def good(*names: str) -> list[tuple[Layer, bytes]]:
    return [make_package_layer(name, "1.0", WHEELS[name]) for name in names]


def test_everything_comes_from_the_store(machine: Machine) -> None:
    put_manifest(machine.store, LOCK.pins_digest, *good(*NAMES))
    environment, installer = machine.up()
    assert machine.asked() == []
    assert machine.modules() == ["attrs_0.py", "idna_0.py", "six_0.py"]
    assert installer.restored.names == NAMES
    assert installer.restored.wanted == 3
    assert installer.restored.bytes == sum(len(data) for _, data in good(*NAMES))
    assert environment.stamp.installer == "uv"
    assert machine.notes == []
    assert machine.left() == []


def test_missing_packages_come_from_the_index(machine: Machine) -> None:
    put_manifest(machine.store, LOCK.pins_digest, *good("six", "idna"))
    _, installer = machine.up()
    assert machine.asked() == [("add", ("attrs",))]
    assert installer.restored.names == ("idna", "six")
    assert machine.notes == []


def test_cached_wheels_are_not_downloaded(machine: Machine) -> None:
    machine.index.all_here = True
    put_manifest(machine.store, LOCK.pins_digest, *good(*NAMES))
    _, installer = machine.up()
    assert machine.asked() == [("install", NAMES)]
    assert installer.restored.names == ()
    assert machine.notes == ["This machine has all wheels already, so the store was not needed."]
    assert machine.left() == []


def test_a_damaged_cache_without_an_index_restores_from_the_store(machine: Machine) -> None:
    """The cache turns out to be damaged, and the index cannot be reached."""
    machine.index.all_here, machine.index.install_error = True, GONE
    put_manifest(machine.store, LOCK.pins_digest, *good(*NAMES))
    _, installer = machine.up()
    assert installer.restored.names == NAMES
    assert machine.left() == []


def test_an_empty_store_changes_nothing(machine: Machine) -> None:
    _, installer = machine.up()
    assert machine.asked() == [("install", NAMES)]
    assert installer.restored.names == ()
    assert machine.notes == []


def flipped() -> tuple[Layer, bytes]:
    layer, data = make_package_layer("six", "1.0", WHEELS["six"], size=400)
    return layer, data[:60] + bytes([data[60] ^ 4]) + data[61:]


def cut() -> tuple[Layer, bytes]:
    layer, data = make_package_layer("six", "1.0", WHEELS["six"], parts=3, size=400)
    return layer, data[:-7]


def make_forged_layer(chunk: bytes, files: int = 1) -> tuple[Layer, bytes]:
    return make_layer("six", "1.0", WHEELS["six"], [chunk], files)


def climbing() -> tuple[Layer, bytes]:
    return make_forged_layer(make_raw_chunk([["../../escaped.py", "f", 0o644, 1, 4, 0, 4]], b"evil"))


def absolute() -> tuple[Layer, bytes]:
    return make_forged_layer(make_raw_chunk([["/tmp/colabenv-escaped.py", "f", 0o644, 1, 4, 0, 4]], b"evil"))


def outside_link() -> tuple[Layer, bytes]:
    return make_forged_layer(make_raw_chunk([[f"{SITE}/evil", "l", 0o777, 1, 11, 0, 11]], b"/etc/passwd"))


def device() -> tuple[Layer, bytes]:
    return make_forged_layer(make_raw_chunk([[f"{SITE}/null", "c", 0o666, 1, 0, 0, 0]]))


def setuid() -> tuple[Layer, bytes]:
    return make_forged_layer(make_raw_chunk([["bin/six", "f", 0o4755, 1, 4, 0, 4]], b"evil"))


def over_the_python() -> tuple[Layer, bytes]:
    return make_forged_layer(make_raw_chunk([["bin/python", "f", 0o755, 1, 4, 0, 4]], b"evil"))


def bomb() -> tuple[Layer, bytes]:
    layer, _ = make_forged_layer(make_chunk({f"{SITE}/six.py": b"x"}))
    data = zstandard.compress(bytes(200 << 20))
    chunk = layer.chunks[0].__class__(len(data), 1000, _digest(data))
    return Layer("six", "1.0", WHEELS["six"], 1, (chunk,)), data


def _digest(data: bytes) -> str:
    import hashlib

    return hashlib.sha256(data).hexdigest()


def files_missing() -> tuple[Layer, bytes]:
    return make_forged_layer(make_chunk({f"{SITE}/six.py": b"x"}), files=2)


def garbage() -> tuple[Layer, bytes]:
    return make_forged_layer(b"\xff" * 100)


HOSTILE = (
    flipped,
    cut,
    climbing,
    absolute,
    outside_link,
    device,
    setuid,
    over_the_python,
    bomb,
    files_missing,
    garbage,
)


@pytest.mark.parametrize("kind", HOSTILE, ids=lambda kind: kind.__name__)
def test_a_hostile_layer_comes_from_the_index(
    machine: Machine, kind: Callable[[], tuple[Layer, bytes]]
) -> None:
    put_manifest(machine.store, LOCK.pins_digest, *good("idna", "attrs"), kind())
    _, installer = machine.up()
    assert machine.asked() == [("add", ("six",))]
    assert installer.restored.names == ("attrs", "idna")
    assert machine.modules() == ["attrs_0.py", "idna_0.py"]
    (note,) = machine.notes
    assert "Installing 1 package from the index instead" in note
    assert "six 1.0" in note
    assert machine.left() == []
    assert not Path("/tmp/colabenv-escaped.py").exists()
    assert not list(machine.root.parent.glob("escaped.py"))


def test_a_missing_object_comes_from_the_index(machine: Machine) -> None:
    put_manifest(machine.store, LOCK.pins_digest, *good(*NAMES))
    del machine.store.objects[good("idna")[0][0].object_name(TAG)]
    machine.up()
    assert machine.asked() == [("add", ("idna",))]


def test_a_layer_with_another_package_discards_the_restore(machine: Machine) -> None:
    # It is what the manifest says, and the manifest lies: then nothing of that store is believed.
    liar = make_layer("six", "1.0", WHEELS["six"], [make_chunk({f"{SITE}/evil.py": b"evil"})], 1)
    put_manifest(machine.store, LOCK.pins_digest, *good("idna", "attrs"), liar)
    _, installer = machine.up()
    assert machine.asked() == [("install", NAMES)]
    assert machine.modules() == []
    assert installer.restored.names == ()
    assert "does not contain six 1.0" in machine.notes[0]


def test_layers_that_contradict_each_other_discard_the_restore(machine: Machine) -> None:
    # What is a file in one is a folder in the other.
    first = make_layer("six", "1.0", WHEELS["six"], [make_chunk({f"{SITE}/both/in.py": b"1"})], 1)
    second = make_layer("idna", "1.0", WHEELS["idna"], [make_chunk({f"{SITE}/both": b"2"})], 1)
    put_manifest(machine.store, LOCK.pins_digest, *good("attrs"), first, second)
    machine.up()
    assert machine.asked() == [("install", NAMES)]
    assert machine.modules() == []
    assert machine.left() == []


def offline() -> FakeInstaller:
    """An index that cannot be reached."""
    return FakeInstaller(install_error=GONE, add_error=GONE)


def test_without_an_index_a_slow_store_is_used(machine: Machine) -> None:
    machine.index = offline()
    machine.store.waiting = "layers/"
    machine.limits = replace(QUICK, answer=60, later_answer=60)
    put_manifest(machine.store, LOCK.pins_digest, *good(*NAMES))
    threading.Timer(1, machine.store.let_go.set).start()
    _, installer = machine.up()
    assert machine.asked() == [("add", NAMES)]
    assert installer.restored.names == NAMES
    assert "sent nothing" in machine.notes[0]
    assert "however long it takes" in machine.notes[1]


def test_without_an_index_a_late_store_is_used(machine: Machine) -> None:
    machine.index = offline()
    machine.store.waiting = "manifests/"
    machine.limits = QUICK
    put_manifest(machine.store, LOCK.pins_digest, *good(*NAMES))
    threading.Timer(1, machine.store.let_go.set).start()
    _, installer = machine.up()
    assert machine.asked() == [("install", NAMES)]
    assert installer.restored.names == NAMES


@pytest.mark.parametrize("layers", [(), ("six",)], ids=["an empty store", "a part"])
def test_without_an_index_missing_packages_are_an_error(machine: Machine, layers: Sequence[str]) -> None:
    machine.index = offline()
    put_manifest(machine.store, LOCK.pins_digest, *good(*layers))
    with pytest.raises(NetworkError):
        machine.up()
    assert machine.left() == []
    assert not (machine.root / "d1").exists()


@pytest.mark.parametrize(
    "error",
    [
        DiskError("The disk filled up."),
        CorruptError("A file is not what the lock says."),
        KeyboardInterrupt(),
    ],
)
def test_errors_of_the_inner_installer_are_raised(machine: Machine, error: BaseException) -> None:
    machine.index = FakeInstaller(add_error=error)
    put_manifest(machine.store, LOCK.pins_digest, *good("six"))
    with pytest.raises(type(error)):
        machine.up()
    assert machine.left() == []
    assert not (machine.root / "d1").exists()


def test_another_release_in_the_new_environment_is_removed(machine: Machine) -> None:
    class WithPip(FakeInstaller):
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

    machine.index = WithPip()
    put_manifest(machine.store, LOCK.pins_digest, *good(*NAMES))
    machine.up()
    site = machine.root / "d1" / SITE
    assert not (site / "six" / "old.py").exists()
    assert not (site / "six" / "a,b.py").exists()
    assert sorted(path.name for path in site.glob("six-*")) == ["six-1.0.dist-info"]
    assert (machine.root / "d1" / "bin" / "python").exists()
