"""The programs that stand before pip, conda, apt and others in an environment's kernel."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import packaging
import pytest

from colabenv.embedded.command_wrapper import PROGRAMS, changes_python, find_pythons, find_verb, split_sudo
from colabenv.embedded.module_commands import find_module
from colabenv.kernel.register import install_launcher
from colabenv.kernel.spec import kernelspec
from support.timeouts import TIMEOUT

MINOR = f"{sys.version_info.major}.{sys.version_info.minor}"
RECORDER = (
    "import json, os, sys\nprint(json.dumps(sys.argv[1:]))\nsys.exit(int(os.environ.get('STATUS', '0')))\n"
)


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """An environment whose pip prints its arguments, on a machine whose other programs do, too."""
    prefix = tmp_path / "my environment"
    pip = prefix / "lib" / f"python{MINOR}" / "site-packages" / "pip"
    pip.mkdir(parents=True)
    (pip / "__main__.py").write_text(RECORDER)
    for info in ("numpy-1.18.5.dist-info", "pip-24.0.dist-info"):
        (pip.parent / info).mkdir()
    (pip.parent / "packaging").symlink_to(Path(packaging.__file__).parent)
    (prefix / "bin").mkdir()
    (prefix / "bin" / "python").symlink_to(Path(sys.executable).resolve())
    (prefix / "pyvenv.cfg").write_text(f"home = {Path(sys.executable).resolve().parent}\n")
    (prefix / "stamp.json").write_text(json.dumps({"name": "lesson", "profile": "lesson.yaml"}))
    (prefix / "lock.txt").write_text(
        "numpy==1.18.5 \\\n    --hash=sha256:00\npip==24.0 \\\n    --hash=sha256:00\n"
    )
    spec = kernelspec(
        name="lesson", display_name="", environment=str(prefix), digest="", version="", profile="lesson.yaml"
    )
    install_launcher(prefix, spec, variables={})
    machine = tmp_path / "machine"
    machine.mkdir()
    for program in ("apt-get", "ln", "sudo", "update-alternatives", "uv"):
        (machine / program).write_text(f'#!/bin/sh\necho {program} "$@"\n')
        (machine / program).chmod(0o755)
    return prefix


def run(environment: Path, line: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a shell line as a cell of the environment's kernel would."""
    folders = [
        environment / "colabenv" / "bin",
        environment / "bin",
        environment.parent / "machine",
    ]
    variables |= {"PATH": ":".join(map(str, folders)), "COLABENV_COMMANDS": str(environment)}
    return subprocess.run(
        ["/bin/sh", "-c", line], env=variables, capture_output=True, text=True, timeout=TIMEOUT, check=False
    )


@pytest.mark.parametrize(
    ("line", "output"),
    [
        (
            "pip install numpy",
            "colabenv: environment 'lesson' already has numpy 1.18.5, so there is nothing to install.",
        ),
        (
            "sudo -H pip3 install numpy",
            "colabenv: environment 'lesson' already has numpy 1.18.5, so there is nothing",
        ),
        ("uv pip install --system numpy", "colabenv: environment 'lesson' already has numpy 1.18.5, so"),
        ("pip uninstall -y numpy", "colabenv: numpy 1.18.5 stays: environment 'lesson' is built from it."),
        ("pip --version", '["--version"]'),
        ("pip list --outdated", '["list", "--outdated"]'),
        ("uv --version", "uv --version"),
        ("uv pip list --system", "uv pip list --python"),
        ("conda install -y numpy", "colabenv: `conda` has no effect here: environment 'lesson' (Python "),
        ("apt-get install -y graphviz", "apt-get install -y graphviz"),
        ("sudo apt-get update", "sudo apt-get update"),
        (
            f"apt-get install -y python{MINOR}",
            f"colabenv: python{MINOR}: cells already run in environment 'lesson' (Python ",
        ),
        (
            "apt-get purge -y python3",
            "colabenv: `apt-get purge python3` would remove the Python of the machine",
        ),
        ("ln -s a b", "ln -s a b"),
        (
            "sudo ln -sf /usr/bin/python3.7 /usr/bin/python",
            "colabenv: `ln` would change the Python of the machine",
        ),
        (
            "update-alternatives --install /usr/bin/python3 python3 /usr/bin/python3.7 1",
            "colabenv: `update-alternatives` would change the Python of the machine",
        ),
        ("update-alternatives --set g++ /usr/bin/g++-9", "update-alternatives --set g++ /usr/bin/g++-9"),
    ],
)
def test_lines_of_notebooks(environment: Path, line: str, output: str) -> None:
    done = run(environment, line)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(output)
    assert done.stdout.count("\n") == 1


def test_apt_installs_the_rest(environment: Path) -> None:
    done = run(environment, f"apt-get install -y python{MINOR}-dev python2.7 graphviz")
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"colabenv: python{MINOR}-dev: cells already run in environment 'lesson'")
    assert lines[1].startswith("colabenv: python2.7 does not change the Python of this notebook")
    assert lines[2:] == ["apt-get install -y python2.7 graphviz"]


def test_pip_gets_the_pins_as_constraints(environment: Path) -> None:
    done = run(environment, "pip install -q gym numpy==1.21")
    message, arguments = done.stdout.splitlines()
    assert message.startswith("colabenv: numpy==1.21 is not installed")
    *words, constraints = json.loads(arguments)
    assert words == ["install", "-q", "gym", "-c"]
    assert not Path(constraints).exists()  # removed with its folder
    assert run(environment, "python -m pip install -q gym").stdout.startswith(
        '["install", "-q", "gym", "-c", '
    )


def test_failed_installation_is_explained(environment: Path) -> None:
    done = run(environment, "pip install gym", STATUS="1")
    assert done.returncode == 1
    assert done.stdout.splitlines()[1].startswith(
        "colabenv: gym: the installation failed. It may not change what"
    )


def test_missing_program_is_reported_as_by_a_shell(environment: Path) -> None:
    done = run(environment, "apt install graphviz")
    assert (done.returncode, done.stderr) == (127, "bash: apt: command not found\n")


def test_every_program_has_a_wrapper(environment: Path) -> None:
    names = {path.name for path in (environment / "colabenv" / "bin").iterdir()}
    assert names == {*PROGRAMS, f"pip{MINOR}"}


@pytest.mark.parametrize(
    ("words", "module"),
    [
        (["python", "-m", "pip", "install", "x"], ("pip", ["install", "x"])),
        (["python", "-I", "-W", "ignore", "-mpip", "list"], ("pip", ["list"])),
        (["python", "-Im", "pip"], ("pip", [])),
        (["python", "script.py", "-m", "pip"], ("", [])),
        (["python", "-c", "code", "-m", "pip"], ("", [])),
        (["python", "--", "-m", "pip"], ("", [])),
        (["python", "-X"], ("", [])),
        (["python"], ("", [])),
    ],
)
def test_module_of_a_command_line(words: list[str], module: tuple[str, list[str]]) -> None:
    assert find_module(words) == module


def test_parts_of_command_lines() -> None:
    assert split_sudo(["-u", "me", "-H", "A=1", "pip", "-q"]) == (["-u", "me", "-H", "A=1"], ["pip", "-q"])
    assert split_sudo(["-n", "--", "apt"]) == (["-n"], ["apt"])
    assert find_verb("pip", ["-q", "install", "x"]) == 1
    assert find_verb("uv", ["-q", "pip", "install", "x"]) == 2
    assert find_verb("uv", ["sync", "install"]) is None
    pythons = ["python3.7", "python3.8-dev", "python3-pip", "python", "python3.7=1", "python-is-python3"]
    assert find_pythons([*pythons, "python3-opencv", "graphviz", "ipython3", "-y"]) == pythons
    assert changes_python("update-alternatives", ["--config", "python3"])
    assert not changes_python("update-alternatives", ["--display", "python3"])
    assert not changes_python("ln", ["-s", "/usr/bin/python3", "here"])
