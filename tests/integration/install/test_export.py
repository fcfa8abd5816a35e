"""pip, uv and the steps of a Dockerfile install what `export` writes."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml
from uv import find_uv_bin

from colabenv.lock.lockfile import format_lock, parse_lock
from support.index_server import Index
from support.packages import sdist, wheel
from support.user_machine import TINY, UserMachine

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
PACKAGES = {"tiny": "1.0", "other": "2.0", "built": "3.0", "nvidia-cuda-nvcc": "12.0"}
CUDA = {  # the layout of the CUDA wheels
    "nvidia/cuda_nvcc/bin/ptxas": "#!/bin/sh\necho ptxas\n",
    "nvidia/cuda_nvcc/nvvm/libdevice/libdevice.10.bc": "bitcode",
    "nvidia/cudnn/lib/libcudnn.so.9": "library",
}
FILES = (
    wheel("other", "2.0"),
    wheel("other", "2.1"),
    sdist("built", "3.0"),
    wheel("nvidia_cuda_nvcc", "12.0", files=CUDA),
)


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of a Python with pip, as in an image."""
    folder = tmp_path_factory.mktemp("python")
    seed = [sys.executable, "-m", "virtualenv", "--quiet", "--no-periodic-update", "--no-setuptools"]
    subprocess.run([*seed, "--app-data", str(folder / "app"), str(folder / "venv")], check=True)
    return folder / "venv" / "bin"


@pytest.fixture(scope="module")
def locks() -> dict[str, str]:
    """Name to text of the lock files; the first test fills it."""
    return {}


@pytest.fixture
def locked(machine: UserMachine, index: Index, locks: dict[str, str]) -> UserMachine:
    """A machine with a profile whose lock has four packages, one of them built from source, and no kernel packages."""
    for file in FILES:
        index.add(*file)
    text = TINY.replace("packages: [tiny]", 'packages: [tiny, "other==2.0", built, nvidia-cuda-nvcc]')
    text += f'source_builds: [built]\npython: "{HERE}"\nenv: {{GREETING: "hello $you"}}\n'
    machine.profile.write_text(text)
    if not locks:
        machine.run("lock", "tiny.yaml").expect(0)
        for path in machine.project.glob("*.lock.txt"):
            lock = parse_lock(path.read_text(), "lock")
            pins = tuple(pin for pin in lock.pins if pin.name in PACKAGES)
            locks[path.name] = format_lock(dataclasses.replace(lock, pins=pins))
    for name, text in locks.items():
        (machine.project / name).write_text(text)
    return machine


def export(machine: UserMachine, *arguments: str) -> str:
    return machine.run("export", "tiny.yaml", *arguments).expect(0).text


def run(machine: UserMachine, argv: Sequence[str | Path]) -> str:
    completed = subprocess.run(
        [str(word) for word in argv],
        env=machine.environ,
        cwd=machine.project,
        capture_output=True,
        text=True,
        check=False,
    )
    assert completed.returncode == 0, completed.stdout + completed.stderr
    return completed.stdout


def venv(machine: UserMachine, name: str) -> Path:
    run(machine, [find_uv_bin(), "venv", "--quiet", "--python", sys.executable, name])
    return machine.project / name


def pip(machine: UserMachine, python: Path, prefix: Path, *arguments: str) -> None:
    run(machine, [python / "python", "-I", "-m", "pip", "--python", prefix, "install", "--quiet", *arguments])


def list_installed(prefix: Path) -> dict[str, str]:
    folders = [str(folder) for folder in prefix.glob("lib/python3.*/site-packages")]
    distributions = importlib.metadata.distributions(path=folders)
    return {distribution.name.replace("_", "-"): distribution.version for distribution in distributions}


def test_pip_and_uv_install_the_same_requirements(locked: UserMachine, python: Path) -> None:
    output = export(locked, "--format", "requirements", "-o", "out/req.txt")
    assert "✓ Wrote tiny (cpu, 4 packages) to out/req.txt." in output
    by_pip, by_uv = venv(locked, "by-pip"), venv(locked, "by-uv")
    pip(locked, python, by_pip, "--no-deps", "-r", "out/req.txt")
    run(locked, [find_uv_bin(), "pip", "sync", "--quiet", "--python", by_uv, "out/req.txt"])
    assert list_installed(by_pip) == list_installed(by_uv) == PACKAGES
    text = (locked.project / "out/req.txt").read_text()
    stdout = run(
        locked, [sys.executable, "-m", "colabenv", "export", "tiny.yaml", "--format", "requirements"]
    )
    assert stdout == text, "standard output has the requirements only"
    wrong_hashes = text.replace("sha256:", "sha256:00")
    (locked.project / "wrong.txt").write_text(
        "\n".join(line[:71] + line[73:] for line in wrong_hashes.splitlines())
    )
    with pytest.raises(AssertionError, match=r"(?i)hash"):
        pip(locked, python, venv(locked, "none"), "--no-deps", "-r", "wrong.txt")


def test_uv_installs_the_pylock_from_its_urls(locked: UserMachine, index: Index) -> None:
    export(locked, "--format", "pylock", "-o", "pylock.tiny.toml")
    assert index.site in (locked.project / "pylock.tiny.toml").read_text()
    prefix = venv(locked, "by-uv")
    run(
        locked,
        [find_uv_bin(), "pip", "sync", "--quiet", "--python", prefix, "pylock.tiny.toml", "--no-index"],
    )
    assert list_installed(prefix) == PACKAGES


def test_pip_installs_the_pip_section_of_the_conda_file(locked: UserMachine, python: Path) -> None:
    """Conda writes the section to a file and runs this command (`conda/env/installers/pip.py`)."""
    export(locked, "--format", "conda", "-o", "environment.yml")
    environment = yaml.safe_load((locked.project / "environment.yml").read_text())
    section = environment["dependencies"][-1]["pip"]
    (locked.project / "condaenv.requirements.txt").write_text("\n".join(section))
    prefix = venv(locked, "by-pip")
    pip(locked, python, prefix, "-U", "-r", "condaenv.requirements.txt")
    assert list_installed(prefix) == PACKAGES


def run_dockerfile(folder: Path, root: Path, shell: Sequence[str], environ: dict[str, str]) -> dict[str, str]:
    """Run the steps of `folder`/Dockerfile on a file system whose /opt is `root`, and return the image's variables.

    It supports only the instructions that `export` writes, as Docker's reference describes them.
    """
    text = (folder / "Dockerfile").read_text()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    variables = dict(environ)
    for step in "\n".join(lines).replace("\\\n", " ").splitlines():
        instruction, _, rest = step.partition(" ")
        if instruction == "COPY":
            source, target = json.loads(rest)
            shutil.copy(folder / source, root / Path(target).relative_to("/opt"))
        elif instruction == "RUN":
            subprocess.run([*shell, "/bin/sh", "-c", rest], env=variables, check=True)
        elif instruction == "ENV":
            name, _, value = rest.partition("=")
            expanded = value[1:-1].replace("$PATH", variables["PATH"])
            variables[name] = shlex.split(f'"{expanded}"')[0].replace("\\$", "$")
        else:
            assert instruction in {"FROM", "CMD"}, step
    return variables


def test_dockerfile_builds_the_environment(locked: UserMachine, python: Path, tmp_path: Path) -> None:
    root = tmp_path / "opt"
    root.mkdir()
    shell = ["unshare", "--user", "--map-root-user", "--mount", "/bin/sh", "-c"]
    shell += ['mount --bind "$0" /opt && exec "$@"', str(root)]
    completed = subprocess.run([*shell, "true"], capture_output=True, text=True, check=False)
    if completed.returncode:
        pytest.skip(f"this process cannot create a mount namespace: {completed.stderr.strip()}")
    output = export(locked, "--variant", "gpu", "--format", "dockerfile", "-o", "image/Dockerfile")
    assert "docker build -t tiny -f image/Dockerfile image" in output
    environ = {**locked.environ, "PATH": f"{python}:{locked.environ['PATH']}"}
    variables = run_dockerfile(locked.project / "image", root, shell, environ)
    assert list_installed(root / "colabenv") == PACKAGES
    code = "import os, sys, tiny, built; "
    code += "print(sys.prefix, tiny.VERSION, built.BUILT_FROM_SOURCE, os.environ['GREETING'])"
    printed = subprocess.run(
        [*shell, "python", "-c", code], env=variables, check=True, capture_output=True, text=True
    ).stdout
    assert variables["XLA_FLAGS"] == "--xla_gpu_cuda_data_dir=/opt/colabenv/cuda"
    assert variables["LD_LIBRARY_PATH"] == "/opt/colabenv/cuda/lib"
    files = ("cuda/lib/libcudnn.so.9", "cuda/nvvm/libdevice/libdevice.10.bc", "bin/ptxas")
    cat = f"cat {' '.join(f'/opt/colabenv/{file}' for file in files)}"
    content = subprocess.run([*shell, "/bin/sh", "-c", cat], env=variables, check=True, capture_output=True)
    assert content.stdout == b"librarybitcode#!/bin/sh\necho ptxas\n"
    assert printed.split(maxsplit=3) == ["/opt/colabenv", "1.0", "True", "hello $you\n"]


def test_failed_exports(locked: UserMachine, index: Index) -> None:
    index.stop()
    output = locked.run("export", "tiny.yaml", "--format", "pylock").expect(3).text
    assert "The package index could not be reached while asking the index" in output
    export(locked, "--format", "ray")
    output = locked.run("export", "nothing", "--format", "ray").expect(2).text
    assert "There is no environment named nothing" in output
    locked.profile.write_text(locked.profile.read_text().replace('"other==2.0"', "other"))
    output = locked.run("export", "tiny.yaml", "--format", "ray").expect(2).text
    assert "Run colabenv lock tiny.yaml first." in output
