"""Infer a profile from the evidence of a source."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Final
from urllib.parse import urlsplit

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version
from pydantic_core import PydanticCustomError

from colabenv.frameworks import as_of
from colabenv.frameworks.combinations import is_satisfiable
from colabenv.frameworks.facts import Table, TensorFlowRelease
from colabenv.frameworks.keras import match_keras
from colabenv.frameworks.runtimes import load_runtime
from colabenv.host.interpreters import minor_version
from colabenv.importers import companions, distribution_names, eras, tensorflow_version
from colabenv.importers.api_evidence import LIBRARIES, find_api_uses
from colabenv.importers.companions import list_pins
from colabenv.importers.distribution_names import BUILDABLE
from colabenv.importers.draft import Draft, DraftValue
from colabenv.importers.evidence import Evidence
from colabenv.importers.packages import (
    RequestedPackage,
    RequestedPackages,
    collect_packages,
    drop_cuda_packages,
)
from colabenv.importers.tensorflow_version import TENSORFLOWS, TensorFlowChoice
from colabenv.profile import times, validators

#: Used if nothing requests another: nearly all packages have wheels for it.
_DEFAULT_PYTHON: Final = "3.12"
#: Days for which a source is recent: it gets the newest packages unless it names a day.
_RECENT: Final = 3 * 365
#: Days after the next TensorFlow for which a source's own is still in use.
_SLACK: Final = 183
#: The earliest day that is guessed: most packages have wheels for Python 3.7, the oldest that colabenv builds.
_FIRST_GUESS: Final = "2019-06-27"
_DEFAULT_INDEX: Final = re.compile(r"(^|\.)pypi[.](org|python[.]org)$")


def infer_profile(
    evidence: Evidence, name: str, table: Table, *, local: frozenset[str] = frozenset(), today: str
) -> Draft:
    """Draft a profile for a source; `name` is its name if the source has none, `local` are modules in its folder."""
    name = suggest_profile_name(evidence.name) or suggest_profile_name(name) or "my-environment"
    draft = Draft(name, evidence.source)
    packages = collect_packages(evidence, distribution_names.load_names(), local)
    choice = _infer_tensorflow(evidence, packages, draft, table)
    _infer_keras(packages, choice, draft, table)
    _infer_other_frameworks(evidence, packages, choice, draft)
    if draft.stack:
        drop_cuda_packages(packages)
    _infer_time(evidence, packages, choice, draft, today)
    _infer_api_limits(evidence, packages, choice, draft)
    _infer_python(evidence, packages, choice, draft)
    _drop_unavailable_versions(packages, choice, draft)
    _explain_day(packages, draft)
    _infer_indexes(evidence, draft)
    _infer_source_builds(evidence, packages, draft)
    draft.packages += [package.value for package in packages.by_name.values()]
    draft.left_out += {value.text: value for value in packages.left_out}.values()
    draft.remarks += [*packages.remarks, *evidence.remarks]
    return draft


def suggest_profile_name(text: str) -> str:
    """A valid profile name that resembles `text`, or ""."""
    slug = re.sub(r"[^a-z0-9]+", "-", text[:200].lower()).strip("-")[:60].strip("-")
    names = (slug, f"{slug}-env") if slug else ()
    return next((name for name in names if _is_valid(validators.validate_profile_name, name)), "")


def _is_valid(validate: Callable[[str], str], text: str) -> bool:
    try:
        validate(text)
    except PydanticCustomError:
        return False
    return True


def _infer_tensorflow(
    evidence: Evidence, packages: RequestedPackages, draft: Draft, table: Table
) -> TensorFlowChoice | None:
    """Move TensorFlow from the packages to `stack`; None if the source does not use it."""
    by_name = packages.by_name
    requested = {name: by_name.pop(name) for name in list(by_name) if name in TENSORFLOWS}
    other_framework = bool({"torch", "jax"} & set(by_name)) or bool(
        tensorflow_version.find_keras_backend(evidence.code)
    )
    around = [name for name in by_name if companions.is_companion(name, table) or name == "keras"]
    needed = any(name.startswith(("tensorflow-", "tf-")) for name in around)
    if not requested and not needed and (other_framework or not around):
        return None
    # The first with a version, if any.
    package = max(requested.values(), key=lambda item: bool(item.requirement.specifier), default=None)
    specifier = str(package.requirement.specifier) if package and not package.guessed else ""
    installs = package is not None and package.why.endswith(" installs it")
    why = package.why.removesuffix(" installs it") if package and installs else evidence.source
    choice = tensorflow_version.choose_tensorflow(specifier, why, evidence, table, by_name)
    draft.stack["tensorflow"] = DraftValue(choice.text, choice.why)
    if choice.cpu_only:
        draft.stack["accelerator"] = DraftValue("cpu", choice.cpu_only)
    elif "tensorflow-cpu" in requested:
        draft.stack["accelerator"] = DraftValue("cpu", "tensorflow-cpu is requested")
    for note in choice.notes:
        draft.note(note)
    for name in set(requested) - {package.requirement.name if package else ""}:
        if name.startswith("tf-nightly"):
            packages.remarks.append(f"Left out: {name}, because TensorFlow is requested as well.")
    if package and package.requirement.name.startswith("tf-nightly"):
        draft.note(
            f"{package.requirement} changes daily, so a lock cannot contain it. TensorFlow {choice.text} is "
            "used instead."
        )
    return choice


def _infer_keras(
    packages: RequestedPackages, choice: TensorFlowChoice | None, draft: Draft, table: Table
) -> None:
    """Drop the Keras that TensorFlow installs; move another one to `stack`."""
    package = packages.by_name.get("keras")
    if package is None or choice is None:
        return
    specifier = package.requirement.specifier
    compatible = choice.release.takes("keras") if choice.release else None
    if choice.release is None or compatible is None:
        return  # Up to 2.5, `import keras` needs the package of that name; the framework rules limit its version.
    del packages.by_name["keras"]
    pins = list_pins(specifier)
    if not specifier or package.guessed or (pins and _is_compatible(compatible, pins[0])):
        return
    text = pins[0] if pins else str(specifier)
    majors = {Version(pin).major for pin in pins}
    if majors == {2} and compatible.contains("3.99"):
        why = f"keras{specifier} is requested; installed as tf-keras"
        draft.stack["keras"] = DraftValue(minor_version(text), why)
    elif majors or not match_keras(choice.release, str(specifier), table):
        draft.note(
            f"keras{specifier} is not compatible with TensorFlow {choice.text}, which installs a compatible Keras."
        )
    else:
        draft.stack["keras"] = DraftValue(text, f"keras{specifier} is requested")


def _is_compatible(compatible: SpecifierSet, version: str) -> bool:
    return any(compatible.contains(text) for text in (version, f"{version}.0", f"{version}.1"))


def _infer_other_frameworks(
    evidence: Evidence, packages: RequestedPackages, choice: TensorFlowChoice | None, draft: Draft
) -> None:
    """Move PyTorch, JAX and the Keras that runs on them to `stack`."""
    by_name = packages.by_name
    for framework in ("torch", "jax"):
        package = by_name.get(framework)
        if package is None or not package.requirement.specifier or package.requirement.marker:
            continue
        del by_name[framework]
        pins = list_pins(package.requirement.specifier)
        text = pins[0] if pins else str(package.requirement.specifier)
        draft.stack[framework] = DraftValue(text, package.why)
    if any(re.match(r"torch==[^+]*\+cpu", target.text) for target in evidence.targets):
        draft.stack["accelerator"] = DraftValue("cpu", "PyTorch's CPU wheels are requested")
    backend = _infer_backend(evidence, packages, draft)
    if choice is None and "keras" in by_name and backend:
        specifier = by_name.pop("keras").requirement.specifier
        pins = list_pins(specifier)
        draft.stack["keras"] = DraftValue(pins[0] if pins else str(specifier) or ">=3")
    if backend and (choice is None or backend != "tensorflow"):
        draft.stack["backend"] = DraftValue(backend, "Keras runs on it")
        package = by_name.pop(backend, None)
        if package and package.requirement.specifier:
            by_name[backend] = package  # It has a marker, so it stays a package.


def _infer_backend(evidence: Evidence, packages: RequestedPackages, draft: Draft) -> str:
    """The backend of Keras, from the code or if only one is installed; "" for TensorFlow or unknown."""
    backend = tensorflow_version.find_keras_backend(evidence.code)
    if backend or "tensorflow" in draft.stack or "keras" not in packages.by_name:
        return backend
    installed = [name for name in ("torch", "jax") if name in draft.stack or name in packages.by_name]
    return installed[0] if len(installed) == 1 else ""


def _infer_python(
    evidence: Evidence, packages: RequestedPackages, choice: TensorFlowChoice | None, draft: Draft
) -> None:
    """Choose a Python that the frameworks and pinned packages have wheels for, if possible the source's own."""
    release = choice.release if choice else None
    allowed, reasons = _narrow_pythons(release.pythons if release else BUILDABLE, packages, draft)
    is_limited = False
    if draft.as_of:
        newest_of_day = as_of.choose_python(draft.as_of.text, BUILDABLE[-1])
        of_day = tuple(python for python in allowed if as_of.PYTHON_DAYS.get(python, "") <= draft.as_of.text)
        mature = tuple(python for python in of_day if Version(python) <= Version(newest_of_day))
        limited = mature or of_day or allowed
        is_limited, allowed = limited != allowed, limited
    elif draft.like:
        own = load_runtime(draft.like.text).python
        allowed = (own,) if own in allowed else allowed
    for hint in evidence.pythons:
        if matching := tensorflow_version.select_pythons(hint.text, allowed):
            draft.python = DraftValue(matching[-1], hint.why)
            return
    newest = allowed[-1]
    if reasons:
        why = f"the newest Python with wheels for {', '.join(reasons[:3])}"
    elif draft.as_of and is_limited:
        why = f"the newest Python with wheels for most packages on {draft.as_of.text}"
    elif draft.like:
        why = f"the Python of {draft.like.text}"
    elif release:
        why = f"the newest Python that TensorFlow {release.line} has wheels for"
    else:
        newest = _DEFAULT_PYTHON if _DEFAULT_PYTHON in allowed else newest
        why = "a guess, because the source does not say"
    draft.python = DraftValue(newest, why)
    _remark_other_python(evidence, newest, draft)


def _narrow_pythons(
    allowed: tuple[str, ...], packages: RequestedPackages, draft: Draft
) -> tuple[tuple[str, ...], list[str]]:
    """The Pythons that the requested versions have wheels for, and the requirements that excluded others."""
    reasons = []
    requested = {
        name: item.requirement.specifier for name, item in packages.by_name.items() if not item.guessed
    }
    for name in {"torch", "jax"} & set(draft.stack):
        requested[name] = SpecifierSet(validators.parse_specifier(draft.stack[name].text))
    for name, specifier in requested.items():
        wheels = "jaxlib" if name == "jax" else name
        pythons = distribution_names.find_pythons_for_range(wheels, specifier)
        if pythons is None:
            continue
        if not pythons:
            oldest = next(iter(distribution_names.load_wheel_pythons()[wheels]))
            draft.note(
                f"{name}{specifier} has no wheels. The oldest release with wheels is {oldest}: change its version."
            )
            continue
        common = tuple(python for python in allowed if python in pythons)
        if not common:
            buildable = set(pythons) & set(BUILDABLE)
            conflict = (
                "the other packages need another Python" if buildable else "colabenv builds none of them"
            )
            draft.note(
                f"{name}{specifier} has wheels only for Python {', '.join(pythons)}, but {conflict}. Change its "
                "version."
            )
        elif len(common) < len(allowed):
            allowed = common
            reasons.append(f"{name}{specifier}")
    for name, package in packages.by_name.items():
        limit = package.requirement.specifier
        if not package.guessed or list_pins(limit):
            continue
        pythons = distribution_names.find_pythons_for_range(name, limit) or allowed
        if common := tuple(python for python in allowed if python in pythons):
            allowed = common
        else:
            why = f"{package.why}, but those before have no wheels for a Python that fits"
            packages.by_name[name] = replace(package, requirement=Requirement(name), why=why, guessed=False)
    return allowed, reasons


def _remark_other_python(evidence: Evidence, chosen: str, draft: Draft) -> None:
    for hint in evidence.pythons[:1]:
        if not tensorflow_version.matches_python(hint.text, (chosen,)):
            old = re.match(r"[23]\.[0-6](\.|$)|2", hint.text)
            limits = f", which colabenv does not build ({BUILDABLE[0]} to {BUILDABLE[-1]})" if old else ""
            draft.remarks.append(
                f"The source is for Python {hint.text} ({hint.why}){limits}. Python {chosen} is used instead."
            )


def _drop_unavailable_versions(
    packages: RequestedPackages, choice: TensorFlowChoice | None, draft: Draft
) -> None:
    """Drop versions guessed from outputs that have no wheels for the Python or conflict with TensorFlow."""
    python = draft.python.text if draft.python else ""
    for name, package in packages.by_name.items():
        if not package.guessed:
            continue
        version = str(package.requirement.specifier).removeprefix("==").removesuffix(".*")
        pythons = distribution_names.find_pythons(name, version)
        compatible = choice.release.takes(name) if choice and choice.release else None
        why = ""
        if pythons is not None and python not in pythons:
            why = f"{version} has no wheels for Python {python}"
        elif choice and compatible is not None and not compatible.contains(version):
            why = f"{version} is not compatible with TensorFlow {choice.text}"
        if why:
            requirement = Requirement(package.requirement.name)
            why = f"{package.why}, but {why}"
            packages.by_name[name] = replace(package, requirement=requirement, why=why, guessed=False)


def _infer_time(
    evidence: Evidence, packages: RequestedPackages, choice: TensorFlowChoice | None, draft: Draft, today: str
) -> None:
    """Set `as_of` or `like`: the Colab runtime, the day of the last run, or the time of an old TensorFlow."""
    release = choice.release if choice else None
    if evidence.runtime:
        if evidence.runtime not in times.RUNTIMES:
            draft.note(
                f"The notebook selects the Colab runtime {evidence.runtime}, whose packages this version of colabenv "
                "does not know."
            )
        elif release is None or release.line == minor_version(
            load_runtime(evidence.runtime).cpu["tensorflow"]
        ):
            draft.like = DraftValue(evidence.runtime, "the Colab runtime that the notebook selects")
            return
    requested = packages.by_name.values()
    if all(package.requirement.specifier and not package.guessed for package in requested):
        return  # Every package has its version already.
    first = tensorflow_version.find_first_day(choice.text) if choice else ""
    if evidence.day and max(first, str(times.FIRST_DAY)) <= evidence.day.day < today:
        draft.as_of = DraftValue(evidence.day.day, evidence.day.how)
    elif guess := _guess_day(evidence, release, first, has_pins=any(map(_is_pinned, requested))):
        day = max(guess.text, _FIRST_GUESS)
        if day <= eras.add_days(today, -_RECENT):
            draft.as_of = replace(guess, text=day)


def _is_pinned(package: RequestedPackage) -> bool:
    return bool(list_pins(package.requirement.specifier)) and not package.guessed


def _guess_day(
    evidence: Evidence, release: TensorFlowRelease | None, first: str, *, has_pins: bool
) -> DraftValue | None:
    """A day of the source's time: of its last run, of its Python, or of the last weeks of its TensorFlow.

    Pins may be newer than a Python or TensorFlow: if a source `has_pins`, the time of its Python is not used, and that
    of its TensorFlow ends half a year later.
    """
    successor = tensorflow_version.find_successor_day(release) if release else ""
    if evidence.day and not release:
        return DraftValue(evidence.day.day, f"{evidence.day.how}, on {evidence.day.day}")
    for hint in () if evidence.day or has_pins else evidence.pythons:
        day = eras.find_typical_day(hint.text)
        if day and first <= day and (not successor or day <= eras.add_days(successor, _SLACK)):
            return DraftValue(day, f"a guess: Python {hint.text}, the source's, was in use then")
    if successor and release:
        why = f"a guess: TensorFlow {release.line} was the newest until then"
        day = max(successor, first)
        # Pinned packages may be a little newer.
        return DraftValue(eras.add_days(day, _SLACK) if has_pins else day, why)
    return None


def _explain_day(packages: RequestedPackages, draft: Draft) -> None:
    """Say which versions `as_of` selects; remove it if it selects none."""
    if draft.as_of is None:
        return
    unpinned = [name for name, package in packages.by_name.items() if not package.requirement.specifier]
    if not unpinned:
        draft.as_of = None
        return
    listed = ", ".join(unpinned[:3]) + (" and others" if len(unpinned) > 3 else "")
    draft.as_of = DraftValue(draft.as_of.text, f"{draft.as_of.why}; this selects the versions of {listed}")


def _infer_api_limits(
    evidence: Evidence, packages: RequestedPackages, choice: TensorFlowChoice | None, draft: Draft
) -> None:
    """Limit NumPy, scikit-learn and SciPy to releases that have the names in the code, where TensorFlow allows it."""
    release = choice.release if choice else None
    for use in find_api_uses(evidence.usages):
        package = packages.by_name.get(use.package)
        if use.package not in LIBRARIES or (package and package.requirement.specifier):
            continue
        limit = SpecifierSet(f"<{use.removed_in}")
        compatible = release.takes(use.package) if release else None
        pythons = distribution_names.find_pythons_for_range(use.package, limit) or ()
        uses = f"{use.location} uses {use.name}, which {use.package} {use.removed_in} removed"
        if compatible is not None and not is_satisfiable(compatible & limit):
            draft.remarks.append(f"{uses}, but TensorFlow needs {use.package}{compatible}.")
        elif not set(pythons) & set(release.pythons if release else BUILDABLE):
            draft.remarks.append(f"{uses}, but older releases have no wheels for a Python that fits.")
        else:
            why = f"{package.why}; {uses}" if package and package.why else uses
            packages.by_name[use.package] = RequestedPackage(
                Requirement(f"{use.package}{limit}"),
                why,
                guessed=True,
                module=package.module if package else "",
            )


def _infer_indexes(evidence: Evidence, draft: Draft) -> None:
    for number, url in enumerate(evidence.indexes, 1):
        try:
            parts = urlsplit(url)
            host = parts.hostname or ""
        except ValueError:
            host = ""
        if not host or parts.scheme not in ("http", "https"):
            draft.remarks.append(
                "Left out: an index or a folder of wheels that a profile cannot use. See docs/profile.md."
            )
        elif host.endswith("pytorch.org") or url.endswith(".html"):
            draft.remarks.append(
                f"Left out: the wheels on {host}. The package index has PyTorch with CUDA; for smaller CPU wheels, see "
                "docs/profile.md."
            )
        elif not _DEFAULT_INDEX.search(host):
            name = f"index-{number}" if number > 1 else "index"
            draft.indexes.append((name, _replace_password(url, host)))


def _replace_password(url: str, host: str) -> DraftValue:
    """An index's URL with a variable instead of a user's password or token."""
    scheme, _, rest = url.partition("://")
    user, _, address = rest.rpartition("@")
    if not user:
        return DraftValue(url)
    variable = re.sub(r"[^A-Z0-9]+", "_", host.partition(".")[0].upper()).strip("_") or "INDEX"
    variable = f"{variable}_TOKEN" if not variable[0].isdigit() else f"INDEX_{variable}_TOKEN"
    name, colon, _ = user.partition(":")
    login = f"{name}:${{{variable}}}" if colon else f"${{{variable}}}"
    why = f"replaces a password: set {variable} as an environment variable or a Colab secret"
    return DraftValue(f"{scheme}://{login}@{address}", why)


def _infer_source_builds(evidence: Evidence, packages: RequestedPackages, draft: Draft) -> None:
    """Allow source builds that the source requests, and those of packages without wheels."""
    names = distribution_names.load_names()
    source_only = names.source_only
    for name in packages.by_name.keys() & names.unbuildable.keys():
        _replace_unbuildable(name, names.unbuildable[name], packages, draft)
    required = [each for name in packages.by_name for each in names.builds.get(name, ())]
    draft.source_builds += [DraftValue(name, "a requirement without wheels") for name in required]
    for name in dict.fromkeys((*evidence.no_binary, *packages.by_name)):
        if name in source_only:
            draft.source_builds.append(DraftValue(name, "the package index has no wheels for it"))
        elif name in evidence.no_binary and _is_valid(validators.normalize_distribution, name):
            draft.source_builds.append(DraftValue(name))
        elif name in evidence.no_binary:
            draft.remarks.append(
                f"Left out: --no-binary {name}. List the packages to build under `source_builds`."
            )


def _replace_unbuildable(name: str, row: dict[str, str], packages: RequestedPackages, draft: Draft) -> None:
    """Replace a pin of a release that cannot be built, and keep an open version from selecting one."""
    package, broken = packages.by_name[name], SpecifierSet(row["releases"])
    pins = list_pins(package.requirement.specifier)
    if pins and broken.contains(pins[0]):
        why = f"{name} {pins[0]} cannot be built with today's tools; this release has the same methods"
        draft.note(
            f"{name} {pins[0]} cannot be built with today's tools. {name} {row['closest']} is used instead."
        )
        packages.by_name[name] = replace(
            package, requirement=Requirement(f"{name}=={row['closest']}"), why=why
        )
    elif not package.requirement.specifier and draft.as_of:
        first = min(item.version for item in broken if item.operator == ">=")
        why = f"{package.why}; later releases of that time cannot be built"
        packages.by_name[name] = replace(package, requirement=Requirement(f"{name}<{first}"), why=why)
