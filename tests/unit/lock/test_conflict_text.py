"""Summarizing a resolver's explanation of a conflict."""

from __future__ import annotations

from colabenv.lock.conflict_text import summarize_conflict


def test_conflict_is_summarized_as_one_phrase() -> None:
    output = (
        "error: No solution found\n  cause: Because you require ipython==8.26.0 and ipython==7.34.0, we\n can conclude"
        " that your requirements are unsatisfiable."
    )
    assert summarize_conflict(output) == "you require ipython==8.26.0 and ipython==7.34.0"
    assert summarize_conflict("an unknown message of pip") == "an unknown message of pip"
    assert len(summarize_conflict("x" * 1000)) == 200
