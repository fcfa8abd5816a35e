"""Errors that no other check explains."""

from __future__ import annotations

from collections.abc import Iterator

from colabenv.doctor.checks.registry import rule
from colabenv.doctor.model import Facts, Finding


@rule("CE901", general=True)
def find_unexplained_errors(facts: Facts) -> Iterator[Finding]:
    """An error that no check explains.

    An import or a cell failed, and no check knows the cause. The finding shows the exception unchanged. Try a new
    environment (`colabenv up builtin:quickstart`): if the code fails there as well, the cause is in the code.
    """
    for error in facts.errors:
        if not error.is_local and error.kind not in {"ImportError", "ModuleNotFoundError"}:
            continue  # a cell of a notebook that ran elsewhere: a matter of the code
        yield Finding(
            f"{error.source} fails with {error.kind}; no check explains it.",
            tuple(error.text.strip().splitlines()[-6:]) or (f"{error.kind}: {error.message}",),
            "The doctor found none of the causes that it knows. To see whether the environment or the code is the "
            "cause, try a new environment: colabenv up builtin:quickstart",
            explains=(error.source,),
        )
