"""What the doctor knows and what it reports, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from packaging.utils import canonicalize_name


@dataclass(frozen=True)
class Distribution:
    """An installed distribution, read from its metadata and RECORD without importing it.

    Attributes:
        name: normalized (PEP 503).
        root: the path entry that holds it.
        info: its metadata folder, or file for an old egg-info.
        requires: its Requires-Dist lines.
        tags: its wheel's tags, such as "cp311-cp311-manylinux_2_17_x86_64".
        installer: what installed it, such as "pip" or "uv", or "".
        requested: whether a person named it (PEP 376's REQUESTED).
        direct_url: the text of its direct_url.json (PEP 610), or "".
        files: number of files that its RECORD lists with a hash.
        missing: files in its RECORD that are not on disk, relative to `root`.
        altered: files of another size: (file, bytes in RECORD, bytes on disk).
        damaged: those of `altered` that cannot be what was installed: (file, "empty" or "truncated").
        modules: its top-level modules and packages.
        extensions: ABI tags of its extension modules, such as "cpython-311-x86_64-linux-gnu".
        libraries: its CUDA libraries: (file name, path).
    """

    name: str
    version: str
    root: str = ""
    info: str = ""
    has_metadata: bool = True
    requires: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    installer: str = ""
    has_record: bool = True
    requested: bool = False
    direct_url: str = ""
    files: int = 0
    missing: tuple[str, ...] = ()
    altered: tuple[tuple[str, int, int], ...] = ()
    damaged: tuple[tuple[str, str], ...] = ()
    modules: tuple[str, ...] = ()
    extensions: tuple[str, ...] = ()
    libraries: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        """Name and version, as messages show them."""
        return f"{self.name} {self.version}"


@dataclass(frozen=True)
class Overlap:
    """A file that several distributions list with different hashes.

    Attributes:
        path: the file.
        owners: names of the distributions, in the order of the path.
        on_disk: those whose hash matches the file; empty if none does or the file is too large to hash.
        hashed: whether the file was hashed.
    """

    path: str
    owners: tuple[str, ...]
    on_disk: tuple[str, ...]
    hashed: bool


@dataclass(frozen=True)
class ModuleLocation:
    """Where the import system finds a top-level module.

    Attributes:
        kind: "package", "module", "extension" or "namespace" (a folder without `__init__.py`).
        file: the file, or the folder of a namespace.
        entry: the entry of the path.
    """

    kind: str
    file: str
    entry: str


@dataclass(frozen=True)
class ErrorReport:
    """An exception from an import attempt, a notebook, a kernel or a file.

    Attributes:
        source: what raised it, for people: "import tensorflow", "cell 3", "the traceback".
        statement: the failing line of code, or "".
        kind: the exception's class, such as "ImportError"; "Timeout", "Killed" or "Exit" without a traceback.
        message: its text, all lines.
        frames: (file, line, function), outermost first; empty if unknown.
        text: the whole traceback.
        is_local: whether the examined interpreter raised it.
    """

    source: str
    statement: str
    kind: str
    message: str
    frames: tuple[tuple[str, int, str], ...] = ()
    text: str = ""
    is_local: bool = True

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
class NameUsage:
    """A name that code imports or uses.

    Attributes:
        name: dotted, such as "keras.utils.np_utils"; a method as ".predict_classes", an argument as
            "keras.optimizers.Adam(lr=)", a magic as "%tensorflow_version 1.x".
        location: for people: "cell 3".
        line: the source line.
    """

    name: str
    location: str
    line: str


@dataclass(frozen=True)
class InstallRequest:
    """A requirement that a line of code installs, such as a notebook's `!pip install`.

    Attributes:
        requirement: PEP 508.
        location: for people: "cell 2".
        line: the command.
        imported_before: top-level modules that the code has imported before this line.
    """

    requirement: str
    location: str
    line: str
    imported_before: frozenset[str] = frozenset()


@dataclass(frozen=True, eq=False)
class Facts:
    """Everything that checks may look at. Compared by identity, so that derived data can be cached.

    Attributes:
        target: what is examined, for people: "Colab's own Python", "the environment vision-2023".
        kind: "base", "environment" (one of ours) or "interpreter".
        soabi: tag of the extension modules that it loads, such as "cpython-311-x86_64-linux-gnu".
        markers: values of the environment markers (PEP 508).
        pyvenv: text of its pyvenv.cfg, or "".
        path: its search path in the session, with absolute entries.
        script_folder: the entry for the working directory or the script's folder, or "".
        distributions: in the order of the path; the first of a name is the one imported.
        leftovers: folders that pip started to remove (`~…`).
        removed_distributions: those whose metadata lies in such folders.
        modules: locations of each top-level module, in the order of the import system.
        has_pip: whether the interpreter has a working pip of its own.
        unfit_mount: type of the mount below `prefix` if environments break on it, such as "fuse.drive", or "".
        gpus: (name, driver, compute capability) of each GPU.
        shell_prefixes: the prefix of the Python behind `pip` and `python` in the session's shell.
        system_libraries: CUDA libraries on LD_LIBRARY_PATH: (file name, path), in search order.
        library_files: (name of the file that it leads to, bytes) for the path of each CUDA library.
        loaded: modules that the running process has imported; empty without a process.
        successful_imports: statements that ran in a child without an error.
        import_output: standard error of each statement's child, such as TensorFlow's log.
        notebook: path of the notebook, or "".
        colab_packages: name to version, for each Colab runtime; empty except for Colab's own Python.
        start_error: why the interpreter does not start, or "".
        start_stderr: what an empty program wrote to standard error, or "".
        startup_failures: files such as a .pth that end every start: (path, error). Empty if the interpreter starts.
        preloaded: modules that are built in or loaded at the start, which no file can shadow.
        in_project: whether the working directory is the root of a project.
        lost_environment: the virtual environment around the interpreter if its pyvenv.cfg is missing, or "".
        missing_base: the program that `executable` links to if it does not exist, or "".
    """

    target: str
    kind: str = "interpreter"
    python: tuple[int, int, int] = (3, 12, 0)
    executable: str = ""
    prefix: str = ""
    base_prefix: str = ""
    soabi: str = ""
    stdlib: str = ""
    markers: Mapping[str, str] = field(default_factory=dict)
    pyvenv: str = ""
    path: tuple[str, ...] = ()
    script_folder: str = ""
    standard_modules: frozenset[str] = frozenset()
    distributions: tuple[Distribution, ...] = ()
    overlaps: tuple[Overlap, ...] = ()
    leftovers: tuple[str, ...] = ()
    removed_distributions: tuple[Distribution, ...] = ()
    modules: Mapping[str, tuple[ModuleLocation, ...]] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict)
    cwd: str = ""
    has_pip: bool = True
    unfit_mount: str = ""
    gpus: tuple[tuple[str, str, str], ...] = ()
    shell_prefixes: Mapping[str, str] = field(default_factory=dict)
    system_libraries: tuple[tuple[str, str], ...] = ()
    library_files: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    loaded: Mapping[str, LoadedModule] = field(default_factory=dict)
    errors: tuple[ErrorReport, ...] = ()
    successful_imports: tuple[str, ...] = ()
    import_output: Mapping[str, str] = field(default_factory=dict)
    usages: tuple[NameUsage, ...] = ()
    install_requests: tuple[InstallRequest, ...] = ()
    notebook: str = ""
    colab_packages: tuple[Mapping[str, str], ...] = ()
    start_error: str = ""
    start_stderr: str = ""
    startup_failures: tuple[tuple[str, str], ...] = ()
    preloaded: frozenset[str] = frozenset()
    in_project: bool = False
    lost_environment: str = ""
    missing_base: str = ""

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

    Attributes:
        action: "install" or "uninstall" (arguments: requirements or names), "reinstall" (requirements, whose files
            are written again), "delete" (paths), "rename" (old and new path), "unset" (variables), "set" (variable
            and value), "venv" (a folder to make a virtual environment again, its Python; packages stay), "restart"
            (the session), "up" (a profile; or the file and the text of a new one), "init" (a notebook), "edit" (old
            and new text).
        arguments: as `action` describes.
    """

    action: str
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True)
class Finding:
    """One diagnosis.

    Attributes:
        summary: what is wrong, one sentence with the versions.
        evidence: what shows it: paths, versions, lines of metadata. At least one.
        explanation: why it happens, one or two sentences.
        fixes: what to do, in order; empty only if nothing on this machine helps.
        explains: the `source` of each error that it causes.
        covers: requirements that it is about, "dependent>dependency", so that general checks do not repeat them.
        removes: `info` of distributions that its fix removes; later checks ignore them.
        code: stable, such as "CE101"; documented in docs/findings.md. The registry sets it.
    """

    summary: str
    evidence: tuple[str, ...]
    explanation: str
    fixes: tuple[Fix, ...] = ()
    explains: tuple[str, ...] = ()
    covers: tuple[str, ...] = ()
    removes: tuple[str, ...] = ()
    code: str = ""


@dataclass(frozen=True)
class Diagnosis:
    """The result of an examination.

    Attributes:
        facts: what was examined.
        findings: what to fix first comes first.
        seconds: spent on "metadata", "imports" and "checks".
    """

    facts: Facts
    findings: tuple[Finding, ...]
    seconds: Mapping[str, float] = field(default_factory=dict)
