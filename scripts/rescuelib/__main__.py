"""The program behind scripts/rescue."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rescuelib import report
from rescuelib.full_base import FullBase, build_full_base, newest_release
from rescuelib.machine import prepare_google_colab, rescue_machine
from rescuelib.user import Limits, run_all

ROOT = Path(__file__).resolve().parents[2]
CELL = "%load_ext colabenv\n%colabenv up"


@dataclass(frozen=True)
class Entry:
    """A notebook to run: its file, and what the list says about it."""

    file: Path
    facts: dict[str, Any]


def main() -> int:
    options = parse_arguments()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    options.work.mkdir(parents=True, exist_ok=True)
    # The stand-in machine of the tests keeps everything in this folder.
    os.environ["COLABENV_TEST_CACHE"] = str(options.work.resolve())
    full = build_full_base(options.colab or newest_release())
    prepare_google_colab(full, options.google_colab)
    entries = read_entries(options.notebooks, options.list)
    records = read_records(options.json)
    for entry in entries:
        record = {**records.get(report.key(entry.facts), {}), **entry.facts}
        for mode in [options.only] if options.only else report.MODES:
            print_line(f"{entry.file.name}, {mode} ...")
            record[mode] = run_once(entry, mode, full, options)
            print_line(report.describe(record[mode]))
        records[report.key(entry.facts)] = record
        if options.json:
            replace_file(options.json, report.render_json(list(records.values()), full))
    print(report.render_table([records[report.key(entry.facts)] for entry in entries]))
    return 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/rescue", description="Run notebooks with and without colabenv."
    )
    parser.add_argument("notebooks", nargs="*", type=Path, metavar="NOTEBOOK")
    parser.add_argument(
        "--list", type=Path, metavar="FILE", help="JSON: file, repository, path, commit, era, modules"
    )
    parser.add_argument(
        "--only", choices=report.MODES, metavar="plain|colabenv", help="run one of the two ways"
    )
    parser.add_argument(
        "--cell", default=CELL, help="the cell to add; NOTEBOOK is replaced by the file's name"
    )
    parser.add_argument(
        "--colab", metavar="RELEASE", help="a Colab release such as 2026.08; the newest by default"
    )
    parser.add_argument("--google-colab", type=Path, metavar="DIR", help="a folder with Google's own package")
    parser.add_argument(
        "--seconds", type=float, default=Limits.cell, help="limit of a cell; imports have more"
    )
    parser.add_argument("--notebook-seconds", type=float, default=Limits.notebook, help="the rest is not run")
    parser.add_argument("--upload", action="store_true", help="also put the notebook's file into /content")
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write the results, and keep those of others"
    )
    parser.add_argument("--work", type=Path, default=ROOT / ".cache" / "rescue", metavar="DIR")
    options = parser.parse_args()
    if not options.notebooks and not options.list:
        parser.error("name a notebook, or a list with --list")
    return options


def read_entries(notebooks: Sequence[Path], listed: Path | None) -> list[Entry]:
    """The notebooks to run; files of a list are relative to it."""
    entries = [Entry(file, {"file": str(file)}) for file in notebooks]
    if listed:
        facts = json.loads(listed.read_text(encoding="utf-8"))
        entries += [Entry(listed.parent / each["file"], each) for each in facts]
    return entries


def read_records(file: Path | None) -> dict[tuple[str, str], dict[str, Any]]:
    """The results of runs before."""
    if file is None or not file.exists():
        return {}
    notebooks = json.loads(file.read_text(encoding="utf-8"))["notebooks"]
    return {report.key(record): record for record in notebooks}


def run_once(entry: Entry, mode: str, full: FullBase, options: argparse.Namespace) -> dict[str, Any]:
    """Run a notebook on a machine of its own; the output of its cells goes to a file in the work folder."""
    notebook = json.loads(entry.file.read_text(encoding="utf-8"))
    log = options.work / "logs" / f"{entry.file.stem}.{mode}.txt"
    log.parent.mkdir(exist_ok=True)
    added = [options.cell.replace("NOTEBOOK", entry.file.name)] if mode == "colabenv" else []
    with rescue_machine(full, colabenv=bool(added)) as machine, log.open("w", encoding="utf-8") as file:
        if options.upload:
            (machine.content / entry.file.name).write_bytes(entry.file.read_bytes())

        def write(text: str) -> None:
            print(text, file=file, flush=True)

        run = run_all(
            machine,
            entry.file.name,
            notebook,
            added,
            Limits(cell=options.seconds, notebook=options.notebook_seconds),
            write,
        )
    result = report.summarize(run, frozenset(entry.facts.get("modules", ())))
    return {**result, "day": datetime.datetime.now(datetime.timezone.utc).date().isoformat()}


def replace_file(file: Path, text: str) -> None:
    """Write a file atomically."""
    fresh = file.with_name(file.name + ".new")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(file)


def print_line(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
