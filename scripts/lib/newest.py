"""Run lint, types and the unit tests with the newest release of every dependency, and report drift.

    newest.py LOCKED FOLDER

LOCKED is the virtual environment of the lock, whose uv is used. FOLDER contains another one, `venv`, which is upgraded
to the newest releases that pyproject.toml allows. The output of each check goes to a file in FOLDER. Only a summary is
printed, without pytest's closing line, which a CI system could mistake for that of the suite.

The exit status is 0 if every check passes, 1 if one fails, and 2 if the newest releases cannot be installed, for
example without a network.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

#: Name of a check to its command; the program is in FOLDER/venv/bin.
CHECKS: dict[str, tuple[str, ...]] = {
    "ruff check": ("ruff", "check", "."),
    "ruff format": ("ruff", "format", "--check", "."),
    "mypy": ("mypy", "--cache-dir=.cache/newest/mypy"),
    "import-linter": ("lint-imports", "--no-logo"),
    "unit tests": ("pytest", "tests/unit", "-q", "-n2", "-p", "no:cacheprovider", "-rfE"),
}
#: Packages that Python itself installs into a virtual environment.
SEEDS = ("pip", "setuptools")
#: Number of lines of a failed check that are printed, and of characters of each.
MOST = 12
WIDEST = 200
#: pytest's closing line, as in "4 failed, 3628 passed in 122.47s" or "no tests ran in 0.01s".
CLOSING_LINE = re.compile(r"^=*\s*(\d+ \w+(, \d+ \w+)*|no tests ran) in [\d.]+s")


def environment() -> dict[str, str]:
    """The environment variables of a check, without colors."""
    variables = {
        name: value for name, value in os.environ.items() if name not in ("FORCE_COLOR", "CLICOLOR_FORCE")
    }
    return {**variables, "NO_COLOR": "1", "PY_COLORS": "0"}


def install(uv: Path, venv: Path) -> subprocess.CompletedProcess[str]:
    """Upgrade everything that the clone and its dependency groups require in a virtual environment."""
    groups = [option for group in ("build", "test", "lint") for option in ("--group", group)]
    command: list[str | Path] = [
        uv,
        "pip",
        "install",
        "--quiet",
        "--upgrade",
        "--python",
        venv / "bin" / "python",
    ]
    return subprocess.run([*command, "--editable", ".", *groups], capture_output=True, text=True, check=False)


def versions(uv: Path, venv: Path) -> dict[str, str]:
    """The installed versions in a virtual environment, by name."""
    command: list[str | Path] = [uv, "pip", "list", "--format", "json", "--python", venv / "bin" / "python"]
    listing = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return {package["name"]: package["version"] for package in json.loads(listing)}


def held_back(uv: Path, venv: Path) -> list[str]:
    """Newer releases that a requirement excludes, such as an upper bound in pyproject.toml."""
    command: list[str | Path] = [
        uv,
        "pip",
        "list",
        "--outdated",
        "--format",
        "json",
        "--python",
        venv / "bin" / "python",
    ]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    listing = json.loads(result.stdout) if result.returncode == 0 else []
    return [
        f"{package['name']} {package['version']}, not {package['latest_version']}"
        for package in listing
        if package["name"] not in SEEDS
    ]


def differences(locked: Mapping[str, str], newest: Mapping[str, str]) -> list[str]:
    """The packages that differ, one line each."""
    lines = []
    for name in sorted(set(locked) | set(newest)):
        before, after = locked.get(name), newest.get(name)
        if before == after:
            continue
        if before is None:
            lines.append(f"{name} {after}, which the lock does not have")
        elif after is None:
            lines.append(f"{name} {before}, which is no longer required")
        else:
            lines.append(f"{name} {before} -> {after}")
    return lines


def excerpt(output: str) -> list[str]:
    """The names of failed tests, or else the last lines of the output."""
    lines = [line[:WIDEST] for line in output.splitlines() if line.strip()]
    lines = [line for line in lines if not CLOSING_LINE.match(line)]
    failed = [line.partition(" ")[2] for line in lines if line.startswith(("FAILED ", "ERROR "))]
    if len(failed) > MOST:
        return [*failed[:MOST], f"... and {len(failed) - MOST} more"]
    return failed or lines[-MOST:]


def run_checks(checks: Mapping[str, Sequence[str]], folder: Path) -> list[str]:
    """Run each check and print its result; returns the names of those that failed."""
    failed = []
    for name, (program, *arguments) in checks.items():
        started = time.monotonic()
        file = folder / f"{name.replace(' ', '-')}.txt"
        with file.open("w") as output:
            command: list[str | Path] = [folder / "venv" / "bin" / program, *arguments]
            done = subprocess.run(
                command, stdout=output, stderr=subprocess.STDOUT, env=environment(), check=False
            )
        seconds = time.monotonic() - started
        if done.returncode == 0:
            print(f"{name}: passed ({seconds:.0f} s)", flush=True)
            continue
        failed.append(name)
        print(f"{name}: failed ({seconds:.0f} s), full output in {file}")
        print(
            "".join(f"    {line}\n" for line in excerpt(file.read_text(errors="replace"))), end="", flush=True
        )
    return failed


def main(locked: Path, folder: Path) -> int:
    """Install the newest releases, compare them with the lock and run the checks; returns the exit status."""
    uv = locked / "bin" / "uv"
    done = install(uv, folder / "venv")
    if done.returncode:
        print("Not run: uv could not install the newest releases.")
        print("".join(f"    {line}\n" for line in done.stderr.splitlines()[-MOST:]), end="")
        return 2
    changed = differences(versions(uv, locked), versions(uv, folder / "venv"))
    print(f"Packages that differ from requirements-dev.lock: {len(changed)}")
    print("".join(f"    {line}\n" for line in changed), end="")
    excluded = held_back(uv, folder / "venv")
    print(f"Packages that a requirement holds back: {len(excluded)}")
    print("".join(f"    {line}\n" for line in excluded), end="", flush=True)
    failed = run_checks(CHECKS, folder)
    print(
        f"Drift: {', '.join(failed)}" if failed else "No drift: everything passes with the newest releases."
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
