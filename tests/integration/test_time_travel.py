"""`as_of` and `like` with the package index: locks have the versions of the day, or those that a runtime shipped."""

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
from colabenv.lock.kernel_packages import KERNEL_PARTS
from colabenv.lock.lockfile import Lock, parse_lock
from colabenv.profile.times import RUNTIMES
from support.pythons import interpreters

pytestmark = [pytest.mark.network, pytest.mark.slow]

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
LockProfile = Callable[..., Lock]
#: Packages that the kernel's constraints lock at another version than the runtime's.
KERNEL_CONSTRAINED = {"notebook", "matplotlib-inline"}


def require_python(minor: str) -> None:
    if minor not in interpreters():
        pytest.skip(f"no CPython {minor} on this machine")


@pytest.fixture
def command(tmp_path: Path, uv_cache: Path) -> Callable[..., str]:
    """A function that runs colabenv with the machine's index and returns its output."""
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
        completed = subprocess.run(
            argv, env=environ, cwd=tmp_path, capture_output=True, text=True, check=False
        )
        output = completed.stdout + completed.stderr
        assert completed.returncode == 0, output
        return output

    return run


@pytest.fixture
def lock_profile(tmp_path: Path, command: Callable[..., str]) -> LockProfile:
    """A function that locks a profile, given without its name, and returns the lock of a variant."""

    def lock(text: str, variant: str = "cpu") -> Lock:
        (tmp_path / "demo.yaml").write_text(f"name: demo\n{text}")
        command("lock", "demo.yaml", "--variant", variant)
        return parse_lock((tmp_path / f"demo.{variant}.lock.txt").read_text(), "demo")

    return lock


@pytest.fixture(scope="module")
def upload_times() -> Iterator[Callable[[str], dict[str, str]]]:
    """A function that returns the upload time of each of a distribution's files on the package index, by sha256."""
    sys.path.insert(0, str(SCRIPTS))
    index: Any = importlib.import_module("stacktable.index")
    base = index.find_index_url()

    def read_upload_times(name: str) -> dict[str, str]:
        page = json.loads(index._get(f"{base}/{name}/", Accept=index._LISTING))
        return {file["hashes"]["sha256"]: file["upload-time"] for file in page["files"]}

    yield read_upload_times
    sys.path.remove(str(SCRIPTS))


def newest_uploads(lock: Lock, upload_times: Callable[[str], dict[str, str]]) -> dict[str, str]:
    """By distribution, the day on which the newest of the files in the lock was uploaded."""
    with ThreadPoolExecutor(4) as pool:
        pages = dict(zip(lock.pins, pool.map(lambda pin: upload_times(pin.name), lock.pins), strict=True))
    return {
        pin.name: max(page[value.removeprefix("sha256:")] for value in pin.hashes)[:10]
        for pin, page in pages.items()
    }


def test_as_of_locks_only_earlier_uploads(
    lock_profile: LockProfile, upload_times: Callable[[str], dict[str, str]]
) -> None:
    require_python("3.10")
    lock = lock_profile('python: "3.10"\nas_of: 2023-04-02\npackages: [pandas, requests]\n')
    versions = {
        name: lock.version_of(name) for name in ("pandas", "numpy", "requests", "urllib3", "ipykernel")
    }
    assert versions == {
        "pandas": "1.5.3", "numpy": "1.24.2", "requests": "2.28.2", "urllib3": "1.26.15", "ipykernel": "6.17.1"
    }  # fmt: skip
    assert (lock.header.as_of, lock.header.kernel) == ("2023-04-02", "colab")
    assert {name: day for name, day in newest_uploads(lock, upload_times).items() if day > "2023-04-02"} == {}


def assert_like_locks_the_runtime(name: str, variant: str, lock_profile: LockProfile) -> None:
    """Assert that a profile with `like` locks the runtime's version of each package that the runtime has."""
    python, shipped = load_runtime(name).python, load_runtime(name).packages(variant)
    require_python(python)
    stack = f"stack: {{tensorflow: {shipped['tensorflow']}}}"
    lock = lock_profile(f"like: {name}\n{stack}\npackages: [numpy, pandas]\n", variant)
    assert (lock.header.like, lock.header.python, lock.header.kernel) == (name, python, "colab")
    pins = {pin.name: pin.version for pin in lock.pins}
    assert {"numpy", "pandas", "tensorflow", "keras", "protobuf", "h5py"} <= set(pins)
    # TensorFlow's CUDA wheels differ: Colab has those of PyTorch, and its TensorFlow uses the machine's CUDA.
    shared = {
        package: version
        for package, version in pins.items()
        if package in shipped and package not in KERNEL_CONSTRAINED and not package.startswith("nvidia-")
    }
    assert shared == {package: shipped[package] for package in shared}
    assert len(shared) > 60


def test_like_locks_the_versions_of_the_runtime(lock_profile: LockProfile) -> None:
    assert_like_locks_the_runtime("colab-2025.07", "cpu", lock_profile)


@pytest.mark.wheels
@pytest.mark.parametrize("variant", ["cpu", "gpu"])
@pytest.mark.parametrize("name", RUNTIMES)
def test_like_locks_the_versions_of_each_runtime(name: str, variant: str, lock_profile: LockProfile) -> None:
    assert_like_locks_the_runtime(name, variant, lock_profile)


@pytest.mark.wheels
@pytest.mark.parametrize(
    ("tensorflow", "changed"),
    [
        ("2.15", {"tensorflow", "keras", "numpy", "protobuf", "ml-dtypes", "tensorboard", "wrapt"}),
        ("2.17", {"tensorflow", "numpy", "protobuf", "tensorboard"}),
    ],
)
def test_another_tensorflow_changes_only_its_requirements(
    tensorflow: str, changed: set[str], lock_profile: LockProfile
) -> None:
    require_python("3.11")
    lock = lock_profile(
        f"like: colab-2025.07\nstack: {{tensorflow: '{tensorflow}'}}\npackages: [pandas, scikit-learn]\n"
    )
    shipped = load_runtime("colab-2025.07").cpu
    different = {pin.name for pin in lock.pins if shipped.get(pin.name, pin.version) != pin.version}
    assert different - set(KERNEL_PARTS) == changed


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
def test_as_of_locks_the_tensorflow_of_the_day(
    as_of: str,
    stack: str,
    variant: str,
    versions: dict[str, str],
    lock_profile: LockProfile,
    upload_times: Callable[[str], dict[str, str]],
) -> None:
    lock = lock_profile(f"as_of: {as_of}\nstack: {{tensorflow: '{stack}'}}\n", variant)
    assert {name: lock.version_of(name) for name in versions} == versions
    assert lock.header.kernel == "colab"
    newer = {name: day for name, day in newest_uploads(lock, upload_times).items() if day > as_of}
    assert all(name in KERNEL_PARTS or name.startswith("nvidia-") for name in newer), newer
    assert all(day <= "2023-02-28" for name, day in newer.items() if name in KERNEL_PARTS)


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
