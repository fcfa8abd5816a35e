"""From what a source tells to a profile. Pure but for the files of facts."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Final
from urllib.parse import urlsplit

from packaging.requirements import Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import Version
from pydantic_core import PydanticCustomError

from colabenv.frameworks.facts import Release, Table
from colabenv.host.interpreters import minor_version
from colabenv.importers import distribution_names, framework_choice
from colabenv.importers import packages as packages_
from colabenv.importers.distribution_names import BUILDABLE
from colabenv.importers.draft import Draft, Line
from colabenv.importers.findings import Findings
from colabenv.importers.framework_choice import TENSORFLOWS, Choice
from colabenv.importers.packages import Package, Packages
from colabenv.profile import times, validators
from colabenv.profile.validators import parse_specifier

#: The Python where nothing tells one: nearly all packages have wheels for it.
_DEFAULT_PYTHON: Final = "3.12"
# Keras up to 2.3 is a library of its own; 2.4 is an empty one that points to TensorFlow's.
_KERAS_IN_TENSORFLOW: Final = "2.4.3"
_USUAL_INDEX: Final = re.compile(r"(^|\.)pypi[.](org|python[.]org)$")


def guess(
    findings: Findings, name: str, table: Table, *, local: frozenset[str] = frozenset(), today: str
) -> Draft:
    """The profile for a source.

    Args:
        findings: the source.
        name: what to call the profile where the source has no name for itself.
        table: the stack's facts.
        local: modules that lie beside the source.
        today: the day, "2026-11-22".
    """
    draft = Draft(profile_name(findings.name) or profile_name(name) or "my-environment", findings.what)
    packages = packages_.collect(findings, distribution_names.names(), local)
    choice = _tensorflow(findings, packages, draft, table)
    _keras(packages, choice, draft)
    _others(findings, packages, choice, draft)
    if draft.stack:
        packages_.drop_cuda(packages)
    _python(findings, packages, choice, draft)
    _mend(packages, choice, draft)
    _as_of(findings, packages, choice, draft, today)
    _indexes(findings, draft)
    _source_builds(findings, packages, draft)
    draft.packages += [package.line for package in packages.found.values()]
    draft.left_out += {line.text: line for line in packages.left_out}.values()
    draft.remarks += [*packages.remarks, *findings.remarks]
    return draft


def _source_builds(findings: Findings, packages: Packages, draft: Draft) -> None:
    """Allow the builds that the source asks for, and those without which nothing can be installed."""
    without_wheels = distribution_names.names().source_only
    for name in dict.fromkeys((*findings.no_binary, *packages.found)):
        if name in without_wheels:
            draft.source_builds.append(Line(name, "the package index has no wheel of it"))
        elif name in findings.no_binary:
            if _holds(validators.normalize_distribution, name):
                draft.source_builds.append(Line(name))
            else:
                draft.remarks.append(
                    f"--no-binary {name} is left out: name the packages that are to be built."
                )


def profile_name(text: str) -> str:
    """A name for a profile that is like the text, or ""."""
    slug = re.sub(r"[^a-z0-9]+", "-", text[:200].lower()).strip("-")[:60].strip("-")
    if not slug:
        return ""
    return next(
        (name for name in (slug, f"{slug}-env") if _holds(validators.validate_profile_name, name)), ""
    )


def _holds(rule: Callable[[str], str], text: str) -> bool:
    """Whether a rule of profiles takes a text."""
    try:
        rule(text)
    except PydanticCustomError:
        return False
    return True


def _tensorflow(findings: Findings, packages: Packages, draft: Draft, table: Table) -> Choice | None:
    """Move TensorFlow from the packages to the stack."""
    asked = {name: packages.found.pop(name) for name in list(packages.found) if name in TENSORFLOWS}
    elsewhere = bool({"torch", "jax"} & set(packages.found)) or bool(
        framework_choice.backend_in(findings.code)
    )
    needs = [name for name in packages.found if name in table.companions or name == "keras"]
    if not asked and (elsewhere or not needs) and not any(name.startswith("tensorflow-") for name in needs):
        return None
    package = next((one for one in asked.values() if one.requirement.specifier), None) or next(
        iter(asked.values()), None
    )
    named_as = str(package.requirement.specifier) if package and not package.guessed else ""
    why = package.why.removesuffix(" installs it") if package and package.why else findings.what
    others = {name: one.requirement.specifier for name, one in packages.found.items() if not one.guessed}
    choice = framework_choice.choose(named_as, why, findings, table, others)
    draft.stack["tensorflow"] = Line(choice.text, choice.why)
    if choice.cpu_only:
        draft.stack["accelerator"] = Line("cpu", choice.cpu_only)
    elif "tensorflow-cpu" in asked:
        draft.stack["accelerator"] = Line("cpu", "it asks for tensorflow-cpu")
    for note in choice.notes:
        draft.note(note)
    for requirement in choice.packages:
        found = Requirement(requirement)
        packages.found.setdefault(
            found.name, Package(found, f"TensorFlow {choice.text} fails with newer ones")
        )
    return choice


def _keras(packages: Packages, choice: Choice | None, draft: Draft) -> None:
    """Keras comes with TensorFlow; another one goes to the stack."""
    package = packages.found.get("keras")
    if package is None or choice is None:
        return
    release, named = choice.release, package.requirement.specifier
    own = release.takes("keras") if release else None
    if release is None or own is None:
        # A part of TensorFlow up to 2.5: `import keras` needs a package of that name all the same.
        if not named or package.guessed:
            why = f"{package.why or 'it asks for keras'}; this one hands on to the Keras of TensorFlow"
            packages.found["keras"] = Package(Requirement(f"keras=={_KERAS_IN_TENSORFLOW}"), why)
        return
    del packages.found["keras"]
    pins = [one.version for one in named if one.operator == "=="]
    if not named or package.guessed or (pins and _fits(own, pins[0])):
        return  # TensorFlow brings it
    text = pins[0].removesuffix(".*") if pins else str(named)
    majors = {Version(pin.removesuffix(".*")).major for pin in pins}
    if majors == {2} and own.contains("3.99"):
        draft.stack["keras"] = Line(minor_version(text), f"it asks for keras{named}; as tf-keras")
    elif majors and not _fits(own, pins[0]):
        draft.note(
            f"keras{named} does not go with TensorFlow {choice.text}, which brings the Keras that fits."
        )
    else:
        draft.stack["keras"] = Line(text, f"it asks for keras{named}")


def _fits(own: SpecifierSet, version: str) -> bool:
    bare = version.removesuffix(".*")
    return any(own.contains(one) for one in (bare, f"{bare}.0", f"{bare}.1"))


def _others(findings: Findings, packages: Packages, choice: Choice | None, draft: Draft) -> None:
    """Move PyTorch, JAX and the Keras that runs on them to the stack."""
    for framework in ("torch", "jax"):
        package = packages.found.get(framework)
        if package is None or not package.requirement.specifier or package.requirement.marker:
            continue
        del packages.found[framework]
        pins = [one.version for one in package.requirement.specifier if one.operator == "=="]
        text = pins[0].removesuffix(".*") if pins else str(package.requirement.specifier)
        draft.stack[framework] = Line(text, package.why)
    if any(re.match(r"torch==[^+]*\+cpu", one.text) for one in findings.wanted):
        draft.stack["accelerator"] = Line("cpu", "it asks for PyTorch's wheels for the CPU")
    backend = _backend(findings, packages, draft)
    if choice is None and "keras" in packages.found and backend:
        keras = packages.found.pop("keras").requirement.specifier
        pins = [one.version for one in keras if one.operator == "=="]
        draft.stack["keras"] = Line(pins[0].removesuffix(".*") if pins else str(keras) or ">=3")
    if backend and (choice is None or backend != "tensorflow"):
        draft.stack["backend"] = Line(backend, "Keras runs on it")
        unpinned = packages.found.pop(backend, None)
        if unpinned and unpinned.requirement.specifier:
            packages.found[backend] = unpinned  # one with a condition stays a package


def _backend(findings: Findings, packages: Packages, draft: Draft) -> str:
    """What Keras runs on, where the code says so or only one thing is there; "" otherwise, and for TensorFlow."""
    said = framework_choice.backend_in(findings.code)
    if said or "tensorflow" in draft.stack or "keras" not in packages.found:
        return said
    there = [one for one in ("torch", "jax") if one in draft.stack or one in packages.found]
    return there[0] if len(there) == 1 else ""


def _python(findings: Findings, packages: Packages, choice: Choice | None, draft: Draft) -> None:
    """Choose the Python: one that the framework has, then the pins, then what the source says."""
    release = choice.release if choice else None
    if choice and choice.python:
        draft.python = Line(choice.python, f"the newest that TensorFlow {choice.text} has wheels for")
        _say_other_python(findings, choice.python, draft)
        return
    allowed = release.pythons if release else BUILDABLE
    reasons = []
    asked = {name: one.requirement.specifier for name, one in packages.found.items() if not one.guessed}
    for name in {"torch", "jax"} & set(draft.stack):
        asked[name] = SpecifierSet(parse_specifier(draft.stack[name].text))
    for name, wanted in asked.items():
        fitting = distribution_names.pythons_for_range("jaxlib" if name == "jax" else name, wanted)
        both = tuple(one for one in allowed if fitting is None or one in fitting)
        if fitting is not None and not both:
            where = (
                "none that colabenv builds" if not set(fitting) & set(BUILDABLE) else "another than the rest"
            )
            draft.note(
                f"{name}{wanted} has wheels for Python {', '.join(fitting)} only, {where}: change its version."
            )
        elif len(both) < len(allowed):
            allowed = both
            reasons.append(f"{name}{wanted}")
    for hint in findings.pythons:
        if chosen := _by_hint(hint.text, allowed):
            draft.python = Line(chosen, hint.why)
            return
    newest = allowed[-1]
    if reasons:
        draft.python = Line(newest, f"the newest with wheels of {', '.join(reasons[:3])}")
    elif release:
        draft.python = Line(newest, f"the newest that TensorFlow {release.line} has wheels for")
    else:
        newest = _DEFAULT_PYTHON if _DEFAULT_PYTHON in allowed else newest
        draft.python = Line(newest, "a guess: nothing names one")
    _say_other_python(findings, newest, draft)


def _by_hint(text: str, allowed: tuple[str, ...]) -> str:
    """The Python of `allowed` that a version or a range means, or ""."""
    if re.fullmatch(r"[0-9.]+", text):
        minor = minor_version(text)
        return minor if minor in allowed else ""
    try:
        allowed_by = SpecifierSet(text)
    except InvalidSpecifier:
        return ""
    fitting = [one for one in allowed if any(allowed_by.contains(f"{one}.{patch}") for patch in range(25))]
    return fitting[-1] if fitting else ""


def _say_other_python(findings: Findings, chosen: str, draft: Draft) -> None:
    for hint in findings.pythons[:1]:
        if not _by_hint(hint.text, (chosen,)):
            old = re.match(r"[23]\.[0-7](\.|$)|2", hint.text)
            none = f", which colabenv does not build ({BUILDABLE[0]} to {BUILDABLE[-1]})" if old else ""
            draft.remarks.append(
                f"It is for Python {hint.text} ({hint.why}){none}; Python {chosen} is what fits here."
            )


def _mend(packages: Packages, choice: Choice | None, draft: Draft) -> None:
    """Give up versions that were guessed from outputs and cannot be had here."""
    release: Release | None = choice.release if choice else None
    python = draft.python.text if draft.python else ""
    for name, package in packages.found.items():
        if not package.guessed:
            continue
        version = str(package.requirement.specifier).removeprefix("==").removesuffix(".*")
        fitting = distribution_names.pythons_for(name, version)
        own = release.takes(name) if release else None
        why = ""
        if fitting is not None and python not in fitting:
            why = f"{version} has no wheels for Python {python}"
        elif own is not None and not own.contains(version):
            why = f"{version} does not go with TensorFlow {choice.text if choice else ''}"
        if why:
            bare = Requirement(package.requirement.name)
            packages.found[name] = replace(
                package, requirement=bare, why=f"{package.why}; {why}", guessed=False
            )


def _as_of(findings: Findings, packages: Packages, choice: Choice | None, draft: Draft, today: str) -> None:
    """Choose versions as of the day on which the source ran, where some are open."""
    if findings.day is None:
        return
    open_ = [name for name, package in packages.found.items() if not package.requirement.specifier]
    day = findings.day.day
    if choice and not framework_choice.was_there(choice.text, day):
        return  # it was run again, with a newer one, after the cells say so
    if open_ and str(times.FIRST_DAY) <= day < today:
        shown = ", ".join(open_[:3]) + (" and others" if len(open_) > 3 else "")
        draft.as_of = Line(day, f"{findings.day.how}; it decides the versions of {shown}")


def _indexes(findings: Findings, draft: Draft) -> None:
    for number, url in enumerate(findings.indexes, 1):
        try:
            parts = urlsplit(url)
            host = parts.hostname or ""
        except ValueError:
            host = ""
        if not host or parts.scheme not in ("http", "https"):
            draft.remarks.append(
                "It names an index or a folder of wheels that a profile cannot have; see docs/profile.md."
            )
        elif host.endswith("pytorch.org") or url.endswith(".html"):
            draft.remarks.append(
                f"The wheels on {host} are left out: the package index has PyTorch with its CUDA, and "
                "docs/profile.md says how to have smaller ones for the CPU."
            )
        elif not _USUAL_INDEX.search(host):
            draft.indexes.append((f"index-{number}" if number > 1 else "index", _index_line(url, host)))


def _index_line(url: str, host: str) -> Line:
    """An index's URL, with a variable in the place of what may be a password."""
    user, _, rest = url.partition("://")[2].rpartition("@")
    if not user:
        return Line(url)
    variable = re.sub(r"[^A-Z0-9]+", "_", host.partition(".")[0].upper()).strip("_") or "INDEX"
    variable = f"{variable}_TOKEN" if not variable[0].isdigit() else f"INDEX_{variable}_TOKEN"
    name, colon, _ = user.partition(":")
    filled = f"{name}:${{{variable}}}" if colon else f"${{{variable}}}"
    scheme = url.partition("://")[0]
    why = f"a password stood here: set {variable} in the environment, or in Colab's secrets"
    return Line(f"{scheme}://{filled}@{rest}", why)
