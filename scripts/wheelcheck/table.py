"""Render the records as JSON and as the README's table. Pure."""

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


def sort_key(record: Record) -> tuple[bool, list[int]]:
    """CPU first, then by release."""
    return record["variant"] != "cpu", [int(part) for part in record["release"].split(".")]


def merge_records(old: Sequence[Record], new: Sequence[Record]) -> list[Record]:
    """All records, sorted; a new record replaces the old one of its release and variant."""
    records = {(record["release"], record["variant"]): record for record in (*old, *new)}
    return sorted(records.values(), key=sort_key)


def render_json(records: Sequence[Record]) -> str:
    """JSON with one key a line, so that a new run gives a small diff."""
    blocks = [
        ",\n".join(f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in record.items())
        for record in records
    ]
    return "[\n" + ",\n".join(f" {{\n{block}\n }}" for block in blocks) + "\n]\n"


def render_markdown(records: Sequence[Record]) -> str:
    """The README's table, with notes on the machines and on libraries that were not opened."""
    rows = [_TITLES, ["---"] * len(_TITLES), *(render_row(record) for record in records)]
    lines = ["| " + " | ".join(map(str, cells)) + " |" for cells in rows]
    return "\n".join([*lines, "", *render_notes(records)])


def render_row(record: Record) -> list[str]:
    """The cells of one record."""
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


def render_notes(records: Sequence[Record]) -> list[str]:
    """A sentence on the machines, and one on the libraries that were not opened."""
    machines = sorted({describe_machine(record["machine"]) for record in records})
    reasons: dict[str, set[str]] = {}
    for record in records:
        for library, reason in record.get("cuda", {}).get("not_opened", {}).items():
            reasons.setdefault(reason, set()).add(f"`{library}`")
    left_out = [f"{', '.join(sorted(names))} ({reason})" for reason, names in sorted(reasons.items())]
    return [
        f"Run on {' and on '.join(machines)}.",
        *([f"Not opened, though TensorFlow looks for them: {'; '.join(left_out)}."] if left_out else []),
    ]


def describe_machine(machine: Mapping[str, Any]) -> str:
    """The machine of a record in words."""
    gpu = "no GPU" if machine["gpu"] == "none" else "a GPU"
    return (
        f"a Linux machine, {machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB of memory, "
        f"{machine['glibc']}, {gpu}"
    )


def insert_table(readme: str, table: str) -> str:
    """The README with the table between its markers.

    Raises:
        ValueError: a marker is missing, repeated or in the wrong order.
    """
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or BEGIN in after or END in after:
        raise ValueError("The README does not have each of the two markers exactly once.")
    return f"{before}{BEGIN}\n\n{table}\n\n{END}{after}"
