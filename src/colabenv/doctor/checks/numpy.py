"""NumPy 1 and NumPy 2: compiled code that was built for one and meets the other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from packaging.specifiers import SpecifierSet

from colabenv.doctor.checks.registry import rule
from colabenv.doctor.checks.versions import compare, describe_conflict, installed_line
from colabenv.doctor.distributions import is_older, visible_distributions
from colabenv.doctor.error_reports import raising_distributions, sources_of
from colabenv.doctor.model import Distribution, ErrorReport, Facts, Finding, Fix
from colabenv.doctor.requirements import (
    ANCHORS,
    Dependency,
    combined_range,
    intersect,
    is_satisfiable,
    requirements_for,
    unmet_dependencies,
    unmet_dependencies_on,
)

#: The first release of each whose wheels can be imported with NumPy 2, if the metadata of earlier ones does not limit
#: NumPy. That release and an earlier one were imported with NumPy 2.0.2 on CPython 3.11 (November 2026).
FIRST_FOR_NUMPY_2 = {
    "bottleneck": "1.4",
    "cftime": "1.6.4",
    "h5py": "3.11",
    "hdbscan": "0.8.37",
    "matplotlib": "3.8.4",
    "ml-dtypes": "0.4",
    "netcdf4": "1.7",
    "numexpr": "2.10",
    **dict.fromkeys(("opencv-python", "opencv-python-headless"), "4.10.0.84"),
    **dict.fromkeys(("opencv-contrib-python", "opencv-contrib-python-headless"), "4.10.0.84"),
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
#: Messages of code compiled for NumPy 1 under NumPy 2.
_BUILT_FOR_1 = re.compile(
    r"compiled using NumPy 1\.x|_ARRAY_API not found|Expected 96 from C header, got 88 from PyObject|"
    r"numpy\.core\.(multiarray|umath) failed to import"
)
#: Messages of compiled code under a NumPy that is too old for it.
_TOO_OLD = re.compile(
    r"compiled against (ABI|API) version 0x[0-9a-f]+ but this version of numpy is|"
    r"Expected 88 from C header, got 96 from PyObject|No module named 'numpy\._core|numpy\.exceptions'"
)


@rule("CE105")
def find_wheels_for_numpy_1(facts: Facts) -> Iterator[Finding]:
    """NumPy 2 with packages that were built for NumPy 1.

    Compiled code is built for NumPy 1 or NumPy 2. What was built for NumPy 1 fails with NumPy 2: `numpy.dtype size
    changed, may indicate binary incompatibility`, `_ARRAY_API not found`, `A module that was compiled using NumPy
    1.x cannot be run in NumPy 2`, `numpy.core.multiarray failed to import`. Many such wheels declare no upper
    bound, so installers combine them with the newest NumPy. The fix installs NumPy 1 if everything installed
    accepts it, else newer releases of the packages.
    """
    numpy = facts.installed("numpy")
    if numpy is None or is_older(numpy.version, "2"):
        return
    needs = [need for need in unmet_dependencies_on(facts, "numpy") if compare(need) == "too new"]
    # A package that has to be replaced anyway will come with a wheel for NumPy 2, or declare that it needs NumPy 1.
    replaced = {need.name for need in unmet_dependencies(facts)} - {"numpy", *ANCHORS}
    known = {need.dependent.name for need in needs} | replaced
    built = [
        each
        for each in visible_distributions(facts)
        if each.extensions
        and each.name not in known
        and each.name in FIRST_FOR_NUMPY_2
        and is_older(each.version, FIRST_FOR_NUMPY_2[each.name])
    ]
    errors = _find_errors(facts, _BUILT_FOR_1)
    raising = {each.name: each for each in raising_distributions(facts, errors, ignore="-packages/numpy/")}
    culprits = {each.name: each for each in (*(need.dependent for need in needs), *built)} | raising
    if not culprits.keys() - replaced and (raising or not errors):
        return
    yield Finding(
        f"{numpy} is too new for {', '.join(map(str, culprits.values())) or 'a compiled module'}.",
        (
            *(need.evidence for need in needs),
            *(
                f"the wheel of {each} was built for NumPy 1; {each.name} {FIRST_FOR_NUMPY_2[each.name]} is the first "
                "for NumPy 2"
                for each in built
            ),
            *(_matching_line(error, _BUILT_FOR_1) for error in errors),
            *installed_line(numpy),
        ),
        "Compiled code is built for NumPy 1 or NumPy 2. What was built for NumPy 1 does not run with NumPy 2.",
        (Fix("install", _require_numpy_1(facts, needs, built)),),
        explains=sources_of(errors),
        covers=tuple(need.key for need in needs),
    )


@rule("CE106")
def find_old_numpy(facts: Facts) -> Iterator[Finding]:
    """The installed NumPy is too old.

    A package needs a newer NumPy than the installed one: `module compiled against ABI version 0x… but this version
    of numpy is 0x…`, `No module named 'numpy._core'` (a package or a pickle made with NumPy 2), or an unmet line of
    metadata. The fix installs a NumPy that everything installed accepts.
    """
    numpy = facts.installed("numpy")
    if numpy is None:
        return
    needs = [need for need in unmet_dependencies_on(facts, "numpy") if compare(need) != "too new"]
    errors = _find_errors(facts, _TOO_OLD)
    error_lines = [_matching_line(error, _TOO_OLD) for error in errors]
    if needs:
        conflict = describe_conflict(facts, "numpy", needs)
        explains = dict.fromkeys((*conflict.explains, *sources_of(errors)))
        yield replace(conflict, evidence=(*conflict.evidence, *error_lines), explains=tuple(explains))
    elif errors and is_older(numpy.version, "2"):
        fits = is_satisfiable(combined_range(facts, "numpy") & SpecifierSet(">=2"))
        newer = SpecifierSet(">=2" if fits else f">{numpy.version}")
        yield Finding(
            f"{numpy} is too old for a package or a file that was made with a newer one.",
            (*error_lines, *installed_line(numpy)),
            "Compiled code needs the NumPy that it was built with, or a newer one. A pickle written with NumPy 2 names "
            "modules that NumPy 1 does not have.",
            (Fix("install", requirements_for(facts, "numpy", newer)),),
            explains=sources_of(errors),
        )


def _require_numpy_1(facts: Facts, needs: list[Dependency], built: list[Distribution]) -> tuple[str, ...]:
    """NumPy 1, or newer releases of the packages if something requires NumPy 2 and all causes are measured ones."""
    if not needs and built and not is_satisfiable(combined_range(facts, "numpy") & _BELOW_2):
        return tuple(f"{each.name}>={FIRST_FOR_NUMPY_2[each.name]}" for each in built)
    return requirements_for(facts, "numpy", intersect(needs) & _BELOW_2)


def _find_errors(facts: Facts, pattern: re.Pattern[str]) -> list[ErrorReport]:
    return [error for error in facts.local_errors if pattern.search(f"{error.message}\n{error.text}")]


def _matching_line(error: ErrorReport, pattern: re.Pattern[str]) -> str:
    """The line of a traceback that a pattern matches."""
    lines = (*error.message.splitlines(), *error.text.splitlines())
    line = next((line.strip() for line in lines if pattern.search(line)), error.message)
    return f"{error.source}: {line[:300]}"
