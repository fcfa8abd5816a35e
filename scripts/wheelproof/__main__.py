"""The program: see scripts/verify-profiles."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType
from typing import Any

from colabenv.frameworks import facts
from wheelproof import table
from wheelproof.judge import NotProvenError
from wheelproof.proof import LINES, Place, machine, newest, prove

ROOT = Path(__file__).resolve().parents[2]
_LEAST_FREE = 10_000_000_000


def main() -> int:
    options = arguments()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    work = ROOT / ".cache"
    work.mkdir(exist_ok=True)
    results = []
    for variant in options.variants:
        for line in [line for line in LINES[variant] if line in (options.only or LINES[variant])]:
            if shutil.disk_usage(work).free < _LEAST_FREE:
                raise SystemExit(
                    f"{work} has less than 10 GB free; an environment and its downloads need up to that."
                )
            with tempfile.TemporaryDirectory(prefix="verify-", dir=work) as folder:
                results.append(one(line, variant, Path(folder), options.cache))
            if not options.no_write:
                write(results, options.json, options.readme)
    if not options.no_write:
        print(f"Written: {options.json}, and its table into {options.readme}.")
    return 1 if any("failed" in result for result in results) else 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/verify-profiles", description="Prove releases on real wheels."
    )
    lines = sorted(
        {line for each in LINES.values() for line in each}, key=lambda line: int(line.split(".")[1])
    )
    parser.add_argument("--only", nargs="+", choices=lines, metavar="LINE", help=", ".join(lines))
    parser.add_argument("--variant", dest="variants", nargs="+", choices=list(LINES), default=list(LINES))
    parser.add_argument("--cache", type=Path, metavar="DIR", help="keep downloads; by default none are kept")
    parser.add_argument("--json", type=Path, default=ROOT / "docs" / "verified.json", metavar="FILE")
    parser.add_argument("--readme", type=Path, default=ROOT / "README.md", metavar="FILE")
    parser.add_argument("--no-write", action="store_true", help="only say what was found")
    return parser.parse_args()


def one(line: str, variant: str, root: Path, cache: Path | None) -> dict[str, Any]:
    """The record of one release in one variant, be it that it failed."""
    version = newest(line, facts.load_table())
    say(f"TensorFlow {version}, {variant} ...")
    started = time.perf_counter()
    try:
        found = prove(version, variant, Place.at(root, os.environ, (cache or root / "downloads").resolve()))
    except (NotProvenError, RuntimeError, subprocess.TimeoutExpired) as error:
        found = {"release": version, "variant": variant, "failed": str(error).replace(str(root), "~")}
        print(found["failed"], flush=True)
    else:
        count = f", {len(found['cuda']['opened'])} CUDA libraries" if "cuda" in found else ""
        say(
            f"TensorFlow {version}, {variant}: Python {found['python']}, Keras {found['keras']}, "
            f"{len(found['models'])} models{count}, {time.perf_counter() - started:.0f} s"
        )
    day = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    return {**found, "day": day, "machine": machine(), "colabenv": commit()}


def commit() -> str:
    """What of colabenv was tried."""
    words = ["git", "describe", "--always", "--dirty"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def write(results: list[dict[str, Any]], file: Path, readme: Path) -> None:
    """Put the new records among the old ones, and the table of all into the README."""
    old = json.loads(file.read_text(encoding="utf-8")) if file.exists() else []
    records = table.merged(old, results)
    replace(file, table.as_json(records))
    replace(readme, table.placed(readme.read_text(encoding="utf-8"), table.markdown(records)))


def replace(file: Path, text: str) -> None:
    """Write a file as a whole or not at all."""
    fresh = file.with_name(file.name + ".new")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(file)


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def stop(number: int, frame: FrameType | None) -> None:
    """End so that the folder is removed on the way out."""
    del frame
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
