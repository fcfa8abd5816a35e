"""Which versions code in question will meet: what it pins itself, else what is installed. Pure."""

from __future__ import annotations

import re

from packaging.requirements import InvalidRequirement, Requirement

from colabenv.doctor.model import Facts
from colabenv.doctor.requirements import TENSORFLOWS
from colabenv.frameworks.facts import table
from colabenv.lock.lockfile import normalised

#: Distributions that are TensorFlow.
FLOWS = (*TENSORFLOWS, "tensorflow-gpu")


def versions_of(facts: Facts) -> dict[str, str]:
    """Distribution to its version: as the code in question pins it, else as it is installed."""
    pinned = pins(facts)
    known = {name: facts.version(name) for name in ("keras", "numpy", "scikit-learn", "scipy", "tf-keras")}
    known["tensorflow"] = next((facts.version(one) for one in TENSORFLOWS if facts.version(one)), "")
    flow = next((pinned[one] for one in FLOWS if one in pinned), "")
    if flow and can_have(flow, facts):
        known["tensorflow"] = flow
        known["keras"] = keras_of(flow)
    elif not pinned.get("keras", "").startswith("3"):
        pinned.pop("keras", None)  # an old Keras beside a new TensorFlow does not even import
    known.update(
        {name: version for name, version in pinned.items() if name in known and name != "tensorflow"}
    )
    return known


def can_have(tensorflow: str, facts: Facts) -> bool:
    """Whether there are wheels of a release of TensorFlow for this Python."""
    return minor(facts) in pythons_of(tensorflow)


def pythons_of(tensorflow: str) -> tuple[str, ...]:
    """The Pythons that a release of TensorFlow, or the last of a line such as "2.8", has wheels for."""
    found = [
        one.pythons
        for one in table().releases
        if one.version == tensorflow or one.version.startswith(tensorflow + ".")
    ]
    return found[-1] if found else ()


def minor(facts: Facts) -> str:
    """The interpreter's Python, as "3.12"."""
    return f"{facts.python[0]}.{facts.python[1]}"


def keras_of(tensorflow: str) -> str:
    """The Keras that a TensorFlow brings: of its own number from 2.6 to 2.15, before that 2.3's kind, then 3."""
    numbers = [int(part) for part in re.findall(r"\d+", tensorflow)[:2]]
    if numbers < [2, 6]:
        return "2.3.1"
    return ".".join(map(str, numbers)) if numbers < [2, 16] else "3.0"


def pins(facts: Facts) -> dict[str, str]:
    """Versions that the code pins exactly; the last of each name counts."""
    found = {}
    for one in facts.asked:
        try:
            wanted = Requirement(one.requirement)
        except InvalidRequirement:
            continue
        exact = [clause.version for clause in wanted.specifier if clause.operator == "=="]
        if exact:
            found[normalised(wanted.name)] = exact[0].removesuffix(".*")
    return found


def pin_lines(facts: Facts) -> dict[str, str]:
    """Distribution to where the code installs it, and how."""
    found = {}
    for one in facts.asked:
        name = normalised(re.split(r"[^\w.-]", one.requirement, maxsplit=1)[0])
        found[name] = f"{one.place}: {one.line}"
    return found
