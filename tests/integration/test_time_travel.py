"""`as_of` and `like` against the package index: what is locked was there, and is what the runtime shipped."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from colabenv.frameworks.runtimes import load_runtime
from colabenv.lock.lockfile import Lock, parse_lock
from colabenv.lock.resolve import KERNEL_PARTS
from colabenv.profile.times import RUNTIMES
from support.pythons import interpreters

pytestmark = [pytest.mark.network, pytest.mark.slow]

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
Locked = Callable[..., Lock]
#: Of the lists, what the kernel's own constraints hold at another version: `notebook<6.5`.
OTHER = {"notebook"}


def require_python(minor: str) -> None:
    if minor not in interpreters():
        pytest.skip(f"no CPython {minor} on this machine")


@pytest.fixture
def command(tmp_path: Path, uv_cache: Path) -> Callable[..., str]:
    """Runs colabenv as a person does, on the machine's own index."""
    folders = [str(path.parent) for path in interpreters().values()]
    environ = {
        **{
            name: value
            for name, value in os.environ.items()
            if name.startswith(("UV_", "SSL_", "HTTP", "http"))
        },
        "PATH": os.pathsep.join([*folders, "/usr/local/bin:/usr/bin:/bin"]),
        "HOME": str(tmp_path),
        "COLABENV_HOME": str(tmp_path / "store"),
        "JUPYTER_DATA_DIR": str(tmp_path / "jupyter"),
        "UV_CACHE_DIR": str(uv_cache),
    }

    def run(*arguments: str) -> str:
        argv = [sys.executable, "-m", "colabenv", *arguments]
        done = subprocess.run(argv, env=environ, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


@pytest.fixture
def locked(tmp_path: Path, command: Callable[..., str]) -> Locked:
    """Locks a profile without its first line, which is the name."""

    def lock(text: str, variant: str = "cpu") -> Lock:
        (tmp_path / "then.yaml").write_text(f"name: then\n{text}")
        command("lock", "then.yaml", "--variant", variant)
        return parse_lock((tmp_path / f"then.{variant}.lock.txt").read_text(), "then")

    return lock


@pytest.fixture(scope="module")
def uploads() -> Iterator[Callable[[str], dict[str, str]]]:
    """Asks the package index for a distribution's files: sha256 to the moment of upload."""
    sys.path.insert(0, str(SCRIPTS))
    index: Any = importlib.import_module("stacktable.index")
    base = index.find_index_url()

    def of(name: str) -> dict[str, str]:
        page = json.loads(index._get(f"{base}/{name}/", Accept=index._LISTING))
        return {file["hashes"]["sha256"]: file["upload-time"] for file in page["files"]}

    yield of
    sys.path.remove(str(SCRIPTS))


def newest(lock: Lock, uploads: Callable[[str], dict[str, str]]) -> dict[str, str]:
    """By distribution, the day of the newest file that the lock admits."""
    with ThreadPoolExecutor(4) as pool:
        pages = dict(zip(lock.pins, pool.map(lambda pin: uploads(pin.name), lock.pins), strict=True))
    return {
        pin.name: max(page[value.removeprefix("sha256:")] for value in pin.hashes)[:10]
        for pin, page in pages.items()
    }


def test_as_of_locks_only_earlier_uploads(locked: Locked, uploads: Callable[[str], dict[str, str]]) -> None:
    require_python("3.10")
    lock = locked('python: "3.10"\nas_of: 2023-04-02\npackages: [pandas, requests]\n')
    found = {name: lock.version_of(name) for name in ("pandas", "numpy", "requests", "urllib3", "ipykernel")}
    assert found == {
        "pandas": "1.5.3", "numpy": "1.24.2", "requests": "2.28.2", "urllib3": "1.26.15", "ipykernel": "6.17.1"
    }  # fmt: skip
    assert (lock.header.as_of, lock.header.kernel) == ("2023-04-02", "colab")
    assert {name: day for name, day in newest(lock, uploads).items() if day > "2023-04-02"} == {}


def test_like_locks_the_versions_of_the_runtime(locked: Locked) -> None:
    check_like("colab-2025.07", "cpu", locked)


def check_like(name: str, variant: str, locked: Locked) -> None:
    shipped = load_runtime(name).packages(variant)
    require_python(load_runtime(name).python)
    stack = f"stack: {{tensorflow: {shipped['tensorflow']}}}"
    lock = locked(f"like: {name}\n{stack}\npackages: [numpy, pandas]\n", variant)
    assert (lock.header.like, lock.header.python, lock.header.kernel) == (
        name,
        load_runtime(name).python,
        "colab",
    )
    pinned = {pin.name: pin.version for pin in lock.pins}
    assert {"numpy", "pandas", "tensorflow", "keras", "protobuf", "h5py"} <= set(pinned)
    held = {
        one: version
        for one, version in pinned.items()
        # TensorFlow's CUDA wheels are its own: Colab has PyTorch's, and lets TensorFlow take the machine's.
        if one in shipped and one not in OTHER and not one.startswith("nvidia-")
    }
    assert held == {one: shipped[one] for one in held}
    assert len(held) > 60


@pytest.mark.wheels
@pytest.mark.parametrize("variant", ["cpu", "gpu"])
@pytest.mark.parametrize("name", RUNTIMES)
def test_all_pins_of_every_runtime_match(name: str, variant: str, locked: Locked) -> None:
    check_like(name, variant, locked)


@pytest.mark.wheels
@pytest.mark.parametrize(
    ("tensorflow", "others"),
    [
        ("2.15", {"tensorflow", "keras", "numpy", "protobuf", "ml-dtypes", "tensorboard", "wrapt"}),
        ("2.17", {"tensorflow", "numpy", "protobuf", "tensorboard"}),
    ],
)
def test_other_tensorflow_changes_only_its_requirements(
    tensorflow: str, others: set[str], locked: Locked
) -> None:
    require_python("3.11")
    lock = locked(
        f"like: colab-2025.07\nstack: {{tensorflow: '{tensorflow}'}}\npackages: [pandas, scikit-learn]\n"
    )
    shipped = load_runtime("colab-2025.07").cpu
    moved = {pin.name for pin in lock.pins if shipped.get(pin.name, pin.version) != pin.version}
    assert moved - set(KERNEL_PARTS) == others


@pytest.mark.wheels
@pytest.mark.parametrize(
    ("as_of", "stack", "variant", "versions"),
    [
        ("2023-04-02", "2", "cpu", {"tensorflow": "2.12.0", "keras": "2.12.0", "numpy": "1.23.5"}),
        ("2022-10-01", ">=2.8", "cpu", {"tensorflow": "2.10.0", "keras": "2.10.0", "protobuf": "3.19.6"}),
        ("2022-10-01", "2.10", "gpu", {"tensorflow": "2.10.0", "nvidia-cudnn-cu11": "8.6.0.163"}),
        ("2021-06-01", "2.5", "cpu", {"tensorflow": "2.5.0", "numpy": "1.19.5"}),
    ],
)
def test_tensorflow_of_a_day(
    as_of: str,
    stack: str,
    variant: str,
    versions: dict[str, str],
    locked: Locked,
    uploads: Callable[[str], dict[str, str]],
) -> None:
    lock = locked(f"as_of: {as_of}\nstack: {{tensorflow: '{stack}'}}\n", variant)
    assert {name: lock.version_of(name) for name in versions} == versions
    assert lock.header.kernel == "colab"
    newer = {name: day for name, day in newest(lock, uploads).items() if day > as_of}
    ours = {name for name in newer if name in KERNEL_PARTS or name.startswith("nvidia-")}
    assert set(newer) == ours
    assert all(day <= "2023-01-31" for name, day in newer.items() if name in KERNEL_PARTS)


@pytest.mark.wheels
def test_old_notebook_runs_with_the_versions_of_its_time(tmp_path: Path, command: Callable[..., str]) -> None:
    require_python("3.11")
    shipped = load_runtime("colab-2025.07").cpu
    names = ("numpy", "pandas", "tensorflow", "keras")
    code = "\n".join(
        [
            f"import {', '.join(names)}",
            "frame = pandas.DataFrame({'x': numpy.arange(4.0)})",
            "assert float(tensorflow.reduce_sum(frame.x)) == 6.0",
            *(f"assert {name}.__version__ == {shipped[name]!r}, {name}.__version__" for name in names),
        ]
    )
    profile = {
        "name": "summer",
        "like": "colab-2025.07",
        "stack": {"tensorflow": ">=2", "accelerator": "cpu"},
        "packages": ["numpy", "pandas"],
        "verify": {"code": code},
    }
    (tmp_path / "summer.yaml").write_text(json.dumps(profile))
    assert "summer is ready" in command("up", "summer.yaml")
    assert command("run", "summer", "--", "python", "-c", code) is not None
