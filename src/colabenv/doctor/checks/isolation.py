"""Packages, files and variables from outside an environment, and modules older than those on disk."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from packaging.requirements import Requirement

from colabenv.doctor.checks.registry import rule
from colabenv.doctor.distributions import allows, list_some, parse_version
from colabenv.doctor.error_reports import errors_mentioning
from colabenv.doctor.model import Distribution, Facts, Finding, Fix, LoadedModule, ModuleLocation
from colabenv.doctor.requirements import Dependency, dependencies

#: Names that programs do not import: modules of the standard library, and folders that bad wheels leave at the top.
_UNUSED = {
    *("test", "this", "antigravity", "idlelib", "lib2to3", "turtle", "turtledemo", "tkinter", "site"),
    *("tests", "docs", "doc", "example", "examples", "scripts", "tools", "src", "benchmarks", "samples"),
    *("conftest", "setup", "noxfile"),
}
#: Distributions whose module's `__version__` is their version; in other modules it may be anything.
_TRUE_VERSIONS = (
    *("keras", "tf-keras", "numpy", "torch", "jax", "jaxlib", "pandas", "scipy", "h5py", "ml-dtypes"),
    *("tensorflow-hub", "tensorflow-probability", "tensorflow-datasets", "tensorflow-text", "transformers"),
    "matplotlib",
)
_MODULE_OWNERS = {
    **{name.replace("-", "_"): (name,) for name in _TRUE_VERSIONS},
    "tensorflow": ("tensorflow", "tensorflow-cpu", "tf-nightly", "tf-nightly-cpu"),
    "sklearn": ("scikit-learn",),
    "PIL": ("pillow",),
}
_MEANT_FOR_BASE = "The session sets the variable for its own Python."
_USER_SITE = re.compile(r"/\.local/lib/python3\.\d+t?/site-packages$")


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _pythonpath_entries(facts: Facts) -> list[str]:
    """The entries of the path that come from PYTHONPATH."""
    named = [entry for entry in facts.environ.get("PYTHONPATH", "").split(":") if entry]
    absolute = {posixpath.normpath(posixpath.join(facts.cwd, entry)) for entry in named}
    return [entry for entry in facts.path if entry in absolute and entry != facts.script_folder]


def _hidden_file(facts: Facts, entry: str, name: str, locations: tuple[ModuleLocation, ...]) -> str:
    """The file that a module of an entry hides, or ""."""
    first = locations[0]
    if first.entry != entry or first.kind == "namespace" or name in facts.preloaded | _UNUSED:
        return ""
    others = (each for each in locations[1:] if each.kind != "namespace")
    return next((each.file for each in others if not _is_below(each.file, entry)), "")


def _is_user_site(entry: str, facts: Facts) -> bool:
    base = facts.environ.get("PYTHONUSERBASE", "")
    return bool(_USER_SITE.search(entry)) or (bool(base) and _is_below(entry, base))


@rule("CE301")
def find_pythonpath_packages(facts: Facts) -> Iterator[Finding]:
    """PYTHONPATH adds packages.

    In every Python, the folders of `PYTHONPATH` come before the environment's own packages. Their packages are
    imported instead of the installed ones, whatever their version. The fix unsets the variable. A folder of your
    own code that hides nothing is not reported.
    """
    evidence, names = [], set()
    entries = _pythonpath_entries(facts)
    for entry in entries:
        for name, locations in facts.modules.items():
            if hidden := _hidden_file(facts, entry, name, locations):
                names.add(name)
                evidence.append(f"import {name} loads {locations[0].file} instead of {hidden}")
        # An .egg-info lies beside source code in development, which is meant to be on the path.
        own = (each for each in facts.distributions if each.root == entry)
        packages = [each for each in own if each.info.endswith(".dist-info")]
        if packages and facts.is_virtual_environment:
            evidence.append(f"{entry} contains {list_some(packages)}, from outside of the environment")
    if not evidence:
        return
    needs = [need for need in dependencies(facts) if need.installed and need.installed.root in entries]
    yield Finding(
        f"PYTHONPATH adds packages from outside to {facts.target}.",
        (f"PYTHONPATH={facts.environ['PYTHONPATH']}", *evidence[:5]),
        "Every Python that this session starts looks into the folders of PYTHONPATH first.",
        (Fix("unset", ("PYTHONPATH",)),),
        explains=errors_mentioning(facts, names, entries),
        removes=tuple(each.info for each in facts.distributions if each.root in entries),
        covers=tuple(need.key for need in needs),
    )


@rule("CE302")
def find_conflicting_outside_packages(facts: Facts) -> Iterator[Finding]:
    """Packages outside of the environment conflict with its own.

    With `include-system-site-packages = true` in its pyvenv.cfg, a virtual environment also sees the packages of
    its base Python and of `~/.local`. If a package on one side requires a version that the other side does not
    have, imports fail. The fix turns the setting off and installs into the environment what it used from outside.
    Packages that fit are not reported.
    """
    if not facts.is_virtual_environment:
        return
    ignored = {*_pythonpath_entries(facts), facts.script_folder}

    def is_outside(each: Distribution) -> bool:
        return bool(each.root) and not _is_below(each.root, facts.prefix) and each.root not in ignored

    crossing = [
        (need, need.installed)
        for need in dependencies(facts)
        if need.installed and is_outside(need.dependent) != is_outside(need.installed)
    ]
    unmet = [(need, installed) for need, installed in crossing if not need.is_met]
    if not unmet:
        return
    borrowed = [_without_marker(need) for need, installed in crossing if is_outside(installed)]
    outside = [need.dependent for need, _ in unmet if is_outside(need.dependent)]
    requirements = dict.fromkeys((*(f"{each.name}=={each.version}" for each in outside), *borrowed))
    program = f"{facts.base_prefix}/bin/python{facts.python_minor}"
    modules = [name for need, installed in unmet for name in (*need.dependent.modules, *installed.modules)]
    yield Finding(
        f"{facts.target} sees packages from outside that conflict with its own.",
        tuple(_describe_crossing(need) for need, _ in unmet[:5]),
        "Its pyvenv.cfg has include-system-site-packages = true, so it also uses the packages of its base Python and "
        "of ~/.local.",
        (Fix("venv", (facts.prefix, program)), Fix("install", tuple(requirements))),
        explains=errors_mentioning(facts, modules),
        covers=tuple(need.key for need, _ in unmet),
    )


def _describe_crossing(need: Dependency) -> str:
    installed = need.installed or need.dependent
    return f"{need.dependent} in {need.dependent.root} requires {need.line}; {installed.version} is in {installed.root}"


def _without_marker(need: Dependency) -> str:
    requirement = Requirement(need.line)
    requirement.marker = None
    return str(requirement)


@rule("CE303")
def find_user_site_conflicts(facts: Facts) -> Iterator[Finding]:
    """A package in ~/.local hides this Python's own.

    `pip install --user` installs into `~/.local`, which comes before the Python's own packages in all of its
    programs. An old package there breaks newer packages that require another version. The fix removes it, so that
    Python sees its own package again. A package in `~/.local` that fits is not reported.
    """
    if facts.is_virtual_environment:
        return
    conflicts: dict[str, list[Dependency]] = {}
    for need in dependencies(facts):
        if need.installed and not need.is_met and _is_user_site(need.installed.root, facts):
            same_name = (each for each in facts.distributions if each.name == need.name)
            if any(allows(need.specifier, each.version) for each in same_name):
                conflicts.setdefault(need.name, []).append(need)
    for name, needs in conflicts.items():
        own = facts.installed(name)
        yield Finding(
            f"{name} {facts.version(name)} in ~/.local hides the {name} of {facts.target}.",
            tuple(map(_describe_crossing, needs)),
            "It was installed with pip install --user, and Python looks into ~/.local first.",
            (Fix("uninstall", (name,)),),
            explains=errors_mentioning(facts, own.modules if own else ()),
            removes=(own.info,) if own else (),
            covers=tuple(need.key for need in needs),
        )


@rule("CE304")
def find_shadowed_modules(facts: Facts) -> Iterator[Finding]:
    """A file of yours hides a module.

    Python looks into the working directory, or the script's folder, before anything else. A file `random.py` or a
    folder `keras` there is imported instead of the real module, by every package that uses it: `cannot import name
    …`, `module … has no attribute …` or `partially initialized module`. The fix renames the file. In the folder of
    a project, its own packages are meant to come first, so they are reported only if they break an import.
    """
    if not facts.script_folder:
        return
    for name, locations in facts.modules.items():
        first = locations[0]
        if first.entry != facts.script_folder:
            continue
        hidden = _hidden_file(facts, facts.script_folder, name, locations)
        if not hidden and not (first.kind == "namespace" and errors_mentioning(facts, (name,))):
            continue
        is_own_package = facts.in_project and first.kind == "package" and name not in facts.standard_modules
        if not is_own_package or errors_mentioning(facts, (), (first.file,)):
            yield _report_shadow(facts, name, first, hidden)


def _report_shadow(facts: Facts, name: str, location: ModuleLocation, hidden: str) -> Finding:
    file = PurePosixPath(location.file)
    path = file.parent if location.kind == "package" else file
    kind = "folder" if location.kind in {"package", "namespace"} else "file"
    rename = Fix("rename", (str(path), str(path.with_name(f"my_{path.name}"))))
    instead = f"instead of {hidden}" if hidden else f"without __init__.py, and no package {name} is installed"
    return Finding(
        f"Your {kind} {path.name} hides the module {name}.",
        (f"import {name} loads {location.file} {instead}",),
        "Python looks into the working directory first. Code of yours that imports the file needs its new name.",
        (rename,) if hidden else (rename, Fix("install", (name,))),
        explains=errors_mentioning(facts, (name,), (location.file,)),
    )


@rule("CE305")
def find_outdated_modules(facts: Facts) -> Iterator[Finding]:
    """The session has imported an older version than the one on disk.

    A module stays in memory as it was imported. If a package is upgraded after that, later imports load new files
    that expect the new modules and get the old ones: `cannot import name …`, `module … has no attribute …`. The fix
    restarts the session.
    """
    outdated = [(each, new) for each in facts.loaded.values() if (new := _find_replacement(each, facts))]
    if not outdated:
        return
    in_memory = list_some([f"{module.name} {module.version}" for module, _ in outdated])
    yield Finding(
        f"This session still uses {in_memory}. Installed now: {list_some([new for _, new in outdated])}.",
        tuple(
            f"{module.name} {module.version} was loaded from {module.file}; {new.info} says {new.version}"
            for module, new in outdated
        ),
        "It was imported before the other version was installed.",
        (Fix("restart"),),
        explains=errors_mentioning(facts, [module.name for module, _ in outdated]),
    )


def _find_replacement(module: LoadedModule, facts: Facts) -> Distribution | None:
    """The installed distribution of a loaded module if it has another version."""
    loaded = parse_version(module.version)
    new = next(filter(None, map(facts.installed, _MODULE_OWNERS.get(module.name, ()))), None)
    version = parse_version(new.version) if new else None
    return new if loaded and version and loaded.public != version.public else None


@rule("CE306")
def find_other_pip(facts: Facts) -> Iterator[Finding]:
    """`!pip` does not install into the notebook's Python.

    `!pip` in a cell runs the first pip on `PATH`. If that does not belong to the kernel's Python, the
    notebook cannot import what it installs: `No module named …` right after `Successfully installed`. The fix is
    `%pip`, which always uses the kernel's Python.
    """
    other = facts.pip_prefix
    in_notebook = bool(facts.loaded) or not {"JPY_PARENT_PID", "COLABENV_INSIDE"}.isdisjoint(facts.environ)
    if facts.kind not in {"base", "environment"} or not in_notebook or not other or other == facts.prefix:
        return
    yield Finding(
        f"!pip installs into {other}, but this notebook runs in {facts.prefix}.",
        (f"the pip that this session's shell finds belongs to {other}", f"the kernel is {facts.executable}"),
        "The folder of the kernel's own programs is not the first on PATH.",
        (Fix("edit", ("!pip install", "%pip install")),),
    )


@rule("CE307")
def find_network_folder(facts: Facts) -> Iterator[Finding]:
    """The environment is on a network folder.

    Google Drive and other network folders have no links and no executable bits, and may lose files that were just
    written, so environments on them break, and every import is slow. The fix builds an environment on the machine's
    own disk. Its profile and lock can stay on Drive.
    """
    if not facts.unfit_mount or not facts.is_virtual_environment:
        return
    yield Finding(
        f"{facts.prefix} is on a {facts.unfit_mount} mount, where environments break.",
        (f"the file system of {facts.prefix} is {facts.unfit_mount}",),
        "Such file systems lose links and executable bits, and return slow or outdated content.",
        (Fix("up", ("builtin:quickstart",)),),
        explains=errors_mentioning(facts, (), (facts.prefix,)),
    )


@rule("CE308")
def find_missing_backend(facts: Facts) -> Iterator[Finding]:
    """MPLBACKEND names a module that is not installed.

    Colab sets `MPLBACKEND` to a module of its own Python. An environment without that module cannot import
    `matplotlib.pyplot` in any program that the session starts. The fix unsets the variable.
    """
    value = facts.environ.get("MPLBACKEND", "")
    module = value.removeprefix("module://").partition(".")[0]
    if not value.startswith("module://") or module in facts.modules or facts.installed("matplotlib") is None:
        return
    yield Finding(
        f"MPLBACKEND names {module}, which is not installed in {facts.target}.",
        (f"MPLBACKEND={value}", f"the path has no module {module}"),
        _MEANT_FOR_BASE,
        (Fix("unset", ("MPLBACKEND",)),),
        explains=errors_mentioning(facts, ("matplotlib",)),
    )


@rule("CE309")
def find_uv_system_python(facts: Facts) -> Iterator[Finding]:
    """UV_SYSTEM_PYTHON makes uv ignore the environment.

    Colab sets `UV_SYSTEM_PYTHON=true`, so that `uv pip install` installs into Colab's own Python. uv does that from
    a virtual environment as well, even if `VIRTUAL_ENV` is set. The fix unsets the variable.
    """
    value = facts.environ.get("UV_SYSTEM_PYTHON", "")
    if value.lower() not in {"1", "true", "yes", "on", "t", "y"} or not facts.is_virtual_environment:
        return
    yield Finding(
        f"With UV_SYSTEM_PYTHON={value}, uv pip install does not install into {facts.prefix}.",
        (f"UV_SYSTEM_PYTHON={value}", f"the virtual environment is {facts.prefix}"),
        _MEANT_FOR_BASE,
        (Fix("unset", ("UV_SYSTEM_PYTHON",)),),
    )
