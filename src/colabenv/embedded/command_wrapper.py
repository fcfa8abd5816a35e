"""Stands before pip, uv, conda, apt and a few other programs on the PATH of an environment's kernel.

A notebook's own lines are written for a machine with one Python. Here they act on the environment, and lines that would
change the machine's Python explain why they have no effect. Standard library only, Python 3.6 syntax; every
environment holds a copy beside the launcher, and shell scripts in its folder `bin` run it as
`python -I -S command_wrapper.py PROGRAM ARGUMENTS`.
"""

import os
import re
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, NoReturn

_FOLDER = os.path.dirname(os.path.abspath(__file__))
_PREFIX = os.path.dirname(_FOLDER)
#: The programs that have a wrapper, besides those of pip that name a Python.
PROGRAMS = (
    *("pip", "pip3", "uv", "conda", "mamba", "micromamba", "sudo"),
    *("apt", "apt-get", "aptitude", "update-alternatives", "ln"),
)
_PYTHON_PATH = re.compile(r"/(?:usr/(?:local/)?)?bin/(?:python|pip)[\d.]*$")
_PYTHON_PACKAGE = re.compile(
    r"python(?P<version>[23](?:\.\d+)?)?(?:-(?:minimal|full|dev|venv|distutils|lib2to3|pip|is-python3))*(?:[=/:].*)?$"
)
_SUDO_WITH_VALUE = frozenset(("-u", "-g", "-h", "-p", "-C", "-r", "-t", "-T", "-U", "-D", "-R"))


def main() -> int:
    """Run or answer the command line; returns the exit status."""
    program, arguments = sys.argv[1], sys.argv[2:]
    try:
        return run_command(program, arguments)
    except KeyboardInterrupt:
        return 130


def run_command(program: str, arguments: "list[str]", sudo: "Sequence[str]" = ()) -> int:
    """Run or answer a command; `sudo` are the words of a `sudo` before it."""
    if program == "uv" or re.match(r"pip[\d.]*$", program):
        return run_installer("uv" if program == "uv" else "pip", arguments)
    if program in ("conda", "mamba", "micromamba"):
        say(
            f"`{program}` has no effect here: {describe_environment()} is not a conda environment. "
            "Install packages with pip, or list them in the profile."
        )
        return 0
    if program in ("apt", "apt-get", "aptitude"):
        return run_apt(program, arguments, sudo)
    if program in ("update-alternatives", "ln") and changes_python(program, arguments):
        say(
            f"`{program}` would change the Python of the machine, on which Colab's own kernel depends, so nothing "
            f"was changed. Cells run in {describe_environment()}."
        )
        return 0
    if program == "sudo":
        words, command = split_sudo(arguments)
        if command and is_wrapped(command[0]):
            return run_command(command[0], command[1:], ["sudo", *words])
    return become(program, arguments, sudo)


def is_wrapped(program: str) -> bool:
    """Whether a program, named without a folder, has a wrapper."""
    return program in PROGRAMS or re.match(r"pip3\.\d+$", program) is not None


def split_sudo(arguments: "list[str]") -> "tuple[list[str], list[str]]":
    """The options and variables of `sudo`, and the command that it runs."""
    position = 0
    while position < len(arguments):
        word = arguments[position]
        if word == "--":
            return arguments[:position], arguments[position + 1 :]
        if not word.startswith("-") and not re.match(r"[A-Za-z_]\w*=", word):
            break
        position += 2 if word in _SUDO_WITH_VALUE else 1
    return arguments[:position], arguments[position:]


def changes_python(program: str, arguments: "Sequence[str]") -> bool:
    """Whether `update-alternatives` or `ln` would replace a `python` or `pip` of the machine."""
    if program == "ln":
        return _PYTHON_PATH.match(arguments[-1]) is not None if arguments else False
    names = ("python", "python3", "python2", "pip", "pip3")
    return any(word in names or _PYTHON_PATH.match(word) for word in arguments) and not any(
        word in ("--display", "--list", "--query", "--get-selections") for word in arguments
    )


def run_apt(program: str, arguments: "list[str]", sudo: "Sequence[str]" = ()) -> int:
    """Run apt without the packages that would change or repeat this Python, or explain that there is nothing left."""
    verb = next((word for word in arguments if not word.startswith("-")), "")
    pythons = find_pythons(arguments)
    if not pythons or verb not in ("install", "remove", "purge", "autoremove", "reinstall"):
        become(program, arguments, sudo)
    if verb in ("remove", "purge", "autoremove"):
        say(
            f"`{program} {verb} {' '.join(pythons)}` would remove the Python of the machine, on which Colab's own "
            "kernel depends, so nothing was removed."
        )
        return 0
    own = "python{}.{}".format(*sys.version_info[:2])
    answered = [word for word in pythons if word == own or word.startswith(own + "-")]
    others = [word for word in pythons if word not in answered and "." in word]
    if answered:
        say(f"{' '.join(answered)}: cells already run in {describe_environment()}.")
    if others:
        say(
            f"{' '.join(others)} does not change the Python of this notebook: cells run in {describe_environment()}."
        )
    rest = [word for word in arguments if word not in answered]
    if all(word == verb or word.startswith("-") for word in rest):
        return 0
    return become(program, rest, sudo)


def find_pythons(arguments: "Sequence[str]") -> "list[str]":
    """The packages of apt that are a Python interpreter, or belong to one."""
    return [word for word in arguments if _PYTHON_PACKAGE.match(word)]


def run_installer(tool: str, arguments: "list[str]") -> int:
    """Run pip or uv for this environment, except for what its lock decides."""
    verb_index = find_verb(tool, arguments)
    verb = arguments[verb_index] if verb_index is not None else ""
    if verb_index is None or verb not in ("install", "uninstall"):
        become_installer(tool, arguments)
    sys.path.append(_FOLDER)
    import install_lines

    sys.path.append(find_site_packages())
    state = read_state()
    if not state.pins:
        become_installer(tool, arguments)
    decide = install_lines.plan_install if verb == "install" else install_lines.plan_uninstall
    try:
        plan = decide(arguments[verb_index + 1 :], state, read_requirements, tool)
    except ImportError:  # pip, whose copy of packaging is used, was removed
        return become_installer(tool, arguments)
    for message in plan.messages:
        say(message)
    if plan.words is None:
        return 0
    words = [*arguments[:verb_index], verb, *plan.words]
    if verb == "uninstall":
        become_installer(tool, words)
    import shutil
    import tempfile

    folder = tempfile.mkdtemp(prefix="colabenv-")
    try:
        texts = dict(plan.files, constraints="\n".join(state.list_constraints()) + "\n")
        paths = {}
        for number, (placeholder, text) in enumerate(texts.items()):
            paths[placeholder] = os.path.join(folder, f"{number}.txt")
            with open(paths[placeholder], "w", encoding="utf-8") as file:
                file.write(text)
        words = [paths.get(word, word) for word in words]
        status = wait_for_installer(tool, [*words, "-c", paths["constraints"]])
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if status == 1 and plan.wanted:
        say(
            f"{' '.join(plan.wanted)[:200]}: the installation failed. It may not change what "
            f"{describe_environment()} pins. If its requirements contradict those versions, add it to the profile and "
            "run `%colabenv up` again, or install it without its requirements (`--no-deps`)."
        )
    return status


def read_state() -> "Any":
    """The `install_lines.State` of this environment."""
    import json

    import install_lines

    stamp = {}  # type: dict[str, Any]
    settings = {}  # type: dict[str, Any]
    for path, target in (
        (os.path.join(_PREFIX, "stamp.json"), stamp),
        (os.path.join(_FOLDER, "settings.json"), settings),
    ):
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                target.update(json.load(file))
    pins = {}
    lock = os.path.join(_PREFIX, "lock.txt")
    if os.path.exists(lock):
        with open(lock, encoding="utf-8") as file:
            for line in file:
                pin = re.match(r"([A-Za-z0-9][A-Za-z0-9._-]*)==([^\s;\\]+)", line)
                if pin:
                    pins[install_lines.normalize(pin[1])] = pin[2]
    site_packages = find_site_packages()
    folders = {}  # type: dict[str, tuple[str, str]]
    for entry in sorted(os.listdir(site_packages)):
        match = re.match(r"(.+?)-(\d[^-]*)(?:-py[\d.]+)?\.(?:dist|egg)-info$", entry)
        if match:
            folders[install_lines.normalize(match[1])] = (match[2], os.path.join(site_packages, entry))

    def find_extra(name: str, extra: str) -> "list[Any]":
        return _read_extra(folders[name][1], extra) if name in folders else []

    return install_lines.State(
        pins,
        {name: version for name, (version, _) in folders.items()},
        name=stamp.get("name", ""),
        profile=stamp.get("profile", ""),
        constraints=settings.get("constraints", ()),
        find_extra=find_extra,
    )


def find_site_packages() -> str:
    """The environment's site-packages folder."""
    return os.path.join(_PREFIX, "lib", "python{}.{}".format(*sys.version_info[:2]), "site-packages")


def _read_extra(info: str, extra: str) -> "list[Any]":
    """The requirements that an extra adds, from a distribution's metadata."""
    import install_lines

    found = []
    try:
        with open(os.path.join(info, "METADATA"), encoding="utf-8", errors="replace") as file:
            for line in file:
                if not line.strip():
                    break
                if line.startswith("Requires-Dist:") and "extra" in line:
                    requirement = install_lines.parse_requirement(line.partition(":")[2])
                    if requirement is not None and requirement.marker is not None:
                        marker = requirement.marker
                        if marker.evaluate({"extra": extra}) and not marker.evaluate({"extra": ""}):
                            found.append(requirement)
    except OSError:
        pass
    return found


def find_verb(tool: str, arguments: "Sequence[str]") -> "int | None":
    """Where the command (`install`, `list` …) of a command line of pip, or of `uv pip`, is."""
    positions = [number for number, word in enumerate(arguments) if not word.startswith("-")]
    if tool == "pip":
        return positions[0] if positions else None
    if positions and arguments[positions[0]] == "pip":
        return positions[1] if len(positions) > 1 else None
    return None


def read_requirements(path: str) -> "str | None":
    """The text of a requirements file, also of one on the web; None if it cannot be read."""
    try:
        if re.match(r"https?://", path):
            import urllib.request

            with urllib.request.urlopen(path, timeout=20) as answer:  # noqa: S310 - as pip would
                return str(answer.read(1000000).decode("utf-8", "replace"))
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except (OSError, ValueError):
        return None


def build_installer_command(tool: str, arguments: "Sequence[str]") -> "list[str]":
    """The command line of the environment's pip, or of uv with this environment as its target."""
    python = os.path.join(_PREFIX, "bin", "python")
    if tool == "pip":
        # As a folder and not with `-m`, which this wrapper answers.
        return [python, os.path.join(find_site_packages(), "pip"), *arguments]
    words = [word for word in arguments if word != "--system"]
    if find_verb(tool, arguments) is not None and not any(
        word in ("-p", "--python") or word.startswith("--python=") for word in words
    ):
        words += ["--python", python]
    return [find_program("uv"), *words]


def become_installer(tool: str, arguments: "Sequence[str]") -> "NoReturn":
    """Replace this process by pip or uv."""
    command = build_installer_command(tool, arguments)
    os.execve(command[0], command, dict(os.environ, PIP_DISABLE_PIP_VERSION_CHECK="1"))


def wait_for_installer(tool: str, arguments: "Sequence[str]") -> int:
    """Run pip or uv, and return its exit status; an interrupt is for the installer."""
    import signal
    import subprocess

    signal.signal(signal.SIGINT, lambda *_: None)
    command = build_installer_command(tool, arguments)
    return subprocess.call(command, env=dict(os.environ, PIP_DISABLE_PIP_VERSION_CHECK="1"))


def become(program: str, arguments: "Sequence[str]", sudo: "Sequence[str]" = ()) -> "NoReturn":
    """Replace this process by a program of the machine; `sudo` are the words before it."""
    words = [*sudo, program, *arguments]
    words[0] = find_program(words[0])
    os.execve(words[0], words, os.environ)


def find_program(name: str) -> str:
    """The path of a program of the machine or the environment; without one, this process ends as a shell would."""
    own = os.path.join(_FOLDER, "bin")
    for folder in os.environ.get("PATH", "").split(":"):
        path = os.path.join(folder, name)
        if os.path.abspath(folder or ".") != own and os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    sys.stderr.write(f"bash: {name}: command not found\n")
    sys.exit(127)


def describe_environment() -> str:
    """Such as "environment 'lesson' (Python 3.7.9)"."""
    import json

    try:
        with open(os.path.join(_PREFIX, "stamp.json"), encoding="utf-8") as file:
            name = f"environment '{json.load(file)['name']}'"
    except (OSError, ValueError, KeyError):
        name = "this environment"
    return "{} (Python {}.{}.{})".format(name, *sys.version_info[:3])


def say(text: str) -> None:
    """Print a line of colabenv's."""
    sys.stdout.write(f"colabenv: {text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
