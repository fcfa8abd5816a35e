"""Profiles that `init` writes can be locked, and its tables of names and Pythons match the package index."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from colabenv.importers import distribution_names
from colabenv.lock.lockfile import Lock, parse_lock
from support.pythons import interpreters

pytestmark = [pytest.mark.network, pytest.mark.slow]

REPOSITORY = Path(__file__).resolve().parents[2]
SAMPLES = REPOSITORY / "tests" / "data" / "init"
#: An index that the samples name and that does not exist.
MISSING_INDEX = "--extra-index-url https://reader:not-a-real-token@wheels.example.com/simple\n"
CONDA = """\
name: vision
dependencies:
  - python=3.10
  - tensorflow=2.15
  - opencv
  - cudatoolkit=11.8
  - pip: [tqdm]
"""
Run = Callable[..., str]
LockSource = Callable[[str], Lock]


@pytest.fixture
def run(tmp_path: Path, uv_cache: Path) -> Run:
    """A function that runs colabenv in a folder with the samples, with the machine's index, and returns its output."""
    folders = [str(path.parent) for path in interpreters().values()]
    settings = ("UV_", "SSL_", "HTTP", "http")
    environ = {
        **{name: value for name, value in os.environ.items() if name.startswith(settings)},
        "PATH": os.pathsep.join([*folders, "/usr/local/bin:/usr/bin:/bin"]),
        "HOME": str(tmp_path / "home"),
        "COLABENV_HOME": str(tmp_path / "store"),
        "JUPYTER_DATA_DIR": str(tmp_path / "jupyter"),
        "UV_CACHE_DIR": str(uv_cache),
    }
    for sample in SAMPLES.iterdir():
        (tmp_path / sample.name).write_text(
            sample.read_text(encoding="utf-8").replace(MISSING_INDEX, ""), encoding="utf-8"
        )
    (tmp_path / "environment.yaml").write_text(CONDA, encoding="utf-8")

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
def lock_source(run: Run, tmp_path: Path) -> LockSource:
    """A function that creates a profile from a source and returns the lock of its cpu variant."""

    def lock_source(source: str) -> Lock:
        run("init", source, "-o", "profile.yaml")
        run("lock", "profile.yaml", "--variant", "cpu")
        (path,) = tmp_path.glob("*.cpu.lock.txt")
        return parse_lock(path.read_text(encoding="utf-8"), str(path))

    return lock_source


def versions(lock: Lock) -> dict[str, str]:
    """Name to version of the lock's pins."""
    return {pin.name: pin.version for pin in lock.pins}


def test_notebook_profile_locks_the_original_versions(lock_source: LockSource) -> None:
    pins = versions(lock_source("transfer-2023.ipynb"))
    assert (pins["tensorflow"], pins["keras"], pins["scikit-learn"]) == ("2.15.0", "2.15.0", "1.2.2")
    assert pins["pandas"] == "2.1.3"  # the newest version at that time


def test_conda_environment_can_be_locked(lock_source: LockSource) -> None:
    pins = versions(lock_source("environment.yaml"))
    assert pins["tensorflow"] == "2.15.1"
    assert {"opencv-python-headless", "tqdm"} <= set(pins)


@pytest.mark.wheels
@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("torch-2024.ipynb", {"torch": "2.2.2", "transformers": "4.41.2"}),
        ("contrib-2018.ipynb", {"tensorflow": "1.15.2"}),
        # The newest 2.6 of the guessed day.
        ("environment.yml", {"tensorflow": "2.6.3", "tqdm": "4.62.3"}),
        ("conda-export.yml", {"tensorflow": "2.4.1", "pandas": "1.2.4", "h5py": "2.10.0"}),
        ("poetry.toml", {"tensorflow": "2.13.1", "numpy": "1.23.5"}),
    ],
)
def test_other_sources_can_be_locked(source: str, expected: dict[str, str], lock_source: LockSource) -> None:
    assert versions(lock_source(source)).items() >= expected.items()


@pytest.mark.wheels
def test_requirements_file_can_be_locked(lock_source: LockSource) -> None:
    pins = versions(lock_source("requirements.txt"))
    assert (pins["tensorflow"], pins["numpy"]) == ("2.8.0", "1.22.3")
    assert pins["matplotlib"].startswith("3.5.")


@pytest.mark.wheels
def test_project_can_be_locked(lock_source: LockSource) -> None:
    lock = lock_source("pyproject.toml")
    assert (versions(lock)["tensorflow"], lock.header.python) == ("2.15.1", "3.11")


@pytest.mark.wheels
@pytest.mark.timeout(1500)
def test_notebook_of_2021_builds(run: Run) -> None:
    output = run("init", "lesson-2021.ipynb")
    assert "TensorFlow 2.4 runs on the CPU only" in output
    output = run("up", "lesson-2021.yaml", "--variant", "cpu")
    assert "lesson-2021 is ready: Python 3.8." in output
    assert "TensorFlow 2.4.1" in output
    code = "import tensorflow_hub, cv2, sklearn, pandas, matplotlib, wget, numpy; print(numpy.__version__)"
    assert "1.19.5" in run("run", "lesson-2021", "--", "python", "-c", code)


@pytest.mark.wheels
@pytest.mark.timeout(1500)
@pytest.mark.parametrize(("requested", "available"), [("1.4.0", "1.13.2"), ("2.1.0", "2.1.0")])
def test_oldest_available_tensorflow_works(requested: str, available: str, run: Run, tmp_path: Path) -> None:
    (tmp_path / "old.txt").write_text(f"tensorflow=={requested}\n", encoding="utf-8")
    run("init", "old.txt", "-o", "old.yaml")
    output = run("up", "old.yaml")
    assert "is ready" in output
    assert f"TensorFlow {available}" in output


@pytest.fixture(scope="module")
def scripts() -> Iterator[Any]:
    """A function that imports a module of scripts/."""
    sys.path.insert(0, str(REPOSITORY / "scripts"))
    yield importlib.import_module
    sys.path.remove(str(REPOSITORY / "scripts"))


@pytest.mark.parametrize("name", ["numpy", "tensorflow"])
def test_python_versions_match_the_wheels(name: str, scripts: Any, tmp_path: Path) -> None:
    index, pythons = scripts("stacktable.index"), scripts("stacktable.pythons")
    wheels = index.Index(index.find_index_url(), tmp_path).wheels(name)
    on_index = pythons.list_changes(wheels, pythons.OLDEST.get(name, "0"))
    expected = distribution_names.load_wheel_pythons()[name]
    assert {release: on_index.get(release) for release in expected} == expected


def test_packages_listed_without_wheels_have_none(scripts: Any, tmp_path: Path) -> None:
    index = scripts("stacktable.index")
    assert "wget" in distribution_names.load_names().source_only
    assert index.Index(index.find_index_url(), tmp_path).wheels("wget") == []


def test_modules_are_in_the_distributions(tmp_path: Path, uv_cache: Path) -> None:
    modules = [
        "yaml",
        "dateutil",
        "bs4",
        "attr",
        "dotenv",
        "jwt",
        "imblearn",
        "kerastuner",
        "skopt",
        "docx",
        "git",
    ]
    known = distribution_names.load_names()
    names = [f"{known.find_distribution(module)}{known.until.get(module, '')}" for module in modules]
    uv = Path(sys.executable).with_name("uv")
    target = tmp_path / "site"
    argv = [str(uv), "pip", "install", "--quiet", "--no-deps", "--no-build", "--target", str(target), *names]
    subprocess.run(argv, check=True, env={**os.environ, "UV_CACHE_DIR": str(uv_cache)})
    missing = [
        module
        for module in modules
        if not (target / module).exists() and not (target / f"{module}.py").exists()
    ]
    assert missing == []
