"""The packages that a source requests: those that a profile can list, and comments on the others."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field, replace
from typing import Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from pydantic_core import PydanticCustomError

from colabenv.importers.companions import is_version
from colabenv.importers.distribution_names import DistributionNames
from colabenv.importers.draft import DraftValue
from colabenv.importers.evidence import Evidence
from colabenv.importers.imports import Import
from colabenv.importers.install_commands import InstallTarget
from colabenv.importers.outputs import SeenVersion
from colabenv.profile import validators

#: What every environment has, in the versions that its kernel needs.
_PREINSTALLED: Final = re.compile(
    r"pip|setuptools|wheel|ipykernel|ipython|notebook|jupyter|jupyterlab|jupyter-(client|core|console|server)|nbconvert|colabenv"
)
_UNSUPPORTED: Final = {
    "pkg-resources": "is not a real package (a bug of old Debian systems lists it)",
    "google-colab": "is provided by the machine",
    "tensorflow-metal": "is for macOS",
    "appnope": "is for macOS",
    "pywin32": "is for Windows",
    "pywinpty": "is for Windows",
    "wincertstore": "is for Windows",
    "pypiwin32": "is for Windows",
}
#: Standard modules of Python 2, and those removed in Python 3.12 and 3.13.
_OLD_STDLIB: Final = (  # noqa: SIM905
    "urllib2 urlparse cPickle StringIO ConfigParser Queue commands asynchat asyncore cgi cgitb crypt distutils "
    "imghdr imp nntplib pipes smtpd sndhdr telnetlib uu"
).split()
_CUDA: Final = re.compile(
    r"nvidia-[a-z0-9-]+-cu1[1-9]|triton|jax-cuda1[1-9]-(plugin|pjrt)|cuda-(bindings|pathfinder)"
)
#: Distributions that provide the same module.
_ALTERNATIVES: Final = {
    "opencv-python-headless": {"opencv-python", "opencv-contrib-python", "opencv-contrib-python-headless"}
}


@dataclass(frozen=True)
class RequestedPackage:
    """A package for the profile."""

    requirement: Requirement  #: name and versions
    why: str = ""  #: its comment, or ""
    guessed: bool = False  #: its version is a guess
    module: str = ""  #: the imported module that needs it, or ""

    @property
    def value(self) -> DraftValue:
        """The entry of the profile."""
        return DraftValue(str(self.requirement), self.why)


@dataclass
class RequestedPackages:
    """The packages of a source."""

    #: packages for the profile by canonical name
    by_name: dict[str, RequestedPackage] = field(default_factory=dict)
    left_out: list[DraftValue] = field(default_factory=list)  #: requirements that become comments
    remarks: list[str] = field(default_factory=list)  #: sentences about the others
    preinstalled: list[str] = field(default_factory=list)  #: names of packages that every environment has
    #: names of conda packages that are not Python packages
    libraries: list[str] = field(default_factory=list)


def collect_packages(
    evidence: Evidence, names: DistributionNames, local: frozenset[str]
) -> RequestedPackages:
    """Collect the packages that a source installs or imports; `local` are modules in its folder."""
    packages = RequestedPackages()
    for target in evidence.targets:
        _add_target(target, packages, names)
    _add_imports(evidence, packages, names, local)
    for call, name in names.calls.items():
        if call in evidence.code and name not in packages.by_name:
            why = f"the code calls {call.rstrip('(')}, which needs it"
            packages.by_name[name] = RequestedPackage(Requirement(name), why)
    for name, package in packages.by_name.items():
        packages.by_name[name] = _pin_seen_version(package, name, evidence)
    _apply_constraints(evidence, packages)
    if packages.preinstalled:
        listed = ", ".join(sorted(set(packages.preinstalled)))
        packages.remarks.append(f"Left out, because every environment has its own: {listed}.")
    if packages.libraries:
        listed = ", ".join(packages.libraries)
        packages.remarks.append(
            f"Left out, because they are not Python packages or are installed automatically: {listed}."
        )
    return packages


def _add_target(target: InstallTarget, packages: RequestedPackages, names: DistributionNames) -> None:
    if target.kind != "package":
        _leave_out(target, packages)
        return
    requirement, why = _translate(target, names)
    if requirement is None:
        packages.libraries.append(Requirement(target.text).name)
        return
    name = str(canonicalize_name(requirement.name))
    if _PREINSTALLED.fullmatch(name):
        packages.preinstalled.append(name)
    elif name in _UNSUPPORTED:
        packages.left_out.append(DraftValue(str(requirement), f"it {_UNSUPPORTED[name]}"))
    elif problem := _find_problem(requirement):
        packages.left_out.append(DraftValue(target.text, f"{target.location}: {problem}"))
    else:
        earlier = packages.by_name.get(name)
        # `pip install x` after `pip install x==1` changes nothing.
        if not earlier or requirement.specifier or not earlier.requirement.specifier:
            packages.by_name[name] = RequestedPackage(requirement, why)


def _translate(target: InstallTarget, names: DistributionNames) -> tuple[Requirement | None, str]:
    """The requirement under its name on the package index, and the reason for it; None if it is not on the index."""
    requirement = Requirement(target.text)
    name = str(canonicalize_name(requirement.name))
    why = f"{target.location} installs it" if target.location.cell else ""
    if target.tool.startswith("conda"):
        known = names.conda.get(name, names.conda.get(requirement.name.lower()))
        if known == "" or (known is None and _is_library(name, target, names)):
            return None, ""
        if known:
            why, requirement = f"conda's {requirement.name}", _rename(requirement, known)
    elif name in names.old:
        why = f"{why} as {requirement.name}" if why else f"listed as {requirement.name}"
        requirement = _rename(requirement, names.old[name])
    return _drop_local_version(requirement), why


def _find_problem(requirement: Requirement) -> str:
    """Why a profile does not accept a requirement, or ""."""
    if any(item.operator == "===" and not is_version(item.version) for item in requirement.specifier):
        return "its version is not valid, so no package index can have it"
    try:
        validators.normalize_requirement(str(requirement))
    except PydanticCustomError as error:
        return str((error.context or {})["problem"]).replace("{value}", f"'{requirement}'")
    return ""


def _is_library(name: str, target: InstallTarget, names: DistributionNames) -> bool:
    """Whether a conda package that no list names is a system library, by its name and build."""
    if name in names.known:
        return False
    is_library = re.match(r"_|lib(?!rosa|clang|cst)|r-|xorg-|cuda|gst", name) is not None
    return target.tool == "conda-library" or is_library


def _rename(requirement: Requirement, name: str) -> Requirement:
    """The same requirement for another distribution, whose version numbers may have more parts."""
    specifier = str(requirement.specifier)
    if match := re.fullmatch(r"==([0-9.]+)", specifier):
        specifier = f"=={match[1]}.*"
    marker = f"; {requirement.marker}" if requirement.marker else ""
    return Requirement(f"{name}{_format_extras(requirement)}{specifier}{marker}")


def _format_extras(requirement: Requirement) -> str:
    return f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""


def _drop_local_version(requirement: Requirement) -> Requirement:
    """A requirement without local versions: `torch==1.7.1+cu110` is `torch==1.7.1` on the package index."""
    return Requirement(re.sub(r"(==[^,;+\s]+)\+[A-Za-z0-9.]+", r"\1", str(requirement)))


def _leave_out(target: InstallTarget, packages: RequestedPackages) -> None:
    where = f"{target.location}: " if str(target.location) else ""
    if target.kind == "address":
        # `pip freeze` writes such lines for packages that conda built.
        match = re.match(r"([A-Za-z0-9._-]+)(?:\[[^\]]*\])? *@ *file:", target.text)
        if match and (problem := _UNSUPPORTED.get(str(canonicalize_name(match[1])))):
            packages.left_out.append(DraftValue(match[1], f"it {problem}"))
            return
        if match:
            package = RequestedPackage(Requirement(match[1]), "its version is on another machine's disk")
            packages.by_name.setdefault(str(canonicalize_name(match[1])), package)
            return
        why = "a lock cannot contain URLs; use a release from the package index, or install it in the kernel"
    elif target.kind == "folder":
        why = "a local file or folder; put the code beside the notebook, or publish the package"
    elif target.kind in ("file", "constraints"):
        why = "the file is not in the source's folder, or cannot be read"
    else:
        why = "this is not a requirement that can be read without running code"
    packages.left_out.append(DraftValue(target.text, f"{where}{why}"))


def _add_imports(
    evidence: Evidence, packages: RequestedPackages, names: DistributionNames, local: frozenset[str]
) -> None:
    """Add the packages of imported modules that no command installs."""
    installed = {name.replace("-", "_") for name in packages.by_name}
    installed |= {_guess_module(target.text) for target in evidence.targets if target.kind == "address"}
    not_packages = {*sys.stdlib_module_names, *_OLD_STDLIB, *local}
    own = sorted({item.top for item in evidence.imports if item.top in local})
    if own:
        packages.remarks.append(
            f"Left out, because the source's folder has modules of these names: {', '.join(own)}."
        )
    for item in evidence.imports:
        module = next((dotted for dotted in item.dotted if names.find_distribution(dotted)), item.module)
        if item.top in not_packages or item.top.lower() in installed or module.startswith("google.colab"):
            continue
        _add_module(module, item, packages, names)


def _guess_module(address: str) -> str:
    """The module that a repository or archive probably contains, from its name."""
    name = re.match(r"([\w.-]+)(?:\[[^\]]*\])? *@ ", address) or re.search(r"[#&]egg=([\w.-]+)", address)
    bare = re.sub(r"[#@][^/]*$", "", address).rstrip("/")
    last = name[1] if name else bare.rpartition("/")[2]
    return re.sub(r"(\.git|-[0-9][^/]*)$", "", last).replace("-", "_").lower()


def _add_module(module: str, item: Import, packages: RequestedPackages, names: DistributionNames) -> None:
    name = names.find_distribution(module)
    top = module.partition(".")[0]
    if name and _PREINSTALLED.fullmatch(name):
        return
    if any(package.module == top for package in packages.by_name.values()):
        return
    if not name:
        why = f"{item.location} imports it: is this your own file, or a package from the index?"
        if name == "":
            why = f"{item.location} imports it, but the package index does not have it"
        if not item.optional and not any(value.text == top for value in packages.left_out):
            packages.left_out.append(DraftValue(top, why))
        return
    if name not in packages.by_name and not _ALTERNATIVES.get(name, set()) & set(packages.by_name):
        imported = "it" if str(canonicalize_name(top)) == name else module
        why = f"{item.location} imports {imported}"
        packages.by_name[name] = RequestedPackage(Requirement(name), why, module=top)
    package = packages.by_name.get(name)
    if top in names.until and package and not package.requirement.specifier:
        why = f"{package.why}; newer releases do not have {top}"
        requirement = Requirement(f"{name}{names.until[top]}")
        packages.by_name[name] = replace(package, requirement=requirement, why=why)


def _pin_seen_version(package: RequestedPackage, name: str, evidence: Evidence) -> RequestedPackage:
    """Pin a package without a version to the one shown in an output."""
    if package.requirement.specifier or package.requirement.url:
        return package
    seen = _find_last_seen(evidence, {name, package.module})
    if seen is None:
        return package
    exact = seen.name == name or not re.fullmatch(r"[0-9]+(\.[0-9]+)*", seen.version)
    version = seen.version if exact else f"{seen.version}.*"
    requirement = Requirement(f"{package.requirement.name}{_format_extras(package.requirement)}=={version}")
    if seen.how == "installed" and package.why == f"{seen.location} installs it":
        why = f"{seen.location} installed this version"
    else:
        verb = "installed" if seen.how == "installed" else "shown"
        why = f"this version is {verb} in the output of {seen.location}"
        why = f"{package.why}; {why}" if package.why else why
    return RequestedPackage(requirement, why, guessed=True, module=package.module)


def _find_last_seen(evidence: Evidence, names: set[str]) -> SeenVersion | None:
    versions = [seen for seen in evidence.seen if seen.name in names - {""}]
    return versions[-1] if versions and not Version(versions[-1].version).local else None


def _apply_constraints(evidence: Evidence, packages: RequestedPackages) -> None:
    """Constraints restrict requested packages; the lock pins all others."""
    unused = []
    for constraint in evidence.constraints:
        requirement = constraint.requirement
        if requirement is None:
            continue
        name = str(canonicalize_name(requirement.name))
        if package := packages.by_name.get(name):
            combined = Requirement(str(package.requirement))
            combined.specifier &= requirement.specifier
            why = package.why or f"restricted by {constraint.location}"
            packages.by_name[name] = RequestedPackage(combined, why, package.guessed)
        else:
            unused.append(str(requirement))
    if unused:
        listed = ", ".join(unused[:8]) + (f" and {len(unused) - 8} more" if len(unused) > 8 else "")
        packages.remarks.append(f"Left out: constraints on packages that nothing here requests: {listed}.")


def drop_cuda_packages(packages: RequestedPackages) -> None:
    """Remove CUDA wheels: the frameworks install compatible ones."""
    cuda = [name for name in packages.by_name if _CUDA.fullmatch(name)]
    for name in cuda:
        del packages.by_name[name]
    if cuda:
        packages.remarks.append(
            f"Left out, because the frameworks install compatible CUDA packages: {', '.join(cuda)}."
        )
