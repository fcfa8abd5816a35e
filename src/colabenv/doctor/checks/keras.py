"""Keras and TensorFlow: one release of the one takes some releases of the other. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from packaging.version import InvalidVersion, Version

from colabenv.doctor.checks.registry import rule
from colabenv.doctor.checks.versions import finding, where
from colabenv.doctor.model import Distribution, Facts, Finding, Step
from colabenv.doctor.requirements import TENSORFLOWS, explained, lacking, older, release, tensorflow, unmet

#: The variable that makes tensorflow.keras mean tf-keras, from TensorFlow 2.16 on.
_LEGACY = "TF_USE_LEGACY_KERAS"
# What Keras 3 runs on, by the name of the module, which is that of the backend and of the distribution as well.
_BACKENDS = ("tensorflow", "jax", "torch")
# The first TensorFlow whose tensorflow.keras is Keras 3.
_KERAS_3 = "2.16"


@rule(
    "CE102",
    "A Keras that this TensorFlow does not take",
    "Each TensorFlow works with some releases of Keras: up to 2.15 with the Keras 2 of the same number, from "
    "2.16 on with Keras 3. With another one `import tensorflow.keras` fails, or its models do. It shows as `No "
    "module named 'keras.api'`, `cannot import name … from 'keras'` or `module 'keras' has no attribute …`. It "
    "is mended by the Keras that TensorFlow's own metadata asks for.",
)
def keras_of_another_release(facts: Facts) -> Iterator[Finding]:
    """The needs of Keras that are not met while it is installed."""
    for name in ("keras", "keras-nightly"):
        wanted = [need for need in lacking(facts, name) if need.found is not None]
        own = [need for need in wanted if need.dependant.name in TENSORFLOWS]
        if own:
            said = (
                f"tensorflow.keras is the Keras that is installed beside TensorFlow, and "
                f"{own[0].dependant.name} {own[0].dependant.version} was made for another. "
                "pip install keras takes the newest, whatever TensorFlow there is."
            )
            found = finding(facts, "CE102", name, wanted, said)
            yield Finding(
                found.code,
                found.what,
                found.evidence,
                found.why,
                found.steps,
                explains=explained(facts, "keras", "tensorflow/keras", "tensorflow.keras"),
                covers=found.covers,
            )


@rule(
    "CE103",
    "tf-keras of another TensorFlow",
    "tf-keras is Keras 2 for TensorFlow 2.16 and later; it has one line for each minor release of TensorFlow "
    "and works with that one alone. It is mended by the tf-keras of TensorFlow's own number.",
)
def tf_keras_of_another_release(facts: Facts) -> Iterator[Finding]:
    """tf-keras and TensorFlow of different minor releases."""
    own, legacy = tensorflow(facts), facts.installed("tf-keras")
    line = _line(own)
    if own is None or legacy is None or not line or _line(legacy) == line:
        return
    lines = [need for need in unmet(facts) if need.dependant is legacy and need.dependency in TENSORFLOWS]
    yield Finding(
        "CE103",
        f"tf-keras {legacy.version} does not go with {own.name} {own.version}.",
        (*(need.evidence for need in lines), *where(legacy), *where(own)),
        "tf-keras reaches into TensorFlow's private modules, so each minor release of TensorFlow has its own.",
        (Step("install", (f"tf-keras=={line}.*",)),),
        explains=explained(facts, "tf_keras"),
        covers=(*(f"tf-keras>{name}" for name in TENSORFLOWS), *_who_needs_it(facts)),
    )


@rule(
    "CE104",
    "tf-keras is missing",
    "From TensorFlow 2.16 on `tensorflow.keras` is Keras 3. What was written for Keras 2 goes on with tf-keras, "
    "which is a distribution of its own: TensorFlow Probability, transformers' TensorFlow models and the "
    "variable `TF_USE_LEGACY_KERAS=1` need it. It shows as `No module named 'tf_keras'` or `Your currently "
    "installed version of Keras is Keras 3, but this is not yet supported in Transformers`. It is mended by the "
    "tf-keras of TensorFlow's own number.",
)
def tf_keras_missing(facts: Facts) -> Iterator[Finding]:
    """tf-keras asked for by metadata, by a variable, by a package known to need it, or by an exception."""
    own = tensorflow(facts)
    line = _line(own)
    if own is None or not line or older(own.version, _KERAS_3) or facts.installed("tf-keras") is not None:
        return
    asking = [need.evidence for need in unmet(facts) if need.dependency == "tf-keras"]
    asking += list(_known_to_need_it(facts))
    if facts.environ.get(_LEGACY, "").lower() in {"1", "true"}:
        asking.append(f"{_LEGACY}={facts.environ[_LEGACY]} makes tensorflow.keras mean tf-keras")
    said = tuple(
        one.source
        for one in facts.complaints
        if one.here
        and (
            "'tf_keras'" in one.message
            or "tf-keras" in one.message
            or (asking and "Keras cannot be imported" in one.message)
        )
    )
    shown = [one.message.strip().splitlines()[-1][:300] for one in facts.complaints if one.source in said]
    if asking or shown:
        yield Finding(
            "CE104",
            f"tf-keras is not installed, and something here needs it beside {own.name} {own.version}.",
            (*asking, *shown, *where(own)),
            f"TensorFlow {line} ships Keras 3, and Keras 2 is the distribution tf-keras there.",
            (Step("install", (f"tf-keras=={line}.*",)),),
            explains=(*said, *explained(facts, "tf_keras")),
            covers=_who_needs_it(facts),
        )


@rule(
    "CE114",
    "Keras 3 has no framework to run on",
    "Keras 3 runs on TensorFlow, JAX or PyTorch, and takes TensorFlow unless `KERAS_BACKEND` or "
    "`~/.keras/keras.json` names another. Where the one it takes is not installed, `import keras` ends with `No "
    "module named 'tensorflow'` (or another name), somewhere inside Keras. It is mended by `KERAS_BACKEND` "
    "where another framework is installed, set before Keras is imported, else by installing one.",
)
def keras_without_a_framework(facts: Facts) -> Iterator[Finding]:
    """By an import of Keras that misses its framework."""
    keras = facts.installed("keras")
    if keras is None or older(keras.version, "3"):
        return
    there = [backend for backend in _BACKENDS if backend in facts.modules]
    for complaint in facts.complaints:
        missing = re.fullmatch(
            r"No module named '(tensorflow|jax|torch)(?:\.[\w.]+)?'", complaint.message.strip()
        )
        inside = any("/keras/src/" in file for file, _, _ in complaint.frames[-1:])
        if not (missing and inside and complaint.here) or missing[1] in facts.modules:
            continue
        step = Step("set", ("KERAS_BACKEND", there[0])) if there else Step("install", (missing[1],))
        others = f"; {', '.join(there)} is here" if there else ""
        yield Finding(
            "CE114",
            f"Keras {keras.version} runs on {missing[1]}, which is not installed{others}.",
            (f"{complaint.source}: {complaint.kind}: {complaint.message.strip()}", *where(keras)),
            "Keras 3 takes TensorFlow unless the variable KERAS_BACKEND or ~/.keras/keras.json names another.",
            (step,),
            explains=tuple(one.source for one in facts.complaints if one.message == complaint.message),
        )
        return


def _known_to_need_it(facts: Facts) -> Iterator[str]:
    """What needs tf-keras without its metadata saying so."""
    probability = facts.installed("tensorflow-probability")
    if probability is not None and not older(probability.version, "0.24"):
        yield (
            f"tensorflow-probability {probability.version} imports tf_keras (its metadata names it in the extra "
            "`tf` alone)"
        )
    transformers = facts.installed("transformers")
    # From 5 on transformers has no TensorFlow models; before 4.34 nothing of it knew of Keras 3.
    if transformers is not None and older(transformers.version, "5") and facts.installed("torch") is None:
        yield f"transformers {transformers.version} has TensorFlow models that import tf_keras"


def _who_needs_it(facts: Facts) -> tuple[str, ...]:
    return tuple(need.key for need in unmet(facts) if need.dependency == "tf-keras")


def _line(found: Distribution | None) -> str:
    """The minor line of a release, "2.15"; "" for a nightly build and for what is no version."""
    if found is None or found.name.startswith("tf-nightly"):
        return ""
    known = release(found)
    if known is not None and found.name in TENSORFLOWS:
        return known.line
    try:
        version = Version(found.version)
    except InvalidVersion:
        return ""
    return f"{version.major}.{version.minor}"
