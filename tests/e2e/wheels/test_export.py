"""`export` with real wheels: installing the result with pip and uv, and a task on a real Ray cluster."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name
from uv import find_uv_bin

from colabenv.lock.lockfile import parse_lock
from support.timeouts import wait_until

pytestmark = [pytest.mark.wheels, pytest.mark.network]

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
PROFILE = f"""\
name: cluster
python: "{HERE}"
packages: [requests==2.31.0, numpy]
env: {{GREETING: "hello $you"}}
kernel: {{google_colab: off}}
"""
TASK = """\
import json, os, sys
import ray

ray.init(num_cpus=1, include_dashboard=False, _temp_dir=sys.argv[2], object_store_memory=80 * 1024 * 1024)
runtime = json.load(open(sys.argv[1]))

@ray.remote(runtime_env=runtime)
def describe_environment():
    import importlib.metadata, numpy, requests
    versions = {dist.name: dist.version for dist in importlib.metadata.distributions() if dist.name}
    return {
        "prefix": sys.prefix,
        "imported": [requests.__version__, numpy.__version__],
        "greeting": os.environ["GREETING"],
        "versions": versions,
    }

@ray.remote
def has_greeting():
    return "GREETING" in os.environ

result = dict(ray.get(describe_environment.remote()), outside=ray.get(has_greeting.remote()), base=sys.prefix)
print("RESULT " + json.dumps(result))
ray.shutdown()
"""


@pytest.fixture(scope="module")
def environ(tmp_path_factory: pytest.TempPathFactory, uv_cache: Path) -> dict[str, str]:
    """Environment variables of a user with an empty home and COLABENV_HOME."""
    home = tmp_path_factory.mktemp("home")
    return {
        **os.environ,
        "HOME": str(home),
        "COLABENV_HOME": str(home / "colabenv"),
        "UV_CACHE_DIR": str(uv_cache),
        "RAY_USAGE_STATS_ENABLED": "0",
    }


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, environ: dict[str, str]) -> Path:
    """A folder with a locked profile."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "p.yaml").write_text(PROFILE)
    run([sys.executable, "-m", "colabenv", "lock", "p.yaml", "--variant", "cpu"], folder, environ)
    return folder


def run(argv: list[str], folder: Path, environ: Mapping[str, str]) -> str:
    done = subprocess.run(
        argv, cwd=folder, env=environ, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, f"{argv}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def export(project: Path, environ: Mapping[str, str], format_: str, file: str) -> None:
    argv = [
        sys.executable,
        "-m",
        "colabenv",
        "export",
        "p.yaml",
        "--variant",
        "cpu",
        "--format",
        format_,
        "-o",
        file,
    ]
    run(argv, project, environ)


def read_pins(project: Path) -> dict[str, str]:
    text = (project / "cluster.cpu.lock.txt").read_text()
    return {pin.name: pin.version for pin in parse_lock(text, "lock").pins}


@pytest.mark.parametrize(
    ("format_", "file"), [("requirements", "requirements.txt"), ("pylock", "pylock.toml")]
)
def test_pip_and_uv_install_the_locked_packages(
    project: Path, environ: dict[str, str], format_: str, file: str
) -> None:
    export(project, environ, format_, file)
    for installer in ("uv", "pip"):
        prefix = project / f"{format_}-{installer}"
        run([find_uv_bin(), "venv", "--quiet", "--python", sys.executable, str(prefix)], project, environ)
        target = ["--python", str(prefix / "bin" / "python")]
        if installer == "uv":
            run([find_uv_bin(), "pip", "sync", "--quiet", *target, file], project, environ)
        else:
            # The venv has no pip, and pip before 26.1 does not support pylock.toml, so run a new pip from outside.
            tool = ["tool", "run", "--quiet", "--from", "pip>=26.1", "pip", *target]
            run([find_uv_bin(), *tool, "install", "--quiet", "--no-deps", "-r", file], project, environ)
        folders = [str(folder) for folder in prefix.glob("lib/python3.*/site-packages")]
        installed = {
            canonicalize_name(distribution.name): distribution.version
            for distribution in importlib.metadata.distributions(path=folders)
        }
        assert installed == read_pins(project), installer


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder with a short path: Ray creates sockets there, whose paths have at most 107 characters."""
    folder = Path(tempfile.mkdtemp(prefix="ray"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def list_processes(text: str) -> list[str]:
    """Command lines of other processes that contain a text."""
    commands = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if text in line and str(os.getpid()) != folder.name:
            commands.append(line)
    return commands


def test_task_on_ray_has_the_locked_versions(
    project: Path, environ: dict[str, str], short_folder: Path
) -> None:
    export(project, environ, "ray", "runtime_env.json")
    cluster = project / "cluster"
    run([find_uv_bin(), "venv", "--quiet", "--python", sys.executable, str(cluster)], project, environ)
    python = str(cluster / "bin" / "python")
    run(
        [find_uv_bin(), "pip", "install", "--quiet", "--python", python, "ray[default]", "pip"],
        project,
        environ,
    )
    (project / "task.py").write_text(textwrap.dedent(TASK))
    output = run([python, "task.py", "runtime_env.json", str(short_folder)], project, environ)
    lines = [line for line in output.splitlines() if line.startswith("RESULT ")]
    result = json.loads(lines[0].removeprefix("RESULT "))
    versions: dict[str, str] = {
        canonicalize_name(name): version for name, version in result["versions"].items()
    }
    pins = read_pins(project)
    assert {name: versions.get(name) for name in pins} == pins
    assert result["imported"] == [pins["requests"], pins["numpy"]]
    assert result["greeting"] == "hello $you"
    assert result["prefix"] != result["base"]
    assert not result["outside"], "the variables reach another task on the same cluster"
    wait_until(lambda: not list_processes(str(short_folder)), "the end of the cluster")
