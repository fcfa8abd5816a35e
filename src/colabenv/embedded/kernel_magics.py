"""What an environment's kernel answers itself: `%tensorflow_version`, `%conda`, and the end of the kernel.

Standard library and IPython only, Python 3.6 syntax. Every environment holds a copy beside the launcher, which runs it
once the kernel is complete.
"""

import os
import re
import sys
import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_TENSORFLOW = re.compile(r"(?:tensorflow|tensorflow_gpu|tensorflow_cpu|tf_nightly\w*)-(\d[^-]*)\.dist-info$")


def register(shell: "Any", prefix: str) -> None:
    """Register the magics in a shell of the environment at `prefix`."""

    def tensorflow_version(line: str) -> None:
        """Print the environment's TensorFlow."""
        sys.stdout.write(describe_tensorflow(line, find_tensorflow(prefix)) + "\n")

    def conda(line: str) -> None:
        """Explain that this is not a conda environment."""
        shell.system("conda " + line)

    shell.register_magic_function(tensorflow_version, "line", "tensorflow_version")
    for name in ("conda", "mamba", "micromamba"):
        shell.register_magic_function(conda, "line", name)
    running = []  # type: list[bool]
    shell.events.register("pre_run_cell", lambda *_: running.append(True))
    shell.events.register("post_run_cell", lambda *_: running.clear())
    main = threading.current_thread()

    def close(change: "Any") -> None:
        """Run no more cells if a cell ends the kernel; those that follow are for the next kernel."""
        if change["new"] and running and threading.current_thread() is main:
            shell.kernel.shell_handlers["execute_request"] = _wait_for_end
            sys.stdout.write(
                "colabenv: this kernel ends here; the next cell runs in a new one, without the variables.\n"
            )

    shell.observe(close, "exit_now")


def find_tensorflow(prefix: str) -> str:
    """The version of the TensorFlow in an environment, or ""."""
    root = os.path.join(prefix, "lib")
    for python in sorted(os.listdir(root)):
        site_packages = os.path.join(root, python, "site-packages")
        for entry in sorted(os.listdir(site_packages)) if os.path.isdir(site_packages) else ():
            match = _TENSORFLOW.match(entry)
            if match:
                return match[1]
    return ""


def describe_tensorflow(line: str, version: str) -> str:
    """What `%tensorflow_version LINE` prints in an environment with this version."""
    if not version:
        return "colabenv: this environment has no TensorFlow. Add it to the profile and run `%colabenv up` again."
    answer = f"TensorFlow {version} of this environment is selected."
    asked = re.match(r"\s*(\d+)", line)
    if asked and not version.startswith(asked[1] + "."):
        answer += f" The notebook asks for {line.strip()}: edit the profile and run `%colabenv up` again."
    return answer


async def _wait_for_end(*request: object) -> None:
    """Accept a request and do nothing until the process ends."""
    import asyncio

    del request
    await asyncio.sleep(60)
