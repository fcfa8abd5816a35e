"""Makes a live notebook kernel forward its cells to the kernels of environments.

The kernel's message handlers are replaced where it looks them up: each request about a cell is either answered by the
notebook's own handler, unchanged, or forwarded and answered by the environment.
"""

from __future__ import annotations

import asyncio
import atexit
import inspect
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from colabenv.errors import ColabenvError, UsageError
from colabenv.kernel.spec import PREFIX
from colabenv.notebook import kernel_process, messages
from colabenv.notebook.environment_kernel import EnvironmentKernel, KernelEndedError, Request
from colabenv.notebook.messages import Frames
from colabenv.notebook.page import NotebookPage
from colabenv.notebook.routing import Route, ends_process, route_cell

Message = dict[str, Any]

# Requests about the text of a cell, which have a reply and no side effect.
_QUERIES = ("complete_request", "inspect_request", "is_complete_request", "history_request")
_IMPORT_ERRORS = frozenset({"ImportError", "ModuleNotFoundError"})
_COMMS = ("comm_open", "comm_msg", "comm_close")


class Attachment:
    """Decides which kernel a notebook's cells run in, for the notebook's own kernel, `get_ipython().kernel`."""

    def __init__(self, kernel: Any) -> None:
        self._kernel = kernel
        self._page = NotebookPage(kernel)
        self._own_handlers: dict[str, Callable[..., Any]] = {}
        self._kernels: dict[str, EnvironmentKernel] = {}
        #: The kernel that cells run in, or None for Colab's own Python.
        self.current: EnvironmentKernel | None = None
        self._foreground_kernel: EnvironmentKernel | None = None
        self._last: EnvironmentKernel | None = None
        #: Returns lines that explain an ImportError in an environment's kernel; None for no explanations.
        self.explain_import_error: Callable[[Any], list[str]] | None = None
        #: The kernel to attach to before the next cell, in a notebook whose own kernel was restarted; or "".
        self._resumed = ""
        self._pid = os.getpid()

    # Installation

    def install(self) -> None:
        """Replace the kernel's handlers. Until an environment is attached, they change nothing."""
        handlers = {"execute_request": self._execute, "comm_info_request": self._comm_info}
        handlers |= dict.fromkeys(_QUERIES, self._query) | dict.fromkeys(_COMMS, self._comm)
        for kind, handler in handlers.items():
            if kind in self._kernel.shell_handlers:
                self._own_handlers[kind] = self._kernel.shell_handlers[kind]
                self._kernel.shell_handlers[kind] = handler
        self._page.remove_output_limit()
        atexit.register(self._at_exit)

    def remove(self) -> None:
        """Restore the kernel's own handlers and end the kernels of all environments."""
        self._kernel.shell_handlers.update(self._own_handlers)
        self._own_handlers.clear()
        atexit.unregister(self._at_exit)
        self.close()

    def close(self) -> None:
        """End the kernels of all environments."""
        self.current = None
        for kernel in self._kernels.values():
            kernel.stop(grace=1)
        self._kernels.clear()

    def _at_exit(self) -> None:
        if os.getpid() == self._pid:  # not in a forked child
            self.close()

    # Called by the magics

    @property
    def last(self) -> EnvironmentKernel | None:
        """The kernel that the last cell ran in, if it still runs; None for the notebook's own."""
        return self._last if self._last and self._last.alive else None

    @property
    def kernels(self) -> list[EnvironmentKernel]:
        """The kernels of environments that were started and not ended, including those that have died."""
        return list(self._kernels.values())

    def attach(self, name: str) -> EnvironmentKernel:
        """Run cells in an environment, named by its own name or that of a kernelspec, from the next cell on.

        A running kernel keeps its variables, unless the environment was rebuilt since it started.

        Raises:
            ColabenvError: there is no such environment, or its kernel does not start; nothing changes.
        """
        kernel = self._get_kernel(kernel_process.find_kernel_name(name))
        kernel.start()
        self._resumed = ""
        self.current = kernel
        return kernel

    def resume(self, name: str) -> None:
        """Attach before the next cell, unless that is about colabenv. If it fails, cells run in Colab's own Python."""
        self._resumed = name

    def detach(self, *, stop: bool = False) -> EnvironmentKernel | None:
        """Run cells in Colab's own Python again; returns the kernel that was attached, which `stop` ends."""
        self._resumed = ""
        kernel, self.current = self.current, None
        if kernel and (stop or not kernel.alive):
            self._end(kernel)
        return kernel

    def restart(self) -> EnvironmentKernel:
        """Restart the attached environment's kernel.

        Raises:
            UsageError: no environment is attached.
            ColabenvError: the kernel does not start.
        """
        if self.current is None:
            raise UsageError("No environment is attached.", hint="Attach one with `%colabenv attach NAME`.")
        name = self.current.kernel_name
        self._end(self.current)
        self.current = self._get_kernel(name)
        self.current.start()
        return self.current

    def _get_kernel(self, kernel_name: str) -> EnvironmentKernel:
        """The running kernel of this kernelspec, or a new one that is not yet started."""
        kernel = self._kernels.get(kernel_name)
        if kernel and kernel.alive and kernel.spec == kernel_process.read_kernelspec(kernel_name):
            return kernel
        if kernel:
            self._end(kernel)
        self._kernels[kernel_name] = EnvironmentKernel(kernel_name, self._page)
        return self._kernels[kernel_name]

    def _end(self, kernel: EnvironmentKernel) -> None:
        self._kernels.pop(kernel.kernel_name, None)
        kernel.stop()

    # Handlers that the notebook's kernel calls

    async def _execute(self, stream: Any, idents: Frames, parent: Message) -> None:
        route = route_cell(parent["content"]["code"])
        if self._resumed and route.place == "current" and not parent["content"].get("silent"):
            await self._attach_again(parent)
        if route.place == "base" or (route.place == "current" and self.current is None):
            code = route.code(parent["content"]["code"])
            if not code.lstrip().startswith("%colabenv"):
                self._last = None
            await self._call_own_handler(
                stream, idents, parent | {"content": parent["content"] | {"code": code}}
            )
            return
        try:
            kernel, body = await self._run_cell(route, idents, parent)
        except ColabenvError as error:
            await self._fail_cell(error, stream, idents, parent)
            return
        except KeyboardInterrupt:  # before signals were forwarded
            interrupted = ColabenvError("Interrupted before the cell ran.", hint="Run the cell again.")
            await self._fail_cell(interrupted, stream, idents, parent)
            return
        if not body:
            self._reply_without_kernel({"status": "ok"}, stream, idents, parent)
            return
        content = messages.read_content(body)
        if content.get("status") == "error":
            if self.explain_import_error and content.get("ename") in _IMPORT_ERRORS:
                await self._show_explanation(kernel, self.explain_import_error, parent)
            await self._stop_on_error(parent)
        self._page.reply(stream, idents, body)

    async def _run_cell(
        self, route: Route, idents: Frames, parent: Message
    ) -> tuple[EnvironmentKernel, Frames]:
        """Run a cell; returns its kernel and the reply, which is empty if the cell itself ended the kernel.

        A kernel that the notebook has ended is started again: by this cell, or before it by an earlier one.
        """
        self._last = kernel = await self._kernel_for(route)
        code = route.code(parent["content"]["code"])
        kernel.may_end_itself = kernel.may_end_itself or ends_process(code)
        ran = kernel.alive
        # The notebook's kernel aborts waiting cells. The other one has at most one cell, and could abort the next.
        message = messages.forwarded_request(parent, {"code": code, "stop_on_error": False})
        request = Request(message, idents=idents, started=bool(parent["content"].get("silent")))
        try:
            return kernel, await self._submit(kernel, request)
        except KernelEndedError as error:
            status = error.return_code
            if status is None or not (status == 0 or kernel.may_end_itself):
                raise
            # The last messages of a killed process may be lost, among them the one that says that the cell has started.
            ran = request.started or ends_process(code) or (ran and status != 0)
        self._last = kernel = await self._start_again(kernel)
        text = f"colabenv: the notebook ended the kernel of environment '{kernel.name}'. It was started again, and its "
        self._page.show_text(text + "variables are lost.\n", parent)
        return kernel, [] if ran else await self._forward(kernel, message, idents)

    async def _attach_again(self, parent: Message) -> None:
        """Attach to the environment that the notebook was attached to before its own kernel was restarted."""
        name, self._resumed = self._resumed, ""
        try:
            kernel = self._get_kernel(kernel_process.find_kernel_name(name))
            await self._start(kernel)
        except (ColabenvError, KeyboardInterrupt) as error:
            text = f"environment '{name.removeprefix(PREFIX)}' could not be attached again ({error}). "
            text += "Cells run in Colab's own Python."
        else:
            self.current = kernel
            text = f"the session was restarted, and its variables are lost. Cells run in environment '{kernel.name}' "
            text += "again; `%colabenv detach` goes back to Colab's own Python."
        self._page.show_text(f"colabenv: {text}\n", parent)

    async def _start_again(self, kernel: EnvironmentKernel) -> EnvironmentKernel:
        """Start a kernel that has ended again; it stays attached."""
        attached = kernel is self.current
        new = self._get_kernel(kernel.kernel_name)
        if attached:
            self.current = new
        await self._start(new)
        return new

    async def _start(self, kernel: EnvironmentKernel) -> None:
        with self._forward_interrupts(kernel):
            await asyncio.get_running_loop().run_in_executor(None, kernel.start)

    async def _show_explanation(
        self, kernel: EnvironmentKernel, explain: Callable[[Any], list[str]], parent: Message
    ) -> None:
        """Show the explanation of an ImportError in a kernel below the traceback."""
        with self._forward_interrupts(kernel):
            try:
                lines = await asyncio.get_running_loop().run_in_executor(None, explain, kernel)
            except Exception:  # noqa: BLE001 - the cell must show its own failure only
                return
        if lines and not parent["content"].get("silent"):
            self._page.show_text("\n".join(lines) + "\n", parent)

    async def _kernel_for(self, route: Route) -> EnvironmentKernel:
        """The kernel that a cell runs in; that of a `%%env` cell is started when it is first used."""
        if route.place == "current" and self.current:
            return self.current
        kernel = self._get_kernel(kernel_process.find_kernel_name(route.name))
        await self._start(kernel)
        return kernel

    async def _fail_cell(self, error: ColabenvError, stream: Any, idents: Frames, parent: Message) -> None:
        """End a cell with an error of colabenv, because its kernel cannot answer."""
        text = "\n".join(line for line in (error.message, error.hint, error.detail) if line)
        content = {
            "status": "error",
            "ename": type(error).__name__,
            "evalue": error.message,
            "traceback": [text],
        }
        if not parent["content"].get("silent"):
            self._page.show_error(content, parent)
        await self._stop_on_error(parent)
        self._reply_without_kernel(content, stream, idents, parent)

    def _reply_without_kernel(self, content: Message, stream: Any, idents: Frames, parent: Message) -> None:
        """Answer a cell whose kernel has not answered."""
        count = {"execution_count": self._kernel.execution_count, "user_expressions": {}, "payload": []}
        self._page.reply_new(stream, "execute_reply", content | count, parent, idents)

    async def _stop_on_error(self, parent: Message) -> None:
        """Abort the waiting cells before the page gets the error.

        ipykernel aborts until the next iteration of its loop. A cell that the page sends before that is aborted too.
        """
        content = parent["content"]
        if not content.get("silent") and content.get("stop_on_error", True):
            self._page.abort_waiting_cells(parent)
            await asyncio.sleep(0.001)

    async def _query(self, stream: Any, idents: Frames, parent: Message) -> None:
        """Answer completion, inspection and the like from the kernel that the cell would run in."""
        content = parent["content"]
        route = route_cell(content.get("code", ""))
        kernel = self._running_kernel_for(route)
        if kernel is None:
            await self._call_own_handler(stream, idents, parent)
            return
        changed = {"code": route.pad_code(content["code"])} if "code" in content else {}
        try:
            body = await self._forward(kernel, messages.forwarded_request(parent, changed), idents)
        except ColabenvError:
            await self._call_own_handler(stream, idents, parent)
            return
        self._page.reply(stream, idents, body)

    def _running_kernel_for(self, route: Route) -> EnvironmentKernel | None:
        """The kernel to ask about a cell, or None for the notebook's own; no kernel is started for this."""
        if route.place == "base":
            return None
        if route.place == "current":
            return self.current
        kernels = (self._kernels.get(prefix + route.name) for prefix in (PREFIX, ""))
        return next((kernel for kernel in kernels if kernel), None)

    async def _comm(self, stream: Any, idents: Frames, parent: Message) -> None:
        """Forward a widget's message to the kernel that has the widget."""
        comm_id = parent["content"].get("comm_id", "")
        kernel = self._owner_of(comm_id)
        if kernel is None:
            await self._call_own_handler(stream, idents, parent)
            return
        kind = parent["header"]["msg_type"]
        if kind == "comm_open":
            kernel.comms.add(comm_id)
        if kind == "comm_close":
            kernel.comms.discard(comm_id)
        try:
            await self._forward(kernel, messages.forwarded_request(parent, {}), idents, wants_reply=False)
        except ColabenvError:
            self._kernel.log.warning("No kernel for a widget's message: %s", comm_id)
        self._page.end_concurrent_request(parent)

    def _owner_of(self, comm_id: str) -> EnvironmentKernel | None:
        if comm_id in self._page.comms():
            return None
        owner = next((kernel for kernel in self._kernels.values() if comm_id in kernel.comms), None)
        return owner or self.current

    async def _comm_info(self, stream: Any, idents: Frames, parent: Message) -> None:
        """List the widgets of every kernel, for a page that was reloaded."""
        target = parent["content"].get("target_name")
        comms: Message = {
            comm_id: {"target_name": comm.target_name}
            for comm_id, comm in self._page.comms().items()
            if target in (None, "", comm.target_name)
        }
        for kernel in self._kernels.values():
            try:
                body = await self._forward(kernel, messages.forwarded_request(parent, {}), idents)
            except ColabenvError:
                continue  # a dead kernel has no widgets
            comms |= messages.read_content(body).get("comms", {})
        self._page.reply_new(stream, "comm_info_reply", {"status": "ok", "comms": comms}, parent, idents)

    # Forwarding

    async def _forward(
        self, kernel: EnvironmentKernel, message: Message, idents: Frames, *, wants_reply: bool = True
    ) -> Frames:
        """Forward a message, and wait for its reply and until the page has all its output."""
        return await self._submit(kernel, Request(message, wants_reply=wants_reply, idents=idents))

    async def _submit(self, kernel: EnvironmentKernel, request: Request) -> Frames:
        """Forward a request, and wait for its end."""
        with self._forward_interrupts(kernel) as foreground:
            request.foreground = foreground
            kernel.submit(request)
            return await asyncio.wrap_future(request.done)

    @contextmanager
    def _forward_interrupts(self, kernel: EnvironmentKernel) -> Iterator[bool]:
        """Let the stop button interrupt the other kernel; yields whether this is the foreground request.

        The foreground request is the first one in the main thread. Only that one gets the signal and the page's
        answers; requests that ipykernel 7 runs at the same time do not.
        """
        if self._foreground_kernel or threading.current_thread() is not threading.main_thread():
            yield False
            return
        self._foreground_kernel = kernel
        previous = signal.signal(signal.SIGINT, lambda *_: kernel.interrupt())
        try:
            yield True
        finally:
            signal.signal(signal.SIGINT, previous)
            self._foreground_kernel = None

    async def _call_own_handler(self, stream: Any, idents: Frames, parent: Message) -> None:
        result = self._own_handlers[parent["header"]["msg_type"]](stream, idents, parent)
        if inspect.isawaitable(result):
            await result
