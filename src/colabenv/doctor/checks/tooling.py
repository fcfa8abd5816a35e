"""What Python and setuptools no longer bring, and releases that this Python cannot have. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from colabenv.doctor.checks.registry import rule
from colabenv.doctor.checks.versions import where
from colabenv.doctor.installers import NO_WHEEL
from colabenv.doctor.model import Complaint, Distribution, Facts, Finding, Step
from colabenv.doctor.requirements import TENSORFLOWS, admits, environment, mending, visible
from colabenv.frameworks.facts import table
from colabenv.lock.lockfile import normalised

# What imports pkg_resources, by release: read from their wheels (November 2026; hub 0.12.0 to 0.16.1, TensorBoard
# 2.8.0, 2.15.1, 2.18.0, 2.20.0 and 2.21.0). TensorBoard's is `tensorboard/default.py`, which starts its server.
_USES_PKG_RESOURCES = {
    "tensorboard": SpecifierSet("<2.21"),
    "tensorflow-hub": SpecifierSet(">=0.13,<=0.16.1"),
}
# 81.0.0 has it and warns at each import, 82.0.0 has it no more (their wheels).
_BEFORE = SpecifierSet("<81")


@rule(
    "CE110",
    "pkg_resources is gone",
    "setuptools took the module `pkg_resources` away in release 82 (81 announces it at each import), and a "
    "virtual environment of Python 3.12 or later has no setuptools at all. What still imports it fails with `No "
    "module named 'pkg_resources'`: TensorBoard's server, tensorflow-hub and many older packages. It is mended "
    "by `setuptools<81`.",
)
def pkg_resources_gone(facts: Facts) -> Iterator[Finding]:
    """By who is known to import it, and by what exceptions and code say."""
    if "pkg_resources" in facts.modules:
        return
    users = [
        one
        for one in visible(facts)
        if one.name in _USES_PKG_RESOURCES and admits(_USES_PKG_RESOURCES[one.name], one.version)
    ]
    said = _asking_for(facts, "pkg_resources")
    used = [f"{one.place}: {one.line}" for one in facts.usages if one.name.split(".")[0] == "pkg_resources"]
    setuptools = facts.installed("setuptools")
    if not (users or said or used):
        return
    have = f"setuptools {setuptools.version} has none" if setuptools else "setuptools is not installed"
    who = ", ".join(f"{one.name} {one.version}" for one in users) or _raiser(facts, said) or "this code"
    yield Finding(
        "CE110",
        f"{who} imports pkg_resources, and {have}.",
        (
            *(f"{one.name} {one.version} imports pkg_resources when it starts: {one.info}" for one in users),
            *(f"{one.source}: {one.kind}: {one.message.splitlines()[0]}" for one in said),
            *used,
            *where(setuptools),
        ),
        "pkg_resources was a part of setuptools up to release 81.",
        (Step("install", mending(facts, "setuptools", _BEFORE)),),
        explains=tuple(one.source for one in said),
        covers=tuple(f"{one.name}>setuptools" for one in users),
    )


@rule(
    "CE111",
    "distutils is gone",
    "Python 3.12 took `distutils` out of its standard library (PEP 632). setuptools brings a copy that stands "
    "in for it. What imports it fails with `No module named 'distutils'`. It is mended by installing "
    "setuptools, or by an environment with Python 3.11.",
)
def distutils_gone(facts: Facts) -> Iterator[Finding]:
    """By what exceptions and code say, on Python 3.12 and later."""
    if facts.python < (3, 12) or "distutils" in facts.modules or facts.installed("setuptools") is not None:
        return
    said = _asking_for(facts, "distutils")
    used = [f"{one.place}: {one.line}" for one in facts.usages if one.name.split(".")[0] == "distutils"]
    if said or used:
        who = _raiser(facts, said) or "This code"
        yield Finding(
            "CE111",
            f"{who} imports distutils, which Python {_minor(facts)} does not have.",
            (*(f"{one.source}: {one.kind}: {one.message.splitlines()[0]}" for one in said), *used),
            "Python 3.12 removed distutils; setuptools brings a copy of it, and is not installed here.",
            (Step("install", mending(facts, "setuptools", _BEFORE)),),
            explains=tuple(one.source for one in said),
        )


@rule(
    "CE112",
    "No wheel for this Python",
    "A release is made for certain versions of Python, and for this one there is no file of it. pip says `No "
    "matching distribution found`, `requires a different Python` or `is not a supported wheel on this "
    "platform`; uv says `has no wheels with a matching Python ABI tag`. Nothing on this Python can change that. "
    "It is mended by an environment with a Python that the release has wheels for, or by a release that has "
    "wheels for this Python.",
)
def no_wheel(facts: Facts) -> Iterator[Finding]:
    """By what pip and uv said."""
    for complaint in facts.complaints:
        if complaint.kind == NO_WHEEL:
            yield _no_wheel(facts, complaint)


def _no_wheel(facts: Facts, complaint: Complaint) -> Finding:
    try:
        wanted = Requirement(complaint.statement)
    except InvalidRequirement:
        wanted = None
    name = normalised(wanted.name) if wanted else complaint.statement
    specifier = wanted.specifier if wanted else SpecifierSet()
    version, pythons = _pythons(name, specifier)
    evidence = tuple(line.strip()[:300] for line in complaint.text.splitlines() if line.strip())
    this = f"Python {_minor(facts)}" if complaint.here else "the Python that it ran on"
    if version and _minor(facts) not in pythons:
        title = "TensorFlow" if name in TENSORFLOWS else name
        why = (
            f"{title} {version} has wheels for Python {pythons[0]} to {pythons[-1]}. An environment can have another "
            "Python than the session; colabenv up fetches it."
        )
        return Finding(
            "CE112",
            f"There is no {title} {version} for {this}.",
            evidence,
            why,
            (environment(name, version),),
            (complaint.source,),
        )
    steps = (Step("install", (newest,)),) if (newest := _offered(name, complaint.text)) else ()
    return Finding(
        "CE112",
        f"There is no file of {complaint.statement} for {this}.",
        evidence,
        "The index has no such release, or its files are for other versions of Python.",
        steps,
        (complaint.source,),
    )


def _pythons(name: str, specifier: SpecifierSet) -> tuple[str, tuple[str, ...]]:
    """The newest release of a framework that a requirement admits, and the Pythons it has wheels for."""
    known: dict[str, tuple[str, ...]] = {}
    if name in {"tensorflow", "tensorflow-cpu"}:
        known = {
            one.version: one.pythons if name == "tensorflow" else one.cpu_pythons for one in table().releases
        }
    elif name in {"torch", "jax"}:
        known = {one.version: one.pythons for one in table().others(name)}
    admitted = [version for version in known if specifier.contains(version) and known[version]]
    return (admitted[-1], known[admitted[-1]]) if admitted else ("", ())


def _offered(name: str, text: str) -> str:
    """The newest final release among those that pip lists, as a requirement."""
    found = re.search(r"\(from versions: ([^)]*)\)", text)
    listed = [one.strip() for one in found[1].split(",")] if found else []
    final = [Version(one) for one in listed if re.fullmatch(r"[0-9.]+(\.post[0-9]+)?", one)]
    return f"{name}=={max(final)}" if final else ""


def _asking_for(facts: Facts, module: str) -> list[Complaint]:
    return [
        one
        for one in facts.complaints
        if one.here and re.search(rf"No module named ['\"]{module}\b", one.message)
    ]


def _raiser(facts: Facts, said: list[Complaint]) -> str:
    """The distribution whose code asked: of the innermost frame that lies in one."""
    for complaint in said:
        for file, _, _ in reversed(complaint.frames):
            module = re.search(r"/(?:site|dist)-packages/(\w+)", file)
            owners: tuple[Distribution, ...] = facts.owners(module[1]) if module else ()
            if owners:
                return f"{owners[0].name} {owners[0].version}"
    return ""


def _minor(facts: Facts) -> str:
    return f"{facts.python[0]}.{facts.python[1]}"
