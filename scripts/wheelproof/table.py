"""The records as JSON, as the table in the README, and the README with it. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

Record = Mapping[str, Any]
BEGIN = "<!-- verified: written by scripts/verify-profiles from docs/verified.json -->"
END = "<!-- end of verified -->"
_TITLES = (
    *("TensorFlow", "variant", "Python", "Keras", "models imported", "predicts", "CUDA libraries opened"),
    *("packages", "GB", "seconds", "day"),
)


def key(record: Record) -> tuple[bool, list[int]]:
    """Where a record stands: CPU first, then by release."""
    return record["variant"] != "cpu", [int(part) for part in record["release"].split(".")]


def merged(old: Sequence[Record], new: Sequence[Record]) -> list[Record]:
    """The old records, those replaced that were made anew."""
    records = {(one["release"], one["variant"]): one for one in (*old, *new)}
    return sorted(records.values(), key=key)


def as_json(records: Sequence[Record]) -> str:
    """A line for each fact, so that a new run is a small difference."""
    blocks = [
        ",\n".join(f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in record.items())
        for record in records
    ]
    return "[\n" + ",\n".join(f" {{\n{block}\n }}" for block in blocks) + "\n]\n"


def markdown(records: Sequence[Record]) -> str:
    """What the README shows: the table, and below it on what and against what it was made."""
    rows = [_TITLES, ["---"] * len(_TITLES), *(row(record) for record in records)]
    lines = ["| " + " | ".join(map(str, cells)) + " |" for cells in rows]
    return "\n".join([*lines, "", *notes(records)])


def row(record: Record) -> list[str]:
    """One record's cells."""
    first = [record["release"], record["variant"]]
    if "failed" in record:
        return [
            *first,
            f"failed: {record['failed'].splitlines()[0][:160]}",
            *[""] * (len(_TITLES) - 4),
            record["day"],
        ]
    cuda = record.get("cuda")
    return [
        *first,
        record["python"],
        record["keras"],
        str(len(record["models"])),
        record["prediction"]["model"],
        str(len(cuda["opened"])) if cuda else "–",
        str(record["packages"]),
        f"{record['bytes'] / 1e9:.1f}",
        f"{record['seconds']['all']:.0f}",
        record["day"],
    ]


def notes(records: Sequence[Record]) -> list[str]:
    """The machines, and what was not opened and why, one sentence on each."""
    machines = sorted({sentence(record["machine"]) for record in records})
    reasons: dict[str, set[str]] = {}
    for record in records:
        for library, reason in record.get("cuda", {}).get("not_opened", {}).items():
            reasons.setdefault(reason, set()).add(f"`{library}`")
    left_out = [f"{', '.join(sorted(names))} ({reason})" for reason, names in sorted(reasons.items())]
    return [
        f"Run on {' and on '.join(machines)}.",
        *([f"Not opened, though TensorFlow looks for them: {'; '.join(left_out)}."] if left_out else []),
    ]


def sentence(machine: Mapping[str, Any]) -> str:
    """A machine in words."""
    gpu = "no GPU" if machine["gpu"] == "none" else "a GPU"
    return (
        f"a Linux machine, {machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB of memory, "
        f"{machine['glibc']}, {gpu}"
    )


def placed(readme: str, table: str) -> str:
    """The README with the table between its markers.

    Raises:
        ValueError: it has not both markers, once each, in order.
    """
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or BEGIN in after or END in after:
        raise ValueError("The README has not the two markers, once each.")
    return f"{before}{BEGIN}\n\n{table}\n\n{END}{after}"
