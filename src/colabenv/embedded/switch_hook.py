"""Becomes the environment's kernel when the session's default kernel starts.

Standard library only, Python 3.6 syntax. `colabenv switch` puts a copy into COLABENV_HOME/switch and one small file
into the base, which calls `main` when a kernel process starts. Whatever goes wrong, Colab's own kernel starts: colabenv
must never make a session unusable.
"""

import json
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Holds the number of the process that is becoming Colab's own kernel, so that this hook lets it pass. A flag is not
#: enough: a virtual environment reads a `.pth` file twice, and children inherit variables.
_BACK_VARIABLE = "COLABENV_SWITCH_BACK"
#: Tells the launcher how to return to Colab's own kernel. launcher.py has the same two names.
_TAKEOVER_VARIABLE = "COLABENV_TAKEOVER"
_MAX_FAILED_STARTS = 2  # after so many deaths before it is ready, Colab's own kernel starts


def main(folder: str) -> None:
    """Become the environment's kernel, or return and let Colab's own start; `folder` is COLABENV_HOME/switch."""
    if os.environ.get(_BACK_VARIABLE) == str(os.getpid()):
        return
    try:
        with open(os.path.join(folder, "state.json"), encoding="utf-8") as file:
            state = json.load(file)
        arguments = parse_kernel_arguments(sys.orig_argv)
        attempts = find_attempts_file(folder, arguments)
        reason = find_obstacle(state["prefix"], attempts)
        if reason is None:
            reason = become_environment_kernel(folder, state, arguments, attempts)
        become_base_kernel(folder, state, reason)
    except Exception as error:  # noqa: BLE001 - Colab's own kernel must start in any case
        sys.stderr.write(f"colabenv: the switch failed ({error!r}); Colab's own kernel starts\n")


def parse_kernel_arguments(argv: "list[str]") -> "list[str]":
    """What follows the module's name on a kernel's command line, usually `-f` and the connection file."""
    return argv[argv.index("-m") + 2 :]


def find_attempts_file(folder: str, arguments: "list[str]") -> str:
    """The file that counts failed starts of this kernel. A restarted kernel keeps its connection file."""
    connection = arguments[arguments.index("-f") + 1] if "-f" in arguments[:-1] else "kernel"
    return os.path.join(folder, "attempts", os.path.basename(connection))


def find_obstacle(prefix: str, attempts: str) -> "str | None":
    """Why the environment's kernel cannot start, or None."""
    if not os.path.isdir(prefix):
        return f"its folder {prefix} is gone"
    for name in ("stamp.json", "bin/python", "colabenv/launcher.py", "colabenv/settings.json"):
        if not os.path.exists(os.path.join(prefix, name)):
            return f"its folder {prefix} has no {name}"
    failed_starts = os.path.getsize(attempts) if os.path.exists(attempts) else 0
    if failed_starts >= _MAX_FAILED_STARTS:
        return f"its kernel died {failed_starts} times while it started"
    return None


def become_environment_kernel(
    folder: str, state: "dict[str, Any]", arguments: "list[str]", attempts: str
) -> str:
    """Become the environment's kernel; returns the reason if its Python does not start."""
    os.makedirs(os.path.dirname(attempts), exist_ok=True)
    with open(attempts, "a", encoding="utf-8") as file:
        file.write(".")
    python = os.path.join(state["prefix"], "bin", "python")
    launcher = os.path.join(state["prefix"], "colabenv", "launcher.py")
    notice_file = os.path.join(folder, "notice.json")
    back = {"argv": build_base_command(folder), "environ": dict(os.environ), "notice": notice_file}
    notice = {"name": state["name"], "profile": state["profile"]}
    takeover = json.dumps({"attempts": attempts, "back": back, "notice": notice})
    command = [python, "-I", "-S", launcher, *arguments]
    try:
        os.execve(python, command, dict(os.environ, **{_TAKEOVER_VARIABLE: takeover}))
    except OSError as error:
        return f"its Python {python} does not start ({error.strerror})"


def become_base_kernel(folder: str, state: "dict[str, Any]", reason: str) -> None:
    """Start Colab's own kernel, whose first cell shows why."""
    with open(os.path.join(folder, "notice.json"), "w", encoding="utf-8") as file:
        json.dump({"name": state["name"], "profile": state["profile"], "reason": reason}, file)
    command = build_base_command(folder)
    os.execve(command[0], command, dict(os.environ, **{_BACK_VARIABLE: str(os.getpid())}))


def build_base_command(folder: str) -> "list[str]":
    """The command line of Colab's own kernel, with code that shows the notice in its first cell."""
    notice = os.path.join(folder, "notice.py")
    show = f"__import__('runpy').run_path({notice!r})['show']()"
    return [sys.executable, *sys.orig_argv[1:], "--InteractiveShellApp.code_to_run=" + show]
