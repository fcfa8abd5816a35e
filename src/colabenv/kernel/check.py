"""The proof: start the kernel as the server would, run a cell in it, judge what it found."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import re
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from colabenv import embedded
from colabenv.embedded.check_cell import STEP_PREFIX
from colabenv.errors import CheckError
from colabenv.kernel.spec import kernel_name
from colabenv.lock.lockfile import same_version

if TYPE_CHECKING:
    from jupyter_client.blocking.client import BlockingKernelClient
    from jupyter_client.manager import KernelManager

_TITLES = {"tensorflow": "TensorFlow", "torch": "PyTorch", "jax": "JAX"}
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_MIME = "application/vnd.colabenv.proof+json"
#: Seconds until the kernel answers. On a cold disk the first start reads some hundred files.
_START_LIMIT = 120.0
#: Seconds for the cell. The first import of TensorFlow on a two-core machine takes up to a minute.
_CELL_LIMIT = 900.0


@dataclass(frozen=True)
class CheckRequest:
    """What the proof has to show.

    Attributes:
        name: of the profile.
        kernels: folder of kernelspecs that holds the candidate.
        prefix: folder of the environment.
        imports: modules that must import.
        code: the profile's own proof, or None for the default one.
        versions: locked version by distribution.
        kernel_class: the class the kernel must have, or "" for any.
        on_step: told about once a second what the proof is at.
        gpu: whether a GPU is "required", "expected" or "none".
        transport: "ipc" or "tcp".
        log: file for what the kernel writes to its standard streams.
    """

    name: str
    kernels: Path
    prefix: Path
    imports: tuple[str, ...]
    code: str | None
    versions: dict[str, str]
    gpu: str
    transport: str
    log: Path
    kernel_class: str = ""
    on_step: Callable[[str], None] = lambda _: None


@dataclass(frozen=True)
class CheckReport:
    """What the proof found.

    Attributes:
        kernel_class: full name.
        python: version.
        tensorflow: version, or "" where it was not loaded.
        keras: version, or "".
        torch: version of PyTorch, or "".
        jax: version of JAX, or "".
        backend: what Keras runs on where the kernel says so, or "".
        origins: file each proven module was loaded from.
        devices: names of TensorFlow's devices, and of the GPUs that PyTorch and JAX see.
        seconds: by step; "kernel start" among them.
        notes: what the person should know, such as a GPU that is not visible.
    """

    kernel_class: str
    python: str
    tensorflow: str
    keras: str
    origins: dict[str, str]
    devices: tuple[str, ...]
    seconds: dict[str, float]
    notes: tuple[str, ...] = field(default=())
    torch: str = ""
    jax: str = ""
    backend: str = ""


def check_kernel(question: CheckRequest) -> CheckReport:
    """Start the candidate kernel, run the proof in it and stop it.

    Raises:
        ProofError: the kernel does not start, or the cell fails, or what it found is not as locked.
    """
    try:
        report, waited = _ask(question)
    except CheckError as error:
        # Ports are picked before the kernel takes them, and another process can be faster.
        if "Address already in use" not in error.detail:
            raise
        report, waited = _ask(question)
    return assess_report(question, report, waited)


def _ask(question: CheckRequest) -> tuple[dict[str, Any], float]:
    """What the cell found, and the seconds until the kernel answered."""
    started = time.monotonic()
    with _kernel(question) as (manager, client):
        waited = time.monotonic() - started
        return _run_cell(manager, client, question), waited


def assess_report(question: CheckRequest, report: dict[str, Any], start_seconds: float) -> CheckReport:
    """Turn what the cell found into a proof.

    Args:
        question: what had to be shown.
        report: what `check_cell.prove` returned.
        start_seconds: how long the kernel took to answer.

    Raises:
        ProofError: it is not what had to be shown.
    """
    prefix = str(question.prefix)
    if report["prefix"] != prefix or report["executable"] != f"{prefix}/bin/python":
        raise CheckError(
            f"The kernel ran {report['executable']} instead of the environment's Python.",
            hint="Run colabenv up again: it rebuilds an environment that fails its proof.",
        )
    changed = [entry for entry in report["differences"] if not same_version(entry[1], entry[2])]
    if changed:
        lines = [f"{name}: locked {locked}, found {found or 'nothing'}" for name, locked, found in changed]
        raise CheckError(
            "The environment does not hold what the lock says.",
            hint="Run colabenv up again: it rebuilds an environment that fails its proof.",
            detail="\n".join(lines[:10]),
        )
    if question.kernel_class and report["kernel_class"] != question.kernel_class:
        raise CheckError(
            f"The kernel is a {report['kernel_class']}, not Colab's, so Drive, secrets and files would not work.",
            hint="Set kernel: {google_colab: off} in the profile for a plain kernel.",
            detail=_tail(question.log),
        )
    outside = [
        origin for origin in report["origins"].values() if origin and not origin.startswith(prefix + "/lib/")
    ]
    if any(f"/{name}/" in origin for name in ("tensorflow", "keras", "torch", "jax") for origin in outside):
        raise CheckError(
            f"A framework was loaded from outside the environment: {outside[0]}.",
            hint="Look for a file or folder of that name in the working directory, and rename it.",
        )
    return CheckReport(
        kernel_class=report["kernel_class"],
        python=report["version"],
        tensorflow=report.get("tensorflow", ""),
        keras=report.get("keras") or "",
        torch=report.get("torch", ""),
        jax=report.get("jax", ""),
        backend=report.get("backend", ""),
        origins={name: origin or "" for name, origin in report["origins"].items()},
        devices=tuple(name for name, _ in report["devices"]),
        seconds={"kernel start": start_seconds, **report["seconds"]},
        notes=_gpu_notes(question, report),
    )


def _gpu_notes(question: CheckRequest, report: dict[str, Any]) -> tuple[str, ...]:
    seen = report["sees_gpu"]
    if question.gpu == "required" and not seen:
        raise CheckError(
            "verify.gpu is required, but the environment has nothing that can see a GPU.",
            hint="Put TensorFlow, PyTorch or JAX into the profile's stack, or set verify: {gpu: auto}.",
        )
    blind = [_TITLES[name] for name, sees in seen.items() if not sees]
    if question.gpu == "none" or not blind:
        return ()
    if question.gpu == "required":
        raise CheckError(
            f"{' and '.join(blind)} {'sees' if len(blind) == 1 else 'see'} no GPU in this environment, and the profile "
            "says verify.gpu: required.",
            hint="On Colab choose Runtime > Change runtime type > a GPU, and run the same line again; or set "
            "verify: {gpu: auto}.",
            detail=_tail(question.log),
        )
    return tuple(f"{name} sees no GPU; it will run on the CPU. (This is the gpu variant.)" for name in blind)


@contextlib.contextmanager
def _kernel(question: CheckRequest) -> Iterator[tuple[KernelManager, BlockingKernelClient]]:
    """The candidate kernel, running."""
    from jupyter_client.kernelspec import KernelSpecManager  # noqa: PLC0415
    from jupyter_client.manager import KernelManager  # noqa: PLC0415 - 100 ms that an `up` with nothing to do saves

    specs = KernelSpecManager(kernel_dirs=[str(question.kernels)], ensure_native_kernel=False)
    manager = KernelManager(
        kernel_name=kernel_name(question.name), kernel_spec_manager=specs, transport=question.transport
    )
    if question.transport == "ipc":
        manager.connection_file = str(_socket_folder() / f"kernel-{uuid.uuid4()}.json")
    with _opened(question.log) as log:
        try:
            _start(manager, log)
            client = manager.blocking_client()
            client.start_channels()
            try:
                _wait(client, manager, question)
                yield manager, client
            finally:
                client.stop_channels()
        finally:
            manager.shutdown_kernel(now=True)
            manager.cleanup_resources()


def _start(manager: KernelManager, log: BinaryIO) -> None:
    try:
        manager.start_kernel(stdout=log, stderr=log, cwd=os.getcwd())  # noqa: PTH109
    except OSError as error:
        raise CheckError(
            f"The environment's Python does not start ({error.strerror or error}).",
            hint="Run colabenv up again: it rebuilds an environment that fails its proof.",
        ) from error


def _opened(path: Path) -> BinaryIO:
    """The log to append to; a log that cannot be written stops nothing."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("ab")
    except OSError:
        return Path(os.devnull).open("ab")


def _socket_folder() -> Path:
    """Where the server would put a kernel's ipc sockets, or a short path where that one is too long for a socket.

    A socket's path has at most 107 bytes (unix(7)), and a kernel's name and number take 50 of them.
    """
    from jupyter_core.paths import jupyter_runtime_dir  # noqa: PLC0415

    folder = Path(jupyter_runtime_dir())
    if len(os.fsencode(folder)) > 50:
        folder = Path(tempfile.gettempdir())
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _wait(client: BlockingKernelClient, manager: KernelManager, question: CheckRequest) -> None:
    deadline = time.monotonic() + _START_LIMIT
    while True:
        question.on_step("the kernel starts")
        try:
            client.wait_for_ready(timeout=2)
            return
        except RuntimeError as error:
            alive = manager.is_alive()
            if alive and time.monotonic() < deadline:
                continue
            raise CheckError(
                f"The environment's kernel {'did not answer' if alive else 'died while starting'}.",
                hint="The kernel's own words are above. If they name a package of the profile, change its version.",
                detail=_tail(question.log),
            ) from error


def _run_cell(manager: KernelManager, client: BlockingKernelClient, question: CheckRequest) -> dict[str, Any]:
    """Run the proof and return its report."""
    source = (embedded.FOLDER / "check_cell.py").read_text(encoding="utf-8")
    asked = {"imports": list(question.imports), "code": question.code, "versions": question.versions}
    # In a namespace of its own, so that nothing of the proof is left in the kernel's.
    cell = (
        f"import json as _j, IPython.display as _d\n_n = {{'__name__': 'colabenv_proof'}}\n"
        f"exec(compile({source!r}, '<colabenv proof>', 'exec'), _n)\n"
        f"_d.display({{{_MIME!r}: _n['run_checks'](_j.loads({json.dumps(asked)!r}))}}, raw=True)\n"
    )
    collected = CellOutput()
    content = _execute(manager, client, cell, collected, question)
    if content["status"] != "ok" or collected.report is None:
        raise _cell_failed(content, collected.text)
    return collected.report


@dataclass
class CellOutput:
    """What a cell said: its text output, and the report it displayed."""

    text: str = ""
    report: dict[str, Any] | None = None
    step: str = "the proof starts"

    def take(self, message: dict[str, Any]) -> None:
        """Keep what matters of an iopub message."""
        content = message["content"]
        if message["msg_type"] == "stream":
            for line in content["text"].splitlines(keepends=True):
                if line.startswith(STEP_PREFIX):
                    self.step = line.removeprefix(STEP_PREFIX).strip()
                else:
                    self.text += line
        elif message["msg_type"] == "display_data" and _MIME in content["data"]:
            self.report = content["data"][_MIME]


def _execute(
    manager: KernelManager,
    client: BlockingKernelClient,
    cell: str,
    collected: CellOutput,
    question: CheckRequest,
) -> dict[str, Any]:
    """Run a cell and return its reply; unlike jupyter_client's own loop it notices a kernel that has died."""
    request = client.execute(cell, store_history=False, allow_stdin=False)
    deadline = time.monotonic() + _CELL_LIMIT
    while True:
        question.on_step(collected.step)
        try:
            message = client.get_iopub_msg(timeout=1)
        except queue.Empty:
            if not manager.is_alive():
                raise CheckError(
                    "The environment's kernel died during the proof (out of memory, or a library crashed).",
                    hint="The kernel's last words are above.",
                    detail=collected.text[-2000:] + _tail(question.log),
                ) from None
            if time.monotonic() > deadline:
                raise CheckError(
                    f"The proof took longer than {_CELL_LIMIT:.0f} seconds and was stopped.",
                    hint="Make verify.code shorter.",
                    detail=collected.text[-2000:],
                ) from None
            continue
        if message["parent_header"].get("msg_id") != request:
            continue
        collected.take(message)
        if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
            break
    while True:
        try:
            reply = client.get_shell_msg(timeout=10)
        except queue.Empty:
            raise CheckError(
                "The environment's kernel ran the proof and then did not answer.",
                hint="Run the same command again.",
                detail=_tail(question.log),
            ) from None
        if reply["parent_header"].get("msg_id") == request:
            content: dict[str, Any] = reply["content"]
            return content


def _cell_failed(content: dict[str, Any], text: str) -> CheckError:
    name, value = content.get("ename", "Error"), content.get("evalue", "")
    if name in {"ImportError", "ModuleNotFoundError"}:
        hint = (
            "Add the missing package to the profile's packages, or take the module out of verify.imports or "
            "kernel.preload."
        )
    else:
        hint = "Change the profile's versions, or its verify section."
    # The frames of the proof itself and of the import machinery tell a person nothing.
    ours = ("<frozen importlib", "<colabenv proof>", "importlib/__init__.py")
    frames = [frame for frame in content.get("traceback", []) if not any(mark in frame for mark in ours)]
    what = "verify.code" if any("<verify.code>" in frame for frame in frames) else "the proof"
    trace = _COLOURS.sub("", "\n".join(frames[-4:]))
    return CheckError(
        f"The environment is there, but {what} failed in its kernel: {name}: {value}",
        hint=hint,
        detail=f"{text[-1500:]}{trace}"[-4000:],
    )


def _tail(log: Path, lines: int = 15) -> str:
    """The last lines of a log."""
    try:
        return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
    except OSError:
        return ""
