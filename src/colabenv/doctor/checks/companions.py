"""What TensorFlow needs besides Keras, NumPy and protobuf, and what is made for one TensorFlow. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from colabenv.doctor.checks.registry import rule
from colabenv.doctor.checks.versions import module_names, way, where
from colabenv.doctor.model import Distribution, Facts, Finding, Step
from colabenv.doctor.requirements import (
    TENSORFLOWS,
    Need,
    explained,
    mending,
    moving,
    older,
    release,
    tensorflow,
    unmet,
    visible,
)
from colabenv.frameworks.facts import Pairing, Release, table

# Those that have a check of their own.
_ELSEWHERE = {"keras", "keras-nightly", "numpy", "protobuf", "tf-keras", "setuptools"}


@rule(
    "CE108",
    "TensorFlow's own requirements are not met",
    "TensorFlow needs some thirty small packages within ranges: ml-dtypes, typing-extensions, h5py, "
    "flatbuffers, gast, wrapt, absl-py, tensorboard and others. Something installed later can replace one of "
    "them, and TensorFlow fails at import or much later: `module 'ml_dtypes' has no attribute "
    "'float8_e4m3b11fnuz'`, `cannot import name 'formatargspec' from 'inspect'` (wrapt). It is mended by "
    "bringing all of them into range in one run of the installer, so that nothing else moves.",
)
def tensorflow_needs(facts: Facts) -> Iterator[Finding]:
    """One finding for all of them, since they have one cause and one command."""
    own = tensorflow(facts)
    wanted = [
        need
        for need in unmet(facts)
        if need.dependant is own
        and need.dependency not in _ELSEWHERE
        and not need.dependency.startswith("nvidia-")
    ]
    if own is None or not wanted:
        return
    missing = [need for need in wanted if need.found is None]
    steps = tuple(dict.fromkeys(one for need in wanted for one in mending(facts, need.dependency)))
    modules = {name for need in wanted for name in (*module_names(need.dependency), *_modules(need.found))}
    yield Finding(
        "CE108",
        f"{_listed(wanted)} for {own.name} {own.version}.",
        (*(need.evidence for need in wanted), *(line for need in wanted for line in where(need.found))),
        f"{own.name} was installed without its requirements, or they were removed."
        if len(missing) == len(wanted)
        else "Another installation replaced what TensorFlow had brought. pip warns of it and goes on.",
        (Step("install", steps),),
        explains=explained(facts, *sorted(modules)),
        covers=tuple(need.key for need in wanted),
    )


@rule(
    "CE109",
    "A companion of another TensorFlow",
    "tensorflow-text, -hub, -probability, -addons, -datasets, keras-cv and their kind are made for certain "
    "releases of TensorFlow. Some say so in their metadata; of the others it is known from their notes and from "
    "trying them. With another TensorFlow their import fails: `undefined symbol` (tensorflow-text), `This "
    "version of TensorFlow Probability requires TensorFlow version >= …`, `No module named 'keras.src.engine'` "
    "(tensorflow-addons). It is mended by the release that goes with the TensorFlow that is there; TensorFlow "
    "itself stays.",
)
def companion_of_another_tensorflow(facts: Facts) -> Iterator[Finding]:
    """By metadata, and by the stack's table for those whose metadata is silent."""
    own = tensorflow(facts)
    if own is None:
        return
    known = release(own)
    told = {
        need.dependant.name: need
        for need in unmet(facts)
        if need.dependency in TENSORFLOWS and need.found is not None and need.dependant.name != "tf-keras"
    }
    for one in visible(facts):
        need = told.get(one.name)
        evidence = need.evidence if need else _silent(one, known)
        if evidence:
            yield _companion(facts, one, own, known, evidence, need)


def _companion(
    facts: Facts,
    one: Distribution,
    own: Distribution,
    known: Release | None,
    evidence: str,
    need: Need | None,
) -> Finding:
    best = fitting(one.name, known, facts.python[1]) if known is not None else None
    if best is not None:
        # TensorFlow is named as well: what the companion brings must not take another one along.
        steps = (Step("install", (f"{one.name}=={best}", f"{own.name}=={own.version}")),)
    elif need is not None:
        steps = (Step("install", moving(facts, one.name, own)),)
    else:
        steps = (Step("uninstall", (one.name,)),)
    return Finding(
        "CE109",
        f"{one.name} {one.version} was made for another TensorFlow than {own.version}.",
        (evidence, *where(one), *where(own)),
        f"pip took a release of {one.name} without looking at the TensorFlow that was there, or TensorFlow was changed "
        "after it.",
        steps,
        explains=explained(facts, *one.modules, *module_names(one.name)),
        covers=tuple(f"{one.name}>{name}" for name in TENSORFLOWS),
    )


def _silent(one: Distribution, known: Release | None) -> str:
    """What the stack's table has against a companion beside this TensorFlow, or ""."""
    pairing = next(
        (pair for pair in table().companions.get(one.name, ()) if one.version in pair.releases), None
    )
    if known is None or pairing is None or one.name == "tf-keras":
        return ""
    if not pairing.tensorflow.contains(known.version):
        return (
            f"{one.name} {one.version} goes with tensorflow{pairing.tensorflow}; its metadata does not say so"
        )
    first = FOR_2_16.get(one.name)
    if first and not older(known.version, "2.16") and older(one.version, first):
        return f"{one.name} {first} is the first that works with TensorFlow 2.16 and later"
    return ""


#: The first releases that work beside TensorFlow 2.16 and later, where metadata does not tell. Tried on 2.18.1:
#: tensorflow-hub before 0.16 imports tensorflow.compat.v1.estimator, tensorflow-probability before 0.24 uses
#: tensorflow.keras.__internal__; both went with 2.16.
FOR_2_16 = {"tensorflow-hub": "0.16", "tensorflow-probability": "0.24"}


def fitting(name: str, known: Release, minor: int) -> str | None:
    """The newest release of a companion that goes with a TensorFlow on CPython 3.`minor`."""

    def fits(pair: Pairing) -> bool:
        return pair.tensorflow.contains(known.version) and f"3.{minor}" in (pair.pythons or (f"3.{minor}",))

    found = [pair.releases[-1] for pair in table().companions.get(name, ()) if fits(pair)]
    first = FOR_2_16.get(name)
    if first and not older(known.version, "2.16"):
        found = [one for one in found if not older(one, first)]
    return found[-1] if found else None


def _listed(wanted: list[Need]) -> str:
    """Such as: wrapt 2.0 is too new and gast is missing; at most five of them."""
    parts = [
        f"{need.dependency} {need.found.version} is {way(need)}"
        if need.found
        else f"{need.dependency} is missing"
        for need in wanted
    ]
    more = f" and {len(parts) - 5} more" if len(parts) > 5 else ""
    if not more and len(parts) > 1:
        return ", ".join(parts[:-1]) + f" and {parts[-1]}"
    return ", ".join(parts[:5]) + more


def _modules(found: Distribution | None) -> tuple[str, ...]:
    return found.modules if found is not None else ()
