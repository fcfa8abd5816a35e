"""Lets `python -m pip` and `python -m uv` in an environment's kernel take the same way as `pip` and `uv`.

Standard library only, Python 3.6 syntax. A copy is on the environment's path as `_colabenv_commands`; the `.pth` file
calls `redirect` at each start of the environment's Python below its kernel, and nowhere else.
"""

import os
import sys


def redirect() -> None:
    """Become the wrapper if this process is `python -m pip` or `python -m uv`; returns otherwise."""
    try:
        if os.environ.get("COLABENV_COMMANDS") != sys.prefix:
            return
        with open("/proc/self/cmdline", "rb") as file:
            words = [os.fsdecode(word) for word in file.read().split(b"\0")[:-1]]
        module, arguments = find_module(words)
        if module in ("pip", "uv"):
            wrapper = os.path.join(sys.prefix, "colabenv", "command_wrapper.py")
            os.execv(sys.executable, [sys.executable, "-I", "-S", wrapper, module, *arguments])
    except (OSError, ValueError):
        pass  # pip itself is better than nothing


def find_module(words: "list[str]") -> "tuple[str, list[str]]":
    """The module that a Python's command line runs with `-m`, or "", and its arguments."""
    position = 1
    while position < len(words) and words[position].startswith("-") and words[position] not in ("-", "--"):
        letters = words[position][1:]
        position += 1
        while letters and not letters.startswith("-"):
            letter, letters = letters[0], letters[1:]
            if letter in "mcWX":
                if not letters:
                    letters = words[position] if position < len(words) else ""
                    position += 1
                if letter == "m":
                    return letters, words[position:]
                if letter == "c":
                    return "", []
                break
    return "", []
