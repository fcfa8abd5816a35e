"""Packages that overwrite each other's files, and folders that remain if one of them is removed."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

from packaging.version import Version

from colabenv.doctor.checks.registry import rule
from colabenv.doctor.distributions import (
    WELL_KNOWN_PACKAGES,
    is_import_file,
    parse_version,
    reinstall,
    ships_in_colab,
    visible_distributions,
)
from colabenv.doctor.error_reports import crashes, errors_mentioning
from colabenv.doctor.model import Distribution, Facts, Finding, Fix, Overlap
from colabenv.doctor.requirements import dependencies

#: Distributions with the module `tensorflow`. On some platforms the first one is empty and requires another.
_BUILDS = {
    *("tensorflow", "tensorflow-cpu", "tensorflow-gpu", "tensorflow-intel", "tensorflow-cpu-aws"),
    *("tensorflow-aarch64", "tensorflow-rocm", "tensorflow-macos"),
    *("tf-nightly", "tf-nightly-cpu", "tf-nightly-gpu", "tf-nightly-intel"),
}


def tensorflow_builds(facts: Facts) -> list[Distribution]:
    """The installed builds of TensorFlow."""
    visible = visible_distributions(facts)
    return [each for each in visible if each.name in _BUILDS and "tensorflow" in each.modules]


def is_cuda_library(path: str) -> bool:
    """Whether a path is that of a shared library in NVIDIA's wheels, for which checks/cuda.py is responsible."""
    return bool(re.search(r"/nvidia/\w+/lib/[^/]+\.so[.\d]*$", path))


def dependents_of(facts: Facts, name: str) -> list[str]:
    """What requires a distribution: "dependent version requires line"."""
    return [f"{need.dependent} requires {need.line}" for need in dependencies(facts) if need.name == name]


def group_overlaps(
    facts: Facts, matters: Callable[[Overlap], bool]
) -> Iterator[tuple[list[Distribution], list[Overlap]]]:
    """The overlaps that matter, by the distributions that they belong to."""
    groups: dict[tuple[str, ...], list[Overlap]] = defaultdict(list)
    for overlap in facts.overlaps:
        if len(set(overlap.owners)) > 1 and matters(overlap):
            groups[overlap.owners].append(overlap)
    for names, overlaps in groups.items():
        yield [owner for owner in map(facts.installed, names) if owner is not None], overlaps


@rule("CE201")
def find_overwritten_files(facts: Facts) -> Iterator[Finding]:
    """Two packages overwrote each other's files.

    The RECORDs of two packages list the same module with different contents. The package that was installed last
    owns the file on disk; the other one runs with a file that is not its own. The fix removes the package that
    nothing requires, and reinstalls the other one. Two builds of one version, such as OpenCV's, are not reported if
    all files belong to the same build, nor are tests, licenses and the `__init__.py` of namespace packages.
    """
    roots = {each.name: each.root for each in reversed(facts.distributions)}

    def matters(overlap: Overlap) -> bool:
        path = overlap.path.removeprefix(roots.get(overlap.owners[0], "") + "/")
        return is_import_file(path) and not is_cuda_library(overlap.path)

    for owners, overlaps in group_overlaps(facts, matters):
        if len(owners) < 2 or _BUILDS.issuperset(owner.name for owner in owners):
            continue
        if _is_harmless(owners, overlaps) or ships_in_colab(facts, owners):
            continue
        kept = max(owners, key=lambda owner: (len(dependents_of(facts, owner.name)), owner.files))
        others = [owner for owner in owners if owner is not kept]
        if any(dependents_of(facts, owner.name) for owner in others):
            continue  # all of them are required, and no order of installation would help
        yield Finding(
            f"{' and '.join(map(str, owners))} overwrite each other's files.",
            (*map(_describe_overlap, overlaps[:4]), *dependents_of(facts, kept.name)[:1]),
            "They are two projects, or two builds of one, with the same module name.",
            (Fix("uninstall", tuple(owner.name for owner in others)), *reinstall([kept])),
            explains=errors_mentioning(facts, {module for owner in owners for module in owner.modules}),
            removes=tuple(owner.info for owner in others),
        )


def _is_harmless(owners: Sequence[Distribution], overlaps: Sequence[Overlap]) -> bool:
    """Whether they are builds of one project and every file belongs to the same one."""
    on_disk = {overlap.on_disk for overlap in overlaps if overlap.hashed}
    are_opencv = all(owner.name.startswith("opencv-") for owner in owners)
    are_builds = are_opencv or len({owner.version for owner in owners}) == 1
    return are_builds and len(on_disk) <= 1 and () not in on_disk


def _describe_overlap(overlap: Overlap) -> str:
    unknown = "none of them" if overlap.hashed else "unknown (too large to check)"
    owners = ", ".join(overlap.on_disk) or unknown
    return f"{overlap.path}: listed by {' and '.join(overlap.owners)}; the file on disk is from {owners}"


@rule("CE202")
def find_several_tensorflows(facts: Facts) -> Iterator[Finding]:
    """Several builds of TensorFlow are installed.

    `tensorflow`, `tensorflow-cpu`, `tf-nightly` and similar packages contain the same files. Installers do not
    notice, so the last one overwrites the first, and removing one deletes files of the other. The import fails, or
    mixes both. The fix removes all but one, and reinstalls that one.
    """
    builds = tensorflow_builds(facts)
    if len(builds) < 2:
        return

    def priority(build: Distribution) -> tuple[int, Version, bool]:
        version = parse_version(build.version) or Version("0")
        return len(dependents_of(facts, build.name)), version, build.name == "tensorflow"

    kept = max(builds, key=priority)
    others = [build for build in builds if build is not kept]
    names = {build.name for build in builds}
    shared = [overlap for overlap in facts.overlaps if names.issuperset(overlap.owners)]
    yield Finding(
        f"{len(builds)} builds of TensorFlow overwrite each other: {' and '.join(map(str, builds))}.",
        (
            *(f"{build.info}/RECORD lists {build.files} files" for build in builds),
            *([f"{len(shared)} files are listed by both with different contents"] if shared else []),
            *map(_describe_overlap, shared[:2]),
        ),
        "One of them was installed while another one was there.",
        (Fix("uninstall", tuple(build.name for build in others)), *reinstall([kept])),
        explains=(*errors_mentioning(facts, ("tensorflow", "keras", "tf_keras")), *crashes(facts)),
        removes=tuple(build.info for build in others),
    )


@rule("CE203")
def find_leftover_folders(facts: Facts) -> Iterator[Finding]:
    """Only the folder of a package is left.

    A folder has the name of a package, but the package is not installed. `import` treats the folder as a namespace
    and finds nothing in it, so the error comes later: `module 'tensorflow' has no attribute '__version__'`. The
    folder remains if one of two packages with the same files is removed, or if somebody added files to it. The fix
    deletes the folder and installs the package.
    """
    for module, name in WELL_KNOWN_PACKAGES.items():
        locations = facts.modules.get(module, ())
        namespaces = [location for location in locations if location.kind == "namespace"]
        folders = [location.file for location in namespaces if location.entry.endswith("-packages")]
        is_owned = any(owner.has_metadata for owner in facts.owners(module))
        if not folders or locations[0].file != folders[0] or is_owned:
            continue
        yield Finding(
            f"{name} is not installed, only its folder is left, so import {module} finds nothing.",
            (
                *(f"{folder} has no __init__.py, and no RECORD lists it" for folder in folders),
                *dependents_of(facts, name)[:2],
            ),
            "The package was removed, and files of another package or of your own kept the folder.",
            (Fix("delete", tuple(folders)), Fix("install", (name,))),
            explains=errors_mentioning(facts, (module,)),
            covers=tuple(need.key for need in dependencies(facts) if need.name == name),
        )
