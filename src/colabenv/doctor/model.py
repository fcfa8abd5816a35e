"""What the doctor knows and what it reports, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from packaging.utils import canonicalize_name

from colabenv.importers.name_usages import NameUsage


@dataclass(frozen=True)
class Distribution:
    """An installed distribution, read from its metadata and RECORD without importing it."""

    name: str  #: normalized (PEP 503)
    version: str
    root: str = ""  #: the path entry that holds it
    info: str = ""  #: its metadata folder, or file for an old egg-info
    has_metadata: bool = True
    requires: tuple[str, ...] = ()  #: its Requires-Dist lines
    tags: tuple[str, ...] = ()  #: its wheel's tags, such as "cp311-cp311-manylinux_2_17_x86_64"
    installer: str = ""  #: "pip", "uv" …, or ""
    has_record: bool = True
    requested: bool = False  #: whether a person named it (PEP 376's REQUESTED)
    direct_url: str = ""  #: the text of its direct_url.json (PEP 610), or ""
    files: int = 0  #: number of files that its RECORD lists with a hash
    missing: tuple[str, ...] = ()  #: files in its RECORD that are not on disk, relative to `root`
    altered: tuple[
        tuple[str, int, int], ...
    ] = ()  #: files whose size differs: (file, bytes in RECORD, bytes on disk)
    damaged: tuple[tuple[str, str], ...] = ()  #: not what was installed: (file, "empty" or "truncated")
    modules: tuple[str, ...] = ()  #: its top-level modules and packages
    extensions: tuple[str, ...] = ()  #: ABI tags of its extension modules: "cpython-311-x86_64-linux-gnu"
    libraries: tuple[tuple[str, str], ...] = ()  #: its CUDA libraries: (file name, path)

    def __str__(self) -> str:
        """Name and version, as messages show them."""
        return f"{self.name} {self.version}"

    @property
    def public_version(self) -> str:
        """Its version without a local part such as `+cu124`, as indexes and Colab's lists have it."""
        return self.version.partition("+")[0]


@dataclass(frozen=True)
class Overlap:
    """A file that several distributions list with different hashes."""

    path: str
    owners: tuple[str, ...]  #: names of the distributions, in the order of the path
    on_disk: tuple[str, ...]  #: those whose hash matches the file; empty if none does or it was not `hashed`
    hashed: bool  #: False for a file that is too large


@dataclass(frozen=True)
class ModuleLocation:
    """Where the import system finds a top-level module."""

    kind: str  #: "package", "module", "extension" or "namespace" (a folder without `__init__.py`)
    file: str  #: the file, or the folder of a namespace
    entry: str  #: the entry of the path


@dataclass(frozen=True)
class ErrorReport:
    """An exception from an import attempt, a notebook, a kernel or a file."""

    source: str  #: what raised it, for people: "import tensorflow", "cell 3", "the traceback"
    statement: str  #: the failing line of code, or ""
    kind: str  #: the exception's class; "Timeout", "Killed" or "Exit" without a traceback
    message: str  #: its text, all lines
    frames: tuple[tuple[str, int, str], ...] = ()  #: (file, line, function), outermost first
    text: str = ""  #: the whole traceback
    is_local: bool = True  #: whether the examined interpreter raised it

    @property
    def evidence(self) -> str:
        """Its source, class and first line."""
        first = self.message.strip().split("\n", 1)[0][:300]
        return f"{self.source}: {self.kind}: {first}" if first else f"{self.source}: {self.kind}"


@dataclass(frozen=True)
class LoadedModule:
    """A top-level module that the running process has imported; `version` and `file` may be empty."""

    name: str
    version: str
    file: str


@dataclass(frozen=True)
class InstallRequest:
    """A requirement that a line of code installs, such as a notebook's `!pip install`."""

    requirement: str  #: PEP 508
    location: str  #: for people: "cell 2"
    line: str  #: the command
    imported_before: frozenset[str] = frozenset()  #: top-level modules that the code imports before it

    @property
    def evidence(self) -> str:
        """The line and where it is."""
        return f"{self.location}: {self.line}"


@dataclass(frozen=True, eq=False)
class Facts:
    """Everything that checks may look at. Compared by identity, so that derived data can be cached."""

    target: str  #: for people: "Colab's own Python", "the environment vision-2023"
    kind: str = "interpreter"  #: "base", "environment" (built by colabenv) or "interpreter"
    python: tuple[int, int, int] = (3, 12, 0)
    executable: str = ""
    prefix: str = ""
    base_prefix: str = ""
    soabi: str = ""  #: tag of the extension modules that it loads: "cpython-311-x86_64-linux-gnu"
    stdlib: str = ""
    markers: Mapping[str, str] = field(default_factory=dict)  #: values of the environment markers (PEP 508)
    pyvenv: str = ""  #: text of its pyvenv.cfg, or ""
    path: tuple[str, ...] = ()  #: its search path in the session, with absolute entries
    script_folder: str = ""  #: the entry for the working directory or the script's folder, or ""
    standard_modules: frozenset[str] = frozenset()
    distributions: tuple[Distribution, ...] = ()  #: in the order of the path; the first of a name is imported
    overlaps: tuple[Overlap, ...] = ()
    leftovers: tuple[str, ...] = ()  #: folders that pip started to remove (`~…`)
    removed_distributions: tuple[Distribution, ...] = ()  #: those whose metadata is in such folders
    modules: Mapping[str, tuple[ModuleLocation, ...]] = field(default_factory=dict)  #: in the import's order
    environ: Mapping[str, str] = field(default_factory=dict)
    cwd: str = ""
    has_pip: bool = True  #: whether the interpreter has its own working pip
    unfit_mount: str = ""  #: type of the mount below `prefix` if environments break on it: "fuse.drive"
    gpus: tuple[tuple[str, str, str], ...] = ()  #: (name, driver, compute capability)
    pip_prefix: str = ""  #: of the Python behind `pip` in the session's shell, or ""
    system_libraries: tuple[
        tuple[str, str], ...
    ] = ()  #: CUDA on LD_LIBRARY_PATH, in order: (file name, path)
    library_files: Mapping[str, tuple[str, int]] = field(
        default_factory=dict
    )  #: path: (resolved name, bytes)
    loaded: Mapping[str, LoadedModule] = field(default_factory=dict)  #: imported by the running process
    errors: tuple[ErrorReport, ...] = ()
    successful_imports: tuple[str, ...] = ()  #: statements that ran in a child without an error
    import_output: Mapping[str, str] = field(
        default_factory=dict
    )  #: standard error of each statement's child
    usages: tuple[NameUsage, ...] = ()
    install_requests: tuple[InstallRequest, ...] = ()
    notebook: str = ""  #: its path, or ""
    colab_packages: tuple[
        Mapping[str, str], ...
    ] = ()  #: name: version, for each runtime; only for Colab's Python
    start_error: str = ""  #: why the interpreter does not start, or ""
    start_stderr: str = ""  #: what an empty program wrote to standard error
    startup_failures: tuple[tuple[str, str], ...] = ()  #: (file such as a .pth that ends every start, error)
    preloaded: frozenset[str] = frozenset()  #: modules that are built in or loaded at the start
    in_project: bool = False  #: whether the working directory is the root of a project
    lost_environment: str = ""  #: the virtual environment around the interpreter if it lost its pyvenv.cfg
    missing_base: str = ""  #: the program that `executable` links to if it does not exist

    @property
    def python_minor(self) -> str:
        """The interpreter's minor version, "3.12"."""
        return f"{self.python[0]}.{self.python[1]}"

    @property
    def is_virtual_environment(self) -> bool:
        """Whether the interpreter belongs to a virtual environment."""
        return bool(self.base_prefix) and self.prefix != self.base_prefix

    @property
    def local_errors(self) -> tuple[ErrorReport, ...]:
        """The errors that the examined interpreter raised."""
        return tuple(error for error in self.errors if error.is_local)

    def installed(self, name: str) -> Distribution | None:
        """The distribution of that name which is imported: the first on the path."""
        normalized = canonicalize_name(name)
        return next((each for each in self.distributions if each.name == normalized), None)

    def version(self, name: str) -> str:
        """The installed version of a distribution, or ""."""
        distribution = self.installed(name)
        return distribution.version if distribution else ""

    def owners(self, module: str) -> tuple[Distribution, ...]:
        """The distributions that provide a top-level module."""
        return tuple(each for each in self.distributions if module in each.modules)


@dataclass(frozen=True)
class Fix:
    """One step that fixes a finding.

    `action` is "install" or "uninstall" (arguments: requirements or names), "reinstall" (requirements, whose files are
    written again), "delete" (paths), "rename" (old and new path), "unset" (variables), "set" (variable and value),
    "venv" (a folder to make a virtual environment again, its Python; packages stay), "restart" (the session), "up" (a
    profile; or the file and the text of a new one), "init" (a notebook), "edit" (old and new text).
    """

    action: str
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True)
class Finding:
    """One diagnosis."""

    summary: str  #: what is wrong, one sentence with the versions
    evidence: tuple[str, ...]  #: what shows it: paths, versions, lines of metadata; at least one
    explanation: str  #: why it happens, one or two sentences
    fixes: tuple[Fix, ...] = ()  #: what to do, in order; empty only if nothing on this machine helps
    explains: tuple[str, ...] = ()  #: the `source` of each error that it causes
    covers: tuple[str, ...] = ()  #: "dependent>dependency" that general checks then do not repeat
    removes: tuple[str, ...] = ()  #: `info` of distributions that its fix removes; later checks ignore them
    code: str = ""  #: stable, such as "CE101"; documented in docs/findings.md. The registry sets it


@dataclass(frozen=True)
class Diagnosis:
    """The result of an examination; the findings are in the order in which to fix them."""

    facts: Facts
    findings: tuple[Finding, ...]
    seconds: Mapping[str, float] = field(default_factory=dict)  #: spent on "metadata", "imports" and "checks"
