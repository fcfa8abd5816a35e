"""`export` with real wheels: what pip and uv install from it, and a task on a real Ray cluster of one machine."""

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
from support.patience import until

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
def look():
    import importlib.metadata, numpy, requests
    versions = {one.name: one.version for one in importlib.metadata.distributions() if one.name}
    return {
        "prefix": sys.prefix,
        "imported": [requests.__version__, numpy.__version__],
        "greeting": os.environ["GREETING"],
        "versions": versions,
    }

@ray.remote
def outside():
    return "GREETING" in os.environ

print("SEEN " + json.dumps(dict(ray.get(look.remote()), outside=ray.get(outside.remote()), base=sys.prefix)))
ray.shutdown()
"""


@pytest.fixture(scope="module")
def environ(tmp_path_factory: pytest.TempPathFactory, uv_cache: Path) -> dict[str, str]:
    """A person's variables, with a home and a place for colabenv of their own."""
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


def locked(project: Path) -> dict[str, str]:
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
        here = ["--python", str(prefix / "bin" / "python")]
        if installer == "uv":
            run([find_uv_bin(), "pip", "sync", "--quiet", *here, file], project, environ)
        else:
            # A pip of today, from beside: the venv has none. Before 26.1 pip knows no pylock.toml.
            tool = ["tool", "run", "--quiet", "--from", "pip>=26.1", "pip", *here]
            run([find_uv_bin(), *tool, "install", "--quiet", "--no-deps", "-r", file], project, environ)
        folders = [str(folder) for folder in prefix.glob("lib/python3.*/site-packages")]
        found = {
            canonicalize_name(one.name): one.version for one in importlib.metadata.distributions(path=folders)
        }
        assert found == locked(project), installer


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder of a short name: Ray puts sockets there, whose paths may have 107 characters."""
    folder = Path(tempfile.mkdtemp(prefix="ray"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def running(mark: str) -> list[str]:
    """Command lines of processes that mention a text."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if mark in line and str(os.getpid()) != folder.name:
            found.append(line)
    return found


def test_a_task_on_ray_sees_the_locked_versions(project: Path, environ: dict[str, str], short: Path) -> None:
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
    said = run([python, "task.py", "runtime_env.json", str(short)], project, environ)
    seen = json.loads(next(line for line in said.splitlines() if line.startswith("SEEN "))[5:])
    versions: dict[str, str] = {
        canonicalize_name(name): version for name, version in seen["versions"].items()
    }
    pins = locked(project)
    assert {name: versions.get(name) for name in pins} == pins
    assert seen["imported"] == [pins["requests"], pins["numpy"]]
    assert seen["greeting"] == "hello $you"
    assert seen["prefix"] != seen["base"]
    assert not seen["outside"], "another task on the same cluster is left alone"
    until(lambda: not running(str(short)), "the end of the cluster")
