"""The program behind scripts/verify-profiles."""

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

from packaging.version import Version

from colabenv.frameworks import facts
from wheelcheck import table
from wheelcheck.check import LINES, CheckFolder, check_release, describe_machine, newest_release
from wheelcheck.criteria import CheckFailedError

ROOT = Path(__file__).resolve().parents[2]
#: Bytes of free disk space that one release needs.
_MIN_FREE = 10_000_000_000


def main() -> int:
    options = parse_arguments()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, exit_on_signal)
    work = ROOT / ".cache"
    work.mkdir(exist_ok=True)
    results = []
    for variant in options.variants:
        for line in [line for line in LINES[variant] if line in (options.only or LINES[variant])]:
            if shutil.disk_usage(work).free < _MIN_FREE:
                raise SystemExit(
                    f"{work} has less than 10 GB of free disk space, which an environment and its downloads can need."
                )
            with tempfile.TemporaryDirectory(prefix="verify-", dir=work) as folder:
                results.append(record_release(line, variant, Path(folder), options.cache))
            if not options.no_write:
                write_records(results, options.json, options.readme)
    if not options.no_write:
        print(f"Wrote {options.json} and the table in {options.readme}.")
    return 1 if any("failed" in result for result in results) else 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/verify-profiles", description="Check TensorFlow releases on real wheels."
    )
    lines = sorted(
        {line for variant_lines in LINES.values() for line in variant_lines},
        key=Version,
    )
    parser.add_argument(
        "--only",
        nargs="+",
        choices=lines,
        metavar="LINE",
        help=f"check only these lines, of {', '.join(lines)}",
    )
    parser.add_argument("--variant", dest="variants", nargs="+", choices=list(LINES), default=list(LINES))
    parser.add_argument("--cache", type=Path, metavar="DIR", help="keep the downloads in DIR")
    parser.add_argument("--json", type=Path, default=ROOT / "docs" / "verified.json", metavar="FILE")
    parser.add_argument("--readme", type=Path, default=ROOT / "README.md", metavar="FILE")
    parser.add_argument("--no-write", action="store_true", help="only print the results")
    return parser.parse_args()


def record_release(line: str, variant: str, root: Path, cache: Path | None) -> dict[str, Any]:
    """Check one release in one variant; the record has "failed" if a check failed."""
    version = newest_release(line, facts.load_table())
    print_line(f"TensorFlow {version}, {variant} ...")
    started = time.perf_counter()
    try:
        folder = CheckFolder.create(root, os.environ, (cache or root / "downloads").resolve())
        record = check_release(version, variant, folder)
    except (CheckFailedError, RuntimeError, subprocess.TimeoutExpired) as error:
        record = {"release": version, "variant": variant, "failed": str(error).replace(str(root), "~")}
        print(record["failed"], flush=True)
    else:
        count = f", {len(record['cuda']['opened'])} CUDA libraries" if "cuda" in record else ""
        print_line(
            f"TensorFlow {version}, {variant}: Python {record['python']}, Keras {record['keras']}, "
            f"{len(record['models'])} models{count}, {time.perf_counter() - started:.0f} s"
        )
    day = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    return {**record, "day": day, "machine": describe_machine(), "colabenv": describe_commit()}


def describe_commit() -> str:
    """The commit of colabenv that is checked."""
    words = ["git", "describe", "--always", "--dirty"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def write_records(results: list[dict[str, Any]], file: Path, readme: Path) -> None:
    """Merge new records into the JSON file and update the README's table."""
    old = json.loads(file.read_text(encoding="utf-8")) if file.exists() else []
    records = table.merge_records(old, results)
    replace_file(file, table.render_json(records))
    text = table.insert_table(readme.read_text(encoding="utf-8"), table.render_markdown(records))
    replace_file(readme, text)


def replace_file(file: Path, text: str) -> None:
    """Write a file atomically."""
    fresh = file.with_name(file.name + ".new")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(file)


def print_line(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def exit_on_signal(number: int, frame: FrameType | None) -> None:
    """Exit with the temporary folder removed; further signals are ignored meanwhile."""
    del frame
    for ignored in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ignored, signal.SIG_IGN)
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
