"""Turns, medians and tables. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence


def turns(names: Sequence[str], number: int) -> list[str]:
    """The order of a round: everybody once, and another one first in each round.

    Args:
        names: who takes part.
        number: of the round, from 0.
    """
    start = number % len(names) if names else 0
    return [*names[start:], *names[:start]]


def spread(values: Sequence[float]) -> str:
    """Median seconds, and from least to most where there is more than one value: "12.3 (11.9 to 14.0)"."""
    if not values:
        return "not measured"
    text = f"{statistics.median(values):.1f}"
    return text if len(values) == 1 else f"{text} ({min(values):.1f} to {max(values):.1f})"


def ratio(values: Sequence[float], others: Sequence[float]) -> float | None:
    """Median against median, or None where one side was not measured."""
    if not values or not others:
        return None
    return statistics.median(values) / statistics.median(others)


def medians(rounds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The median of every step over the rounds in which it was taken, in the order of first appearance."""
    steps = dict.fromkeys(step for steps in rounds for step in steps)
    return {step: statistics.median([steps[step] for steps in rounds if step in steps]) for step in steps}


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Text in columns: the first to the left, the others to the right."""
    lines = [list(head), *map(list, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )
