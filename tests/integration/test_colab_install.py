"""Installing colabenv on any Colab release changes no package that is already there.

Each release is stood in for by a venv of its Python that holds, for every package on its list, a bare
`*.dist-info` with the name and version: enough for an installer to see it as installed. Then the
installers plan the installation of colabenv's wheel, and the plan may hold new packages only. What the
bare folders leave out is what the release's packages need themselves: they are there already.
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
COLABS_PIP = "24.1.2"


def run(*command: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a program to its end; its output is part of the failure where it fails."""
    done = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        env={**os.environ, **variables},
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}\n{done.stderr}"
    return done


def uv(cache: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run colabenv's own uv."""
    return run(find_uv_bin(), *arguments, UV_CACHE_DIR=str(cache))


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory, uv_cache: Path) -> Path:
    """colabenv's own wheel, built from this clone."""
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


def stand_in(release: Release, folder: Path, uv_cache: Path) -> Path:
    """A venv whose installed packages are those of the release; returns its Python.

    Where the release's own Python is not on the machine, the newest one there stands in for it.
    """
    found = interpreters()
    python = found.get(release.python) or next(reversed(found.values()))
    uv(uv_cache, "venv", "--quiet", "--no-project", "--python", python, folder)
    inside = folder / "bin" / "python"
    uv(uv_cache, "pip", "install", "--quiet", "--python", inside, f"pip=={COLABS_PIP}")
    (packages,) = folder.glob("lib/python3.*/site-packages")
    for name, version in release.packages.items():
        if name == "pip":  # the one that is really there
            assert version == COLABS_PIP
            continue
        info = packages / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        (info / "INSTALLER").write_text("pip\n")
        (info / "RECORD").write_text("")
    return inside


def planned_by_pip(python: Path, what: Path | str, report: Path, uv_cache: Path) -> dict[str, str]:
    """What Colab's pip would install for `what`: normalised name to version."""
    command = (python, "-m", "pip", "install", "--dry-run", "--quiet", "--report", report, what)
    run(*command, PIP_CACHE_DIR=str(uv_cache.parent / "pip"))
    rows = (row["metadata"] for row in json.loads(report.read_text())["install"])
    return {canonicalize_name(row["name"]): row["version"] for row in rows}


def planned_by_uv(python: Path, what: Path | str, uv_cache: Path) -> dict[str, str]:
    """What uv would install or remove for `what`, from the ` + name==version` lines it prints."""
    done = uv(uv_cache, "pip", "install", "--dry-run", "--color", "never", "--python", python, what)
    lines = [line.split() for line in done.stderr.splitlines() if line.startswith((" + ", " - ", " ~ "))]
    names = (line[1].partition("==") for line in lines)
    return {canonicalize_name(name): version for name, _, version in names}


@pytest.mark.parametrize("release", RELEASES, ids=str)
def test_colabenv_changes_no_installed_package(
    release: Release, wheel: Path, uv_cache: Path, tmp_path: Path
) -> None:
    python = stand_in(release, tmp_path / "venv", uv_cache)
    whole = f"{wheel}[gcs,s3]"  # with all extras, which only add to the plan
    by_pip = planned_by_pip(python, whole, tmp_path / "report.json", uv_cache)
    by_uv = planned_by_uv(python, whole, uv_cache)
    for installer, plan in (("pip", by_pip), ("uv", by_uv)):
        new = ", ".join(f"{name} {version}" for name, version in sorted(plan.items()))
        print(f"{release}, {installer}: new are {new}")  # noqa: T201 - seen with -s and with a failure
        assert {"colabenv", "obstore"} <= plan.keys()
        changed = {name: plan[name] for name in plan.keys() & release.packages.keys()}
        assert not changed, f"{installer} would change {changed} on {release}"


def test_changed_package_is_reported(uv_cache: Path, tmp_path: Path) -> None:
    # The newest virtualenv wants a newer filelock than 2025.07 has: the reason for our upper bound.
    release = RELEASES[0]
    python = stand_in(release, tmp_path / "venv", uv_cache)
    by_pip = planned_by_pip(python, "virtualenv>=20.36", tmp_path / "report.json", uv_cache)
    by_uv = planned_by_uv(python, "virtualenv>=20.36", uv_cache)
    assert "filelock" in by_pip
    assert "filelock" in by_uv
