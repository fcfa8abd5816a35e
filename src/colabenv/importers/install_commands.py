"""Find the packages that a notebook's shell commands install with pip, uv, conda or easy_install."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final, Literal
from urllib.parse import unquote

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from packaging.version import InvalidVersion

from colabenv.importers import distribution_names
from colabenv.importers.cells import CellLocation, ShellCommand, find_shell_commands
from colabenv.importers.notebook import Notebook
from colabenv.importers.variables import expand_references, find_assignments
from colabenv.profile.validators import MAX_PARENTHESES, MAX_REQUIREMENT

TargetKind = Literal["package", "address", "folder", "file", "constraints", "unreadable"]
# Options of pip ("pip install" in pip's documentation), uv and conda that take a value.
_WITH_VALUE: Final = re.compile(
    r"-[tifpnc]|--(target|index-url|extra-index-url|find-links|platform|python-version|implementation|abi|root|prefix|src"
    r"|upgrade-strategy|no-binary|only-binary|progress-bar|cache-dir|timeout|log|proxy|retries|trusted-host|cert"
    r"|client-cert|exists-action|python|index|default-index|index-strategy|torch-backend|exclude-newer|name|channel"
    r"|config-settings|global-option|install-option|report|group|root-user-action|override|build-constraint)"
)
_INDEXES: Final = "-i --index-url --extra-index-url --index --default-index -f --find-links".split()  # noqa: SIM905
_TOOLS: Final = re.compile(r"(?:.*/)?(pip[0-9.]*|uv|conda|mamba|micromamba|easy_install)")
_PYTHON: Final = re.compile(r"(?:.*/)?(python[0-9.]*|\{sys\.executable\}|\$\{?PYTHON\}?|\{?executable\}?)")


@dataclass(frozen=True)
class InstallTarget:
    """An argument of an install command."""

    #: "package" (a requirement), "address" (a URL or repository), "folder" (a local path), "file" (a
    #: requirements file, `-r`), "constraints" (`-c`) or "unreadable" (a variable or an invalid requirement)
    kind: TargetKind
    text: str  #: as written without passwords; PEP 508 for a "package"
    location: CellLocation  #: its command
    tool: str = "pip"  #: "pip", "uv", "conda" or "easy_install"
    editable: bool = False  #: it is installed with `-e`

    @property
    def requirement(self) -> Requirement | None:
        """The requirement of a "package"."""
        return Requirement(self.text) if self.kind == "package" else None


@dataclass(frozen=True)
class InstallCommand:
    """An install command."""

    tool: str  #: "pip", "uv", "conda" or "easy_install"
    text: str  #: the command without passwords, at most 300 characters
    location: CellLocation  #: where it is
    targets: tuple[InstallTarget, ...]  #: what it installs, in order
    #: values of `--index-url`, `--extra-index-url` and `--find-links`, possibly with passwords
    indexes: tuple[str, ...] = ()
    options: tuple[str, ...] = ()  #: names of all its options


def find_installs(notebook: Notebook) -> list[InstallCommand]:
    """The install commands of a notebook, in order, with the values of names that it gives a text."""
    installs: list[InstallCommand] = []
    names: dict[str, str] = {}
    for cell in notebook.code:
        names = find_assignments(cell, names)
        for command in find_shell_commands(cell, names):
            expanded = replace(command, text=expand_references(command.text, names))
            installs += parse_install_commands(expanded)
    return installs


def parse_install_commands(command: ShellCommand) -> Iterator[InstallCommand]:
    """The install commands of a shell line, which may contain several (`… && …`)."""
    for words in _split_commands(command.text):
        if install := _split_install(words):
            tool, options = install
            arguments = InstallArguments(tool, command.location)
            arguments.read(options)
            yield InstallCommand(
                tool,
                redact_passwords(command.text.strip())[:300],
                command.location,
                tuple(arguments.targets),
                tuple(arguments.indexes),
                tuple(arguments.options),
            )


def parse_package(text: str, tool: str = "pip") -> str | None:
    """A requirement of pip or conda as PEP 508, or None if it is not valid."""
    if tool == "conda":
        text = _convert_conda_spec(text)
    bare = re.sub(r"^(['\"])(.*)\1$", r"\2", text.strip())
    # Old pips took `>=2.7.*`, which means `>=2.7`.
    bare = re.sub(r"([<>~]=?\s*[0-9][0-9.]*?)\.\*", r"\1", bare)
    if len(bare) > MAX_REQUIREMENT or bare.count("(") > MAX_PARENTHESES or "://" in bare:
        return None
    try:
        return str(Requirement(bare))
    except InvalidRequirement:
        pass
    # `numpy = 1.19` and `numpy=1.19` are common, although pip refuses them.
    corrected = re.sub(r"^([A-Za-z0-9._-]+(?:\[[^\]]*\])?)\s*=\s*([0-9])", r"\1==\2", bare)
    try:
        return str(Requirement(corrected))
    except InvalidRequirement:
        return None


def _convert_conda_spec(text: str) -> str:
    """A requirement for a conda match specification: `numpy==1.19.*` for `conda-forge::numpy=1.19=py37_0`.

    A single `=` matches any release that starts so ("Package match specifications" in conda's documentation).
    """
    bare = re.sub(r"^(['\"])(.*)\1$", r"\2", text.strip()).rpartition("::")[2]
    series = re.fullmatch(r"([A-Za-z0-9_.-]+)(?:\s*=\s*|\s+)([0-9][^=,<>!|\s]*)(?:[=\s]+\S+)?", bare)
    if series:
        return f"{series[1]}=={series[2].rstrip('*').rstrip('.')}.*"
    exact = re.fullmatch(r"([A-Za-z0-9_.-]+)\s*==\s*([^=\s]+)(?:=\S*)?", bare)
    if exact:
        return f"{exact[1]}=={exact[2]}"
    return re.sub(r"(?<=\w) (?=[<>!=])", "", bare).partition("|")[0]


def _split_commands(text: str) -> Iterator[list[str]]:
    """The words of each command of a line, split at `&&`, `||`, `;` and `|`, without comments."""
    # `>` without a space before it is part of a requirement without quotes, although a shell would write a file.
    lexer = shlex.shlex(text, posix=True, punctuation_chars=";&|")
    lexer.whitespace_split = True
    lexer.commenters = ""
    words: list[str] = []
    try:
        for word in lexer:
            if set(word) <= set(";&|"):
                yield words
                words = []
            elif word.startswith("#"):
                break
            else:
                words.append(word)
    except ValueError:  # unbalanced quotes
        words = text.split()
    yield words


def _split_install(words: list[str]) -> tuple[str, list[str]] | None:
    """The tool and arguments of an install command, None for another command."""
    rest = list(words)
    while rest and (rest[0] in ("sudo", "yes", "time", "-H", "exec") or re.match(r"[A-Za-z_]\w*=", rest[0])):
        rest.pop(0)
    if len(rest) > 2 and _PYTHON.fullmatch(rest[0]) and "-m" in rest[1:4]:
        rest = rest[rest.index("-m") + 1 :]
    match = _TOOLS.fullmatch(rest[0]) if rest else None
    if not match:
        return None
    name = match[1]
    if name == "easy_install":
        return name, rest[1:]
    tool = "pip" if name.startswith("pip") else "conda" if "conda" in name or "mamba" in name else "uv"
    verbs = ("install", "add") if tool == "uv" else ("install",)
    verb_index = next((index for index, word in enumerate(rest) if word in verbs and index <= 8), None)
    return None if verb_index is None else (tool, rest[verb_index + 1 :])


@dataclass
class InstallArguments:
    """Parses the arguments of `install`, or a line of options in a requirements file; see `InstallCommand`."""

    tool: str
    location: CellLocation
    targets: list[InstallTarget] = field(default_factory=list)
    indexes: list[str] = field(default_factory=list)
    options: list[str] = field(default_factory=list)
    no_binary: list[str] = field(default_factory=list)

    def read(self, words: list[str]) -> None:
        """Parse words in order."""
        queue = list(words)
        while queue:
            word = queue.pop(0)
            if re.match(r"[0-9&]?>{1,2}|<", word):
                if re.fullmatch(r"[0-9&]?>{1,2}|<", word) and queue:
                    queue.pop(0)  # the file of the redirection
            elif word.startswith("-"):
                self._read_option(word, queue)
            else:
                self._add(word)

    def _read_option(self, word: str, queue: list[str]) -> None:
        name, given, value = word.partition("=")
        if not word.startswith("--") and len(word) > 2 and word[:2] in ("-r", "-c", "-e", "-i", "-f"):
            name, given, value = word[:2], "=", word[2:]
        self.options.append(name)
        files = ("-r", "--requirement", "--requirements", "--file", "-e", "--editable")
        constraints = ("-c", "--constraint", "--constraints") if self.tool != "conda" else ()
        if name in files or name in constraints or _WITH_VALUE.fullmatch(name):
            value = value if given else queue.pop(0) if queue else ""
        if name in ("-e", "--editable"):
            self._add(value, editable=True)
        elif name in files:
            self.targets.append(InstallTarget("file", value, self.location, self.tool))
        elif name in constraints:
            self.targets.append(InstallTarget("constraints", value, self.location, self.tool))
        elif name in _INDEXES and value:
            self.indexes.append(value)
        elif name == "--no-binary":
            self.no_binary += [part for part in value.split(",") if part]

    def _add(self, word: str, editable: bool = False) -> None:
        kind, text = classify_target(word, self.tool)
        self.targets.append(InstallTarget(kind, text, self.location, self.tool, editable))


def classify_target(word: str, tool: str = "pip") -> tuple[TargetKind, str]:
    """The kind and text of an argument; see `InstallTarget`."""
    if re.search(r"[$`{]", word):
        # If only the version is a variable, the name is known.
        name = re.match(r"([A-Za-z0-9][A-Za-z0-9._-]*(?:\[[\w,-]+\])?)\s*(?:[=<>~!]=?)", word)
        return ("package", name[1]) if name else ("unreadable", word)
    if re.search(r"\.whl(#\S*)?$", word) and (requirement := _read_wheel_name(word)):
        return "package", requirement
    if "://" in word or re.match(r"(git|hg|svn|bzr)\+|git@", word):
        return "address", redact_passwords(word)
    if re.match(r"[./~]", word) or re.search(r"\.(whl|zip|tar\.gz|tgz)$", word):
        return "folder", word
    parsed = parse_package(word, tool)
    if parsed is None:
        return "unreadable", word
    return ("address", redact_passwords(word)) if "@ " in parsed else ("package", parsed)


def _read_wheel_name(address: str) -> str:
    """The pin that the address of a wheel means, if the package index has that package; otherwise ""."""
    file = unquote(address.partition("#")[0].rpartition("/")[2])
    try:
        name, version, _, _ = parse_wheel_filename(file)
    except (InvalidWheelFilename, InvalidVersion):
        return ""
    known = name in distribution_names.load_names().known or name in distribution_names.load_wheel_pythons()
    return f"{name}=={version.public}" if known else ""


def redact_passwords(text: str) -> str:
    """`text` without the users and passwords of its URLs."""
    return re.sub(r"(://)[^/@\s'\"]+@", r"\1***@", text)
