"""The measured figures as text. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from benchlib.figures import medians, ratio, spread, table

MODES = ("cold", "warm")
AIM = 1.15
NOOP_AIM = 3.0

Records = Sequence[Mapping[str, Any]]


def chosen(records: Records, name: str, mode: str) -> list[Mapping[str, Any]]:
    """The records of one contender in one mode."""
    return [record for record in records if record["contender"] == name and record["mode"] == mode]


def totals(records: Records, name: str, mode: str) -> list[float]:
    """Seconds to the first prediction. That of `up` is made in its own proof, so for it: to its end."""
    return [
        record["steps"].get("up", sum(record["steps"].values())) for record in chosen(records, name, mode)
    ]


def felt(records: Records, name: str, mode: str) -> list[float]:
    """Seconds until the person's own cell has run too, in the kernel that `up` registered."""
    return [sum(record["steps"].values()) for record in chosen(records, name, mode)]


def summary(records: Records, titles: Mapping[str, str]) -> str:
    """Everybody's seconds, cold and warm."""
    rows = []
    for name, title in titles.items():
        rows.append([title, *(spread(totals(records, name, mode)) for mode in MODES)])
        if name.startswith("up"):
            rows.append(
                [
                    "  … plus its kernel opened, cell run again",
                    *(spread(felt(records, name, mode)) for mode in MODES),
                ]
            )
    return table(["seconds to the first prediction", *MODES], rows)


def processor(records: Records, titles: Mapping[str, str]) -> str:
    """Everybody's processor time to the first prediction."""
    rows = [
        [title, *(spread([record["cpu"] for record in chosen(records, name, mode)]) for mode in MODES)]
        for name, title in titles.items()
    ]
    return table(["processor seconds to the first prediction", *MODES], rows)


def comparison(records: Records, titles: Mapping[str, str]) -> str:
    """Each form of `up` against each rival, as ratios of medians."""
    rows = []
    for ours in [name for name in titles if name.startswith("up")]:
        for rival in [name for name in titles if not name.startswith("up")]:
            found = [ratio(totals(records, ours, mode), totals(records, rival, mode)) for mode in MODES]
            rows.append(
                [
                    f"{titles[ours]} / {titles[rival]}",
                    *("-" if each is None else f"{each:.2f}" for each in found),
                ]
            )
    return table([f"times as long (aim against uv: {AIM})", *MODES], rows) if rows else ""


def steps(records: Records, titles: Mapping[str, str]) -> str:
    """Where the time goes: a contender's steps, and colabenv's own account of its stages and its proof."""
    lines = []
    for name, title in titles.items():
        for mode in MODES:
            found = chosen(records, name, mode)
            if not found:
                continue
            lines.append(f"{title}, {mode}: {_listed(medians([record['steps'] for record in found]))}")
            for key in ("seconds", "proof_seconds"):
                inside = [record["inside"][key] for record in found if key in record["inside"]]
                if inside:
                    lines.append(f"    {key}: {_listed(medians(inside))}")
            if name.startswith("up"):
                rest = [record["steps"]["up"] - sum(record["inside"]["seconds"].values()) for record in found]
                lines.append(
                    f"    outside the stages (start, imports, up cache): {statistics.median(rest):.2f}"
                )
    return "\n".join(lines)


def noop(found: Mapping[str, Any], faults: Sequence[str]) -> str:
    """The `up` with nothing to do."""
    up, yaml, empty = (1000 * statistics.median(found[name]) for name in ("up", "yaml", "empty"))
    times = up / yaml
    verdict = "; ".join(faults) or "loads neither pydantic nor rich, starts no process"
    return (
        f"up with nothing to do: {up:.0f} ms; python -c 'import yaml': {yaml:.0f} ms; python -c pass: {empty:.0f} ms "
        f"(medians of {len(found['up'])})\n"
        f"  {times:.2f} times the import of yaml (at most {NOOP_AIM:.0f}); it {verdict}"
    )


def _listed(seconds: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.2f}" for name, value in seconds.items())
