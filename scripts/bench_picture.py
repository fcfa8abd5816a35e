#!/usr/bin/env python3
"""Draw docs/bench.svg from docs/bench.json, which `scripts/bench --only store felt --json docs/bench.json` writes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from benchlib.picture import draw_svg

DOCS = Path(__file__).resolve().parent.parent / "docs"


def main() -> None:
    data = json.loads((DOCS / "bench.json").read_text(encoding="utf-8"))
    (DOCS / "bench.svg").write_text(draw_svg(data), encoding="utf-8")
    print(DOCS / "bench.svg")


if __name__ == "__main__":
    main()
