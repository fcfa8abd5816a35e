"""The packages that a source asks for: which of them a profile can name, and what to say of the others. Pure."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field, replace
from typing import Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from pydantic_core import PydanticCustomError

from colabenv.importers.distribution_names import Names
from colabenv.importers.draft import Line
from colabenv.importers.findings import Findings
from colabenv.importers.imports import Import
from colabenv.importers.installs import Wanted
from colabenv.importers.outputs import Seen
from colabenv.profile import validators

#: What every environment of colabenv has, in the versions that its kernel needs.
_BROUGHT: Final = re.compile(
    r"pip|setuptools|wheel|ipykernel|ipython|notebook|jupyter|jupyterlab|jupyter-(client|core|console|server)|nbconvert|colabenv"
)
_NOT_HERE: Final = {
    "pkg-resources": "is no package, but a fault of old Debian systems",
    "google-colab": "comes from the machine",
    "tensorflow-metal": "is for macOS",
    "appnope": "is for macOS",
    "pywin32": "is for Windows",
    "pywinpty": "is for Windows",
    "wincertstore": "is for Windows",
    "pypiwin32": "is for Windows",
    "tf-nightly": "changes every day, so no lock can name it; name a release of tensorflow",
    "tf-nightly-gpu": "changes every day, so no lock can name it; name a release of tensorflow",
}
#: Modules that some Python brings and the one that runs this may not: of Python 2, and gone from 3.12 and 3.13.
_GONE: Final = (
    *(
        "urllib2",
        "urlparse",
        "cPickle",
        "StringIO",
        "ConfigParser",
        "Queue",
        "commands",
        "asynchat",
        "asyncore",
        "cgi",
    ),
    *(
        "cgitb",
        "crypt",
        "distutils",
        "imghdr",
        "imp",
        "nntplib",
        "pipes",
        "smtpd",
        "sndhdr",
        "telnetlib",
        "uu",
    ),
)
_CUDA: Final = re.compile(
    r"nvidia-[a-z0-9-]+-cu1[1-9]|triton|jax-cuda1[1-9]-(plugin|pjrt)|cuda-(bindings|pathfinder)"
)


@dataclass(frozen=True)
class Package:
    """A package to have.

    Attributes:
        requirement: in the form of PEP 508.
        why: the comment; "" where the source names it in so many words.
        guessed: whether the version is a guess.
        module: the module for which it was found, or "".
    """

    requirement: Requirement
    why: str = ""
    guessed: bool = False
    module: str = ""

    @property
    def line(self) -> Line:
        """As the profile has it."""
        return Line(str(self.requirement), self.why)


@dataclass
class Packages:
    """All packages of a source.

    Attributes:
        found: canonical name to package, in order.
        left_out: what is written down as a comment.
        remarks: what is said of the rest.
        brought: names of what every environment has.
        libraries: names of conda's packages that are none of the index.
    """

    found: dict[str, Package] = field(default_factory=dict)
    left_out: list[Line] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    brought: list[str] = field(default_factory=list)
    libraries: list[str] = field(default_factory=list)


def collect(findings: Findings, names: Names, local: frozenset[str]) -> Packages:
    """The packages of a source, those that only its code shows included.

    Args:
        findings: the source.
        names: the facts.
        local: modules that lie beside it.
    """
    packages = Packages()
    for wanted in findings.wanted:
        _take(wanted, packages, names)
    _imported(findings, packages, names, local)
    for words, name in names.calls.items():
        if words in findings.code and name not in packages.found:
            packages.found[name] = Package(
                Requirement(name), f"the code calls {words.rstrip('(')}, which needs it"
            )
    for name, package in packages.found.items():
        packages.found[name] = _with_version(package, name, findings)
    _constrain(findings, packages)
    if packages.brought:
        brought = ", ".join(sorted(set(packages.brought)))
        packages.remarks.append(f"Left out, since every environment of colabenv brings its own: {brought}.")
    if packages.libraries:
        shown = ", ".join(packages.libraries)
        packages.remarks.append(
            f"Left out of conda's, as no Python packages or as what comes by itself: {shown}."
        )
    return packages


def _take(wanted: Wanted, packages: Packages, names: Names) -> None:
    if wanted.kind != "package":
        _explain(wanted, packages)
        return
    asked, why = _translated(wanted, names)
    if asked is None:
        packages.libraries.append(Requirement(wanted.text).name)
        return
    name = str(canonicalize_name(asked.name))
    if _BROUGHT.fullmatch(name):
        packages.brought.append(name)
    elif name in _NOT_HERE:
        packages.left_out.append(Line(str(asked), f"it {_NOT_HERE[name]}"))
    elif problem := _refused(asked):
        packages.left_out.append(Line(wanted.text, f"{wanted.place}: {problem}"))
    else:
        before = packages.found.get(name)
        if not before or asked.specifier or not before.requirement.specifier:
            packages.found[name] = Package(
                asked, why
            )  # else `pip install x` after `pip install x==1` changes nothing


def _translated(wanted: Wanted, names: Names) -> tuple[Requirement | None, str]:
    """The requirement under the name that the package index has, and why it is there; None for what is not on it."""
    asked = Requirement(wanted.text)
    name = str(canonicalize_name(asked.name))
    why = f"{wanted.place} installs it" if wanted.place.cell else ""
    if wanted.tool.startswith("conda"):
        known = names.conda.get(name, names.conda.get(asked.name.lower()))
        if known == "" or (known is None and _is_library(name, wanted, names)):
            return None, ""
        if known:
            why, asked = f"{asked.name} of conda", _renamed(asked, known)
    elif name in names.old:
        why, asked = f"{why or 'it says'} as {asked.name}", _renamed(asked, names.old[name])
    return _without_local(asked), why


def _refused(asked: Requirement) -> str:
    """Why a profile cannot have a requirement, or ""."""
    try:
        validators.normalize_requirement(str(asked))
    except PydanticCustomError as error:
        problem = (error.context or {}).get("problem", "invalid requirement")
        return str(problem).replace("{value}", f"'{asked}'")
    return ""


def _is_library(name: str, wanted: Wanted, names: Names) -> bool:
    """Whether a package of conda that is on no list is a library of the system, by its name and its build."""
    if name in names.known:
        return False
    return (
        wanted.tool == "conda-library"
        or re.match(r"_|lib(?!rosa|clang|cst)|r-|xorg-|cuda|gst", name) is not None
    )


def _renamed(asked: Requirement, name: str) -> Requirement:
    """The same requirement of another distribution; its releases may count further than the other's."""
    text = str(asked.specifier)
    if found := re.fullmatch(r"==([0-9.]+)", text):
        text = f"=={found[1]}.*"
    extras = f"[{','.join(sorted(asked.extras))}]" if asked.extras else ""
    marker = f"; {asked.marker}" if asked.marker else ""
    return Requirement(f"{name}{extras}{text}{marker}")


def _without_local(asked: Requirement) -> Requirement:
    """A requirement without local versions: `torch==1.7.1+cu110` is `torch==1.7.1` on the package index."""
    return Requirement(re.sub(r"(==[^,;+\s]+)\+[A-Za-z0-9.]+", r"\1", str(asked)))


def _explain(wanted: Wanted, packages: Packages) -> None:
    where = f"{wanted.place}: " if str(wanted.place) else ""
    if wanted.kind == "address":
        name = re.match(r"([A-Za-z0-9._-]+)(?:\[[^\]]*\])? *@ *file:", wanted.text)
        if name:  # what `pip freeze` writes of packages that conda built
            packages.found.setdefault(
                str(canonicalize_name(name[1])),
                Package(Requirement(name[1]), "its version lies on another machine's disk"),
            )
            return
        why = "a lock holds no addresses; name a release on the package index, or install it in the kernel"
    elif wanted.kind == "folder":
        why = "it is a folder or file of one machine; put it beside the notebook, or publish it"
    elif wanted.kind in ("file", "constraints"):
        why = "this file is not beside it, or could not be read"
    else:
        why = "this is no requirement that can be read without running something"
    packages.left_out.append(Line(wanted.text, f"{where}{why}"))


def _imported(findings: Findings, packages: Packages, names: Names, local: frozenset[str]) -> None:
    """Add what is imported and not installed."""
    installed = {name.replace("-", "_") for name in packages.found}
    installed |= {_module_of(one.text) for one in findings.wanted if one.kind == "address"}
    no_package = {*sys.stdlib_module_names, *_GONE, *local}
    for one in findings.imports:
        module = next((dotted for dotted in one.dotted if names.distribution(dotted)), one.module)
        if one.top in no_package or one.top.lower() in installed or module.startswith("google.colab"):
            continue
        _add_module(module, one, packages, names)


def _module_of(address: str) -> str:
    """The module that a repository or an archive most likely has, by its name."""
    name = re.match(r"([\w.-]+)(?:\[[^\]]*\])? *@ ", address) or re.search(r"[#&]egg=([\w.-]+)", address)
    bare = re.sub(r"[#@][^/]*$", "", address).rstrip("/")
    last = name[1] if name else bare.rpartition("/")[2]
    return re.sub(r"(\.git|-[0-9][^/]*)$", "", last).replace("-", "_").lower()


def _add_module(module: str, one: Import, packages: Packages, names: Names) -> None:
    name = names.distribution(module)
    top = module.partition(".")[0]
    if name and _BROUGHT.fullmatch(name):
        return
    if any(package.module == top for package in packages.found.values()):
        return
    if name is None or name == "":
        why = f"{one.place} imports it: is it a file of yours, or a package of the index?"
        if name == "":
            why = f"{one.place} imports it, and the package index does not have it"
        if not one.optional and not any(line.text == top for line in packages.left_out):
            packages.left_out.append(Line(top, why))
        return
    similar = {
        "opencv-python-headless": ("opencv-python", "opencv-contrib-python", "opencv-contrib-python-headless")
    }
    if name not in packages.found and not set(similar.get(name, ())) & set(packages.found):
        shown = module if str(canonicalize_name(top)) != name else ""
        why = f"{one.place} imports {shown}" if shown else f"{one.place} imports it"
        packages.found[name] = Package(Requirement(name), why, module=top)
    package = packages.found.get(name)
    if top in names.until and package and not package.requirement.specifier:
        why = f"{package.why}; later ones have no {top}"
        packages.found[name] = replace(package, requirement=Requirement(f"{name}{names.until[top]}"), why=why)


def _with_version(package: Package, name: str, findings: Findings) -> Package:
    """A package without a version gets the one that an output shows."""
    if package.requirement.specifier or package.requirement.url:
        return package
    seen = _last_seen(findings, {name, package.module})
    if seen is None:
        return package
    exact = seen.name == name or not re.fullmatch(r"[0-9]+(\.[0-9]+)*", seen.version)
    version = seen.version if exact else f"{seen.version}.*"
    extras = f"[{','.join(sorted(package.requirement.extras))}]" if package.requirement.extras else ""
    asked = Requirement(f"{package.requirement.name}{extras}=={version}")
    if seen.how == "installed" and package.why == f"{seen.place} installs it":
        why = f"{seen.place} installs it and got this version"
    else:
        why = f"{package.why}; {seen.place}: it {'got' if seen.how == 'installed' else 'had'} this version"
    return Package(asked, why.removeprefix("; "), guessed=True, module=package.module)


def _last_seen(findings: Findings, keys: set[str]) -> Seen | None:
    found = [one for one in findings.seen if one.name in keys - {""}]
    return found[-1] if found and not Version(found[-1].version).local else None


def _constrain(findings: Findings, packages: Packages) -> None:
    """Constraints count for what is asked for; the lock pins the rest."""
    others = []
    for one in findings.constraints:
        asked = one.requirement
        name = str(canonicalize_name(asked.name)) if asked else ""
        package = packages.found.get(name)
        if asked and package:
            both = Requirement(str(package.requirement))
            both.specifier &= asked.specifier
            packages.found[name] = Package(both, package.why or f"held back by {one.place}", package.guessed)
        elif asked:
            others.append(str(asked))
    if others:
        shown = ", ".join(others[:8]) + (f" and {len(others) - 8} more" if len(others) > 8 else "")
        packages.remarks.append(f"Constraints on what nothing here asks for are left out: {shown}.")


def drop_cuda(packages: Packages) -> None:
    """Take out the CUDA wheels: the framework of the stack brings those that fit it."""
    gone = [name for name in packages.found if _CUDA.fullmatch(name)]
    for name in gone:
        del packages.found[name]
    if gone:
        packages.remarks.append(f"Left out, since the stack brings the CUDA that fits: {', '.join(gone)}.")
