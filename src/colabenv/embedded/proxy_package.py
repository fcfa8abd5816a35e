"""The package `colabenv` in every environment, which runs each command with the Python that colabenv is installed in.

Standard library only, Python 3.6 syntax. A copy is the last entry on the environment's path.
"""

import json
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_PREFIX = os.path.dirname(_ROOT)
LOCATION = f"This notebook already runs in the colabenv environment {_PREFIX}."


def build_command(arguments: "list[str]") -> "tuple[list[str], dict[str, str]]":
    """The command line and the variables that run colabenv outside of this environment."""
    with open(os.path.join(_ROOT, "settings.json"), encoding="utf-8") as file:
        python = json.load(file)["base_python"]
    dropped = ("VIRTUAL_ENV", "PYTHONNOUSERSITE", "COLABENV_COMMANDS")
    variables = {name: value for name, value in os.environ.items() if name not in dropped}
    paths = variables.get("PATH", "").split(":")
    own = (_PREFIX + "/bin", _ROOT + "/bin")
    variables["PATH"] = ":".join(path for path in paths if path not in own)
    # Shows `up` and `doctor` that this notebook runs in the environment.
    variables["COLABENV_INSIDE"] = _PREFIX
    return [python, "-m", "colabenv", *arguments], variables


def main() -> "NoReturn":
    """Replace this process with colabenv, run by its own Python."""
    argv, variables = build_command(sys.argv[1:])
    try:
        os.execve(argv[0], argv, variables)
    except OSError as error:
        sys.exit(f"colabenv: the Python that it is installed in does not start ({argv[0]}: {error.strerror})")


def run_colabenv(arguments: "list[str]") -> int:
    """Run colabenv and show its output in the cell as it arrives; returns its exit code."""
    import subprocess

    argv, variables = build_command(arguments)
    process = subprocess.Popen(argv, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    for line in process.stdout or ():
        sys.stdout.write(line.decode("utf-8", "replace"))
        sys.stdout.flush()
    return process.wait()


class CommandError(RuntimeError):
    """colabenv has shown its error already, so IPython need not show a traceback."""

    def _render_traceback_(self) -> "list[str]":
        return [str(self)]


def up(profile: "str | None" = None, **options: "Any") -> None:
    """`colabenv.up` in a notebook that runs in an environment: the same command, with colabenv's own Python."""
    if profile is None:
        sys.stdout.write(LOCATION + "\n")
        return
    options.pop("restart", None)  # this notebook runs in an environment already
    arguments = ["up"]
    for name, value in options.items():
        flag = "--" + name.replace("_", "-")
        if value is not None and value is not False:
            arguments.append(flag if value is True else f"{flag}={value}")
    if run_colabenv([*arguments, "--", profile]):
        raise CommandError("`colabenv up` failed; the reason is above.")


def ask_doctor(timeout: float, options: "list[str]") -> str:
    """The doctor's output about the last failure."""
    import importlib
    import subprocess
    import tempfile

    capture = importlib.import_module(__name__ + ".capture")
    handle, name = tempfile.mkstemp(prefix="colabenv-", suffix=".json")
    try:
        with os.fdopen(handle, "w") as file:
            file.write(capture.capture_as_json())
        errors = subprocess.DEVNULL if "--json" in options else subprocess.STDOUT
        argv, variables = build_command(["doctor", "--quick", "--snapshot", name, *options])
        process = subprocess.run(
            argv, env=variables, stdout=subprocess.PIPE, stderr=errors, timeout=timeout, check=False
        )
        return process.stdout.decode("utf-8", "replace")
    except subprocess.TimeoutExpired:
        return f"The doctor did not answer within {timeout:.0f} seconds. Run the cell again.\n"
    finally:
        os.remove(name)


def explain_import_error(result: "Any") -> None:
    """Print two lines under an ImportError if the doctor knows the cause."""
    if not isinstance(getattr(result, "error_in_exec", None), ImportError):
        return
    try:
        findings = json.loads(ask_doctor(10.0, ["--json"]))["findings"]
        finding = next(finding for finding in findings if finding["code"] != "CE901")
    except (Exception, KeyboardInterrupt):  # noqa: BLE001 - the cell must show its own failure only
        return
    fix = (finding["commands"] or ["For the full explanation: %colabenv why"])[0]
    sys.stdout.write(f"colabenv: {finding['what']} [{finding['code']}]\n          {fix}\n")


def load_ipython_extension(shell: "Any") -> None:
    """`%load_ext colabenv` in a notebook that runs in an environment already: there is nothing to attach."""

    def line(text: str, cell: "str | None" = None) -> None:
        """Run colabenv's commands and `why`; this notebook has no other kernel to attach or detach."""
        import shlex

        words = shlex.split(text) if cell is None else ["up"]
        if words == ["why"]:
            if getattr(sys, "last_value", None) is None:
                sys.stdout.write("No cell has failed yet.\n")
            else:
                sys.stdout.write(ask_doctor(120.0, []))
        elif words in (["why", "--always"], ["why", "--never"]):
            if explain_import_error in shell.events.callbacks["post_run_cell"]:
                shell.events.unregister("post_run_cell", explain_import_error)
            if words[1] == "--always":
                shell.events.register("post_run_cell", explain_import_error)
        elif words == ["up"] or words[:1] in (
            [],
            ["attach"],
            ["detach"],
            ["restart"],
            ["status"],
            ["why"],
            ["help"],
        ):
            sys.stdout.write(LOCATION + "\n")
        elif run_colabenv(words) > 1:  # 1 is what the doctor returns if it finds something
            raise CommandError(f"`colabenv {words[0]}` failed; the reason is above.")

    def base(text: str, cell: str) -> None:
        """Explain that `%%base` needs a notebook that runs on Colab's own kernel."""
        del text, cell
        python = build_command([])[0][0]
        raise RuntimeError(
            f"{LOCATION} %%base needs a notebook on Colab's own kernel. Run instead: !{python}"
        )

    shell.register_magic_function(line, magic_kind="line_cell", magic_name="colabenv")
    shell.register_magic_function(base, magic_kind="cell", magic_name="base")
    sys.stdout.write(LOCATION + "\n")
