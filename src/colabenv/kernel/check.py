"""The check: start an environment's kernel as the server would, run a cell in it, and assess the cell's report."""

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
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from colabenv import embedded
from colabenv.embedded.check_cell import INPUT_STEP
from colabenv.errors import CheckError
from colabenv.kernel.cell_output import REPORT_MIME, CellOutput
from colabenv.kernel.page_check import ANSWER, describe_page_failure, is_page_step, require_page_output
from colabenv.kernel.spec import kernel_name
from colabenv.lock.lockfile import is_same_version

if TYPE_CHECKING:
    from jupyter_client.blocking.client import BlockingKernelClient
    from jupyter_client.manager import KernelManager

_TITLES = {"tensorflow": "TensorFlow", "torch": "PyTorch", "jax": "JAX"}
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
#: Seconds until the kernel answers. On a cold disk the first start reads some hundred files.
_START_LIMIT = 120.0
#: Seconds for the cell. The first import of TensorFlow on a two-core machine takes up to a minute.
_CELL_LIMIT = 900.0
#: Seconds for what needs the page. The first import of matplotlib lists the machine's fonts.
_PAGE_LIMIT = 300.0
_REBUILD = "Run colabenv up again: it rebuilds an environment that fails its check."


@dataclass(frozen=True)
class CheckRequest:
    """What to check."""

    name: str
    kernels: Path  # folder of kernelspecs that holds the candidate
    prefix: Path
    imports: tuple[str, ...]
    code: str | None  # the profile's `verify.code`, or None for the default check
    versions: dict[str, str]  # locked version by distribution
    gpu: str  # "required", "expected" or "none"
    transport: str
    log: Path  # for what the kernel writes to its standard streams
    kernel_class: str = ""  # full name, or "" for any
    statements: tuple[str, ...] = ()  # imports to try, which may fail
    on_step: Callable[[str], None] = lambda _: None  # called about once a second with the current step

    def log_tail(self) -> str:
        """The last lines of the log."""
        try:
            return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:])
        except OSError:
            return ""


@dataclass(frozen=True)
class CheckReport:
    """The result of a check that passed."""

    kernel_class: str
    python: str
    tensorflow: str  # version, or "" if it was not loaded; keras, torch and jax likewise
    keras: str
    origins: dict[str, str]  # file that each imported module was loaded from
    devices: tuple[str, ...]  # names of TensorFlow's devices, and of the GPUs that PyTorch and JAX see
    seconds: dict[str, float]  # by step, from "kernel start" on
    notes: tuple[str, ...] = ()
    torch: str = ""
    jax: str = ""
    backend: str = ""  # what Keras runs on, if a variable says so
    failed_imports: tuple[tuple[str, str, str], ...] = ()  # statement, module that was not found or "", error


class _StoppedImportError(CheckError):
    """An import statement that probably ended the kernel, or that did not end in time.

    A kernel that dies may not have sent its last step, so the statement may also be the one before.
    """

    def __init__(self, step: str, request: CheckRequest, *, alive: bool) -> None:
        reason = "it did not end in time" if alive else "the kernel died during this import or the next one"
        super().__init__(reason)
        self.statement = step if step in request.statements else request.statements[0]


def check_kernel(request: CheckRequest) -> CheckReport:
    """Start the candidate kernel, run the check's cell in it and stop it.

    Raises `CheckError` if the kernel does not start, the cell fails, or the environment is not as locked.
    """
    try:
        return _check_once(request)
    except _StoppedImportError as error:
        # A draft must not fail because of an import. Those before it worked, or have failed without harm. If something
        # else was the cause, the check now fails for it.
        tried = request.statements[: request.statements.index(error.statement)]
        report = check_kernel(replace(request, statements=tried))
        failed = (error.statement, "", error.message)
        return replace(report, failed_imports=(*report.failed_imports, failed))
    except CheckError as error:
        # Ports are chosen before the kernel opens them, and another process may take one in between.
        if "Address already in use" not in error.detail:
            raise
        return _check_once(request)


def _check_once(request: CheckRequest) -> CheckReport:
    started = time.monotonic()
    with _running_kernel(request) as (manager, client):
        seconds = time.monotonic() - started
        report = assess_report(request, _run_check_cell(manager, client, request), seconds)
        return replace(report, seconds={**report.seconds, **_run_page_cell(manager, client, request)})


def assess_report(request: CheckRequest, report: dict[str, Any], start_seconds: float) -> CheckReport:
    """Compare the result of `check_cell.run_checks` with what it must be; raises `CheckError` if something differs."""
    prefix = str(request.prefix)
    if report["prefix"] != prefix or report["executable"] != f"{prefix}/bin/python":
        raise CheckError(
            f"The kernel ran {report['executable']} instead of the environment's Python.", hint=_REBUILD
        )
    changed = [entry for entry in report["differences"] if not is_same_version(entry[1], entry[2])]
    if changed:
        lines = [
            f"{name}: locked {locked}, found {installed or 'nothing'}" for name, locked, installed in changed
        ]
        detail = "\n".join(lines[:10])
        raise CheckError(
            "The packages in the environment differ from the lock.", hint=_REBUILD, detail=detail
        )
    if request.kernel_class and report["kernel_class"] != request.kernel_class:
        raise CheckError(
            f"The kernel is a {report['kernel_class']}, not Colab's, so Drive, secrets and files would not work.",
            hint="Set kernel: {google_colab: off} in the profile for a plain kernel.",
            detail=request.log_tail(),
        )
    for origin in report["origins"].values():
        outside = origin and not origin.startswith(prefix + "/lib/")
        if outside and any(f"/{name}/" in origin for name in ("tensorflow", "keras", "torch", "jax")):
            raise CheckError(
                f"A framework was loaded from outside the environment: {origin}.",
                hint="Rename the file or folder of that name in the working directory.",
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
        notes=(*_check_gpu(request, report), *report["colab_problems"]),
        failed_imports=tuple(
            (text, missing, error) for text, missing, error in report.get("failed_imports", ())
        ),
    )


def _check_gpu(request: CheckRequest, report: dict[str, Any]) -> tuple[str, ...]:
    """Notes about frameworks that see no GPU where one is expected."""
    sees_gpu = report["sees_gpu"]
    if request.gpu == "required" and not sees_gpu:
        raise CheckError(
            "verify.gpu is required, but no package of the environment can use a GPU.",
            hint="Put TensorFlow, PyTorch or JAX into the profile's stack, or set verify: {gpu: auto}.",
        )
    without_gpu = [_TITLES[name] for name, sees in sees_gpu.items() if not sees]
    if request.gpu == "none" or not without_gpu:
        return ()
    if request.gpu == "required":
        raise CheckError(
            f"{' and '.join(without_gpu)} {'sees' if len(without_gpu) == 1 else 'see'} no GPU in this environment, but "
            "the profile says verify.gpu: required.",
            hint="On Colab, choose Runtime > Change runtime type > a GPU, and run the same line again; or set "
            "verify: {gpu: auto}.",
            detail=request.log_tail(),
        )
    note = "sees no GPU and will run on the CPU, although this is the gpu variant."
    return tuple(f"{name} {note}" for name in without_gpu)


@contextlib.contextmanager
def _running_kernel(request: CheckRequest) -> Iterator[tuple[KernelManager, BlockingKernelClient]]:
    """The candidate kernel, until the end of the block."""
    from jupyter_client.kernelspec import KernelSpecManager  # noqa: PLC0415
    from jupyter_client.manager import KernelManager  # noqa: PLC0415 - 100 ms that an unchanged `up` saves

    specs = KernelSpecManager(kernel_dirs=[str(request.kernels)], ensure_native_kernel=False)
    manager = KernelManager(
        kernel_name=kernel_name(request.name), kernel_spec_manager=specs, transport=request.transport
    )
    if request.transport == "ipc":
        manager.connection_file = str(_find_socket_folder() / f"kernel-{uuid.uuid4()}.json")
    with _open_log(request.log) as log:
        try:
            _start(manager, log)
            client = manager.blocking_client()
            client.start_channels()
            try:
                _wait_until_ready(client, manager, request)
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
        reason = error.strerror or error
        raise CheckError(f"The environment's Python does not start ({reason}).", hint=_REBUILD) from error


def _open_log(path: Path) -> BinaryIO:
    """The log to append to, or /dev/null if it cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("ab")
    except OSError:
        return Path(os.devnull).open("ab")


def _find_socket_folder() -> Path:
    """Where the server would put a kernel's ipc sockets, or the temporary folder if that path is too long.

    A socket's path has at most 107 bytes (unix(7)), and a kernel's name and number take 50 of them.
    """
    from jupyter_core.paths import jupyter_runtime_dir  # noqa: PLC0415

    folder = Path(jupyter_runtime_dir())
    if len(os.fsencode(folder)) > 50:
        folder = Path(tempfile.gettempdir())
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _wait_until_ready(client: BlockingKernelClient, manager: KernelManager, request: CheckRequest) -> None:
    deadline = time.monotonic() + _START_LIMIT
    while True:
        request.on_step("the kernel starts")
        try:
            client.wait_for_ready(timeout=2)
            return
        except RuntimeError as error:
            alive = manager.is_alive()
            if alive and time.monotonic() < deadline:
                continue
            raise CheckError(
                f"The environment's kernel {'did not answer' if alive else 'died while starting'}.",
                hint="If the kernel's output names a package of the profile, change the version of that package.",
                detail=request.log_tail(),
            ) from error


def _run_check_cell(
    manager: KernelManager, client: BlockingKernelClient, request: CheckRequest
) -> dict[str, Any]:
    """Try the packages of the environment and return the report."""
    content = {
        "imports": list(request.imports),
        "code": request.code,
        "versions": request.versions,
        "statements": list(request.statements),
    }
    msg_id = client.execute(_make_cell("run_checks", content), store_history=False, allow_stdin=False)
    output = _read_output(manager, client, msg_id, request, _CELL_LIMIT)
    reply = _read_reply(client, msg_id, request)
    if reply["status"] != "ok" or output.report is None:
        raise _describe_failure(reply, output.text)
    return output.report


def _run_page_cell(
    manager: KernelManager, client: BlockingKernelClient, request: CheckRequest
) -> dict[str, float]:
    """Try what needs the page, and return the seconds of each step."""
    content = {"versions": request.versions, "answer": ANSWER}
    msg_id = client.execute(_make_cell("run_page_checks", content), store_history=False, allow_stdin=True)
    output = _read_output(manager, client, msg_id, request, _PAGE_LIMIT)
    reply = _read_reply(client, msg_id, request)
    if reply["status"] != "ok" or output.report is None:
        if not is_page_step(output.step):
            raise _describe_failure(reply, output.text)
        reason = f"{reply.get('ename', 'Error')}: {reply.get('evalue', '')}"
        raise describe_page_failure(
            output.step, reason, request.versions, _format_failure(reply, output.text)
        )
    require_page_output(output.report, output, request.versions)
    seconds: dict[str, float] = output.report["seconds"]
    return seconds


def _make_cell(function: str, content: dict[str, Any]) -> str:
    """A cell that runs a function of check_cell.py in its own namespace and displays the result."""
    source = (embedded.FOLDER / "check_cell.py").read_text(encoding="utf-8")
    return (
        f"import json as _j, IPython.display as _d\n_n = {{'__name__': 'colabenv_check'}}\n"
        f"exec(compile({source!r}, '<colabenv check>', 'exec'), _n)\n"
        f"_d.display({{{REPORT_MIME!r}: _n[{function!r}](_j.loads({json.dumps(content)!r}))}}, raw=True)\n"
    )


def _read_output(
    manager: KernelManager, client: BlockingKernelClient, msg_id: str, request: CheckRequest, limit: float
) -> CellOutput:
    """A cell's output until its end; unlike jupyter_client's loop, this one notices a kernel that has died.

    Answers one `input()`. `limit` are the cell's seconds.
    """
    output, answered = CellOutput(), False
    deadline = time.monotonic() + limit
    while True:
        request.on_step(output.step)
        is_asked = output.step == INPUT_STEP and not answered
        if is_asked:
            answered = _answer_input(client)
        try:
            message = client.get_iopub_msg(timeout=0.05 if is_asked else 1)
        except queue.Empty:
            alive = manager.is_alive()
            is_stopped = not alive or time.monotonic() > deadline
            if is_stopped and request.statements and not is_page_step(output.step):
                raise _StoppedImportError(output.step, request, alive=alive) from None
            if not alive:
                raise CheckError(
                    "The environment's kernel died during the check (out of memory, or a library crashed).",
                    hint="Read the last lines of the kernel's output, and try other versions of the packages it names.",
                    detail=output.text[-2000:] + request.log_tail(),
                ) from None
            if time.monotonic() > deadline:
                raise _describe_timeout(output, limit, request) from None
            continue
        if message["parent_header"].get("msg_id") == msg_id:
            output.add(message)
            if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                return output


def _answer_input(client: BlockingKernelClient) -> bool:
    """Answer `input()` if the kernel has asked."""
    try:
        client.get_stdin_msg(timeout=0.05)
    except queue.Empty:
        return False
    client.input(ANSWER)
    return True


def _describe_timeout(output: CellOutput, limit: float, request: CheckRequest) -> CheckError:
    if is_page_step(output.step):
        reason = f"it took longer than {limit:.0f} seconds."
        return describe_page_failure(output.step, reason, request.versions, output.text + request.log_tail())
    return CheckError(
        f"The check took longer than {limit:.0f} seconds and was stopped.",
        hint="Make verify.code shorter.",
        detail=output.text[-2000:],
    )


def _read_reply(client: BlockingKernelClient, msg_id: str, request: CheckRequest) -> dict[str, Any]:
    while True:
        try:
            reply = client.get_shell_msg(timeout=10)
        except queue.Empty:
            raise CheckError(
                "The environment's kernel ran the check but did not answer.",
                hint="Run the same command again.",
                detail=request.log_tail(),
            ) from None
        if reply["parent_header"].get("msg_id") == msg_id:
            content: dict[str, Any] = reply["content"]
            return content


def _describe_failure(reply: dict[str, Any], text: str) -> CheckError:
    name, value = reply.get("ename", "Error"), reply.get("evalue", "")
    hint = "Change the profile's versions, or its verify section."
    if name in {"ImportError", "ModuleNotFoundError"}:
        hint = (
            "Add the missing package to the profile's packages, or remove the module from verify.imports or "
            "kernel.preload."
        )
    subject = "verify.code" if any("<verify.code>" in frame for frame in _list_frames(reply)) else "the check"
    return CheckError(
        f"The environment was built, but {subject} failed in its kernel: {name}: {value}",
        hint=hint,
        detail=_format_failure(reply, text),
    )


def _list_frames(reply: dict[str, Any]) -> list[str]:
    """A traceback without its heading and the frames of the check itself and of the import machinery."""
    heading = ("-" * 60, "Traceback (most recent call last)")
    internal = (*heading, "<frozen importlib", "<colabenv check>", "importlib/__init__.py")
    return [frame for frame in reply.get("traceback", []) if not any(mark in frame for mark in internal)]


def _format_failure(reply: dict[str, Any], text: str) -> str:
    """The end of what a cell printed, and of its traceback."""
    trace = _COLOURS.sub("", "\n".join(_list_frames(reply)[-4:]))
    return f"{text[-1500:]}{trace}"[-4000:]
