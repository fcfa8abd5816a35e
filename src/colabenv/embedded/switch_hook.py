"""Runs in Colab's own Python when the session's default kernel starts, and lets the environment's kernel start instead.

Standard library only. A copy lies in COLABENV_HOME/switch; the one small file that `colabenv switch` adds to the base
reads it at start-up, and only where the process is a kernel. Whatever is wrong, Colab's own kernel starts: a session
must never be lost to colabenv.
"""

from __future__ import annotations

import json
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Names the process that is on its way back to Colab's own kernel, so that this file lets it pass. It is not a mere
#: flag, since a `.pth` file is read twice in a virtual environment, and since children inherit it.
_BACK = "COLABENV_SWITCH_BACK"
#: Starts of one kernel that died before it was ready, until Colab's own is started.
_TRIES = 2


def main(folder: str) -> None:
    """Become the environment's kernel, or return and let Colab's own start.

    Args:
        folder: COLABENV_HOME/switch.
    """
    if os.environ.get(_BACK) == str(os.getpid()):
        return
    try:
        with open(os.path.join(folder, "state.json"), encoding="utf-8") as file:
            state = json.load(file)
        arguments = parse_kernel_arguments(sys.orig_argv)
        attempts = find_attempts_file(folder, arguments)
        reason = find_obstacle(state) or count_failed_starts(attempts)
        if reason is None:
            reason = become_environment_kernel(folder, state, arguments, attempts)
        become_base_kernel(folder, state, reason)
    except Exception as error:  # noqa: BLE001 - nothing here may keep Colab's own kernel from starting
        sys.stderr.write("colabenv: the switch failed (%r); Colab's own kernel starts\n" % error)


def parse_kernel_arguments(argv: list[str]) -> list[str]:
    """What follows the module's name on a kernel's command line: `-f` and the connection file, mostly."""
    return argv[argv.index("-m") + 2 :]


def find_attempts_file(folder: str, arguments: list[str]) -> str:
    """Where failed starts of this kernel are counted. A restarted kernel keeps its connection file."""
    connection = arguments[arguments.index("-f") + 1] if "-f" in arguments[:-1] else "kernel"
    return os.path.join(folder, "attempts", os.path.basename(connection))


def find_obstacle(state: dict[str, Any]) -> str | None:
    """Why the environment cannot start, as far as files tell."""
    prefix = state["prefix"]
    if not os.path.isdir(prefix):
        return "its folder %s is gone" % prefix
    for name in ("stamp.json", "bin/python", "colabenv/launcher.py", "colabenv/settings.json"):
        if not os.path.exists(os.path.join(prefix, name)):
            return "%s is missing in its folder %s" % (name, prefix)
    return None


def count_failed_starts(attempts: str) -> str | None:
    """Why it is not tried again, if it died too often before it was ready."""
    try:
        with open(attempts, encoding="utf-8") as file:
            count = len(file.read())
    except OSError:
        return None
    return "its kernel died %d times before it was ready" % count if count >= _TRIES else None


def become_environment_kernel(folder: str, state: dict[str, Any], arguments: list[str], attempts: str) -> str:
    """Become the environment's kernel; returns only if that cannot be, with the reason."""
    os.makedirs(os.path.dirname(attempts), exist_ok=True)
    with open(attempts, "a", encoding="utf-8") as file:
        file.write(".")
    python = os.path.join(state["prefix"], "bin", "python")
    launcher = os.path.join(state["prefix"], "colabenv", "launcher.py")
    back = {
        "argv": build_base_command(folder),
        "environ": dict(os.environ),
        "notice": os.path.join(folder, "notice.json"),
    }
    environ = dict(os.environ)
    notice = {"name": state["name"], "profile": state["profile"]}
    environ["COLABENV_TAKEOVER"] = json.dumps({"attempts": attempts, "back": back, "notice": notice})
    try:
        os.execve(python, [python, "-I", "-S", launcher, *arguments], environ)
    except OSError as error:
        return "its Python %s does not start (%s)" % (python, error.strerror)


def become_base_kernel(folder: str, state: dict[str, Any], reason: str) -> None:
    """Start Colab's own kernel, which says in its first cell why."""
    with open(os.path.join(folder, "notice.json"), "w", encoding="utf-8") as file:
        json.dump({"name": state["name"], "profile": state["profile"], "reason": reason}, file)
    environ = dict(os.environ)
    environ[_BACK] = str(os.getpid())
    command = build_base_command(folder)
    os.execve(command[0], command, environ)


def build_base_command(folder: str) -> list[str]:
    """The command line of Colab's own kernel, made to say the notice in its first cell."""
    show = "__import__('runpy').run_path(%r)['show']()" % os.path.join(folder, "notice.py")
    return [sys.executable, *sys.orig_argv[1:], "--InteractiveShellApp.code_to_run=" + show]
