"""Gather what the checks look at: metadata by way of `probe.py`, import attempts in children of their own.

Nothing of the target is ever imported in this process, every child has a time limit, and a target that is too
broken to start is a fact like any other.
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

from colabenv import embedded
from colabenv.doctor import broken_interpreter, tracebacks
from colabenv.doctor.broken_interpreter import InterpreterStart
from colabenv.doctor.checks.interference import PACKAGES
from colabenv.doctor.model import Complaint, Distribution, Facts, Overlap, Place
from colabenv.errors import MachineError
from colabenv.lock.lockfile import normalised
from colabenv.system.files import free_bytes, mount_of
from colabenv.system.process import Completed, Runner

#: Seconds. The metadata takes half a second; a folder on Drive takes much longer.
_METADATA_LIMIT = 60.0
#: Seconds for one file that is run at every start.
_BREAKER_LIMIT = 10.0
#: Seconds for one import. TensorFlow takes 3 to 15 on two cores, more when its files are read for the first time.
IMPORT_LIMIT = 90.0

#: What a child tries, by the top-level module that has to be there. The models are what people come for.
STATEMENTS = {
    "numpy": "import numpy",
    "tensorflow": "from tensorflow.keras import applications",
    "keras": "import keras",
    "tf_keras": "import tf_keras",
    "torch": "import torch",
    "jax": "import jax",
}
_LIST_GPUS = "; import tensorflow as tf; tf.config.list_physical_devices('GPU')"
#: Names that people import; looked for even where no distribution provides them.
_LOOKED_FOR = (
    *{**STATEMENTS, **PACKAGES},
    *("pkg_resources", "distutils", "google", "pip", "sitecustomize", "usercustomize"),
)
_CUDA_LIBRARY = re.compile(r"^lib(cu|nv|nccl)[\w-]*\.so")
# Only what is built in: a folder full of files named like the standard library's must not matter.
_START = (
    "import sys; sys.stdout.write(ascii([sys.path, sys.prefix, sys.base_prefix, "
    "[*sys.builtin_module_names, *sys.modules]]))"
)
#: A byte of a name that is no UTF-8, as JSON writes it; no surrogate before it, so it is half of no character.
_ODD_BYTE = re.compile(r"(?<!\\ud[89ab][0-9a-f][0-9a-f])\\udc[89a-f][0-9a-f]")


@dataclass(frozen=True)
class Target:
    """The interpreter to examine.

    Attributes:
        label: as `Facts.target`.
        kind: as `Facts.kind`.
        python: its path.
        environ: the variables that a session has which runs in it.
        cwd: the session's working directory.
    """

    label: str
    kind: str
    python: str
    environ: Mapping[str, str]
    cwd: str


def gather(
    target: Target,
    runner: Runner,
    gpus: Sequence[tuple[str, str, str]] = (),
    *,
    limit: float = _METADATA_LIMIT,
) -> Facts:
    """Everything but import attempts; imports nothing, writes nothing.

    Args:
        target: what to examine.
        runner: starts the probe.
        gpus: (name, driver, compute capability) of each GPU.
        limit: seconds for a start of the interpreter, and for the probe.
    """
    facts = Facts(
        target=target.label,
        kind=target.kind,
        executable=target.python,
        environ=dict(target.environ),
        cwd=target.cwd,
        gpus=tuple(gpus),
        system_libraries=tuple(_system_libraries(target.environ, target.cwd)),
        in_project=any(
            Path(target.cwd, name).is_file() for name in ("pyproject.toml", "setup.py", "setup.cfg")
        ),
        ruined=broken_interpreter.folder_of(target.python),
        gone=broken_interpreter.end_of(target.python),
    )
    start, said = _read_start(target, runner, limit)
    if start is None:
        prefix, pyvenv, python = broken_interpreter.of_venv(target.python)
        facts = dataclasses.replace(facts, broken_start=said, prefix=prefix, pyvenv=pyvenv, python=python)
        start = broken_interpreter.start_without_site(
            target.python, _read_start(target, runner, limit, "-I", "-S")[0]
        )
        if start is None:
            return dataclasses.replace(facts, has_pip=False)
        facts = dataclasses.replace(facts, start_breakers=tuple(_breakers(start, target, runner)))
    else:
        # Conda's base has an `activate` and no pyvenv.cfg, and runs as what it is.
        is_itself = bool(facts.ruined) and Path(facts.ruined).resolve() == Path(start.prefix).resolve()
        facts = dataclasses.replace(facts, start_said=said, ruined="" if is_itself else facts.ruined)
    facts = dataclasses.replace(facts, early=frozenset(name for name in start.loaded if "." not in name))
    request = {
        "path": start.path,
        "prefix": start.prefix,
        "base_prefix": start.base_prefix,
        "cwd": target.cwd,
        "modules": list(_LOOKED_FOR),
    }
    probe = embedded.FOLDER / "probe.py"
    argv = [target.python, "-I", "-S", str(probe), json.dumps(request)]
    with ThreadPoolExecutor() as pool:
        shell = pool.submit(_shell, target, runner)
        answer = _run(runner, argv, target, limit)
        facts = dataclasses.replace(facts, shell=shell.result())
    try:
        found = json.loads(_ODD_BYTE.sub("?", answer.output))
    except ValueError:
        return dataclasses.replace(
            facts,
            prefix=start.prefix,
            base_prefix=start.base_prefix,
            broken_start=facts.broken_start or _why(answer),
        )
    return _with_answer(facts, found, first=start.path[0] if start.path else "")


def _read_start(
    target: Target, runner: Runner, limit: float, *options: str
) -> tuple[InterpreterStart | None, str]:
    done = _run(runner, [target.python, *options, "-c", _START], target, limit)
    try:
        return InterpreterStart(*ast.literal_eval(done.output.strip().splitlines()[-1])), done.errors.strip()
    except (ValueError, SyntaxError, IndexError, TypeError):
        return None, _why(done)


def _breakers(start: InterpreterStart, target: Target, runner: Runner) -> Iterator[tuple[str, str]]:
    """The files that end a start: each one that site would run is run alone, in a child without site."""
    for file, code in broken_interpreter.run_at_start(start.path):
        done = _run(runner, [target.python, "-I", "-S", "-c", code], target, _BREAKER_LIMIT)
        if done.returncode != 0 or not done.output.endswith(broken_interpreter.SURVIVED):
            yield file, _why(done)


def try_imports(facts: Facts, target: Target, runner: Runner, statements: Sequence[str] = ()) -> Facts:
    """Have children try statements, as many at a time as the machine has processors.

    Args:
        facts: of the target.
        target: what to examine.
        runner: starts the children.
        statements: what to try; by default an import of each framework that is there.

    Returns:
        The facts with `imported`, `said` and more `complaints`.
    """
    chosen = list(statements) or [text for name, text in STATEMENTS.items() if name in facts.modules]
    if facts.broken_start or not chosen:
        return facts
    with ThreadPoolExecutor(max_workers=2) as pool:
        done = list(pool.map(lambda text: _attempt(text, bool(facts.gpus), target, runner), chosen))
    complaints = [one for _, _, one in done if one is not None]
    return dataclasses.replace(
        facts,
        imported=tuple(text for text, _, one in done if one is None),
        said={text: errors for text, errors, _ in done if errors.strip()},
        complaints=(*facts.complaints, *complaints),
    )


def _attempt(
    statement: str, with_gpus: bool, target: Target, runner: Runner
) -> tuple[str, str, Complaint | None]:
    if with_gpus and "tensorflow" in statement:
        # Why TensorFlow leaves a GPU alone is in its log only, which people turn off.
        talkative = {**target.environ, "TF_CPP_MIN_LOG_LEVEL": "0"}
        target = dataclasses.replace(target, environ=talkative)
        code = statement + _LIST_GPUS
    else:
        code = statement
    done = _run(runner, [target.python, "-c", code], target, IMPORT_LIMIT)
    if done.returncode == 0:
        return statement, done.errors, None
    found = list(tracebacks.complaints_in(done.errors, statement, statement=statement))
    if found:
        return statement, done.errors, found[-1]
    return statement, done.errors, _ended_by_itself(done, statement)


def _ended_by_itself(done: Completed, statement: str) -> Complaint:
    """A complaint about a child that left no traceback."""
    last = "\n".join(done.errors.strip().splitlines()[-12:])
    if done.returncode == -signal.SIGKILL:
        kind, message = (
            "Timeout",
            f"did not end within {IMPORT_LIMIT:.0f} seconds, or was killed for its memory",
        )
    elif done.returncode < 0:
        kind, message = "Killed", f"died by {signal.Signals(-done.returncode).name}"
    else:
        kind, message = "Exit", f"ended with exit status {done.returncode}"
    return Complaint(statement, statement, kind, message, text=last or message)


def _run(runner: Runner, argv: Sequence[str], target: Target, limit: float) -> Completed:
    try:
        return runner.run(argv, env=target.environ, cwd=Path(target.cwd), timeout=limit)
    except MachineError as error:
        return Completed(tuple(argv), 127, "", error.message)


def _why(done: Completed) -> str:
    said = (done.errors + done.output).strip().splitlines()
    return said[-1] if said else f"exit status {done.returncode}, and not a word"


def _with_answer(facts: Facts, answer: Mapping[str, Any], first: str) -> Facts:
    distributions = tuple(_distribution(one) for one in answer["distributions"])
    names = [one.name for one in distributions]
    prefix = Path(answer["prefix"])
    mount = mount_of(prefix)
    path = tuple(answer["path"])
    is_folder_of_session = first in {"", facts.cwd}
    libraries = [*facts.system_libraries, *(pair for one in distributions for pair in one.libraries)]
    return dataclasses.replace(
        facts,
        python=tuple(answer["version"]),
        prefix=answer["prefix"],
        base_prefix=answer["base_prefix"],
        soabi=answer["soabi"],
        stdlib=answer["stdlib"],
        markers=answer["markers"],
        pyvenv=answer["pyvenv"],
        path=path,
        first=path[0] if path and is_folder_of_session else "",
        standard=frozenset(answer["standard"]),
        distributions=distributions,
        overlaps=tuple(
            Overlap(
                path=one["path"],
                owners=tuple(names[index] for index in one["owners"]),
                on_disk=tuple(names[index] for index in one["on_disk"]),
                hashed=one["hashed"],
            )
            for one in answer["overlaps"]
        ),
        leftovers=tuple(answer["leftovers"]),
        removed=tuple(_distribution(one) for one in answer["removed"]),
        library_files={path: _file_behind(path) for _, path in libraries},
        modules={
            name: tuple(Place(one["kind"], one["file"], one["entry"]) for one in found)
            for name, found in answer["modules"].items()
        },
        has_pip=not facts.broken_start and _has_pip(answer, distributions),
        mount=mount.kind if mount is not None and mount.unfit else "",
        free_bytes=free_bytes(prefix),
    )


def _distribution(one: Mapping[str, Any]) -> Distribution:
    return Distribution(
        name=normalised(one["name"]),
        version=one["version"],
        root=one["root"],
        info=one["info"],
        metadata=one["metadata"],
        requires=tuple(one["requires"]),
        requires_python=one["requires_python"],
        tags=tuple(one["tags"]),
        installer=one["installer"],
        record=one["record"],
        requested=one["requested"],
        direct_url=one["direct_url"],
        files=one["files"],
        missing=tuple(one["missing"]),
        altered=tuple((path, listed, size) for path, listed, size in one["altered"]),
        damaged=tuple((path, how) for path, how in one["damaged"]),
        modules=tuple(one["modules"]),
        extensions=tuple(one["extensions"]),
        libraries=tuple((name, path) for name, path in one["libraries"]),
    )


def _has_pip(answer: Mapping[str, Any], distributions: Sequence[Distribution]) -> bool:
    """Whether pip is there and whole. That of a base which an environment only sees does not count as its own."""
    found = answer["modules"].get("pip", ())
    is_venv = answer["prefix"] != answer["base_prefix"]
    if not found or (is_venv and not found[0]["file"].startswith(answer["prefix"] + "/")):
        return False
    whole = (one for one in distributions if one.name == "pip")
    return not any(
        one.damaged or any(path.endswith(".py") and not path.startswith("..") for path in one.missing)
        for one in whole
    )


def _file_behind(library: str) -> tuple[str, int]:
    """The name of the file that a library's path leads to, and its bytes."""
    try:
        return Path(library).resolve().name, Path(library).stat().st_size
    except (OSError, RuntimeError):
        return "", -1


def _shell(target: Target, runner: Runner) -> dict[str, str]:
    """The prefix of the Python behind `pip` and `python` as a shell of the session finds them."""
    found = {}
    for name in ("pip", "python"):
        program = shutil.which(name, path=target.environ.get("PATH"))
        python = _interpreter_of(program) if program and name == "pip" else program
        if python:
            done = _run(runner, [python, "-c", "import sys; sys.stdout.write(sys.prefix)"], target, 10.0)
            if done.returncode == 0:
                found[name] = done.output.strip()
    return found


def _interpreter_of(script: str) -> str:
    """The Python that a script's first line names, or ""."""
    try:
        with Path(script).open("rb") as file:
            line = file.readline(400).decode("utf-8", "replace")
    except OSError:
        return ""
    words = line.removeprefix("#!").split()
    return words[0] if line.startswith("#!") and words and "python" in words[0] else ""


def _system_libraries(environ: Mapping[str, str], cwd: str) -> list[tuple[str, str]]:
    found = []
    for folder in environ.get("LD_LIBRARY_PATH", "").split(":"):
        try:
            names = sorted(path.name for path in Path(cwd, folder).iterdir()) if folder else []
        except OSError:
            names = []
        found += [(name, str(Path(cwd, folder, name))) for name in names if _CUDA_LIBRARY.match(name)]
    return found
