"""Installing colabenv on any Colab release changes no package that is already installed.

A venv of the release's Python stands in for each release. It has a bare `*.dist-info` with name and version for every
package on the release's list, which is enough for an installer to count it as installed. pip and uv then plan the
installation of colabenv's wheel, and the plan may only add packages. The bare folders declare no requirements of their
own: the packages that they would require are already installed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name
from uv import find_uv_bin

from support.pythons import interpreters
from support.releases import Release, releases

pytestmark = [pytest.mark.network, pytest.mark.slow]

REPOSITORY = Path(__file__).resolve().parents[2]
RELEASES = releases()
COLAB_PIP = "24.1.2"


def run(*command: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a program, and fail with its output if it fails."""
    completed = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        env={**os.environ, **variables},
        check=False,
        timeout=300,
    )
    assert completed.returncode == 0, f"{' '.join(map(str, command))}\n{completed.stdout}\n{completed.stderr}"
    return completed


def uv(cache: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run uv."""
    return run(find_uv_bin(), *arguments, UV_CACHE_DIR=str(cache))


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory, uv_cache: Path) -> Path:
    """colabenv's wheel, built from this clone."""
    folder = tmp_path_factory.mktemp("wheel")
    uv(
        uv_cache,
        "build",
        "--wheel",
        "--no-build-isolation",
        "--quiet",
        "--python",
        sys.executable,
        "--out-dir",
        folder,
        REPOSITORY,
    )
    (built,) = folder.glob("colabenv-*.whl")
    return built


def create_stand_in(release: Release, folder: Path, uv_cache: Path) -> Path:
    """Create a venv with the release's packages and return its Python.

    If this machine does not have the release's Python, its newest one is used.
    """
    pythons = interpreters()
    python = pythons.get(release.python) or next(reversed(pythons.values()))
    uv(uv_cache, "venv", "--quiet", "--no-project", "--python", python, folder)
    venv_python = folder / "bin" / "python"
    uv(uv_cache, "pip", "install", "--quiet", "--python", venv_python, f"pip=={COLAB_PIP}")
    (packages,) = folder.glob("lib/python3.*/site-packages")
    for name, version in release.packages.items():
        if name == "pip":  # really installed
            assert version == COLAB_PIP
            continue
        info = packages / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        (info / "INSTALLER").write_text("pip\n")
        (info / "RECORD").write_text("")
    return venv_python


def plan_with_pip(python: Path, requirement: str, report: Path, uv_cache: Path) -> dict[str, str]:
    """Return what Colab's pip would install for the requirement: normalized name to version."""
    command = (python, "-m", "pip", "install", "--dry-run", "--quiet", "--report", report, requirement)
    run(*command, PIP_CACHE_DIR=str(uv_cache.parent / "pip"))
    rows = (row["metadata"] for row in json.loads(report.read_text())["install"])
    return {canonicalize_name(row["name"]): row["version"] for row in rows}


def plan_with_uv(python: Path, requirement: str, uv_cache: Path) -> dict[str, str]:
    """Return what uv would install or remove for the requirement, from its ` + name==version` lines."""
    completed = uv(
        uv_cache, "pip", "install", "--dry-run", "--color", "never", "--python", python, requirement
    )
    lines = [line.split() for line in completed.stderr.splitlines() if line.startswith((" + ", " - ", " ~ "))]
    names = (line[1].partition("==") for line in lines)
    return {canonicalize_name(name): version for name, _, version in names}


@pytest.mark.parametrize(
    "release",
    [*(pytest.param(release, marks=pytest.mark.extended) for release in RELEASES[:-1]), RELEASES[-1]],
    ids=str,
)
def test_colabenv_changes_no_installed_package(
    release: Release, wheel: Path, uv_cache: Path, tmp_path: Path
) -> None:
    python = create_stand_in(release, tmp_path / "venv", uv_cache)
    requirement = f"{wheel}[gcs,s3]"  # all extras, which only add to the plan
    by_pip = plan_with_pip(python, requirement, tmp_path / "report.json", uv_cache)
    by_uv = plan_with_uv(python, requirement, uv_cache)
    for installer, plan in (("pip", by_pip), ("uv", by_uv)):
        added = ", ".join(f"{name} {version}" for name, version in sorted(plan.items()))
        print(f"{release}, {installer}: adds {added}")  # noqa: T201 - shown with -s and on failure
        assert {"colabenv", "obstore"} <= plan.keys()
        changed = {name: plan[name] for name in plan.keys() & release.packages.keys()}
        assert not changed, f"{installer} would change {changed} on {release}"


def test_changed_package_is_reported(uv_cache: Path, tmp_path: Path) -> None:
    # The newest virtualenv requires a newer filelock than 2025.07 has, hence colabenv's upper bound.
    release = RELEASES[0]
    python = create_stand_in(release, tmp_path / "venv", uv_cache)
    by_pip = plan_with_pip(python, "virtualenv>=20.36", tmp_path / "report.json", uv_cache)
    by_uv = plan_with_uv(python, "virtualenv>=20.36", uv_cache)
    assert "filelock" in by_pip
    assert "filelock" in by_uv
