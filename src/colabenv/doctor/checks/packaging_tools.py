"""Modules that Python and setuptools removed, and releases without a file for this Python."""

from __future__ import annotations

import re
from collections.abc import Iterator

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from colabenv.doctor.checks.registry import rule
from colabenv.doctor.checks.versions import installed_line
from colabenv.doctor.distributions import TENSORFLOW_BUILDS, allows, parse_requirement, visible_distributions
from colabenv.doctor.error_reports import evidence_of, raising_distributions, sources_of
from colabenv.doctor.fixes import build_environment
from colabenv.doctor.installer_output import NO_WHEEL
from colabenv.doctor.model import ErrorReport, Facts, Finding, Fix
from colabenv.doctor.requirements import requirements_for
from colabenv.frameworks.facts import load_table

# What imports pkg_resources, by release; from their wheels (November 2026; hub 0.12.0 to 0.16.1, TensorBoard 2.8.0,
# 2.15.1, 2.18.0, 2.20.0 and 2.21.0). In TensorBoard it is `tensorboard/default.py`, which starts its server.
_USES_PKG_RESOURCES = {
    "tensorboard": SpecifierSet("<2.21"),
    "tensorflow-hub": SpecifierSet(">=0.13,<=0.16.1"),
}
# 81.0.0 warns at each import of it, 82.0.0 does not have it (from their wheels).
_HAS_PKG_RESOURCES = SpecifierSet("<81")


@rule("CE110")
def find_missing_pkg_resources(facts: Facts) -> Iterator[Finding]:
    """The module pkg_resources is missing.

    setuptools 82 removed the module `pkg_resources` (81 warns about it), and a virtual environment of Python 3.12
    or later has no setuptools at all. Packages that still import it fail with `No module named 'pkg_resources'`:
    TensorBoard's server, tensorflow-hub and many older ones. The fix installs `setuptools<81`.
    """
    if "pkg_resources" in facts.modules:
        return
    users = [
        each
        for each in visible_distributions(facts)
        if each.name in _USES_PKG_RESOURCES and allows(_USES_PKG_RESOURCES[each.name], each.version)
    ]
    errors, evidence = _find_imports(facts, "pkg_resources")
    if not (users or evidence):
        return
    setuptools = facts.installed("setuptools")
    state = f"{setuptools} does not have it" if setuptools else "setuptools is not installed"
    importer = ", ".join(map(str, users)) or next(map(str, raising_distributions(facts, errors)), "this code")
    yield Finding(
        f"{importer} imports pkg_resources, but {state}.",
        (
            *(f"{each} imports pkg_resources when it starts: {each.info}" for each in users),
            *evidence,
            *installed_line(setuptools),
        ),
        "pkg_resources was a part of setuptools until release 81.",
        (Fix("install", requirements_for(facts, "setuptools", _HAS_PKG_RESOURCES)),),
        explains=sources_of(errors),
        covers=tuple(f"{each.name}>setuptools" for each in users),
    )


@rule("CE111")
def find_missing_distutils(facts: Facts) -> Iterator[Finding]:
    """The module distutils is missing.

    Python 3.12 removed `distutils` from its standard library (PEP 632). setuptools contains a copy that replaces
    it. Without setuptools, code that imports it fails with `No module named 'distutils'`. The fix installs
    setuptools. An environment with Python 3.11 works as well.
    """
    if facts.python < (3, 12) or "distutils" in facts.modules or facts.installed("setuptools") is not None:
        return
    errors, evidence = _find_imports(facts, "distutils")
    if evidence:
        importer = next(map(str, raising_distributions(facts, errors)), "This code")
        yield Finding(
            f"{importer} imports distutils, which Python {facts.python_minor} does not have.",
            evidence,
            "Python 3.12 removed distutils. setuptools contains a copy of it, but is not installed.",
            (Fix("install", requirements_for(facts, "setuptools", _HAS_PKG_RESOURCES)),),
            explains=sources_of(errors),
        )


def _find_imports(facts: Facts, module: str) -> tuple[list[ErrorReport], tuple[str, ...]]:
    """The errors of failed imports of a module, and the evidence from errors and code."""
    missing = rf"No module named ['\"]{module}\b"
    errors = [error for error in facts.local_errors if re.search(missing, error.message)]
    usages = [usage for usage in facts.usages if usage.name.split(".")[0] == module]
    return errors, evidence_of((*errors, *usages))


@rule("CE112")
def find_missing_wheel_errors(facts: Facts) -> Iterator[Finding]:
    """No wheel for this Python.

    A release has wheels for certain versions of Python, and none for this one. pip reports `No matching
    distribution found`, `requires a different Python` or `is not a supported wheel on this platform`; uv reports
    `has no wheels with a matching Python ABI tag`. The fix builds an environment with a Python that the release
    supports, or installs a release that supports this Python.
    """
    for error in facts.errors:
        if error.kind == NO_WHEEL:
            yield _report_missing_wheel(facts, error)


def _report_missing_wheel(facts: Facts, error: ErrorReport) -> Finding:
    requirement = parse_requirement(error.statement)
    name = canonicalize_name(requirement.name) if requirement else error.statement
    specifier = requirement.specifier if requirement else SpecifierSet()
    version, pythons = _find_framework_release(name, specifier)
    python = f"Python {facts.python_minor}" if error.is_local else "the Python that it ran on"
    if version and facts.python_minor not in pythons:
        title = "TensorFlow" if name in TENSORFLOW_BUILDS else name
        summary = f"{title} {version} has no wheel for {python}."
        explanation = (
            f"{title} {version} has wheels for Python {pythons[0]} to {pythons[-1]}. An environment can use another "
            "Python than the session; colabenv up downloads it."
        )
        fixes: tuple[Fix, ...] = (build_environment(name, version),)
    else:
        summary = f"{error.statement} has no file for {python}."
        explanation = "The index has no such release, or its files are for other versions of Python."
        newest = _find_newest_offered(name, error.text)
        fixes = (Fix("install", (newest,)),) if newest else ()
    evidence = tuple(line.strip()[:300] for line in error.text.splitlines() if line.strip())
    return Finding(summary, evidence, explanation, fixes, (error.source,))


def _find_framework_release(name: str, specifier: SpecifierSet) -> tuple[str, tuple[str, ...]]:
    """The newest release of a framework that a requirement accepts, and the Pythons that it has wheels for."""
    pythons: dict[str, tuple[str, ...]] = {}
    if name == "tensorflow":
        pythons = {release.version: release.pythons for release in load_table().releases}
    elif name == "tensorflow-cpu":
        pythons = {release.version: release.cpu_pythons for release in load_table().releases}
    elif name in {"torch", "jax"}:
        pythons = {release.version: release.pythons for release in load_table().others(name)}
    accepted = [version for version in pythons if specifier.contains(version) and pythons[version]]
    return (accepted[-1], pythons[accepted[-1]]) if accepted else ("", ())


def _find_newest_offered(name: str, text: str) -> str:
    """The requirement for the newest final release that pip's message lists, or ""."""
    match = re.search(r"\(from versions: ([^)]*)\)", text)
    listed = [version.strip() for version in match[1].split(",")] if match else []
    final = [Version(version) for version in listed if re.fullmatch(r"[0-9.]+(\.post[0-9]+)?", version)]
    return f"{name}=={max(final)}" if final else ""
