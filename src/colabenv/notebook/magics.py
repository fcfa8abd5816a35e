"""`%colabenv`, `%%base` and `%%env`: what a person types to choose where cells run."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from colabenv.embedded import capture
from colabenv.errors import ColabenvError, UsageError
from colabenv.notebook.attach import Attachment
from colabenv.notebook.environment_kernel import EnvironmentKernel

if TYPE_CHECKING:
    from colabenv.notebook.why import Doctor

_USAGE = """\
%colabenv up PROFILE [options]   build the environment and run the next cells in it
%colabenv attach NAME            run the next cells in an environment that is there
%colabenv detach [--stop]        run them in Colab's own Python again; --stop ends the environment's kernel
%colabenv restart                start the environment's kernel anew; its variables are gone
%colabenv status                 say where cells run
%colabenv why                    explain the exception of the cell before
%colabenv why --always           say two lines about every ImportError; --never ends that
%%base                           first line of a cell: run it in Colab's own Python
%%env NAME                       first line of a cell: run it in another environment
"""
_FLAGS = frozenset({"frozen", "switch"})
_VALUES = frozenset({"variant"})

Up = Callable[..., Any]


def load_ipython_extension(ip: Any) -> None:
    """What `%load_ext colabenv` calls. Cells run as before until something is attached.

    Args:
        ip: the interactive shell.

    Raises:
        UsageError: outside of a notebook: there is no page to forward anything to.
    """
    kernel = getattr(ip, "kernel", None)
    if kernel is None or not hasattr(kernel, "shell_handlers"):
        raise UsageError("colabenv attaches environments to notebooks, and this is not a notebook.")
    attachment = Attachment(kernel)
    attachment.install()
    ip._colabenv = attachment
    register(ip, Commands(attachment, shell=ip))


def unload_ipython_extension(ip: Any) -> None:
    """What `%unload_ext colabenv` calls: everything is as it was, and the environments' kernels are gone."""
    ip._colabenv.remove()
    ip._colabenv_commands.silence()
    del ip._colabenv, ip._colabenv_commands
    magics = ip.magics_manager.magics
    magics["line"].pop("colabenv", None)
    for name in ("base", "env"):
        magics["cell"].pop(name, None)


def register(ip: Any, commands: Commands) -> None:
    """Make the magics known to a shell. IPython's own line magic `%env` stays what it is."""

    def line(text: str) -> None:
        try:
            commands.run(text)
        except ColabenvError as error:
            raise _without_traceback(error) from None

    def misplaced(text: str, cell: str) -> None:  # noqa: ARG001 - the signature of a cell magic
        usage = "`%%base` and `%%env NAME` stand alone on the first line of a cell."
        raise _without_traceback(UsageError("This cell does not say clearly where to run.", hint=usage))

    line.__doc__ = _USAGE
    ip._colabenv_commands = commands
    ip.register_magic_function(line, magic_kind="line", magic_name="colabenv")
    for name in ("base", "env"):
        ip.register_magic_function(misplaced, magic_kind="cell", magic_name=name)


class Commands:
    """The verbs of `%colabenv`.

    Args:
        attachment: the notebook they act on.
        up: builds an environment; by default `colabenv.notebook.api.up`.
        say: shows a line of text; by default in the cell.
        shell: the interactive shell, for `why --always`.
        doctor: explains failures; by default in a process of its own.
    """

    def __init__(
        self,
        attachment: Attachment,
        *,
        up: Up | None = None,
        say: Callable[[str], None] | None = None,
        shell: Any = None,
        doctor: Doctor | None = None,
    ) -> None:
        self._attachment = attachment
        self._build = up or _up
        self._say = say or _say
        self._shell = shell
        self._doctor = doctor
        self._explain: Callable[[Any], None] | None = None

    def run(self, line: str) -> None:
        """Do what follows `%colabenv`.

        Raises:
            ColabenvError: with what is wrong and what to do.
        """
        try:
            verb, *arguments = shlex.split(line) or ["help"]
        except ValueError as error:
            raise UsageError(f"`%colabenv {line}` cannot be read: {error}.") from None
        verbs = {
            "up": self.up,
            "attach": self.attach,
            "detach": self.detach,
            "restart": self.restart,
            "status": self.status,
            "why": self.why,
            "help": self.help,
        }
        if verb not in verbs:
            raise UsageError(f"`%colabenv {verb}` is not known.", hint=_USAGE)
        verbs[verb](arguments)

    def up(self, arguments: list[str]) -> None:
        """`up PROFILE [options]`: build, and attach unless only the session's default is to change."""
        profile, options = parse_up(arguments)
        result = self._build(profile, **options)
        if result.kernel_name and not options.get("switch"):
            self._go_on_in(self._attachment.attach(result.kernel_name))

    def attach(self, arguments: list[str]) -> None:
        """`attach NAME`."""
        (name,) = _exactly(arguments, 1, "attach NAME")
        self._go_on_in(self._attachment.attach(name))

    def detach(self, arguments: list[str]) -> None:
        """`detach [--stop]`."""
        stop = arguments == ["--stop"]
        _exactly(arguments, 1 if stop else 0, "detach [--stop]")
        kernel = self._attachment.detach(stop=stop)
        if kernel is None:
            self._say("Cells run in Colab's own Python already.")
            return
        self._say("From the next cell on, cells run in Colab's own Python.")
        if not stop and kernel.alive:
            keeps = f"The kernel of '{kernel.name}' keeps its variables and its memory; "
            self._say(f"{keeps}`%colabenv attach {kernel.name}` goes back to it.")

    def restart(self, arguments: list[str]) -> None:
        """`restart`."""
        _exactly(arguments, 0, "restart")
        self._say("Started anew; its variables are gone.\n" + _where(self._attachment.restart()))

    def status(self, arguments: list[str]) -> None:
        """`status`."""
        _exactly(arguments, 0, "status")
        current = self._attachment.current
        self._say(_where(current) if current else f"Cells run in Colab's own Python {_version()}.")
        others = [kernel for kernel in self._attachment.kernels if kernel is not current]
        if others:
            names = ", ".join(f"{kernel.name} ({_state(kernel)})" for kernel in others)
            self._say(f"Also started: {names}. `%%env NAME` runs one cell there.")

    def why(self, arguments: list[str]) -> None:
        """`why [--always | --never]`."""
        from colabenv.notebook import why  # noqa: PLC0415 - loading the extension stays cheap

        if arguments not in ([], ["--always"], ["--never"]):
            raise UsageError("This needs the form `%colabenv why [--always | --never]`.")
        doctor = self._doctor or why.Doctor()
        if not arguments:
            kernel = self._attachment.last
            self._say(doctor.explain(why.capture_in_kernel(kernel) if kernel else capture.capture_failure()))
            return
        self.silence()
        if arguments == ["--always"]:
            self._explain = why.explain_import_errors(self._shell, doctor, self._say)
            self._attachment.explains = lambda kernel: why.summarize_kernel_failure(kernel, doctor)
            self._say("From now on two lines under each ImportError say why; `%colabenv why` says more.")
        else:
            self._say("Failures are left as they are; `%colabenv why` explains the last one.")

    def silence(self) -> None:
        """End what `why --always` began."""
        if self._explain is not None:
            self._shell.events.unregister("post_run_cell", self._explain)
        self._explain = self._attachment.explains = None

    def help(self, arguments: list[str]) -> None:
        """`help`."""
        _exactly(arguments, 0, "help")
        self._say(_USAGE)

    def _go_on_in(self, kernel: EnvironmentKernel) -> None:
        self._say("From the next cell on, c" + _where(kernel).removeprefix("C"))


def parse_up(arguments: list[str]) -> tuple[str, dict[str, Any]]:
    """Read the arguments of `%colabenv up`.

    Args:
        arguments: as split by a shell.

    Returns:
        The profile, and the options as `colabenv.up` takes them.

    Raises:
        UsageError: if there is not exactly one profile, or an option is not known.
    """
    profiles: list[str] = []
    options: dict[str, Any] = {}
    rest = iter(arguments)
    for argument in rest:
        if not argument.startswith("-"):
            profiles.append(argument)
            continue
        flag, _, value = argument.removeprefix("--").partition("=")
        key = flag.replace("-", "_")
        if key in _FLAGS and not value:
            options[key] = True
        elif key in _VALUES:
            options[key] = value or next(rest, "")
        else:
            known = ", ".join("--" + name.replace("_", "-") for name in sorted(_FLAGS | _VALUES))
            raise UsageError(f"`%colabenv up` does not know {argument}.", hint=f"It knows {known}.")
        if options[key] == "":
            raise UsageError(f"--{flag} needs a value.")
    (profile,) = _exactly(profiles, 1, "up PROFILE [options]")
    return profile, options


def _exactly(arguments: list[str], count: int, usage: str) -> list[str]:
    if len(arguments) != count:
        raise UsageError(f"This needs the form `%colabenv {usage}`.")
    return arguments


def _where(kernel: EnvironmentKernel) -> str:
    language = kernel.info.get("language_info", {})
    version = f"{str(language.get('name', '')).capitalize()} {language.get('version', '')}".strip()
    return f"Cells run in environment '{kernel.name}' ({version}, process {kernel.pid}, {_state(kernel)})."


def _state(kernel: EnvironmentKernel) -> str:
    return "running" if kernel.alive else "not running: `%colabenv restart` starts it again"


def _version() -> str:
    return sys.version.split()[0]


def _say(text: str) -> None:
    from colabenv.output.console import Console  # noqa: PLC0415 - loading the extension stays cheap

    Console().note(text.rstrip())


def _up(profile: str, **options: Any) -> Any:
    from colabenv.notebook.api import up  # noqa: PLC0415 - building is needed by this verb only

    return up(profile, attach=not options.get("switch"), **options)


def _without_traceback(error: ColabenvError) -> ColabenvError:
    """The same error, shown by IPython as its own text: our stack says nothing to a person."""
    lines = [line for line in (error.message, error.hint, error.detail) if line]
    error._render_traceback_ = lambda: ["\n".join(lines)]  # type: ignore[attr-defined]
    return error
