"""Shorten a resolver's explanation of a conflict."""

from __future__ import annotations

import re


def summarize_conflict(detail: str) -> str:
    """The conflict as one phrase, such as "you require ipython==8.26.0 and ipython==7.34.0".

    Args:
        detail: the `detail` of an `UnsatisfiableError`.
    """
    text = " ".join(detail.split())
    match = re.search(r"[Bb]ecause (?P<conflict>.+?)(, we can conclude|\. And because|\.$|$)", text)
    conflict = match["conflict"] if match else text
    return conflict if len(conflict) <= 200 else conflict[:199] + "…"
