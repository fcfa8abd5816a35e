"""Stands in for colabenv inside an environment, where it is not installed: `!python -m colabenv …` works there too.

Standard library only, CPython 3.8. A copy is the package `colabenv` that every environment sees last on its path. It
hands each command to the Python that colabenv was run with.
"""

from __future__ import annotations

import json
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def build_command(arguments: list[str]) -> tuple[list[str], dict[str, str]]:
    """The command line and the variables that run colabenv outside of this environment.

    Args:
        arguments: colabenv's own.
    """
    with open(os.path.join(_ROOT, "settings.json"), encoding="utf-8") as file:
        python = json.load(file)["base_python"]
    prefix = os.path.dirname(_ROOT)
    variables = {
        name: value for name, value in os.environ.items() if name not in {"VIRTUAL_ENV", "PYTHONNOUSERSITE"}
    }
    paths = variables.get("PATH", "").split(":")
    variables["PATH"] = ":".join(path for path in paths if path != prefix + "/bin")
    # Tells `up` that the notebook need not be switched any more.
    variables["COLABENV_INSIDE"] = prefix
    return [python, "-m", "colabenv", *arguments], variables


def main() -> NoReturn:
    """Become colabenv."""
    argv, variables = build_command(sys.argv[1:])
    try:
        os.execve(argv[0], argv, variables)
    except OSError as error:
        sys.exit(
            "colabenv: the Python that colabenv was installed in is gone (%s: %s)" % (argv[0], error.strerror)
        )


def run_colabenv(arguments: list[str]) -> int:
    """Run colabenv, showing its output in the cell as it comes; its exit code."""
    import subprocess

    argv, variables = build_command(arguments)
    process = subprocess.Popen(argv, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    for line in process.stdout or ():
        sys.stdout.write(line.decode("utf-8", "replace"))
        sys.stdout.flush()
    return process.wait()


class CommandError(RuntimeError):
    """colabenv has shown its error already, so IPython need not show a traceback."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


def up(profile: str, **options: Any) -> None:
    """`colabenv.up` in a notebook that runs in an environment: the same command, in the Python it belongs to."""
    options.pop("restart", None)  # this notebook runs in an environment already
    arguments = ["up"]
    for name, value in options.items():
        flag = "--" + name.replace("_", "-")
        if value is not None and value is not False:
            arguments.append(flag if value is True else "%s=%s" % (flag, value))
    if run_colabenv([*arguments, "--", profile]):
        raise CommandError("colabenv up failed; the error is shown above.")


def ask_doctor(patience: float, options: list[str]) -> tuple[int, str]:
    """What the doctor says about the last failure: its exit code (None in time: -1) and its output."""
    import importlib
    import subprocess
    import tempfile

    snapshot = importlib.import_module(__name__ + ".capture")
    handle, name = tempfile.mkstemp(prefix="colabenv-", suffix=".json")
    try:
        with os.fdopen(handle, "w") as file:
            file.write(snapshot.capture_as_json())
        errors = subprocess.DEVNULL if "--json" in options else subprocess.STDOUT
        argv, variables = build_command(["doctor", "--quick", "--snapshot", name, *options])
        done = subprocess.run(
            argv, env=variables, stdout=subprocess.PIPE, stderr=errors, timeout=patience, check=False
        )
        return done.returncode, done.stdout.decode("utf-8", "replace")
    except subprocess.TimeoutExpired:
        return -1, "The doctor did not answer in time."
    finally:
        os.remove(name)


def explain_import_error(result: Any) -> None:
    """Two lines under an ImportError, where the doctor knows the cause; never anything else."""
    if not isinstance(getattr(result, "error_in_exec", None), ImportError):
        return
    try:
        findings = json.loads(ask_doctor(10.0, ["--json"])[1])["findings"]
        first = next(one for one in findings if one["code"] != "CE901")
    except (Exception, KeyboardInterrupt):  # noqa: BLE001 - the cell's own failure is all that may be seen of this
        return
    mends = first["commands"][:1] or ["`%colabenv why` says more."]
    sys.stdout.write("colabenv: %s [%s]\n          %s\n" % (first["what"], first["code"], mends[0]))


def load_ipython_extension(shell: Any) -> None:
    """`%load_ext colabenv` where the cells run in an environment already: there is nothing to attach."""
    here = "These cells already run in a colabenv environment: %s\n" % os.path.dirname(_ROOT)

    def line(text: str) -> None:
        """`why` asks the doctor, and colabenv itself runs its commands; there is no other kernel here to attach."""
        import shlex

        words = shlex.split(text)
        if words == ["why"]:
            if getattr(sys, "last_value", None) is None:
                sys.stdout.write("No cell has failed yet.\n")
            else:
                sys.stdout.write(ask_doctor(120.0, [])[1])
        elif words in (["why", "--always"], ["why", "--never"]):
            if explain_import_error in shell.events.callbacks["post_run_cell"]:
                shell.events.unregister("post_run_cell", explain_import_error)
            if words[1] == "--always":
                shell.events.register("post_run_cell", explain_import_error)
        elif words[:1] in ([], ["attach"], ["detach"], ["restart"], ["status"], ["why"], ["help"]):
            sys.stdout.write(here)
        elif run_colabenv(words) > 1:  # 1 is what the doctor returns if it finds something
            raise CommandError("colabenv %s failed; the error is shown above." % words[0])

    def base(text: str, cell: str) -> None:
        """`%%base` needs the base's own kernel behind this notebook."""
        del text, cell
        raise RuntimeError(
            "%s. %%%%base needs a notebook on Colab's own kernel; here run: !%s" % (here.strip(), own)
        )

    own = build_command([])[0][0]
    shell.register_magic_function(line, magic_kind="line", magic_name="colabenv")
    shell.register_magic_function(base, magic_kind="cell", magic_name="base")
    sys.stdout.write(here)
