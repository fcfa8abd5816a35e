"""`lock` with a real index: `--upgrade` changes only the named packages, and pip installs the lock."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from support.bench import TINY, Bench
from support.index_server import Index
from support.packages import wheel


def versions(bench: Bench, variant: str = "cpu") -> dict[str, str]:
    """Name to version of the pins in a lock beside the profile."""
    text = (bench.project / f"tiny.{variant}.lock.txt").read_text()
    assert "://" not in text
    pins = (line.removesuffix(" \\") for line in text.splitlines() if "==" in line)
    return dict(pin.split("==") for pin in pins)


def test_upgrade_changes_only_the_named_package(bench: Bench, index: Index) -> None:
    index.add(*wheel("other", "1.0"))
    bench.profile.write_text(TINY.replace("packages: [tiny]", "packages: [tiny, other]"))
    bench.run("lock", "tiny.yaml").expect(0)
    first = versions(bench)
    assert (first["tiny"], first["other"]) == ("1.0", "1.0")
    assert versions(bench, "gpu") == first

    index.add(*wheel("tiny", "1.1"))
    index.add(*wheel("other", "1.1"))
    bench.run("lock", "tiny.yaml").expect(0)
    assert versions(bench) == first
    output = bench.run("lock", "tiny.yaml", "--variant", "cpu", "--upgrade", "tiny").expect(0).text
    assert "tiny 1.0 -> 1.1" in output
    assert versions(bench) == {**first, "tiny": "1.1"}
    assert versions(bench, "gpu") == first
    bench.run("lock", "tiny.yaml", "--upgrade").expect(0)
    assert versions(bench, "gpu") == versions(bench) == {**first, "tiny": "1.1", "other": "1.1"}


def test_check_makes_no_index_request(bench: Bench, index: Index) -> None:
    bench.run("lock", "tiny.yaml", "--check").expect(2)
    bench.run("lock", "tiny.yaml").expect(0)
    index.asked.clear()
    bench.run("lock", "tiny.yaml", "--check").expect(0)
    assert index.asked == []


def test_pip_installs_the_lock(bench: Bench, index: Index, tmp_path: Path) -> None:
    bench.run("lock", "tiny.yaml", "--variant", "cpu").expect(0)
    venv = tmp_path / "venv"
    seed = [sys.executable, "-m", "virtualenv", "--quiet", "--no-periodic-update", "--no-setuptools"]
    subprocess.run([*seed, "--app-data", str(tmp_path / "app"), str(venv)], check=True, env=bench.environ)
    pip = [str(venv / "bin" / "python"), "-I", "-m", "pip"]
    install = [*pip, "install", "--quiet", "--require-hashes", "-r", str(bench.lock)]
    subprocess.run(install, check=True, env=bench.environ)
    listed = subprocess.run(
        [*pip, "list", "--format=freeze"], check=True, env=bench.environ, capture_output=True, text=True
    ).stdout
    installed = dict(line.lower().replace("_", "-").split("==") for line in listed.splitlines())
    assert installed == versions(bench)
