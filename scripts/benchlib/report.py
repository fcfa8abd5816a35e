"""Format the figures of `up`, uv and pip as text. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from benchlib.figures import format_spread, format_table, median_ratio, median_steps

MODES = ("cold", "warm")
AIM = 1.15
NOOP_AIM = 3.0

Records = Sequence[Mapping[str, Any]]


def select_records(records: Records, name: str, mode: str) -> list[Mapping[str, Any]]:
    """The records of a contender in a mode."""
    return [record for record in records if record["contender"] == name and record["mode"] == mode]


def prediction_seconds(records: Records, name: str, mode: str) -> list[float]:
    """Seconds to the first prediction. `up` predicts in its check, so its whole time counts."""
    return [
        record["steps"].get("up", sum(record["steps"].values()))
        for record in select_records(records, name, mode)
    ]


def cell_seconds(records: Records, name: str, mode: str) -> list[float]:
    """Seconds until the user's own cell has also run, in the kernel that `up` registered."""
    return [sum(record["steps"].values()) for record in select_records(records, name, mode)]


def format_summary(records: Records, titles: Mapping[str, str]) -> str:
    """The seconds of each contender, cold and warm."""
    rows = []
    for name, title in titles.items():
        rows.append([title, *(format_spread(prediction_seconds(records, name, mode)) for mode in MODES)])
        if name.startswith("up"):
            rows.append(
                [
                    "  … plus its kernel opened, cell run again",
                    *(format_spread(cell_seconds(records, name, mode)) for mode in MODES),
                ]
            )
    return format_table(["seconds to the first prediction", *MODES], rows)


def format_processor_time(records: Records, titles: Mapping[str, str]) -> str:
    """The processor time of each contender to the first prediction."""
    rows = [
        [
            title,
            *(
                format_spread([record["cpu"] for record in select_records(records, name, mode)])
                for mode in MODES
            ),
        ]
        for name, title in titles.items()
    ]
    return format_table(["processor seconds to the first prediction", *MODES], rows)


def format_comparison(records: Records, titles: Mapping[str, str]) -> str:
    """Ratios of the medians of each form of `up` and each other contender."""
    rows = []
    for ours in [name for name in titles if name.startswith("up")]:
        for other in [name for name in titles if not name.startswith("up")]:
            ratios = [
                median_ratio(
                    prediction_seconds(records, ours, mode), prediction_seconds(records, other, mode)
                )
                for mode in MODES
            ]
            rows.append(
                [
                    f"{titles[ours]} / {titles[other]}",
                    *("-" if value is None else f"{value:.2f}" for value in ratios),
                ]
            )
    return format_table([f"times as long (aim against uv: {AIM})", *MODES], rows) if rows else ""


def format_steps(records: Records, titles: Mapping[str, str]) -> str:
    """The seconds of each step, and of the stages and the check that colabenv reports."""
    lines = []
    for name, title in titles.items():
        for mode in MODES:
            runs = select_records(records, name, mode)
            if not runs:
                continue
            lines.append(
                f"{title}, {mode}: {_format_seconds(median_steps([record['steps'] for record in runs]))}"
            )
            for key in ("seconds", "proof_seconds"):
                inside = [record["inside"][key] for record in runs if key in record["inside"]]
                if inside:
                    lines.append(f"    {key}: {_format_seconds(median_steps(inside))}")
            if name.startswith("up"):
                rest = [record["steps"]["up"] - sum(record["inside"]["seconds"].values()) for record in runs]
                lines.append(
                    f"    outside the stages (start, imports, up cache): {statistics.median(rest):.2f}"
                )
    return "\n".join(lines)


def format_noop(result: Mapping[str, Any], problems: Sequence[str]) -> str:
    """The seconds and the problems of an `up` with nothing to do."""
    up, yaml, empty = (1000 * statistics.median(result[name]) for name in ("up", "yaml", "empty"))
    times = up / yaml
    verdict = "; ".join(problems) or "loads neither pydantic nor rich, starts no process"
    return (
        f"up with nothing to do: {up:.0f} ms; python -c 'import yaml': {yaml:.0f} ms; python -c pass: {empty:.0f} ms "
        f"(medians of {len(result['up'])})\n"
        f"  {times:.2f} times the import of yaml (at most {NOOP_AIM:.0f}); it {verdict}"
    )


def _format_seconds(seconds: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.2f}" for name, value in seconds.items())
