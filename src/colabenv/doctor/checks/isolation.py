"""What is not of this environment and gets in: packages, files, variables, and a process older than its disk. Pure."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from packaging.requirements import Requirement
from packaging.version import InvalidVersion, Version

from colabenv.doctor.checks.registry import rule
from colabenv.doctor.model import Distribution, Facts, Finding, Loaded, Place, Step
from colabenv.doctor.reinstall import blamed, listed
from colabenv.doctor.requirements import Need, needs

#: What programs do not import: modules of the standard library, and folders that badly made wheels leave at the top.
_UNUSED = frozenset(
    (
        *("test", "this", "antigravity", "idlelib", "lib2to3", "turtle", "turtledemo", "tkinter", "site"),
        *("tests", "docs", "doc", "example", "examples", "scripts", "tools", "src", "benchmarks", "samples"),
        *("conftest", "setup", "noxfile"),
    )
)
#: Modules whose `__version__` is that of their distribution; others may tell anything.
_TRUE_VERSIONS = {
    "tensorflow": ("tensorflow", "tensorflow-cpu", "tf-nightly", "tf-nightly-cpu"),
    "sklearn": ("scikit-learn",),
    "PIL": ("pillow",),
    "tf_keras": ("tf-keras",),
    **{
        name: (name.replace("_", "-"),)
        for name in (
            *(
                "keras",
                "numpy",
                "torch",
                "jax",
                "jaxlib",
                "pandas",
                "scipy",
                "h5py",
                "ml_dtypes",
                "matplotlib",
            ),
            *(
                "transformers",
                "tensorflow_hub",
                "tensorflow_probability",
                "tensorflow_datasets",
                "tensorflow_text",
            ),
        )
    },
}
_USER_SITE = re.compile(r"/\.local/lib/python3\.\d+t?/site-packages$")


def is_venv(facts: Facts) -> bool:
    """Whether the interpreter is one of a virtual environment."""
    return bool(facts.base_prefix) and facts.prefix != facts.base_prefix


def _below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _python_path(facts: Facts) -> list[str]:
    """The entries of the path that PYTHONPATH put there."""
    named = [entry for entry in facts.environ.get("PYTHONPATH", "").split(":") if entry]
    whole = {posixpath.normpath(posixpath.join(facts.cwd, entry)) for entry in named}
    return [entry for entry in facts.path if entry in whole and entry != facts.first]


def _hidden(facts: Facts, entry: str, name: str, found: tuple[Place, ...]) -> str:
    """The file that a module of an entry hides, or ""."""
    if found[0].entry != entry or found[0].kind == "namespace" or name in facts.early | _UNUSED:
        return ""
    others = [place for place in found[1:] if place.kind != "namespace" and not _below(place.file, entry)]
    return others[0].file if others else ""


def _is_user_site(entry: str, facts: Facts) -> bool:
    base = facts.environ.get("PYTHONUSERBASE", "")
    return bool(_USER_SITE.search(entry)) or (bool(base) and _below(entry, base))


@rule(
    "CE301",
    "Packages come in through PYTHONPATH",
    "The folders of `PYTHONPATH` come before an environment's own packages, in every Python that is started. "
    "What lies there is imported instead of what was installed, whatever its version. A folder with code of "
    "one's own that hides nothing is no finding. The variable is unset.",
)
def python_path(facts: Facts) -> Iterator[Finding]:
    """One finding for all of the variable."""
    evidence, names = [], set()
    entries = _python_path(facts)
    for entry in entries:
        for name, found in facts.modules.items():
            if hidden := _hidden(facts, entry, name, found):
                names.add(name)
                evidence.append(f"{found[0].file} is imported as {name}, and hides {hidden}")
        # An .egg-info lies beside source code, which is there to be worked on.
        installed = [
            one for one in facts.distributions if one.root == entry and one.info.endswith(".dist-info")
        ]
        packages = [f"{one.name} {one.version}" for one in installed]
        if packages and is_venv(facts):
            evidence.append(f"{entry} holds {listed(packages)}, which the environment does not")
    if not evidence:
        return
    found_there = [need for need in needs(facts) if need.found is not None and need.found.root in entries]
    yield Finding(
        "CE301",
        f"PYTHONPATH brings packages into {facts.target} that are not its own.",
        (f"PYTHONPATH={facts.environ['PYTHONPATH']}", *evidence[:5]),
        "The folders of PYTHONPATH come first in every Python that this session starts.",
        (Step("unset", ("PYTHONPATH",)),),
        explains=blamed(facts, names, entries),
        gone=tuple(one.info for one in facts.distributions if one.root in entries),
        covers=tuple(need.key for need in found_there),
    )


@rule(
    "CE302",
    "The environment sees packages from outside, and they do not fit",
    "With `include-system-site-packages = true` in its pyvenv.cfg a virtual environment sees the packages of "
    "the Python it was made from, and those in `~/.local`. That is no finding as long as they fit. Where a "
    "package on one side needs another version than the one on the other side, they break each other. The "
    "environment is closed, and what it used from outside is installed into it.",
)
def outside_packages(facts: Facts) -> Iterator[Finding]:
    """At most one finding, for all requirements that fail across the border."""
    if not is_venv(facts):
        return
    aside = _python_path(facts)

    def is_outside(one: Distribution) -> bool:
        return bool(one.root) and not _below(one.root, facts.prefix) and one.root not in (*aside, facts.first)

    every = list(needs(facts))
    wrong = [
        need
        for need in every
        if need.found and not need.met and is_outside(need.dependant) != is_outside(need.found)
    ]
    if not wrong:
        return
    borrowed = [
        need for need in every if need.found and is_outside(need.found) and not is_outside(need.dependant)
    ]
    lost = [need.dependant for need in wrong if is_outside(need.dependant)]
    minor = f"{facts.python[0]}.{facts.python[1]}"
    yield Finding(
        "CE302",
        f"{facts.target} sees packages from outside of it, and they do not fit its own.",
        tuple(_across(need) for need in wrong[:5]),
        "Its pyvenv.cfg says include-system-site-packages = true, so the packages of its base and of ~/.local count "
        "as its own.",
        (
            Step("venv", (facts.prefix, str(PurePosixPath(facts.base_prefix, "bin", f"python{minor}")))),
            Step(
                "install",
                tuple(
                    dict.fromkeys(
                        [*(f"{one.name}=={one.version}" for one in lost), *map(_without_marker, borrowed)]
                    )
                ),
            ),
        ),
        explains=blamed(
            facts,
            [
                name
                for need in wrong
                for name in (*need.dependant.modules, *(need.found or need.dependant).modules)
            ],
        ),
        covers=tuple(need.key for need in wrong),
    )


def _across(need: Need) -> str:
    found = need.found or need.dependant
    return (
        f"{need.dependant.name} {need.dependant.version} in {need.dependant.root} requires {need.line}; "
        f"{found.version} is in {found.root}"
    )


def _without_marker(need: Need) -> str:
    wanted = Requirement(need.line)
    wanted.marker = None
    return str(wanted)


@rule(
    "CE303",
    "A package in ~/.local hides the one of this Python",
    "`pip install --user` puts packages into `~/.local`, and they come before those of the Python itself, for every "
    "program of that Python. One that was installed there long ago breaks packages which are newer. It is "
    "removed; the one of the Python itself is then seen again. A package there that fits is no finding.",
)
def user_site(facts: Facts) -> Iterator[Finding]:
    """One finding for each package of the user's that breaks another one and hides one that would not."""
    if is_venv(facts):
        return
    wrong: dict[str, list[Need]] = {}
    for need in needs(facts):
        if need.found and not need.met and _is_user_site(need.found.root, facts):
            hidden = [
                one for one in facts.distributions if one.name == need.dependency and one is not need.found
            ]
            if any(need.specifier.contains(one.version, prereleases=True) for one in hidden):
                wrong.setdefault(need.dependency, []).append(need)
    for name, found in wrong.items():
        own = facts.installed(name)
        yield Finding(
            "CE303",
            f"{name} {facts.version(name)} in your home hides the {name} of {facts.target}.",
            tuple(_across(need) for need in found),
            "It was installed with pip install --user, and ~/.local comes first.",
            (Step("uninstall", (name,)),),
            explains=blamed(facts, own.modules if own else ()),
            gone=(own.info,) if own else (),
            covers=tuple(need.key for need in found),
        )


@rule(
    "CE304",
    "A file of yours hides a module",
    "Python looks into the working directory, or the folder of the script, before anything else. A file "
    "`random.py` or a folder `keras` there is imported instead of the module of that name, by every package "
    "that needs it. It shows as `cannot import name …`, `module … has no attribute …` or `partially "
    "initialized module`. The file is renamed. In a project's own folder its packages are meant to come "
    "first, so there only what breaks an import is a finding.",
)
def shadowed(facts: Facts) -> Iterator[Finding]:
    """One finding for each name."""
    if not facts.first:
        return
    for name, found in facts.modules.items():
        if found[0].entry != facts.first:
            continue
        culprits = blamed(facts, (), (found[0].file,))
        hidden = _hidden(facts, facts.first, name, found)
        is_empty_folder = found[0].kind == "namespace" and bool(blamed(facts, (name,)))
        if not hidden and not is_empty_folder:
            continue
        if facts.in_project and found[0].kind == "package" and name not in facts.standard and not culprits:
            continue
        yield _hiding(facts, name, found[0], hidden)


def _hiding(facts: Facts, name: str, place: Place, hidden: str) -> Finding:
    entry = PurePosixPath(place.file)
    if place.kind == "package":
        entry = entry.parent
    what = "folder" if place.kind in {"package", "namespace"} else "file"
    renamed = str(entry.with_name(f"my_{entry.name}"))
    evidence = f"import {name} takes {place.file} instead of {hidden}"
    if not hidden:
        evidence = f"import {name} takes {place.file}, a folder without __init__.py; nothing of that name is installed"
    return Finding(
        "CE304",
        f"Your {what} {entry.name} hides the module {name}.",
        (evidence,),
        "Python looks into the working directory first. Code of yours that uses the file has to use its new name.",
        (Step("rename", (str(entry), renamed)), *(() if hidden else (Step("install", (name,)),))),
        explains=blamed(facts, (name,), (place.file,)),
    )


@rule(
    "CE305",
    "The running process has imported another version than the one on disk",
    "A module stays in memory as it was imported. When a package is installed or upgraded after that, what is "
    "imported later comes from the new files and meets the old ones in memory: `cannot import name …`, `module "
    "has no attribute …`. The session is restarted.",
)
def outdated_process(facts: Facts) -> Iterator[Finding]:
    """One finding for all modules; needs a running process."""
    old = [(one, new) for one in facts.loaded.values() if (new := _on_disk(one, facts))]
    if not old:
        return
    yield Finding(
        "CE305",
        f"This session still has {listed([f'{one.name} {one.version}' for one, _ in old])} in memory; on disk there is "
        f"{listed([f'{new.name} {new.version}' for _, new in old])}.",
        tuple(
            f"{one.name} {one.version} was loaded from {one.file}; {new.info} says {new.version}"
            for one, new in old
        ),
        "It was imported before the new version was installed.",
        (Step("restart"),),
        explains=blamed(facts, [one.name for one, _ in old]),
    )


def _on_disk(one: Loaded, facts: Facts) -> Distribution | None:
    """The distribution of a loaded module if it is of another version by now."""
    for name in _TRUE_VERSIONS.get(one.name, ()):
        found = facts.installed(name)
        if found is None or not one.version:
            continue
        try:
            same = Version(one.version).public == Version(found.version).public
        except InvalidVersion:
            same = True
        return None if same else found
    return None


@rule(
    "CE306",
    "`!pip` installs into another Python than the one of the notebook",
    "A cell's `!pip` runs the first pip on `PATH`. Where that belongs to another Python than the one the "
    "kernel runs in, what it installs cannot be imported here: `No module named …` right after `Successfully "
    "installed`. `%pip` always means the kernel's Python.",
)
def other_pip(facts: Facts) -> Iterator[Finding]:
    """At most one finding, in a notebook's session."""
    other = facts.shell.get("pip", "")
    in_notebook = (
        bool(facts.loaded) or "JPY_PARENT_PID" in facts.environ or "COLABENV_INSIDE" in facts.environ
    )
    if facts.kind not in {"base", "environment"} or not in_notebook or not other or other == facts.prefix:
        return
    yield Finding(
        "CE306",
        f"!pip installs into {other}, and this notebook runs in {facts.prefix}.",
        (
            f"the pip that a shell of this session finds belongs to {other}",
            f"the kernel is {facts.executable}",
        ),
        "The folder of the kernel's own programs is not the first on PATH.",
        (Step("edit", ("!pip install", "%pip install")),),
    )


@rule(
    "CE307",
    "The environment lies on a network folder",
    "Google Drive and other network folders have no links and no exec bits, lose files that were just written, "
    "and every import crosses the network. An environment belongs on the machine's own disk; its profile and "
    "lock belong on Drive.",
)
def on_drive(facts: Facts) -> Iterator[Finding]:
    """At most one finding."""
    if not facts.mount or not is_venv(facts):
        return
    yield Finding(
        "CE307",
        f"{facts.prefix} lies on a {facts.mount} mount, where environments break.",
        (f"the file system that holds {facts.prefix} is {facts.mount}",),
        "Such folders lose links and exec bits, and answer slowly or with stale content.",
        (Step("up", ("builtin:quickstart",)),),
        explains=blamed(facts, (), (facts.prefix,)),
    )
