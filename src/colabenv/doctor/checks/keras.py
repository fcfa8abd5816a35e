"""Keras and TensorFlow: each release of one works with certain releases of the other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from colabenv.doctor.checks.registry import rule
from colabenv.doctor.checks.versions import describe_conflict, installed_line
from colabenv.doctor.distributions import TENSORFLOW_BUILDS, installed_tensorflow, is_older, parse_version
from colabenv.doctor.error_reports import errors_involving, sources_of
from colabenv.doctor.model import Distribution, Facts, Finding, Fix
from colabenv.doctor.requirements import tensorflow_release, unmet_dependencies, unmet_dependencies_on

#: The variable that makes tensorflow.keras use tf-keras, from TensorFlow 2.16 on.
_LEGACY = "TF_USE_LEGACY_KERAS"
# Backends of Keras 3: the names of their modules and distributions are the same.
_BACKENDS = ("tensorflow", "jax", "torch")
# The first TensorFlow whose tensorflow.keras is Keras 3.
_KERAS_3 = "2.16"


@rule("CE102")
def find_incompatible_keras(facts: Facts) -> Iterator[Finding]:
    """Keras does not fit this TensorFlow.

    TensorFlow up to 2.15 needs the Keras 2 with its own number, and from 2.16 on Keras 3. With another Keras,
    `import tensorflow.keras` fails, or its models do: `No module named 'keras.api'`, `cannot import name … from
    'keras'` or `module 'keras' has no attribute …`. The fix installs the Keras that TensorFlow's metadata requires.
    """
    for name in ("keras", "keras-nightly"):
        needs = [need for need in unmet_dependencies_on(facts, name) if need.installed is not None]
        dependent = next((need.dependent for need in needs if need.dependent.name in TENSORFLOW_BUILDS), None)
        if dependent is None:
            continue
        yield replace(
            describe_conflict(facts, name, needs),
            explanation=f"tensorflow.keras imports the installed Keras, and {dependent} was made for another one. pip "
            "install keras installs the newest Keras, whatever TensorFlow is installed.",
            explains=errors_involving(facts, "keras", "tensorflow/keras", "tensorflow.keras"),
        )


@rule("CE103")
def find_incompatible_tf_keras(facts: Facts) -> Iterator[Finding]:
    """tf-keras does not fit this TensorFlow.

    tf-keras is Keras 2 for TensorFlow 2.16 and later. Each of its minor releases works only with the TensorFlow of
    the same number. The fix installs that one.
    """
    tensorflow, tf_keras = installed_tensorflow(facts), facts.installed("tf-keras")
    line = _minor_line(tensorflow)
    if tf_keras is None or not line or _minor_line(tf_keras) == line:
        return
    lines = [
        need.evidence
        for need in unmet_dependencies(facts)
        if need.dependent is tf_keras and need.name in TENSORFLOW_BUILDS
    ]
    yield Finding(
        f"{tf_keras} does not fit {tensorflow}.",
        (*lines, *installed_line(tf_keras, tensorflow)),
        "tf-keras uses TensorFlow's private modules, so each minor release of TensorFlow needs its own.",
        (Fix("install", (f"tf-keras=={line}.*",)),),
        explains=errors_involving(facts, "tf_keras"),
        covers=(*(f"tf-keras>{name}" for name in TENSORFLOW_BUILDS), *_keys_of_dependents(facts)),
    )


@rule("CE104")
def find_missing_tf_keras(facts: Facts) -> Iterator[Finding]:
    """tf-keras is missing.

    From TensorFlow 2.16 on, `tensorflow.keras` is Keras 3. Code for Keras 2 needs tf-keras, a separate package:
    TensorFlow Probability, the TensorFlow models of transformers and the variable `TF_USE_LEGACY_KERAS=1` use it.
    Without it: `No module named 'tf_keras'` or `Your currently installed version of Keras is Keras 3, but this is
    not yet supported in Transformers`. The fix installs the tf-keras with TensorFlow's number.
    """
    tensorflow = installed_tensorflow(facts)
    line = _minor_line(tensorflow)
    is_keras_3 = tensorflow is not None and not is_older(tensorflow.version, _KERAS_3)
    if not line or not is_keras_3 or facts.installed("tf-keras"):
        return
    reasons = [need.evidence for need in unmet_dependencies(facts) if need.name == "tf-keras"]
    reasons += _find_undeclared_dependents(facts)
    if facts.environ.get(_LEGACY, "").lower() in {"1", "true"}:
        reasons.append(f"{_LEGACY}={facts.environ[_LEGACY]} makes tensorflow.keras use tf-keras")
    texts = ("'tf_keras'", "tf-keras", *(["Keras cannot be imported"] if reasons else []))
    errors = [error for error in facts.local_errors if any(text in error.message for text in texts)]
    if reasons or errors:
        yield Finding(
            f"tf-keras is not installed, but needed with {tensorflow}.",
            (
                *reasons,
                *(error.message.strip().splitlines()[-1][:300] for error in errors),
                *installed_line(tensorflow),
            ),
            f"TensorFlow {line} contains Keras 3. Keras 2 is the package tf-keras.",
            (Fix("install", (f"tf-keras=={line}.*",)),),
            explains=(*sources_of(errors), *errors_involving(facts, "tf_keras")),
            covers=_keys_of_dependents(facts),
        )


@rule("CE114")
def find_missing_backend_framework(facts: Facts) -> Iterator[Finding]:
    """Keras 3 has no backend.

    Keras 3 runs on TensorFlow, JAX or PyTorch. It uses TensorFlow unless `KERAS_BACKEND` or `~/.keras/keras.json`
    names another one. If that one is not installed, `import keras` ends inside Keras with `No module named
    'tensorflow'` (or another name). The fix sets `KERAS_BACKEND` to an installed framework, before Keras is
    imported, or installs one.
    """
    keras = facts.installed("keras")
    if keras is None or is_older(keras.version, "3"):
        return
    available = [backend for backend in _BACKENDS if backend in facts.modules]
    for error in facts.local_errors:
        message = error.message.strip()
        missing = re.fullmatch(r"No module named '(tensorflow|jax|torch)(?:\.[\w.]+)?'", message)
        in_keras = any("/keras/src/" in file for file, _, _ in error.frames[-1:])
        if not (missing and in_keras) or missing[1] in facts.modules:
            continue
        alternative = f" (installed: {', '.join(available)})" if available else ""
        fix = Fix("set", ("KERAS_BACKEND", available[0])) if available else Fix("install", (missing[1],))
        yield Finding(
            f"Keras {keras.version} uses {missing[1]}, which is not installed{alternative}.",
            (error.evidence, *installed_line(keras)),
            "Keras 3 uses TensorFlow unless the variable KERAS_BACKEND or ~/.keras/keras.json names another backend.",
            (fix,),
            explains=sources_of(each for each in facts.errors if each.message == error.message),
        )
        return


def _find_undeclared_dependents(facts: Facts) -> Iterator[str]:
    """What needs tf-keras without declaring it."""
    probability = facts.installed("tensorflow-probability")
    if probability is not None and not is_older(probability.version, "0.24"):
        yield f"{probability} imports tf_keras (its metadata declares it only for the extra `tf`)"
    transformers = facts.installed("transformers")
    # transformers 5 has no TensorFlow models; before 4.34 it does not know Keras 3.
    if transformers is not None and is_older(transformers.version, "5") and facts.installed("torch") is None:
        yield f"{transformers} has TensorFlow models that import tf_keras"


def _keys_of_dependents(facts: Facts) -> tuple[str, ...]:
    return tuple(need.key for need in unmet_dependencies(facts) if need.name == "tf-keras")


def _minor_line(distribution: Distribution | None) -> str:
    """The minor line of a release, "2.15"; "" for a nightly build or an invalid version."""
    if distribution is None or distribution.name.startswith("tf-nightly"):
        return ""
    if distribution.name in TENSORFLOW_BUILDS and (release := tensorflow_release(distribution)):
        return release.line
    version = parse_version(distribution.version)
    return f"{version.major}.{version.minor}" if version else ""
