"""Read the imports of colabenv's modules and say which go against the design.

One module's source in, a list of complaints out; `tests/unit/test_imports.py` runs it over the package.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass

# The stages in the order in which a profile becomes a kernel.
STAGES = ("profile", "stack", "lock", "env", "store", "kernel")
BASE = ("errors", "system", "host")

# What each room may import of ours, besides itself. A stage may import those before it.
ROOMS = {
    "errors": (),
    "system": ("errors",),
    "host": ("errors", "system"),
    "sources": ("errors",),
    **{stage: (*BASE, *STAGES[:place]) for place, stage in enumerate(STAGES)},
    "export": ("errors", "lock"),
    "doctor": (*BASE, *STAGES, "sources"),
    "commands": (*BASE, *STAGES, "sources", "export", "doctor"),
    "report": (*BASE, *STAGES, "doctor"),
    "notebook": (*BASE, *STAGES, "doctor", "commands", "report"),
    "arguments": ("errors",),
    "cli": (*BASE, *STAGES, "arguments", "commands", "report"),
    "__main__": ("cli",),
    "__init__": ("notebook",),
}
# Arrows that only a type checker follows: results are plain data, and whoever shows them names their types.
FOR_TYPES = {"report": ("commands",), "__init__": ("commands",)}

STDLIB_ONLY = (
    "doctor.probe",
    "env.compiler",
    "kernel.handover",
    "kernel.keeper",
    "kernel.launcher",
    "kernel.proof_cell",
    "kernel.snapshot",
    "kernel.switch_hook",
    "kernel.switch_notice",
    "system.environ",
)
# The launcher starts the kernel that its environment holds, so it may name what is there besides the standard library.
#: What becomes another process by design.
EXECUTING = ("kernel.launcher", "kernel.shim", "kernel.switch_hook")
#: What goes to the background, and has a child of its own, inside an environment.
FORKING = ("kernel.keeper",)
SIBLINGS = {
    "kernel.keeper": ("handover",),
    "kernel.launcher": (
        "environ",
        "handover",
        "keeper",
        "ipykernel.kernelapp",
        "zmq",
        "google.colab._kernel",
    ),
    "kernel.proof_cell": ("ipykernel.kernelapp", "numpy", "tensorflow"),
    "kernel.switch_notice": ("IPython",),
}
# Besides every `model` module, and the whole rooms `sources` and `export`.
PURE_ROOMS = ("sources", "export")
PURE = (
    "commands.ipynb",
    *(f"commands.init.{name}" for name in ("draft", "frameworks", "guess", "packages")),
    *(f"stack.{name}" for name in ("rules", "asked", "combine", "disagree", "keras", "releases", "refusals")),
    "kernel.spec",
    "doctor.document",
    "doctor.installers",
    "doctor.missing",
    "doctor.needs",
    "doctor.pins",
    "doctor.reading",
    "doctor.repair",
    "doctor.rewriting",
    "doctor.tracebacks",
    *(f"store.{name}" for name in ("frame", "pythons", "troubles")),
)
PURE_PACKAGES = ("doctor.checks",)
IMPURE_MODULES = ("os", "io", "time", "random", "socket", "shutil", "tempfile", "secrets", "urllib.request")
IMPURE_CALLS = (
    *("open", "exists", "is_file", "is_dir", "mkdir", "unlink", "iterdir", "glob", "rglob", "stat", "touch"),
    *("read_text", "read_bytes", "write_text", "write_bytes", "cwd", "home", "expanduser", "now", "today"),
)

PROCESS_MODULES = ("subprocess", "pexpect", "multiprocessing", "pty")
PROCESS_CALLS = ("exec", "spawn", "posix_spawn", "fork", "system", "popen")


@dataclass(frozen=True)
class Import:
    """One imported module or name.

    Attributes:
        module: the full dotted module, relative ones made whole.
        name: what is taken from it, or None for `import module`.
        for_types: whether only a type checker runs it.
        line: where.
    """

    module: str
    name: str | None
    for_types: bool
    line: int

    @property
    def room(self) -> str | None:
        """The room of ours that this reaches into, or None for a foreign module."""
        parts = self.module.split(".")
        if parts[0] != "colabenv":
            return None
        if len(parts) > 1:
            return parts[1]
        return self.name if self.name in ROOMS else "__init__"


def room_of(module: str) -> str:
    """The room of a module that is named without `colabenv.`; the package itself is `__init__`."""
    return module.partition(".")[0] or "__init__"


def imports(module: str, tree: ast.Module, *, package: bool) -> list[Import]:
    """Every import in the tree, at any depth."""
    guarded = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for statement in node.body
        for inner in ast.walk(statement)
    }
    whole = ["colabenv", *(part for part in module.split(".") if part)]
    found = []
    for node in ast.walk(tree):
        for_types = id(node) in guarded
        if isinstance(node, ast.Import):
            found += [Import(alias.name, None, for_types, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            source = node.module or ""
            if node.level:
                parents = whole[: len(whole) - node.level + package]
                source = ".".join([*parents, *([source] if source else [])])
            found += [Import(source, alias.name, for_types, node.lineno) for alias in node.names]
    return found


def _names_of(tree: ast.Module, module: str) -> set[str]:
    """The names under which the tree knows a module: its own, and what `import … as` gives it."""
    imported = (alias for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names)
    return {module} | {alias.asname for alias in imported if alias.name == module and alias.asname}


def _is_data(one: Import) -> bool:
    """A class or a constant, or anything of a `model` module, which is pure: data and its text form."""
    return one.name is not None and (not one.name.islower() or one.module.endswith(".model"))


def _wrong_arrows(module: str, found: list[Import]) -> Iterator[str]:
    room = room_of(module)
    if room not in ROOMS:
        yield f"{room} is a room that the design does not know"
        return
    for one in found:
        if one.room is None or one.room == room:
            continue
        allowed = ROOMS[room] + (FOR_TYPES.get(room, ()) if one.for_types else ())
        if one.room == "__init__":
            if one.name != "__version__":
                yield f"line {one.line}: {one.module} itself is for users; only __version__ is taken from it"
        elif one.room not in allowed:
            yield f"line {one.line}: {room} may not import {one.room} ({one.module})"
        elif room in STAGES and one.room in STAGES and not _is_data(one):
            yield f"line {one.line}: a stage takes data types of {one.room}, not {one.name or one.module}"


def _foreign_code(module: str, found: list[Import]) -> Iterator[str]:
    if module not in STDLIB_ONLY:
        return
    for one in found:
        top = one.module.partition(".")[0]
        if top not in sys.stdlib_module_names and one.module not in SIBLINGS.get(module, ()):
            yield f"line {one.line}: {module} runs where only the standard library is; not {one.module}"


def _starts_processes(module: str, tree: ast.Module, found: list[Import]) -> Iterator[str]:
    if module in {"system.process", "kernel.shim"}:  # the shim lives where there is no system.process
        return
    os_names = _names_of(tree, "os")
    own = {"exec": EXECUTING, "fork": FORKING}
    calls = tuple(call for call in PROCESS_CALLS if module not in own.get(call, ()))
    for one in found:
        top = one.module.partition(".")[0]
        taken = one.module == "os" and (one.name or "").startswith(calls)
        if top in PROCESS_MODULES or taken or (one.name or "").startswith("create_subprocess"):
            yield f"line {one.line}: only system/process.py starts processes ({one.module})"
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            owner = ast.unparse(node.value)
            if (owner in os_names and node.attr.startswith(calls)) or node.attr.startswith(
                "create_subprocess"
            ):
                yield f"line {node.lineno}: only system/process.py starts processes ({owner}.{node.attr})"


def _prints(module: str, tree: ast.Module, found: list[Import]) -> Iterator[str]:
    if module in {
        "report",
        "doctor.probe",
        "kernel.keeper",
        "kernel.proof_cell",
        "kernel.shim",
        "kernel.switch_notice",
    }:
        return
    for one in found:
        if (one.module, one.name) in {("sys", "stdout"), ("sys", "__stdout__"), ("builtins", "print")}:
            yield f"line {one.line}: only report.py prints ({one.module}.{one.name})"
    streams = {f"{name}.{stream}" for name in _names_of(tree, "sys") for stream in ("stdout", "__stdout__")}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id == "print":
            yield f"line {node.lineno}: only report.py prints"
        if isinstance(node, ast.Attribute) and ast.unparse(node) in streams:
            yield f"line {node.lineno}: only report.py prints (sys.{node.attr})"


def _touches_the_world(module: str, tree: ast.Module, found: list[Import]) -> Iterator[str]:
    pure = module in PURE or module.startswith(PURE_PACKAGES) or module.endswith(".model")
    if not pure and room_of(module) not in PURE_ROOMS:
        return
    for one in found:
        if one.module in IMPURE_MODULES or one.module.partition(".")[0] in IMPURE_MODULES:
            yield f"line {one.line}: {module} is pure; not {one.module}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else ast.unparse(node.func)
            if called in IMPURE_CALLS:
                yield f"line {node.lineno}: {module} is pure; not {ast.unparse(node.func)}()"


def complaints(module: str, source: str, *, package: bool = False) -> list[str]:
    """What in the module goes against the design.

    Args:
        module: dotted name without `colabenv.`, such as `env.build`; empty for the package itself.
        source: its text.
        package: whether it is an `__init__.py`, which matters to relative imports.
    """
    tree = ast.parse(source)
    found = imports(module, tree, package=package)
    return [
        *_wrong_arrows(module, found),
        *_foreign_code(module, found),
        *_starts_processes(module, tree, found),
        *_prints(module, tree, found),
        *_touches_the_world(module, tree, found),
    ]
