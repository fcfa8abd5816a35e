"""`%colabenv`, `%%colabenv up`, `%%base` and `%%env`: choose where cells run."""

from __future__ import annotations

import dataclasses
import shlex
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from colabenv.cli import as_colabenv_error
from colabenv.cli.parser import Invocation, parse
from colabenv.cli.table import COMMANDS, Command, argument
from colabenv.embedded import capture
from colabenv.errors import ColabenvError, UsageError
from colabenv.importers.notebook_source import CellProfile
from colabenv.notebook.api import cell_console, execute_in_notebook
from colabenv.notebook.attach import Attachment
from colabenv.notebook.environment_kernel import EnvironmentKernel
from colabenv.notebook.session import NotebookSession, open_session
from colabenv.output.console import Console, error_lines
from colabenv.output.results import Result
from colabenv.output.up import UpResult

if TYPE_CHECKING:
    from colabenv.notebook.why import Doctor

_NAME = argument("name", help="an environment, or the name of a registered kernel")
_STOP = argument("--stop", action="store_true", help="also stop the environment's kernel, which frees memory")
_ALWAYS = argument("--always", action="store_true", help="add two lines below every ImportError")
_NEVER = argument("--never", action="store_true", help="no longer add them")
#: The commands that only a notebook has; `Commands` has a method for each.
_NOTEBOOK_ONLY = tuple(
    Command(name, text, target="", arguments=arguments, returns_result=False)
    for name, text, arguments in (
        ("attach", "run the next cells in an existing environment", (_NAME,)),
        ("detach", "run the next cells in Colab's own Python again", (_STOP,)),
        ("restart", "restart the environment's kernel; its variables are lost", ()),
        ("status", "show where cells run; `!colabenv status` lists environments", ()),
        ("why", "explain the exception of the previous cell", (_ALWAYS, _NEVER)),
        ("help", "show this list", ()),
    )
)
_COMMANDS: Mapping[str, Command] = {
    command.name: command
    for command in (COMMANDS["up"], *_NOTEBOOK_ONLY, *COMMANDS.values())
    if command.in_notebook
}
_USAGE = "\n".join(
    [
        "%colabenv up             build an environment for this notebook and run the next cells in it",
        "%%colabenv up            the same for the profile in the rest of the cell",
        "%colabenv up PROFILE     the same for a profile or another notebook, by path or address",
        *(f"%colabenv {name:<13} {command.help}" for name, command in _COMMANDS.items() if name != "up"),
        "%colabenv COMMAND --help  show the arguments of a command",
        "%%base                   on the first line of a cell: run the cell in Colab's own Python",
        "%%env NAME               on the first line of a cell: run the cell in another environment",
    ]
)


def load_ipython_extension(ip: Any) -> None:
    """Register the magics; cells run as before until an environment is attached. Called by `%load_ext colabenv`.

    Raises:
        UsageError: this is not a notebook.
    """
    kernel = getattr(ip, "kernel", None)
    if kernel is None or not hasattr(kernel, "shell_handlers"):
        raise UsageError(
            "colabenv attaches environments to notebooks, and this is not a notebook.",
            hint="Run a program in an environment with: colabenv run NAME -- python script.py",
        )
    attachment = Attachment(kernel)
    attachment.install()
    ip._colabenv = attachment
    register(ip, Commands(attachment, shell=ip, session=open_session()))


def unload_ipython_extension(ip: Any) -> None:
    """Remove the magics, and end the kernels of environments. Called by `%unload_ext colabenv`."""
    ip._colabenv.remove()
    ip._colabenv_commands.silence()
    del ip._colabenv, ip._colabenv_commands
    magics = ip.magics_manager.magics
    magics["line"].pop("colabenv", None)
    for name in ("base", "env", "colabenv"):
        magics["cell"].pop(name, None)


def register(ip: Any, commands: Commands) -> None:
    """Register the magics in a shell. IPython's own line magic `%env` is not replaced."""

    def run_cell(text: str, cell: str | None = None) -> None:
        try:
            commands.run(text, cell)
        except (ColabenvError, OSError) as error:
            raise _without_traceback(as_colabenv_error(error)) from None

    def refuse_cell(text: str, cell: str) -> None:  # noqa: ARG001 - the signature of a cell magic
        hint = "Write `%%base` or `%%env NAME` alone on the first line of the cell."
        raise _without_traceback(UsageError("Invalid `%%base` or `%%env` line.", hint=hint))

    run_cell.__doc__ = _USAGE
    ip._colabenv_commands = commands
    ip.register_magic_function(run_cell, magic_kind="line_cell", magic_name="colabenv")
    for name in ("base", "env"):
        # `route_cell` handles valid lines, so these magics get only the others.
        ip.register_magic_function(refuse_cell, magic_kind="cell", magic_name=name)


class Commands:
    """The commands of `%colabenv` for an attachment; `run` runs commands of the shell, `say` shows text in the cell."""

    def __init__(
        self,
        attachment: Attachment,
        *,
        run: Callable[[Invocation, Console, CellProfile | None], Result] = execute_in_notebook,
        say: Callable[[str], None] | None = None,
        shell: Any = None,
        doctor: Doctor | None = None,
        session: NotebookSession | None = None,
    ) -> None:
        self._attachment = attachment
        self._run = run
        self._say = say or (lambda text: cell_console().note(text))
        self._shell = shell
        self._doctor = doctor
        self._session = session
        self._explain: Callable[[Any], None] | None = None

    def run(self, line: str, body: str | None = None) -> None:
        """Run the command that follows `%colabenv`, or `%%colabenv` with a `body` below it; raises `ColabenvError`."""
        try:
            words = shlex.split(line) or ["help"]
        except ValueError as error:
            raise UsageError(
                f"`%colabenv {line}` cannot be read: {error}.", hint="Close every quote that you open."
            ) from None
        if words[0] == "run":
            raise UsageError(
                "%colabenv does not run programs.", hint=f"In a cell: !colabenv {shlex.join(words)}"
            )
        try:
            invocation = parse(words, _COMMANDS, "%colabenv")
        except SystemExit:  # --help was printed
            return
        if body is not None and (invocation.command.name != "up" or "profile" in invocation.options):
            raise UsageError(
                f"`%%colabenv {line}` cannot use the text below it.",
                hint="Write `%%colabenv up` above a profile, and other commands with a single `%`.",
            )
        if invocation.command in _NOTEBOOK_ONLY:
            getattr(self, invocation.command.name)(**invocation.options)
        else:
            self._run_shell_command(invocation, None if body is None else CellProfile(body))

    def _run_shell_command(self, invocation: Invocation, cell: CellProfile | None) -> None:
        console = cell_console(as_json=invocation.json, verbose=invocation.verbose)
        result = self._run(invocation, console, cell)
        if isinstance(result, UpResult) and not result.switched_by:
            console.result(dataclasses.replace(result, host="attached"))
            self._continue_in(self._attachment.attach(result.kernel_name))
        else:
            console.result(result)

    def attach(self, name: str) -> None:
        """`attach NAME`."""
        self._continue_in(self._attachment.attach(name))

    def detach(self, *, stop: bool = False) -> None:
        """`detach [--stop]`."""
        kernel = self._attachment.detach(stop=stop)
        if self._session:
            self._session.forget()
        if kernel is None:
            self._say("Cells already run in Colab's own Python.")
            return
        self._say("From the next cell on, cells run in Colab's own Python.")
        if not stop and kernel.alive:
            self._say(
                f"The kernel of '{kernel.name}' keeps its variables and its memory; "
                f"`%colabenv attach {kernel.name}` goes back to it."
            )

    def restart(self) -> None:
        """`restart`."""
        self._say(f"Restarted; its variables are lost.\n{_describe_location(self._attachment.restart())}")

    def status(self) -> None:
        """`status`."""
        current = self._attachment.current
        if current:
            self._say(_describe_location(current))
        else:
            self._say(f"Cells run in Colab's own Python {sys.version.split()[0]}.")
        others = [kernel for kernel in self._attachment.kernels if kernel is not current]
        if others:
            names = ", ".join(f"{kernel.name} ({_describe_state(kernel)})" for kernel in others)
            self._say(f"Also started: {names}. `%%env NAME` runs one cell there.")

    def why(self, *, always: bool = False, never: bool = False) -> None:
        """`why [--always | --never]`."""
        from colabenv.notebook import why  # noqa: PLC0415 - keeps `%load_ext colabenv` fast

        if always and never:
            raise UsageError("--always and --never cannot be used together.", hint="Leave one out.")
        doctor = self._doctor or why.Doctor()
        if not (always or never):
            kernel = self._attachment.last
            failure = why.capture_in_kernel(kernel) if kernel else capture.capture_failure()
            self._say(doctor.explain(failure))
            return
        self.silence()
        if always:
            self._explain = why.explain_import_errors(self._shell, doctor, self._say)
            self._attachment.explain_import_error = lambda kernel: why.summarize_kernel_failure(
                kernel, doctor
            )
            self._say("From now on, two lines below each ImportError explain it; `%colabenv why` shows more.")
        else:
            self._say("ImportErrors are no longer explained; `%colabenv why` explains the last exception.")

    def silence(self) -> None:
        """Stop the explanations that `why --always` started."""
        if self._explain is not None:
            self._shell.events.unregister("post_run_cell", self._explain)
        self._explain = self._attachment.explain_import_error = None

    def help(self) -> None:
        """`help`."""
        self._say(_USAGE)

    def _continue_in(self, kernel: EnvironmentKernel) -> None:
        if self._session:
            self._session.remember(kernel.kernel_name)
        self._say("From the next cell on, c" + _describe_location(kernel).removeprefix("C"))


def _describe_location(kernel: EnvironmentKernel) -> str:
    language = kernel.info.get("language_info", {})
    version = f"{str(language.get('name', '')).capitalize()} {language.get('version', '')}".strip()
    state = _describe_state(kernel)
    return f"Cells run in environment '{kernel.name}' ({version}, process {kernel.pid}, {state})."


def _describe_state(kernel: EnvironmentKernel) -> str:
    return "running" if kernel.alive else "not running: `%colabenv restart` starts it again"


def _without_traceback(error: ColabenvError) -> ColabenvError:
    """The same error, which IPython shows without colabenv's stack: the stack would not help the user."""
    error._render_traceback_ = lambda: error_lines(error)  # type: ignore[attr-defined]
    return error
