"""What TensorFlow requires besides Keras, NumPy and protobuf, and packages made for one TensorFlow."""

from __future__ import annotations

from collections.abc import Iterator

from colabenv.doctor.checks.registry import rule
from colabenv.doctor.checks.versions import compare, installed_line, likely_modules
from colabenv.doctor.distributions import (
    TENSORFLOW_BUILDS,
    installed_tensorflow,
    is_older,
    list_some,
    visible_distributions,
)
from colabenv.doctor.error_reports import errors_involving
from colabenv.doctor.model import Distribution, Facts, Finding, Fix
from colabenv.doctor.requirements import (
    Dependency,
    requirements_beside,
    requirements_for,
    tensorflow_release,
    unmet_dependencies,
)
from colabenv.frameworks.facts import Pairing, TensorFlowRelease, load_table

# These have their own checks.
_CHECKED_ELSEWHERE = {"keras", "keras-nightly", "numpy", "protobuf", "tf-keras", "setuptools"}
#: The first releases that work with TensorFlow 2.16 and later, if metadata does not say so. Tried on 2.18.1:
#: tensorflow-hub before 0.16 imports tensorflow.compat.v1.estimator, tensorflow-probability before 0.24 uses
#: tensorflow.keras.__internal__; 2.16 removed both.
FIRST_FOR_2_16 = {"tensorflow-hub": "0.16", "tensorflow-probability": "0.24"}


@rule("CE108")
def find_unmet_tensorflow_requirements(facts: Facts) -> Iterator[Finding]:
    """TensorFlow's own requirements are not met.

    TensorFlow requires about thirty small packages in certain versions: ml-dtypes, typing-extensions, h5py,
    flatbuffers, gast, wrapt, absl-py, tensorboard and others. A later installation can replace one of them, and
    TensorFlow fails at import or much later: `module 'ml_dtypes' has no attribute 'float8_e4m3b11fnuz'`, `cannot
    import name 'formatargspec' from 'inspect'` (wrapt). The fix installs versions of all of them that fit, in one
    run of the installer, so that nothing else changes.
    """
    tensorflow = installed_tensorflow(facts)
    needs = [
        need
        for need in unmet_dependencies(facts)
        if need.dependent is tensorflow
        and need.name not in _CHECKED_ELSEWHERE
        and not need.name.startswith("nvidia-")
    ]
    if tensorflow is None or not needs:
        return
    requirements = dict.fromkeys(each for need in needs for each in requirements_for(facts, need.name))
    modules = {name for need in needs for name in likely_modules(need.name, need.installed)}
    yield Finding(
        f"{_list_states(needs)} for {tensorflow}.",
        (*(need.evidence for need in needs), *installed_line(*(need.installed for need in needs))),
        "Another installation replaced what TensorFlow requires. pip only warns about it."
        if any(need.installed for need in needs)
        else f"{tensorflow.name} was installed without its requirements, or they were removed.",
        (Fix("install", tuple(requirements)),),
        explains=errors_involving(facts, *sorted(modules)),
        covers=tuple(need.key for need in needs),
    )


@rule("CE109")
def find_companions_of_other_releases(facts: Facts) -> Iterator[Finding]:
    """A package was made for another TensorFlow.

    tensorflow-text, -hub, -probability, -addons, -datasets, keras-cv and similar packages are made for certain
    releases of TensorFlow. Some declare it in their metadata; for the others it is known from their release notes
    and from tests. With another TensorFlow their import fails: `undefined symbol` (tensorflow-text), `This version
    of TensorFlow Probability requires TensorFlow version >= …`, `No module named 'keras.src.engine'`
    (tensorflow-addons). The fix installs the release for the installed TensorFlow, which stays as it is.
    """
    tensorflow = installed_tensorflow(facts)
    if tensorflow is None:
        return
    declared = {
        need.dependent.name: need
        for need in unmet_dependencies(facts)
        if need.name in TENSORFLOW_BUILDS and need.installed is not None and need.dependent.name != "tf-keras"
    }
    release = tensorflow_release(tensorflow)
    for each in visible_distributions(facts):
        need = declared.get(each.name)
        evidence = need.evidence if need else _find_undeclared(each, release)
        if evidence:
            yield Finding(
                f"{each} was not made for TensorFlow {tensorflow.version}.",
                (evidence, *installed_line(each, tensorflow)),
                f"{each.name} was installed regardless of the installed TensorFlow, or TensorFlow was changed later.",
                (_fit_companion(facts, each, tensorflow, need),),
                explains=errors_involving(facts, *likely_modules(each.name, each)),
                covers=tuple(f"{each.name}>{name}" for name in TENSORFLOW_BUILDS),
            )


def _fit_companion(
    facts: Facts, companion: Distribution, tensorflow: Distribution, need: Dependency | None
) -> Fix:
    release = tensorflow_release(tensorflow)
    best = newest_companion(companion.name, release, facts.python_minor) if release is not None else None
    if best is not None:
        # With TensorFlow in the command, the companion's requirements cannot replace it.
        return Fix("install", (f"{companion.name}=={best}", f"{tensorflow.name}=={tensorflow.version}"))
    if need is not None:
        return Fix("install", requirements_beside(facts, companion.name, tensorflow))
    return Fix("uninstall", (companion.name,))


def _find_undeclared(companion: Distribution, release: TensorFlowRelease | None) -> str:
    """Why a companion does not fit a TensorFlow according to the frameworks' table, or ""."""
    pairings = load_table().companions.get(companion.name, ())
    pairing = next((each for each in pairings if companion.version in each.releases), None)
    if release is None or pairing is None or companion.name == "tf-keras":
        return ""
    if not pairing.tensorflow.contains(release.version):
        return f"{companion} needs tensorflow{pairing.tensorflow}; its metadata does not declare it"
    first = FIRST_FOR_2_16.get(companion.name)
    if first and not is_older(release.version, "2.16") and is_older(companion.version, first):
        return f"{companion.name} {first} is the first release for TensorFlow 2.16 and later"
    return ""


def newest_companion(name: str, release: TensorFlowRelease, python: str) -> str | None:
    """The newest release of a companion for a TensorFlow on a Python such as "3.11"."""

    def fits(pairing: Pairing) -> bool:
        return pairing.tensorflow.contains(release.version) and python in (pairing.pythons or (python,))

    versions = [pairing.releases[-1] for pairing in load_table().companions.get(name, ()) if fits(pairing)]
    first = "0" if is_older(release.version, "2.16") else FIRST_FOR_2_16.get(name, "0")
    return next((version for version in reversed(versions) if not is_older(version, first)), None)


def _list_states(needs: list[Dependency]) -> str:
    """Such as "wrapt 2.0 is too new and gast is missing"; at most five of them."""
    parts = [
        f"{need.installed} is {compare(need)}" if need.installed else f"{need.name} is missing"
        for need in needs
    ]
    if len(parts) > 5:
        return list_some(parts, 5)
    return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))
