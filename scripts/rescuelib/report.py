"""The results as records, JSON and tables. Pure."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rescuelib.full_base import FullBase
from rescuelib.outcome import Kind, Outcome, judge
from rescuelib.user import Run

Record = Mapping[str, Any]
MODES = ("plain", "colabenv")
_LENGTH = 160


def key(record: Record) -> tuple[str, str]:
    """What identifies a notebook: repository and path, or for a file of the user's own, its path."""
    return record.get("repository", ""), record.get("path", record["file"])


def summarize(run: Run, modules: frozenset[str]) -> dict[str, Any]:
    """The record of a run: how many cells ended how, and each failure. It has nothing of the notebook's content.

    Args:
        run: the run.
        modules: the modules beside the notebook in its repository, which no package has.
    """
    outcomes = judge([*run.added, *run.cells], modules)
    added, own = outcomes[: len(run.added)], outcomes[len(run.added) :]
    counts = Counter(outcome.kind.value for outcome in own)
    failures = [
        describe_failure(number - len(added), outcome, len(added))
        for number, outcome in enumerate(outcomes)
        if outcome.failure is not None or outcome.kind is Kind.NOT_RUN
    ]
    return {
        "cells": len(own),
        **{kind.value: counts[kind.value] for kind in Kind},
        "rescued": is_rescued(outcomes),
        "seconds": round(sum(run.seconds)),
        "failures": failures,
    }


def is_rescued(outcomes: Sequence[Outcome]) -> bool | None:
    """Whether no cell failed because of the environment; None if none did, but not all were run."""
    kinds = {outcome.kind for outcome in outcomes}
    if Kind.ENVIRONMENT in kinds:
        return False
    return None if Kind.NOT_RUN in kinds else True


def describe_failure(number: int, outcome: Outcome, added: int) -> dict[str, Any]:
    """A failed cell: its number among the code cells from 0 (negative for an added one), kind and exception."""
    failure = outcome.failure
    text = f"{failure.name}: {first_line(failure.message)}" if failure else "not run"
    entry: dict[str, Any] = {"cell": number, "kind": outcome.kind.value, "error": text}
    return entry if outcome.cause is None else {**entry, "cause": outcome.cause - added}


def first_line(message: str) -> str:
    """The first line of a message that says something, shortened."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    text = re.sub(r"/root/m/\w+", "~", lines[0] if lines else "")
    return text if len(text) <= _LENGTH else text[:_LENGTH] + "…"


def describe(result: Record) -> str:
    """A run in a line."""
    counts = ", ".join(f"{result[kind.value]} {kind.value}" for kind in Kind if result[kind.value])
    failures = [failure for failure in result["failures"] if failure["kind"] == Kind.ENVIRONMENT.value]
    shown = "".join(f"\n    cell {failure['cell']}: {failure['error']}" for failure in failures[:5])
    return f"{result['cells']} cells: {counts}{shown}"


def render_json(records: Sequence[Record], full: FullBase) -> str:
    """The records and the machine that they come from."""
    machine = {
        "colab": full.release,
        "python": full.python,
        "packages": full.installed,
        "missing packages": full.missing,
    }
    return json.dumps({"machine": machine, "notebooks": list(records)}, indent=1, ensure_ascii=False) + "\n"


def render_table(records: Sequence[Record]) -> str:
    """A Markdown table of the share of notebooks without an environment failure, by era; then one row a notebook."""
    eras = sorted({record.get("era", "") for record in records})
    rows = [
        ["era", "notebooks", *(f"{mode}: no environment failure" for mode in MODES)],
        ["---"] * 4,
        *([era or "–", *share(records, era)] for era in eras),
        *([["all", *share(records, None)]] if len(eras) > 1 else []),
    ]
    details = [
        ["notebook", "era", *(f"{mode}: ran, environment, data, own" for mode in MODES)],
        ["---"] * 4,
        *(
            [name(record), record.get("era", ""), *(cells(record.get(mode)) for mode in MODES)]
            for record in records
        ),
    ]
    return "\n".join(
        "\n".join("| " + " | ".join(row) + " |" for row in part) + "\n" for part in (rows, details)
    )


def share(records: Sequence[Record], era: str | None) -> list[str]:
    """The number of an era's notebooks, and for each mode how many of those that ended have no environment failure."""
    chosen = [record for record in records if era is None or record.get("era", "") == era]
    shares = []
    for mode in MODES:
        results = [
            record[mode] for record in chosen if mode in record and record[mode]["rescued"] is not None
        ]
        good = sum(result["rescued"] for result in results)
        shares.append(f"{good} of {len(results)} ({100 * good / len(results):.0f} %)" if results else "–")
    return [str(len(chosen)), *shares]


def name(record: Record) -> str:
    """The notebook as the tables show it."""
    return f"{record['repository']}: {record['path']}" if "repository" in record else str(record["file"])


def cells(result: Record | None) -> str:
    """The counts of a run."""
    if result is None:
        return "–"
    ran = result[Kind.RAN.value] + result[Kind.LIMITED.value]
    counts = [ran, *(result[kind.value] for kind in (Kind.ENVIRONMENT, Kind.DATA, Kind.OWN))]
    return ", ".join(map(str, counts)) + f" of {result['cells']}"
