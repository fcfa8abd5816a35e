"""The order of rounds, medians and tables. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence


def order_round(names: Sequence[str], number: int) -> list[str]:
    """The order of round `number`, counted from 0: each round starts with a different name."""
    start = number % len(names) if names else 0
    return [*names[start:], *names[:start]]


def format_spread(values: Sequence[float]) -> str:
    """The median, with minimum and maximum if there is more than one value: "12.3 (11.9 to 14.0)"."""
    if not values:
        return "not measured"
    text = f"{statistics.median(values):.1f}"
    return text if len(values) == 1 else f"{text} ({min(values):.1f} to {max(values):.1f})"


def median_ratio(values: Sequence[float], others: Sequence[float]) -> float | None:
    """The median of the values divided by that of the others, or None if either was not measured."""
    if not values or not others:
        return None
    return statistics.median(values) / statistics.median(others)


def median_steps(rounds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The median of each step over the rounds that have it, in the order of first appearance."""
    steps = dict.fromkeys(step for steps in rounds for step in steps)
    return {step: statistics.median([steps[step] for steps in rounds if step in steps]) for step in steps}


def format_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Text in columns, the first one left-aligned, the others right-aligned."""
    lines = [list(head), *map(list, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )
