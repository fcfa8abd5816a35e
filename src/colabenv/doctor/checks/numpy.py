"""NumPy 2 and NumPy 1: compiled code made for the one that meets the other. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from packaging.specifiers import SpecifierSet

from colabenv.doctor.checks.registry import rule
from colabenv.doctor.checks.versions import finding, way, where
from colabenv.doctor.model import Complaint, Distribution, Facts, Finding, Step
from colabenv.doctor.requirements import (
    ANCHORS,
    Need,
    common_range,
    lacking,
    mending,
    older,
    possible,
    unmet,
    visible,
)

#: The first release of each whose wheels import under NumPy 2, where the metadata of earlier ones leaves NumPy open.
#: Installed beside NumPy 2.0.2 on CPython 3.11 and imported, that release and an earlier one whose range is open
#: (November 2026).
BUILT_FOR_2 = {
    "bottleneck": "1.4",
    "cftime": "1.6.4",
    "h5py": "3.11",
    "hdbscan": "0.8.37",
    "matplotlib": "3.8.4",
    "ml-dtypes": "0.4",
    "netcdf4": "1.7",
    "numexpr": "2.10",
    "opencv-contrib-python": "4.10.0.84",
    "opencv-contrib-python-headless": "4.10.0.84",
    "opencv-python": "4.10.0.84",
    "opencv-python-headless": "4.10.0.84",
    "pandas": "2.2.2",
    "pyarrow": "16",
    "pycocotools": "2.0.8",
    "pywavelets": "1.6",
    "rasterio": "1.3.10",
    "scikit-image": "0.23",
    "scikit-learn": "1.4.2",
    "scipy": "1.13",
    "shapely": "2.0.4",
    "statsmodels": "0.14.2",
    "tables": "3.10",
}
_BELOW_2 = SpecifierSet("<2")
#: What compiled code for NumPy 1 says under NumPy 2.
_MADE_FOR_1 = re.compile(
    r"compiled using NumPy 1\.x|_ARRAY_API not found|Expected 96 from C header, got 88 from PyObject|"
    r"numpy\.core\.(multiarray|umath) failed to import"
)
#: What compiled code says under a NumPy that is too old for it.
_TOO_OLD = re.compile(
    r"compiled against (ABI|API) version 0x[0-9a-f]+ but this version of numpy is|"
    r"Expected 88 from C header, got 96 from PyObject|No module named 'numpy\._core|numpy\.exceptions'"
)


@rule(
    "CE105",
    "NumPy 2 under wheels that were built for NumPy 1",
    "Compiled code is made for one generation of NumPy. What was built for NumPy 1 fails under NumPy 2: "
    "`numpy.dtype size changed, may indicate binary incompatibility`, `_ARRAY_API not found`, `A module that "
    "was compiled using NumPy 1.x cannot be run in NumPy 2`, `numpy.core.multiarray failed to import`. Many "
    "such wheels declare no upper bound, so that a resolver gives them the newest NumPy. It is mended by NumPy "
    "1 where all that is installed takes it, else by newer releases of the packages.",
)
def numpy_2_under_wheels_for_1(facts: Facts) -> Iterator[Finding]:
    """What needs NumPy 1: by metadata, by the stack's table, by what was measured, by what an exception says."""
    numpy = facts.installed("numpy")
    if numpy is None or older(numpy.version, "2"):
        return
    told = [need for need in lacking(facts, "numpy") if way(need) == "too new"]
    # What is to be replaced for another reason will come with a wheel for NumPy 2, or say so.
    replaced = {need.dependency for need in unmet(facts)} - {"numpy", *ANCHORS}
    names = {need.dependant.name for need in told} | replaced
    built = [one for one in _built_for_1(facts) if one.name not in names]
    said = tuple(one for one in facts.complaints if one.here and _says(one, _MADE_FOR_1))
    raising = {one.name: one for one in _culprits(facts, said)}
    culprits = {one.name: one for one in (*(need.dependant for need in told), *built)} | raising
    if not culprits.keys() - replaced and (raising or not said):
        return
    who = ", ".join(f"{one.name} {one.version}" for one in culprits.values()) or "a compiled module here"
    yield Finding(
        "CE105",
        f"numpy {numpy.version} is too new for {who}.",
        (
            *(need.evidence for need in told),
            *(f"the wheel of {one.name} {one.version} was built for NumPy 1; {_first(one)}" for one in built),
            *(f"{one.source}: {_line_of(one, _MADE_FOR_1)}" for one in said),
            *where(numpy),
        ),
        "Compiled code is made for NumPy 1 or for NumPy 2, and what was made for 1 does not run under 2.",
        (Step("install", _to_numpy_1(facts, told, built)),),
        explains=tuple(one.source for one in said),
        covers=tuple(need.key for need in told),
    )


@rule(
    "CE106",
    "A NumPy that is too old",
    "A package needs a newer NumPy than the one that is installed. It shows as `module compiled against ABI "
    "version 0x… but this version of numpy is 0x…`, `No module named 'numpy._core'` (a pickle or a package made "
    "under NumPy 2), or as an unmet line of metadata. It is mended by a NumPy that all of them take.",
)
def numpy_too_old(facts: Facts) -> Iterator[Finding]:
    """Needs of a newer NumPy, by metadata or by what an exception says."""
    numpy = facts.installed("numpy")
    told = [need for need in lacking(facts, "numpy") if way(need) != "too new"]
    if numpy is None:
        return
    said = tuple(one for one in facts.complaints if one.here and _says(one, _TOO_OLD))
    if told:
        found = finding(facts, "CE106", "numpy", told)
        shown = tuple(f"{one.source}: {_line_of(one, _TOO_OLD)}" for one in said)
        explains = tuple(dict.fromkeys((*found.explains, *(one.source for one in said))))
        yield Finding(
            "CE106", found.what, (*found.evidence, *shown), found.why, found.steps, explains, found.covers
        )
    elif said and older(numpy.version, "2"):
        newest = SpecifierSet(">=2")
        fits = possible(common_range(facts, "numpy") & newest)
        wanted = newest if fits else SpecifierSet(f">{numpy.version}")
        yield Finding(
            "CE106",
            f"numpy {numpy.version} is older than the one that something here was made with.",
            (*(f"{one.source}: {_line_of(one, _TOO_OLD)}" for one in said), *where(numpy)),
            "Compiled code runs under the NumPy it was made with and newer ones of that generation; a pickle that was "
            "written under NumPy 2 names modules that NumPy 1 does not have.",
            (Step("install", mending(facts, "numpy", wanted)),),
            explains=tuple(one.source for one in said),
        )


def _built_for_1(facts: Facts) -> list[Distribution]:
    return [
        one
        for one in visible(facts)
        if one.name in BUILT_FOR_2 and one.extensions and older(one.version, BUILT_FOR_2[one.name])
    ]


def _first(one: Distribution) -> str:
    return f"{one.name} {BUILT_FOR_2[one.name]} is the first for NumPy 2"


def _to_numpy_1(facts: Facts, told: list[Need], built: list[Distribution]) -> tuple[str, ...]:
    """NumPy 1 where everything takes it; where not, and only what was measured is at fault, newer releases of that."""
    if not told and built and not possible(common_range(facts, "numpy") & _BELOW_2):
        return tuple(f"{one.name}>={BUILT_FOR_2[one.name]}" for one in built)
    silent = _BELOW_2
    for need in told:
        silent &= need.specifier
    return mending(facts, "numpy", silent)


def _culprits(facts: Facts, said: tuple[Complaint, ...]) -> Iterator[Distribution]:
    """The distributions whose code raised it: the innermost frame that is not NumPy's."""
    for complaint in said:
        for file, _, _ in reversed(complaint.frames):
            module = re.search(r"/(?:site|dist)-packages/(\w+)", file)
            owners = facts.owners(module[1]) if module and module[1] != "numpy" else ()
            if owners:
                yield owners[0]
                break


def _says(complaint: Complaint, pattern: re.Pattern[str]) -> bool:
    return bool(pattern.search(complaint.message) or pattern.search(complaint.text))


def _line_of(complaint: Complaint, pattern: re.Pattern[str]) -> str:
    """The line of a traceback that says it."""
    lines = (*complaint.message.splitlines(), *complaint.text.splitlines())
    return next((line.strip()[:300] for line in lines if pattern.search(line)), complaint.message[:300])
