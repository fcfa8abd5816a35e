"""What the doctor knows and what it says, as plain data. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from colabenv.lock.lockfile import normalised


@dataclass(frozen=True)
class Distribution:
    """One installed distribution, from its metadata and RECORD; nothing of it was imported.

    Attributes:
        name: normalised (PEP 503).
        version: as its metadata says, or as the name of its folder does.
        root: the path entry it lies in.
        info: its metadata folder (or file, for an old egg-info).
        metadata: whether its metadata could be read.
        requires: its Requires-Dist lines.
        requires_python: its Requires-Python, or "".
        tags: its wheel's tags, such as "cp311-cp311-manylinux_2_17_x86_64".
        installer: what installed it, such as "pip" or "uv", or "".
        record: whether it has a RECORD.
        requested: whether it was asked for by name (PEP 376's REQUESTED).
        direct_url: the text of its direct_url.json (PEP 610), or "".
        files: how many files its RECORD lists with a hash.
        missing: files that its RECORD lists and that are not there, relative to `root`.
        altered: files of another size: (file, bytes by RECORD, bytes on disk).
        damaged: of those the ones that cannot be what was installed: (file, "empty" or "cut off").
        modules: top-level modules and packages it provides.
        extensions: the ABI tags in the names of its extension modules, such as "cpython-311-x86_64-linux-gnu".
        libraries: CUDA libraries it carries: (file name, path).
    """

    name: str
    version: str
    root: str = ""
    info: str = ""
    metadata: bool = True
    requires: tuple[str, ...] = ()
    requires_python: str = ""
    tags: tuple[str, ...] = ()
    installer: str = ""
    record: bool = True
    requested: bool = False
    direct_url: str = ""
    files: int = 0
    missing: tuple[str, ...] = ()
    altered: tuple[tuple[str, int, int], ...] = ()
    damaged: tuple[tuple[str, str], ...] = ()
    modules: tuple[str, ...] = ()
    extensions: tuple[str, ...] = ()
    libraries: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Overlap:
    """A file that several distributions claim, with different hashes.

    Attributes:
        path: the file.
        owners: names of the distributions, in the order of the path.
        on_disk: those whose hash the file has; empty where it is nobody's or was too large to look.
        hashed: whether the file was read.
    """

    path: str
    owners: tuple[str, ...]
    on_disk: tuple[str, ...]
    hashed: bool


@dataclass(frozen=True)
class Place:
    """Where a top-level module is found.

    Attributes:
        kind: "package", "module", "extension" or "namespace" (a folder without `__init__.py`).
        file: the file or, for a namespace, the folder.
        entry: the entry of the path.
    """

    kind: str
    file: str
    entry: str


@dataclass(frozen=True)
class Complaint:
    """An exception that somebody saw: in a child that tried an import, in a notebook, in a file.

    Attributes:
        source: what raised it, for people: "import tensorflow", "cell 3", "the traceback".
        statement: the failing line of code, or "".
        kind: the exception's class, such as "ImportError"; "Timeout" or "Killed" for a child that did not end by
            itself.
        message: its text, all lines.
        frames: (file, line, function) from the outermost in; empty where none was told.
        text: all of the traceback.
        here: whether it was raised in the interpreter that the facts are about.
    """

    source: str
    statement: str
    kind: str
    message: str
    frames: tuple[tuple[str, int, str], ...] = ()
    text: str = ""
    here: bool = True


@dataclass(frozen=True)
class Loaded:
    """A module that the running process has imported.

    Attributes:
        name: of the top-level module.
        version: its `__version__`, or "".
        file: where it was loaded from, or "".
    """

    name: str
    version: str
    file: str


@dataclass(frozen=True)
class Usage:
    """A name that code imports or uses.

    Attributes:
        name: dotted, such as "keras.utils.np_utils" or "keras.utils.np_utils.to_categorical".
        place: for people: "cell 3, line 2".
        line: the source line.
    """

    name: str
    place: str
    line: str


@dataclass(frozen=True)
class Asked:
    """A requirement that a line of code installs, such as a notebook's `!pip install`.

    Attributes:
        requirement: PEP 508.
        place: for people: "cell 2".
        line: the command.
        tool: "pip", "uv", "conda" or "easy_install".
        after: top-level modules that the code had imported before it.
    """

    requirement: str
    place: str
    line: str
    tool: str = "pip"
    after: frozenset[str] = frozenset()


@dataclass(frozen=True, eq=False)
class Facts:
    """All that checks may look at. Two are the same only if they are one, so that what is derived can be kept.

    Attributes:
        target: what is examined, for people: "Colab's own Python", "the environment vision-2023".
        kind: "base", "environment" (one of ours), "interpreter" or "notebook" (code alone, no interpreter).
        python: version as three numbers.
        executable: path of the interpreter.
        prefix: of the interpreter.
        base_prefix: where its standard library comes from; `prefix` outside of a virtual environment.
        soabi: tag of the extension modules it loads, such as "cpython-311-x86_64-linux-gnu".
        stdlib: folder of its standard library.
        markers: values of the environment markers (PEP 508).
        pyvenv: text of its pyvenv.cfg, or "".
        path: its search path as the session has it, the working directory made whole.
        first: the entry that stands for the working directory or the script's folder, or "".
        standard: names of the standard library's modules.
        distributions: what is installed, in the order of the path; of one name the first is what is imported.
        overlaps: files that several distributions claim.
        leftovers: folders that pip began to remove (`~…`).
        removed: the distributions whose metadata lies in such folders.
        modules: top-level module to its places, in the order in which the import system takes them.
        environ: the variables of the session.
        cwd: the working directory.
        has_pip: whether the interpreter has pip.
        mount: kind of mount that `prefix` lies on if environments break there, such as "fuse.drive", or "".
        free_bytes: free disk where `prefix` lies.
        gpus: (name, driver, compute capability) of each GPU.
        shell: for `pip` and `python` as a shell finds them: name to the prefix of the Python that it runs.
        system_libraries: CUDA libraries on LD_LIBRARY_PATH: (file name, path), in search order.
        loaded: what the running process has imported, by top-level module; empty where there is none.
        complaints: exceptions seen.
        imported: statements that a child ran without an error.
        said: what children wrote to standard error, by statement, such as TensorFlow's log.
        usages: names that the code in question uses: dotted ones, methods as ".predict_classes", arguments as
            "keras.optimizers.Adam(lr=)", magics as "%tensorflow_version 1.x".
        asked: what the code in question installs.
        notebook: path of the notebook that was read, or "".
        shipped: what Colab runtimes ship, each as name to version; empty where this is not Colab's own Python.
        broken_start: why the interpreter itself does not start, or "". What it has is known all the same if it starts
            without site-packages.
        start_said: what a start with nothing to do wrote to standard error, or "".
        start_breakers: files that end every start, such as a .pth or a sitecustomize.py: (path, what it says). Told
            only where the interpreter does not start.
        early: modules that are built in or loaded before any code of the session, so that no file can shadow them.
        in_project: whether the working directory is the root of a project (pyproject.toml, setup.py).
        library_files: (name of the file it leads to, bytes) for each CUDA library, by path.
        ruined: folder of a virtual environment that the interpreter lies in and whose pyvenv.cfg is gone, or "".
        gone: the base's program that `executable` leads to and that is not there, or "".
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
    first: str = ""
    standard: frozenset[str] = frozenset()
    distributions: tuple[Distribution, ...] = ()
    overlaps: tuple[Overlap, ...] = ()
    leftovers: tuple[str, ...] = ()
    removed: tuple[Distribution, ...] = ()
    modules: Mapping[str, tuple[Place, ...]] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict)
    cwd: str = ""
    has_pip: bool = True
    mount: str = ""
    free_bytes: int = 0
    gpus: tuple[tuple[str, str, str], ...] = ()
    shell: Mapping[str, str] = field(default_factory=dict)
    system_libraries: tuple[tuple[str, str], ...] = ()
    loaded: Mapping[str, Loaded] = field(default_factory=dict)
    complaints: tuple[Complaint, ...] = ()
    imported: tuple[str, ...] = ()
    said: Mapping[str, str] = field(default_factory=dict)
    usages: tuple[Usage, ...] = ()
    asked: tuple[Asked, ...] = ()
    notebook: str = ""
    shipped: tuple[Mapping[str, str], ...] = ()
    broken_start: str = ""
    start_said: str = ""
    start_breakers: tuple[tuple[str, str], ...] = ()
    early: frozenset[str] = frozenset()
    in_project: bool = False
    library_files: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    ruined: str = ""
    gone: str = ""

    def installed(self, name: str) -> Distribution | None:
        """The distribution of that name which is imported: the first on the path."""
        wanted = normalised(name)
        return next((one for one in self.distributions if one.name == wanted), None)

    def version(self, name: str) -> str:
        """Its version, or ""."""
        found = self.installed(name)
        return found.version if found else ""

    def owners(self, module: str) -> tuple[Distribution, ...]:
        """The distributions that provide a top-level module."""
        return tuple(one for one in self.distributions if module in one.modules)


@dataclass(frozen=True)
class Step:
    """One thing to do.

    Attributes:
        action: "install" or "uninstall" (arguments: requirements or names), "reinstall" (requirements, files are
            written anew), "delete" or "rename" (a path; for rename the new one as well), "unset" (variables),
            "set" (a variable and its value), "venv" (a folder that is made a virtual environment again, the minor of
            its Python, what it holds stays), "restart" (the session), "up" (a profile; of one that is to be written
            first its file and its text), "init" (a notebook that a profile is to be made from), "edit" (the old text
            and the new).
        arguments: see there.
    """

    action: str
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True)
class Finding:
    """One diagnosis.

    Attributes:
        code: stable, such as "CE101"; documented in docs/findings.md.
        what: what is wrong, one sentence, with the versions.
        evidence: how it shows: paths, versions, lines of metadata. At least one.
        why: why it happens, one or two sentences.
        steps: what mends it, in order; empty only where nothing on this machine can.
        explains: the `source` of each complaint that it is the cause of.
        covers: what it speaks of, as "dependant>dependency", so that a general check does not repeat it.
        gone: `info` of distributions that are not seen any more once this is mended; later checks leave them out.
    """

    code: str
    what: str
    evidence: tuple[str, ...]
    why: str
    steps: tuple[Step, ...] = ()
    explains: tuple[str, ...] = ()
    covers: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()


@dataclass(frozen=True)
class Diagnosis:
    """Everything that was found.

    Attributes:
        facts: what was looked at.
        findings: what to mend first comes first; empty where nothing is wrong.
        seconds: that each part took: "metadata", "imports".
    """

    facts: Facts
    findings: tuple[Finding, ...]
    seconds: Mapping[str, float] = field(default_factory=dict)
