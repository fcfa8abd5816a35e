"""Packages that write over each other's files, and what is left when one of them is removed. Pure."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence

from packaging.version import InvalidVersion, Version

from colabenv.doctor.checks.registry import rule
from colabenv.doctor.model import Distribution, Facts, Finding, Overlap, Step
from colabenv.doctor.reinstall import anew, as_shipped, blamed, killed, matters
from colabenv.doctor.requirements import needs, visible

#: Distributions that all bring the module `tensorflow`. On some platforms the first is an empty one that needs another.
BUILDS = (
    *(
        "tensorflow",
        "tensorflow-cpu",
        "tensorflow-gpu",
        "tensorflow-intel",
        "tensorflow-cpu-aws",
        "tensorflow-aarch64",
    ),
    *(
        "tensorflow-rocm",
        "tensorflow-macos",
        "tf-nightly",
        "tf-nightly-cpu",
        "tf-nightly-gpu",
        "tf-nightly-intel",
    ),
)
#: Modules of the distributions that are asked after most, for folders that nobody owns.
PACKAGES = {
    **{name: name.replace("_", "-") for name in ("tensorflow", "keras", "tf_keras", "torch", "jax", "numpy")},
    **{name: name for name in ("scipy", "pandas", "matplotlib", "transformers", "h5py")},
    "PIL": "pillow",
    "sklearn": "scikit-learn",
    "cv2": "opencv-python-headless",
}


def is_library(path: str) -> bool:
    """Whether a path is that of a shared library of NVIDIA's wheels; checks/cuda.py speaks of those."""
    return bool(re.search(r"/nvidia/\w+/lib/[^/]+\.so[.\d]*$", path))


def wanted(facts: Facts, name: str) -> list[str]:
    """Who needs a distribution: "dependant version requires line"."""
    return [
        f"{need.dependant.name} {need.dependant.version} requires {need.line}"
        for need in needs(facts)
        if need.dependency == name
    ]


def _version(one: Distribution) -> Version:
    try:
        return Version(one.version)
    except InvalidVersion:
        return Version("0")


@rule(
    "CE201",
    "Two packages wrote over each other's files",
    "Two distributions claim the same module with different contents, by their RECORDs. The one that was "
    "installed last has it, and the other one runs with files that are not its own. The finding says whose are "
    "on disk. One of the two is removed, the one that nothing needs, and the other one is installed anew. Two "
    "builds of one version, such as the builds of OpenCV, are no finding as long as all files are of the same "
    "one; nor are tests, licences and the `__init__.py` of namespace packages.",
)
def overwritten(facts: Facts) -> Iterator[Finding]:
    """One finding for each group of distributions."""
    groups: dict[tuple[str, ...], list[Overlap]] = defaultdict(list)
    for overlap in facts.overlaps:
        if is_library(overlap.path) or len(set(overlap.owners)) < 2 or not _matters(overlap, facts):
            continue
        groups[overlap.owners].append(overlap)
    for names, found in groups.items():
        owners = [one for one in map(facts.installed, names) if one is not None]
        if all(one.name in BUILDS for one in owners) or len(owners) < 2 or _is_harmless(owners, found):
            continue
        if as_shipped(facts, owners):
            continue
        kept = max(owners, key=lambda one: (len(wanted(facts, one.name)), one.files))
        others = [one for one in owners if one is not kept]
        if any(wanted(facts, one.name) for one in others):
            continue  # all of them are needed; whatever is done, one of them is overwritten
        yield Finding(
            "CE201",
            f"{' and '.join(f'{one.name} {one.version}' for one in owners)} write over each other's files.",
            (*(_whose(one) for one in found[:4]), *wanted(facts, kept.name)[:1]),
            "They are two projects, or two builds of one, that use the same module name.",
            (Step("uninstall", tuple(one.name for one in others)), *anew([kept])),
            explains=blamed(facts, {module for one in owners for module in one.modules}),
            gone=tuple(one.info for one in others),
        )


def _matters(overlap: Overlap, facts: Facts) -> bool:
    root = next((one.root for one in facts.distributions if one.name == overlap.owners[0]), "")
    return matters(overlap.path.removeprefix(root + "/"))


def _is_harmless(owners: Sequence[Distribution], found: Sequence[Overlap]) -> bool:
    """Whether they are builds of one thing and every file is that of one of them."""
    present = {one.on_disk for one in found if one.hashed}
    are_builds = len({one.version for one in owners}) == 1 or all(
        one.name.startswith("opencv-") for one in owners
    )
    return are_builds and len(present) <= 1 and () not in present


def _whose(overlap: Overlap) -> str:
    whose = ", ".join(overlap.on_disk) or ("none of them" if overlap.hashed else "not looked at")
    return f"{overlap.path}: claimed by {' and '.join(overlap.owners)}, on disk is that of {whose}"


@rule(
    "CE202",
    "Several builds of TensorFlow on top of one another",
    "`tensorflow`, `tensorflow-cpu`, `tf-nightly` and their kind are different distributions with the same files. An "
    "installer does not see that, so the last one writes over the first, and when one is removed the other one loses "
    "its files. All but one are removed, and that one is installed anew.",
)
def builds(facts: Facts) -> Iterator[Finding]:
    """At most one finding."""
    found = [one for one in visible(facts) if one.name in BUILDS and "tensorflow" in one.modules]
    if len(found) < 2:
        return
    kept = max(found, key=lambda one: (len(wanted(facts, one.name)), _version(one), one.name == "tensorflow"))
    shared = [one for one in facts.overlaps if set(one.owners) <= {one.name for one in found}]
    yield Finding(
        "CE202",
        f"{len(found)} builds of TensorFlow lie on top of one another: "
        f"{' and '.join(f'{one.name} {one.version}' for one in found)}.",
        (
            *(f"{one.info}/RECORD lists {one.files} files" for one in found),
            *([f"{len(shared)} of the files are claimed twice with different contents"] if shared else []),
            *(_whose(one) for one in shared[:2]),
        ),
        "Something asked for one of them while another one was there.",
        (Step("uninstall", tuple(one.name for one in found if one is not kept)), *anew([kept])),
        explains=(*blamed(facts, ("tensorflow", "keras", "tf_keras")), *killed(facts)),
        gone=tuple(one.info for one in found if one is not kept),
    )


@rule(
    "CE203",
    "A package was removed by half",
    "A folder with the name of a package is there, without the package: `import` takes it for a namespace and finds "
    "nothing in it, so the error comes later: `module 'tensorflow' has no attribute '__version__'`. It stays "
    "behind when one of two packages with the same files is removed, or when files were added to the folder by "
    "hand. The folder is deleted, and the package is installed.",
)
def half_removed(facts: Facts) -> Iterator[Finding]:
    """One finding for each folder among the packages that people ask for."""
    for module, name in PACKAGES.items():
        places = facts.modules.get(module, ())
        owners = [one for one in facts.owners(module) if one.metadata]
        if not places or places[0].kind != "namespace" or not places[0].entry.endswith("-packages") or owners:
            continue
        folders = [
            place.file for place in places if place.kind == "namespace" and place.entry.endswith("-packages")
        ]
        yield Finding(
            "CE203",
            f"Of {name} only a folder is left: import {module} finds nothing in it.",
            (
                *(f"{folder} has no __init__.py, and no RECORD lists it" for folder in folders),
                *wanted(facts, name)[:2],
            ),
            "The package was removed, and a file that was not its own, or another package's, kept the folder.",
            (Step("delete", tuple(folders)), Step("install", (name,))),
            explains=blamed(facts, (module,)),
            covers=tuple(need.key for need in needs(facts) if need.dependency == name),
        )
