"""Write src/colabenv/frameworks/table.toml from the package index. Run by scripts/refresh-stack-table."""

from __future__ import annotations

import argparse
import datetime
from pathlib import Path

from stacktable import render
from stacktable.frameworks import Frameworks
from stacktable.index import Index, find_index_url
from stacktable.rows import COMPANIONS, Reader

_ROOT = Path(__file__).resolve().parents[2]


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/refresh-stack-table")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="write the table to FILE",
        default=_ROOT / "src" / "colabenv" / "frameworks" / "table.toml",
    )
    parser.add_argument("--cache", type=Path, default=_ROOT / ".cache" / "stack-table")
    options = parser.parse_args()
    reader = Reader(Index(find_index_url(), options.cache))
    rows = reader.rows(reader.releases())
    print(f"{len(rows)} releases of TensorFlow")
    companions = {}
    for name in COMPANIONS:
        companions[name] = reader.companions(name, rows)
        print(f"{len(companions[name])} releases of {name}")
    frameworks = Frameworks(reader)
    others = render.OtherFrameworks(frameworks.torch(), frameworks.jax(), frameworks.keras_backends())
    print(f"{len(others.torch)} releases of torch, {len(others.jax)} of jax")
    day = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    fresh = options.out.with_name(options.out.name + ".new")
    fresh.write_text(render.render_table(day, rows, reader.keras(), companions, others), encoding="utf-8")
    fresh.replace(options.out)
    print(options.out)


if __name__ == "__main__":
    main()
