"""Make a live notebook kernel hand its cells to the kernels of environments.

The handlers of the kernel are replaced where it looks them up, at the level of messages: whatever a page can
ask about a cell is either answered by the notebook's own handler, untouched, or handed on and answered
from the environment.
"""

from __future__ import annotations

import asyncio
import atexit
import inspect
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import contextmanager
from typing import Any

from colabenv.errors import ColabenvError, MachineError, UsageError
from colabenv.notebook import kernel_process, messages
from colabenv.notebook.environment_kernel import EnvironmentKernel, Request
from colabenv.notebook.messages import Frames
from colabenv.notebook.page import NotebookPage
from colabenv.notebook.routing import Route, route_cell

Message = dict[str, Any]

# Requests about a cell's text that have a reply and no side effect.
_QUESTIONS = ("complete_request", "inspect_request", "is_complete_request", "history_request")
#: Classes of the exceptions that an import ends with.
IMPORT_ERRORS = frozenset({"ImportError", "ModuleNotFoundError"})
_COMMS = ("comm_open", "comm_msg", "comm_close")


class KernelEvaluator:
    """An environment's kernel that is asked for a value.

    Args:
        kernel: a kernel that runs no cell.
        page: makes the request.
    """

    def __init__(self, kernel: EnvironmentKernel, page: NotebookPage) -> None:
        self.name = kernel.name
        self._kernel = kernel
        self._page = page

    def evaluate(self, expression: str, patience: float = 10) -> str:
        """The `repr` of an expression there.

        Raises:
            MachineError: the kernel did not answer, or with an error.
        """
        content = {"code": "", "silent": True, "store_history": False, "allow_stdin": False}
        asking = self._page.new_request("execute_request", content | {"user_expressions": {"it": expression}})
        request = Request(asking)
        self._kernel.submit(request)
        try:
            reply = messages.read_content(request.done.result(timeout=patience))
        except FutureTimeoutError:
            raise MachineError(f"The kernel of '{self.name}' does not answer.") from None
        said = reply.get("user_expressions", {}).get("it", {})
        return str(said.get("data", {}).get("text/plain", ""))


class Attachment:
    """Which kernel a notebook's cells run in.

    Args:
        kernel: the notebook's kernel, `get_ipython().kernel`.
    """

    def __init__(self, kernel: Any) -> None:
        self._kernel = kernel
        self._page = NotebookPage(kernel)
        self._own: dict[str, Callable[..., Any]] = {}
        self._kernels: dict[str, EnvironmentKernel] = {}
        self._current: EnvironmentKernel | None = None
        self._front: EnvironmentKernel | None = None
        self._last: EnvironmentKernel | None = None
        #: Says two lines about an ImportError of an environment's kernel; None leaves it alone.
        self.explains: Callable[[Any], list[str]] | None = None
        self._pid = os.getpid()

    # Installation

    def install(self) -> None:
        """Take over the kernel's handlers. Until something is attached they change nothing."""
        handlers = {"execute_request": self._execute, "comm_info_request": self._comm_info}
        handlers |= dict.fromkeys(_QUESTIONS, self._question) | dict.fromkeys(_COMMS, self._comm)
        for kind, handler in handlers.items():
            if kind in self._kernel.shell_handlers:
                self._own[kind] = self._kernel.shell_handlers[kind]
                self._kernel.shell_handlers[kind] = handler
        self._page.lose_nothing()
        atexit.register(self._at_exit)

    def remove(self) -> None:
        """Give the kernel its handlers back and end every environment's kernel."""
        self._kernel.shell_handlers.update(self._own)
        self._own.clear()
        atexit.unregister(self._at_exit)
        self.close()

    def close(self) -> None:
        """End every environment's kernel."""
        self._current = None
        for kernel in self._kernels.values():
            kernel.stop(grace=1)
        self._kernels.clear()

    def _at_exit(self) -> None:
        if os.getpid() == self._pid:  # a forked child ends without taking the kernels along
            self.close()

    # What the magics call

    @property
    def current(self) -> EnvironmentKernel | None:
        """The kernel that cells run in, or None for Colab's own Python."""
        return self._current

    @property
    def last(self) -> KernelEvaluator | None:
        """The kernel that the last cell ran in, which can be asked about it; None for the notebook's own."""
        return KernelEvaluator(self._last, self._page) if self._last and self._last.alive else None

    @property
    def kernels(self) -> list[EnvironmentKernel]:
        """Every environment's kernel that was started and not ended, also those that have died."""
        return list(self._kernels.values())

    def attach(self, name: str) -> EnvironmentKernel:
        """Let cells run in an environment, from the next cell on.

        A kernel that runs already is kept with its variables, unless the environment was rebuilt since.

        Args:
            name: the environment's name, or a kernelspec's.

        Raises:
            ColabenvError: if there is no such environment or its kernel does not start; nothing changes.
        """
        kernel = self._obtain(kernel_process.find_kernel_name(name))
        kernel.start()
        self._current = kernel
        return kernel

    def detach(self, *, stop: bool = False) -> EnvironmentKernel | None:
        """Let cells run in Colab's own Python again.

        Args:
            stop: end the environment's kernel too, which frees its memory and forgets its variables.

        Returns:
            The kernel that was attached, if any.
        """
        kernel, self._current = self._current, None
        if kernel and (stop or not kernel.alive):
            self._end(kernel)
        return kernel

    def restart(self) -> EnvironmentKernel:
        """Start the attached environment's kernel anew.

        Raises:
            UsageError: if nothing is attached.
            ColabenvError: if it does not start.
        """
        if self._current is None:
            raise UsageError("No environment is attached.", hint="Attach one with `%colabenv attach NAME`.")
        name = self._current.kernel_name
        self._end(self._current)
        self._current = self._obtain(name)
        self._current.start()
        return self._current

    def _obtain(self, kernel_name: str) -> EnvironmentKernel:
        """The running kernel of this kernelspec, or a new one that is not started yet."""
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

    # Handlers, called by the notebook's kernel with (stream, idents, message)

    async def _execute(self, stream: Any, idents: Frames, parent: Message) -> None:
        where = route_cell(parent["content"]["code"])
        if self._stays(where):
            code = where.code(parent["content"]["code"])
            if not code.lstrip().startswith("%colabenv"):
                self._last = None
            await self._call_own(stream, idents, parent | {"content": parent["content"] | {"code": code}})
            return
        kernel = self._current
        try:
            self._last = kernel = await self._kernel_for(where)
            body = await self._run_cell(kernel, where, idents, parent)
        except ColabenvError as error:
            await self._cell_failed(error, stream, idents, parent)
            return
        except KeyboardInterrupt:  # before the signal was ours to hand on
            await self._cell_failed(ColabenvError("Stopped before the cell ran."), stream, idents, parent)
            return
        content = messages.read_content(body)
        if content.get("status") == "error":
            if self.explains and content.get("ename") in IMPORT_ERRORS:
                await self._explain(kernel, self.explains, parent)
            await self._stop_on_error(parent)
        self._page.reply(stream, idents, body)

    async def _explain(
        self, kernel: EnvironmentKernel, explains: Callable[[Any], list[str]], parent: Message
    ) -> None:
        """Show what is known about an ImportError of a kernel, below its traceback."""
        with self._interrupts_go_to(kernel):
            asked = KernelEvaluator(kernel, self._page)
            try:
                lines = await asyncio.get_running_loop().run_in_executor(None, explains, asked)
            except Exception:  # noqa: BLE001 - the cell has failed by itself; nothing may come on top of it
                return
        if lines and not parent["content"].get("silent"):
            self._page.show_text("\n".join(lines) + "\n", parent)

    async def _run_cell(
        self, kernel: EnvironmentKernel, where: Route, idents: Frames, parent: Message
    ) -> Frames:
        # The cells that wait are the notebook's to abort: there is at most one in the other kernel, and a
        # kernel that is about to abort would abort the next one too if that came quickly.
        changed = {"code": where.code(parent["content"]["code"]), "stop_on_error": False}
        return await self._hand_on(kernel, messages.forwarded_request(parent, changed), idents)

    async def _kernel_for(self, where: Route) -> EnvironmentKernel:
        """The started kernel that a cell runs in; starts that of a `%%env` cell when it is first used."""
        if where.place == "current" and self._current:
            return self._current
        kernel = self._obtain(kernel_process.find_kernel_name(where.name))
        with self._interrupts_go_to(kernel):
            await asyncio.get_running_loop().run_in_executor(None, kernel.start)
        return kernel

    async def _cell_failed(self, error: ColabenvError, stream: Any, idents: Frames, parent: Message) -> None:
        """End a cell whose kernel is not there with an error that says so."""
        lines = [line for line in (error.message, error.hint, error.detail) if line]
        content = messages.build_error_content(type(error).__name__, error.message, ["\n".join(lines)])
        if not parent["content"].get("silent"):
            self._page.show_error(content, parent)
        count = {"execution_count": self._kernel.execution_count, "user_expressions": {}, "payload": []}
        await self._stop_on_error(parent)
        self._page.reply_new(stream, "execute_reply", content | count, parent, idents)

    async def _stop_on_error(self, parent: Message) -> None:
        """Abort the cells that wait, before the page hears of the error.

        ipykernel ends the aborting in the next turn of its loop. The page must not be able to send a new
        cell before that, or it would be aborted too.
        """
        content = parent["content"]
        if not content.get("silent") and content.get("stop_on_error", True):
            self._page.abort_waiting_cells(parent)
            await asyncio.sleep(0.001)

    async def _question(self, stream: Any, idents: Frames, parent: Message) -> None:
        """Completion, inspection and their like: answered by the kernel that the cell would run in."""
        content = parent["content"]
        where = route_cell(content.get("code", ""))
        kernel = self._running_kernel_for(where)
        if kernel is None:
            await self._call_own(stream, idents, parent)
            return
        changed = {"code": where.padded(content["code"])} if "code" in content else {}
        try:
            body = await self._hand_on(kernel, messages.forwarded_request(parent, changed), idents)
        except ColabenvError:
            await self._call_own(stream, idents, parent)
            return
        self._page.reply(stream, idents, body)

    def _running_kernel_for(self, where: Route) -> EnvironmentKernel | None:
        """The kernel to ask about a cell; none is started for a question."""
        if where.place == "base":
            return None
        if where.place == "current":
            return self._current
        named = (self._kernels.get(prefix + where.name) for prefix in (kernel_process.PREFIX, ""))
        return next((kernel for kernel in named if kernel), None)

    async def _comm(self, stream: Any, idents: Frames, parent: Message) -> None:
        """A widget's message goes to the kernel that the widget lives in."""
        comm_id = parent["content"].get("comm_id", "")
        kernel = self._owner_of(comm_id)
        if kernel is None:
            await self._call_own(stream, idents, parent)
            return
        kind = parent["header"]["msg_type"]
        if kind == "comm_open":
            kernel.comms.add(comm_id)
        if kind == "comm_close":
            kernel.comms.discard(comm_id)
        try:
            await self._hand_on(kernel, messages.forwarded_request(parent, {}), idents, wants_reply=False)
        except ColabenvError:
            self._kernel.log.warning("A widget's message found no kernel: %s", comm_id)
        self._page.end_beside_another(parent)

    def _owner_of(self, comm_id: str) -> EnvironmentKernel | None:
        if comm_id in self._page.comms():
            return None
        owner = next((kernel for kernel in self._kernels.values() if comm_id in kernel.comms), None)
        return owner or self._current

    async def _comm_info(self, stream: Any, idents: Frames, parent: Message) -> None:
        """The widgets of every kernel: a page that is loaded again asks for them."""
        target = parent["content"].get("target_name")
        comms: Message = {
            comm_id: {"target_name": comm.target_name}
            for comm_id, comm in self._page.comms().items()
            if target in (None, "", comm.target_name)
        }
        for kernel in self._kernels.values():
            try:
                body = await self._hand_on(kernel, messages.forwarded_request(parent, {}), idents)
            except ColabenvError:
                continue  # a dead kernel has no widgets
            comms |= messages.read_content(body).get("comms", {})
        self._page.reply_new(stream, "comm_info_reply", {"status": "ok", "comms": comms}, parent, idents)

    # How a request is handed on

    async def _hand_on(
        self, kernel: EnvironmentKernel, message: Message, idents: Frames, *, wants_reply: bool = True
    ) -> Frames:
        """Hand a request on and wait until its reply is here and all of its output is with the page."""
        with self._interrupts_go_to(kernel) as foreground:
            request = Request(message, wants_reply=wants_reply, idents=idents, foreground=foreground)
            kernel.submit(request)
            return await asyncio.wrap_future(request.done)

    @contextmanager
    def _interrupts_go_to(self, kernel: EnvironmentKernel) -> Iterator[bool]:
        """Let the stop button stop the other kernel.

        Yields whether this is the request in the foreground: the first one under way in the main thread.
        It alone gets the signal and the page's answers; what ipykernel 7 runs beside it does not.
        """
        if self._front or threading.current_thread() is not threading.main_thread():
            yield False
            return
        self._front = kernel
        before = signal.signal(signal.SIGINT, lambda *_: kernel.interrupt())
        try:
            yield True
        finally:
            signal.signal(signal.SIGINT, before)
            self._front = None

    def _stays(self, where: Route) -> bool:
        return where.place == "base" or (where.place == "current" and self._current is None)

    async def _call_own(self, stream: Any, idents: Frames, parent: Message) -> None:
        """Let the notebook's kernel do what it did before."""
        result = self._own[parent["header"]["msg_type"]](stream, idents, parent)
        if inspect.isawaitable(result):
            await result
