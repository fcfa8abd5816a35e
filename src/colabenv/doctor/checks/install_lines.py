"""Install lines of a notebook that fail today. The notebook is read, not run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from colabenv.doctor.checks.registry import rule
from colabenv.doctor.distributions import allows, is_older, parse_requirement
from colabenv.doctor.error_reports import evidence_of, sources_of
from colabenv.doctor.fixes import build_environment
from colabenv.doctor.model import Facts, Finding, Fix, InstallRequest
from colabenv.doctor.pins import (
    TENSORFLOW_NAMES,
    exact_pin,
    expected_versions,
    find_release,
    has_wheels,
    supported_pythons,
)
from colabenv.frameworks.conflicts import format_span
from colabenv.frameworks.facts import load_table

#: The module of a distribution, if it has another name.
_MODULES: Final = {
    "scikit-learn": "sklearn",
    "opencv-python": "cv2",
    "opencv-python-headless": "cv2",
    "pillow": "PIL",
    "pyyaml": "yaml",
    "protobuf": "google",
    **dict.fromkeys(TENSORFLOW_NAMES, "tensorflow"),
}
# According to its page on the package index, a file that refuses its installation.
_EMPTY_GPU_PACKAGE: Final = SpecifierSet(">=2.12")


@rule("CE411")
def find_version_magic(facts: Facts) -> Iterator[Finding]:
    """%tensorflow_version has no effect.

    Colab once had two TensorFlows, and `%tensorflow_version` selected one. Now it has one: `1.x` fails with
    `Tensorflow 1 is unsupported in Colab`, and other values have no effect (google.colab's own source). The fix
    removes the line. If the code needs an older TensorFlow, use an environment with it.
    """
    usages = [usage for usage in facts.usages if usage.name.startswith("%tensorflow_version")]
    errors = [error for error in facts.errors if "Tensorflow 1 is unsupported in Colab" in error.message]
    if not (usages or errors):
        return
    old = [usage for usage in usages if usage.name.split()[1].startswith("1")]
    line = (old or usages)[0].line if usages else "%tensorflow_version 1.x"
    yield Finding(
        f"`{line}` {'fails on Colab' if old or errors else 'has no effect'}.",
        evidence_of((*errors, *usages)),
        "Colab has only one TensorFlow 2. TensorFlow 1 needs Python 3.7 or older, which colabenv cannot build: rewrite "
        "the code.",
        tuple(dict.fromkeys(Fix("edit", (usage.line, "# " + usage.line)) for usage in usages)),
        explains=sources_of(errors),
    )


@rule("CE412")
def find_impossible_installs(facts: Facts) -> Iterator[Finding]:
    """An install line cannot succeed.

    A notebook installs a release of TensorFlow that has no wheels for this Python, or `tensorflow-gpu`, an empty
    package since 2.12. pip fails when the notebook runs. The fix builds an environment with the release and a
    Python that it supports: `colabenv init NOTEBOOK` writes its profile.
    """
    for request, requirement in _parse_requests(facts):
        name = canonicalize_name(requirement.name)
        pin = exact_pin(requirement)
        if name not in TENSORFLOW_NAMES:
            continue
        problem = f"TensorFlow {pin} has no wheels for Python {facts.python_minor}."
        fixes: tuple[Fix, ...] = ()
        oldest = load_table().releases[0].version
        if name == "tensorflow-gpu" and (not pin or allows(_EMPTY_GPU_PACKAGE, pin)):
            problem = "tensorflow-gpu is an empty package since 2.12 and cannot be installed."
            explanation = "Since 2.1, the package tensorflow supports CPU and GPU."
            fixes = (Fix("edit", ("tensorflow-gpu", "tensorflow")),)
        elif not pin or has_wheels(pin, facts):
            continue
        elif pythons := supported_pythons(pin):
            explanation = (
                f"It has wheels for Python {format_span(pythons)}; an environment can use one of them."
            )
            fixes = (build_environment("tensorflow", pin, facts.notebook),)
        elif is_older(pin, oldest):
            explanation = f"The oldest release for an environment is TensorFlow {oldest}."
        else:
            continue  # newer than the table
        yield Finding(f"`{request.line}`: {problem}", (request.evidence,), explanation, fixes)


@rule("CE413")
def find_contradictory_pins(facts: Facts) -> Iterator[Finding]:
    """Install lines contradict each other.

    A notebook pins two versions that exclude each other: one package twice in one command, which pip rejects, or a
    Keras, numpy or protobuf that the pinned TensorFlow does not accept, so that the later line breaks TensorFlow.
    The fix is a profile, which resolves all of them together.
    """
    for line, pins in _pins_by_line(facts).items():
        for name, versions in pins.items():
            if len(versions) > 1:
                yield Finding(
                    f"`{line}` pins {name} to {' and '.join(sorted(versions))} at once.",
                    (_evidence_of(facts, line),),
                    "pip rejects a command with two versions of one package.",
                    (Fix("edit", (line, _keep_last_pin(line, name, versions))),),
                )
    yield from _find_pins_against_tensorflow(facts)


def _find_pins_against_tensorflow(facts: Facts) -> Iterator[Finding]:
    pinned = {
        str(canonicalize_name(requirement.name)): (request, exact_pin(requirement))
        for request, requirement in _parse_requests(facts)
        if exact_pin(requirement)
    }
    name = next((name for name in TENSORFLOW_NAMES if name in pinned), "")
    if not name:
        return
    tensorflow, version = pinned[name]
    release = find_release(version)
    for line in release.needs if release else ():
        need = Requirement(line)
        other = canonicalize_name(need.name)
        if other not in pinned or allows(need.specifier, pinned[other][1]):
            continue
        request, pin = pinned[other]
        yield Finding(
            f"TensorFlow {version} does not accept {other} {pin}, and the notebook pins both.",
            (
                *evidence_of((tensorflow, request)),
                f"tensorflow {release.version if release else ''} requires {line}",
            ),
            "The line that runs last wins, and TensorFlow cannot use what is installed.",
            (build_environment("tensorflow", version, facts.notebook),),
        )


@rule("CE414")
def find_late_installs(facts: Facts) -> Iterator[Finding]:
    """An install line comes after the import.

    A notebook installs another version of a package that it has already imported. The running process keeps the old
    version in memory, so the code uses that, or a mixture of both. The fix restarts the session after the install
    line; better, move the line to the top.
    """
    without_installs = replace(facts, install_requests=())
    late: dict[str, list[str]] = defaultdict(list)
    for request, requirement in _parse_requests(facts):
        name = canonicalize_name(requirement.name)
        module = _MODULES.get(name, name.replace("-", "_"))
        installed = expected_versions(without_installs).get(name) or facts.version(name)
        fits = bool(installed) and allows(requirement.specifier, installed)
        if module in request.imported_before and requirement.specifier and not fits:
            late[request.line].append(name)
    for line, names in late.items():
        if _is_rejected(facts, line):
            continue
        installed_before = filter(None, map(facts.installed, names))
        yield Finding(
            f"`{line}` replaces {' and '.join(dict.fromkeys(names))} after the import.",
            (_evidence_of(facts, line), *(f"{each} was installed before" for each in installed_before)),
            "A process keeps the modules that it has imported, even if other versions are installed later.",
            (Fix("restart"),),
        )


def _is_rejected(facts: Facts, line: str) -> bool:
    """Whether pip rejects the whole command, so that it changes nothing."""
    pins = _pins_by_line(facts).get(line, {})
    tensorflows = [version for name in TENSORFLOW_NAMES for version in pins.get(name, ())]
    has_all_wheels = all(has_wheels(version, facts) for version in tensorflows)
    return not has_all_wheels or any(len(versions) > 1 for versions in pins.values())


def _keep_last_pin(line: str, name: str, versions: set[str]) -> str:
    """The command with only the last of several pins."""
    texts = {f"{name}=={version}" for version in versions}
    pins = [word for word in line.split(" ") if word.strip("'\"") in texts]
    return " ".join(word for word in line.split(" ") if word not in pins[:-1])


def _parse_requests(facts: Facts) -> Iterator[tuple[InstallRequest, Requirement]]:
    for request in facts.install_requests:
        requirement = parse_requirement(request.requirement)
        if requirement is not None:
            yield request, requirement


def _pins_by_line(facts: Facts) -> dict[str, dict[str, set[str]]]:
    """Command to its pins: name to versions."""
    pins: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for request, requirement in _parse_requests(facts):
        if pin := exact_pin(requirement):
            pins[request.line][canonicalize_name(requirement.name)].add(pin)
    return pins


def _evidence_of(facts: Facts, line: str) -> str:
    return next(request.evidence for request in facts.install_requests if request.line == line)
