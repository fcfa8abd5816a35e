"""Gather what the checks examine: metadata through `probe.py`, and imports in child processes.

Nothing of the target is imported in this process, every child has a time limit, and a target that does not start is a
fact like any other.
"""

from __future__ import annotations

import ast
import dataclasses
import json
import re
import shutil
import signal
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from colabenv import embedded
from colabenv.doctor import broken_interpreter
from colabenv.doctor.broken_interpreter import InterpreterStart
from colabenv.doctor.distributions import WELL_KNOWN_PACKAGES
from colabenv.doctor.model import Distribution, ErrorReport, Facts, ModuleLocation, Overlap
from colabenv.doctor.tracebacks import read_tracebacks
from colabenv.errors import MachineError
from colabenv.system.files import find_mount
from colabenv.system.process import CompletedProcess, Runner

#: Seconds. The metadata takes half a second; a folder on Drive takes much longer.
_METADATA_LIMIT = 60.0
#: Seconds for one file that runs at every start.
_STARTUP_FILE_LIMIT = 10.0
#: Seconds for one import. TensorFlow takes 3 to 15 on two cores, more if its files are read for the first time.
IMPORT_LIMIT = 90.0

#: What a child imports, by the top-level module that has to exist.
STATEMENTS = {
    "numpy": "import numpy",
    "tensorflow": "from tensorflow.keras import applications",
    "keras": "import keras",
    "tf_keras": "import tf_keras",
    "torch": "import torch",
    "jax": "import jax",
}
# TensorFlow before 2.1 has no such function, and its wheels find no CUDA libraries.
_LIST_GPUS = (
    "; import tensorflow as tf; getattr(getattr(tf, 'config', 0), 'list_physical_devices', str)('GPU')"
)
#: Modules to look for even if no distribution provides them.
_LOOKED_FOR = (
    *{**STATEMENTS, **WELL_KNOWN_PACKAGES},
    *("pkg_resources", "distutils", "google", "pip", "sitecustomize", "usercustomize"),
)
_CUDA_LIBRARY = re.compile(r"^lib(cu|nv|nccl)[\w-]*\.so")
# Only built-in modules: files in the working directory that are named like the standard library's must not matter.
_START = (
    "import sys; sys.stdout.write(ascii([sys.path, sys.prefix, sys.base_prefix, "
    "[*sys.builtin_module_names, *sys.modules]]))"
)
#: A byte of a name that is not UTF-8, as JSON escapes it; a surrogate before it would make it half of a character.
_ODD_BYTE = re.compile(r"(?<!\\ud[89ab][0-9a-f][0-9a-f])\\udc[89a-f][0-9a-f]")


@dataclass(frozen=True)
class Target:
    """The interpreter to examine: its name and kind as in `Facts`, its path, and its session's variables and folder."""

    label: str
    kind: str
    python: str
    environ: Mapping[str, str]
    cwd: str
    is_colab: bool = False  #: whether it is the Python that Colab ships


def gather_facts(
    target: Target,
    runner: Runner,
    gpus: Sequence[tuple[str, str, str]] = (),
    *,
    limit: float = _METADATA_LIMIT,
) -> Facts:
    """Everything but import attempts; imports nothing and writes nothing. `limit` is in seconds for each child."""
    project_files = (Path(target.cwd, name) for name in ("pyproject.toml", "setup.py", "setup.cfg"))
    facts = Facts(
        target=target.label,
        kind=target.kind,
        executable=target.python,
        environ=dict(target.environ),
        cwd=target.cwd,
        gpus=tuple(gpus),
        system_libraries=tuple(_find_system_libraries(target.environ, target.cwd)),
        in_project=any(file.is_file() for file in project_files),
        lost_environment=broken_interpreter.find_lost_environment(target.python),
        missing_base=broken_interpreter.find_missing_base(target.python),
    )
    start, output = _read_start(target, runner, limit)
    if start is None:
        prefix, pyvenv, python = broken_interpreter.read_environment_files(target.python)
        facts = dataclasses.replace(facts, start_error=output, prefix=prefix, pyvenv=pyvenv, python=python)
        bare, _ = _read_start(target, runner, limit, "-I", "-S")
        if bare is None:
            return dataclasses.replace(facts, has_pip=False)
        start = broken_interpreter.start_without_site(target.python, bare)
        failures = tuple(_find_startup_failures(start, target, runner))
        facts = dataclasses.replace(facts, startup_failures=failures)
    else:
        # Conda's base has an `activate` and no pyvenv.cfg, and is not a virtual environment.
        lost = facts.lost_environment
        is_itself = bool(lost) and Path(lost).resolve() == Path(start.prefix).resolve()
        facts = dataclasses.replace(facts, start_stderr=output, lost_environment="" if is_itself else lost)
    facts = dataclasses.replace(facts, preloaded=frozenset(name for name in start.loaded if "." not in name))
    request = {
        "path": start.path,
        "prefix": start.prefix,
        "base_prefix": start.base_prefix,
        "cwd": target.cwd,
        "modules": _LOOKED_FOR,
    }
    argv = [target.python, "-I", "-S", str(embedded.FOLDER / "probe.py"), json.dumps(request)]
    with ThreadPoolExecutor() as pool:
        pip_prefix = pool.submit(_find_pip_prefix, target, runner)
        probe = _run(runner, argv, target, limit)
        facts = dataclasses.replace(facts, pip_prefix=pip_prefix.result())
    try:
        answer = json.loads(_ODD_BYTE.sub("?", probe.output))
    except ValueError:
        facts = dataclasses.replace(facts, prefix=start.prefix, base_prefix=start.base_prefix)
        return dataclasses.replace(facts, start_error=facts.start_error or _last_line(probe))
    return _add_answer(facts, answer, first=start.path[0] if start.path else "")


def _read_start(
    target: Target, runner: Runner, limit: float, *options: str
) -> tuple[InterpreterStart | None, str]:
    """How the interpreter starts, with its standard error; or None, with the reason."""
    process = _run(runner, [target.python, *options, "-c", _START], target, limit)
    try:
        return InterpreterStart(
            *ast.literal_eval(process.output.strip().splitlines()[-1])
        ), process.errors.strip()
    except (ValueError, SyntaxError, IndexError, TypeError):
        return None, _last_line(process)


def _find_startup_failures(
    start: InterpreterStart, target: Target, runner: Runner
) -> Iterator[tuple[str, str]]:
    """The files that end a start. Each file that site would run is run alone, in a child without site."""
    for file, code in broken_interpreter.startup_files(start.path):
        process = _run(runner, [target.python, "-I", "-S", "-c", code], target, _STARTUP_FILE_LIMIT)
        if process.returncode != 0 or not process.output.endswith(broken_interpreter.COMPLETED):
            yield file, _last_line(process)


def try_imports(facts: Facts, target: Target, runner: Runner) -> Facts:
    """Import each installed framework in a child process; adds `successful_imports`, `import_output` and `errors`."""
    statements = [text for name, text in STATEMENTS.items() if name in facts.modules]
    if facts.start_error or not statements:
        return facts
    with ThreadPoolExecutor(max_workers=2) as pool:
        attempts = list(
            pool.map(lambda text: _try_import(text, bool(facts.gpus), target, runner), statements)
        )
    by_statement = list(zip(statements, attempts, strict=True))
    return dataclasses.replace(
        facts,
        successful_imports=tuple(statement for statement, (_, error) in by_statement if error is None),
        import_output={statement: output for statement, (output, _) in by_statement if output.strip()},
        errors=(*facts.errors, *(error for _, error in attempts if error is not None)),
    )


def _try_import(
    statement: str, has_gpus: bool, target: Target, runner: Runner
) -> tuple[str, ErrorReport | None]:
    """The standard error of a statement's child, and the exception that ended it."""
    code = statement
    if has_gpus and "tensorflow" in statement:
        # Only TensorFlow's log says why it ignores a GPU, and people turn the log off.
        target = dataclasses.replace(target, environ={**target.environ, "TF_CPP_MIN_LOG_LEVEL": "0"})
        code += _LIST_GPUS
    process = _run(runner, [target.python, "-c", code], target, IMPORT_LIMIT)
    if process.returncode == 0:
        return process.errors, None
    errors = list(read_tracebacks(process.errors, statement, statement=statement))
    return process.errors, errors[-1] if errors else _report_exit(process, statement)


def _report_exit(process: CompletedProcess, statement: str) -> ErrorReport:
    """The error of a child that left no traceback."""
    if process.returncode == -signal.SIGKILL:
        kind = "Timeout"
        message = f"did not end within {IMPORT_LIMIT:.0f} seconds, or was killed because it ran out of memory"
    elif process.returncode < 0:
        kind, message = "Killed", f"was killed by {signal.Signals(-process.returncode).name}"
    else:
        kind, message = "Exit", f"ended with exit status {process.returncode}"
    last = "\n".join(process.errors.strip().splitlines()[-12:])
    return ErrorReport(statement, statement, kind, message, text=last or message)


def _run(runner: Runner, argv: Sequence[str], target: Target, limit: float) -> CompletedProcess:
    try:
        return runner.run(argv, env=target.environ, cwd=Path(target.cwd), timeout=limit)
    except MachineError as error:
        return CompletedProcess(tuple(argv), 127, "", error.message)


def _last_line(process: CompletedProcess) -> str:
    lines = (process.errors + process.output).strip().splitlines()
    return lines[-1] if lines else f"exit status {process.returncode} without output"


def _add_answer(facts: Facts, answer: dict[str, Any], first: str) -> Facts:
    """The facts with the probe's answer; `first` is the first entry of the path as the interpreter has it."""
    distributions = tuple(map(_distribution, answer["distributions"]))
    names = [each.name for each in distributions]
    mount = find_mount(Path(answer["prefix"]))
    path = tuple(answer["path"])
    libraries = [*facts.system_libraries, *(pair for each in distributions for pair in each.libraries)]

    def parse_overlap(fields: dict[str, Any]) -> Overlap:
        owners, on_disk = (tuple(names[index] for index in fields[key]) for key in ("owners", "on_disk"))
        return Overlap(fields["path"], owners, on_disk, fields["hashed"])

    return dataclasses.replace(
        facts,
        python=tuple(answer["version"]),
        **{name: answer[name] for name in ("prefix", "base_prefix", "soabi", "stdlib", "markers", "pyvenv")},
        path=path,
        script_folder=path[0] if path and first in {"", facts.cwd} else "",
        standard_modules=frozenset(answer["standard"]),
        distributions=distributions,
        overlaps=tuple(map(parse_overlap, answer["overlaps"])),
        leftovers=tuple(answer["leftovers"]),
        removed_distributions=tuple(map(_distribution, answer["removed"])),
        library_files={path: _resolve_library(path) for _, path in libraries},
        modules={
            name: tuple(ModuleLocation(**location) for location in locations)
            for name, locations in answer["modules"].items()
        },
        has_pip=not facts.start_error and _has_pip(answer, distributions),
        unfit_mount=mount.kind if mount is not None and mount.unfit else "",
    )


def _distribution(fields: dict[str, Any]) -> Distribution:
    values = {name: _as_tuples(value) for name, value in fields.items()}
    return Distribution(**{**values, "name": canonicalize_name(fields["name"])})


def _as_tuples(value: Any) -> Any:
    return tuple(map(_as_tuples, value)) if isinstance(value, list) else value


def _has_pip(answer: Mapping[str, Any], distributions: Sequence[Distribution]) -> bool:
    """Whether pip is complete. The pip of a base that an environment only sees does not count."""
    locations = answer["modules"].get("pip", ())
    is_venv = answer["prefix"] != answer["base_prefix"]
    if not locations or (is_venv and not locations[0]["file"].startswith(answer["prefix"] + "/")):
        return False
    pips = [each for each in distributions if each.name == "pip"]
    missing = [path for pip in pips for path in pip.missing]
    is_incomplete = any(path.endswith(".py") and not path.startswith("..") for path in missing)
    return not is_incomplete and not any(pip.damaged for pip in pips)


def _resolve_library(library: str) -> tuple[str, int]:
    """The name of the file that a library's path leads to, and its bytes."""
    try:
        return Path(library).resolve().name, Path(library).stat().st_size
    except (OSError, RuntimeError):
        return "", -1


def _find_pip_prefix(target: Target, runner: Runner) -> str:
    program = shutil.which("pip", path=target.environ.get("PATH"))
    python = _interpreter_of(program) if program else ""
    if not python:
        return ""
    process = _run(runner, [python, "-c", "import sys; sys.stdout.write(sys.prefix)"], target, 10.0)
    return process.output.strip() if process.returncode == 0 else ""


def _interpreter_of(script: str) -> str:
    """The Python that a script's first line names, or ""."""
    try:
        with Path(script).open("rb") as file:
            line = file.readline(400).decode("utf-8", "replace")
    except OSError:
        return ""
    words = line.removeprefix("#!").split()
    return words[0] if line.startswith("#!") and words and "python" in words[0] else ""


def _find_system_libraries(environ: Mapping[str, str], cwd: str) -> Iterator[tuple[str, str]]:
    for folder in filter(None, environ.get("LD_LIBRARY_PATH", "").split(":")):
        try:
            names = sorted(path.name for path in Path(cwd, folder).iterdir())
        except OSError:
            continue
        yield from ((name, str(Path(cwd, folder, name))) for name in names if _CUDA_LIBRARY.match(name))
