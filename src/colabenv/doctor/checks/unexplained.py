"""What is left when no other check knows the cause. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from colabenv.doctor.checks.registry import rule
from colabenv.doctor.model import Facts, Finding

_OF_IMPORTS = ("ImportError", "ModuleNotFoundError")


@rule(
    "CE901",
    "A failure that no check explains",
    "An import or a cell failed, and none of the checks knows why. The finding shows the exception as it was. A "
    "fresh environment from a profile (`colabenv up builtin:quickstart`) is the surest way on; if it fails "
    "there too, the cause is in the code.",
    general=True,
)
def unexplained(facts: Facts) -> Iterator[Finding]:
    """Each complaint; the registry leaves out those that a finding explains."""
    for complaint in facts.complaints:
        if not complaint.here and complaint.kind not in _OF_IMPORTS:
            continue  # some cell of a notebook that ran elsewhere: the code's own matter
        last = complaint.text.strip().splitlines()[-6:] or [f"{complaint.kind}: {complaint.message}"]
        yield Finding(
            "CE901",
            f"{complaint.source} fails with {complaint.kind}, and the doctor does not know why.",
            tuple(last),
            "None of the known causes shows on this machine. A fresh environment tells whether the cause is this one "
            "or the code: colabenv up builtin:quickstart",
            explains=(complaint.source,),
        )
