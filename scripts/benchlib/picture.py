"""Draw the picture of docs/bench.md and the README as SVG, from the benchmark's JSON. Pure.

Without a drawing library, so that the same JSON gives the same bytes everywhere. The card has its own background
because the media query sees the theme of the system, and a page may use the other one.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape

from benchlib.store_report import CASES, select_records

STEPS = {"up": "colabenv up", "kernel": "kernel starts", "cell": "first cell: import, model, prediction"}
RATES = {"": "no limit", "@100": "100 MB/s", "@30": "30 MB/s"}
_WIDTH, _LEFT, _RIGHT, _BAR, _GAP = 860, 300, 70, 20, 10
_STYLE = """
text{font:13px -apple-system,"Segoe UI",Helvetica,Arial,sans-serif;fill:#1f2328}
.head{font-size:15px;font-weight:600}.small{font-size:11.5px;fill:#59636e}.card{fill:#fff;stroke:#d1d9e0}
.a{fill:#1f6feb}.b{fill:#bf8700}.c{fill:#8250df}.d{fill:#8c959f}.line{stroke:#1f2328;stroke-width:1}
@media(prefers-color-scheme:dark){text{fill:#f0f6fc}.small{fill:#9198a1}.card{fill:#0d1117;stroke:#3d444d}
.a{fill:#4493f8}.b{fill:#d29922}.c{fill:#ab7df8}.d{fill:#6e7681}.line{stroke:#f0f6fc}}
"""


def draw_svg(data: Mapping[str, Any]) -> str:
    """The SVG for the JSON of `scripts/bench --only store felt --json FILE`."""
    parts, top = _draw_first_predictions(data["felt"], 24)
    more, top = _draw_store(data["store"], top + 26)
    machine = data["machine"]
    rounds = 1 + max(record["round"] for record in data["felt"]["records"])
    foot = (
        f"TensorFlow 2.15, cpu, {data['store']['packages']} packages. Medians of {rounds} rounds; "
        "whiskers from minimum to maximum. "
        f"{machine['cores']} cores, {machine['memory_gib']:.0f} GB. {machine['date'][:10]}, {machine['commit']}"
    )
    parts += [*more, _draw_text(24, top + 14, foot, "small")]
    height = top + 34
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height:.0f}" '
        f'viewBox="0 0 {_WIDTH} {height:.0f}" role="img" aria-label="{escape(_LABEL)}">'
    )
    card = f'<rect class="card" x="0.5" y="0.5" width="{_WIDTH - 1}" height="{height - 1:.0f}" rx="8"/>'
    return "\n".join([head, f"<style>{_STYLE}</style>", card, *parts, "</svg>", ""])


_LABEL = "Seconds from the line in the cell to the first prediction, and to bring an environment to disk"


def _draw_first_predictions(felt: Mapping[str, Any], top: float) -> tuple[list[str], float]:
    """Time to the first prediction: one bar per case, one part per step."""
    cases = []
    for case, title in CASES.items():
        runs = [record["steps"] for record in felt["records"] if record["case"] == case]
        if runs:
            steps = [statistics.median(run[step] for run in runs) for step in STEPS]
            cases.append((title, steps, [sum(run.values()) for run in runs]))
    title = f"Seconds to the first prediction, network at {felt['rate'] / 1e6:.0f} MB/s"
    parts = [
        _draw_text(24, top + 8, title, "head"),
        *_draw_legend(top + 28, zip("abc", STEPS.values(), strict=True)),
    ]
    top += 44
    scale = _pixels_per_second(max(max(totals) for _, _, totals in cases))
    for title, steps, totals in cases:
        parts.append(_draw_text(_LEFT - 10, top + 15, title, anchor="end"))
        start = float(_LEFT)
        for color, seconds in zip("abc", steps, strict=True):
            parts.append(_draw_bar(start, top, seconds * scale, color))
            start += seconds * scale
        parts += _draw_whisker(start, top, totals, scale)
        top += _BAR + _GAP
    return parts, top


def _draw_store(store: Mapping[str, Any], top: float) -> tuple[list[str], float]:
    """Time to install the environment: uv and the store at each rate, and a copy of the files."""
    rows: list[tuple[str, str, list[float]]] = []
    for suffix, title in RATES.items():
        for way, color, name in (("uv", "d", "uv, empty cache"), ("s3", "a", "store (S3)")):
            rows.append((f"{name}, {title}", color, _select_seconds(store, way + suffix)))
    rows.append(("cp -r of the tree, the floor", "b", _select_seconds(store, "cp")))
    rows = [row for row in rows if row[2]]
    parts = [_draw_text(24, top + 8, "Seconds to bring the environment to disk", "head")]
    top += 24
    scale = _pixels_per_second(max(max(seconds) for _, _, seconds in rows))
    for title, color, seconds in rows:
        middle = statistics.median(seconds)
        parts += [
            _draw_text(_LEFT - 10, top + 15, title, anchor="end"),
            _draw_bar(_LEFT, top, middle * scale, color),
        ]
        parts += _draw_whisker(_LEFT + middle * scale, top, seconds, scale)
        top += _BAR + _GAP
    return parts, top


def _select_seconds(store: Mapping[str, Any], way: str) -> list[float]:
    return [record["seconds"] for record in select_records(store["records"], way)]


def _pixels_per_second(most: float) -> float:
    return (_WIDTH - _LEFT - _RIGHT) / most


def _draw_whisker(x: float, top: float, values: Sequence[float], scale: float) -> list[str]:
    """The whisker and the number at the end of a bar."""
    least, most = _LEFT + min(values) * scale, _LEFT + max(values) * scale
    middle = top + _BAR / 2
    up, low = f"{middle - 4:.1f}", f"{middle:.1f}"
    path = f"M{least:.1f} {up}v8M{most:.1f} {up}v8M{least:.1f} {low}H{most:.1f}"
    line = f'<path class="line" fill="none" d="{path}"/>'
    text = _draw_text(max(x, most) + 8, top + 15, f"{statistics.median(values):.1f}")
    return [line, text] if len(values) > 1 else [text]


def _draw_legend(y: float, entries: Iterable[tuple[str, str]]) -> list[str]:
    parts, x = [], 24.0
    for color, text in entries:
        parts += [f'<rect class="{color}" x="{x:.1f}" y="{y - 9:.1f}" width="10" height="10" rx="2"/>']
        parts.append(_draw_text(x + 15, y, text, "small"))
        x += 15 + 6.2 * len(text) + 22
    return parts


def _draw_bar(x: float, y: float, width: float, color: str) -> str:
    return f'<rect class="{color}" x="{x:.1f}" y="{y:.1f}" width="{max(width, 1):.1f}" height="{_BAR}"/>'


def _draw_text(x: float, y: float, text: str, kind: str = "", anchor: str = "") -> str:
    more = (f' class="{kind}"' if kind else "") + (f' text-anchor="{anchor}"' if anchor else "")
    return f'<text x="{x:.1f}" y="{y:.1f}"{more}>{escape(text)}</text>'
