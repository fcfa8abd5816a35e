"""The packages that a notebook's commands install: pip, uv, conda and their kind, read and not run. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

from packaging.requirements import InvalidRequirement, Requirement

from colabenv.importers.cells import Command, Place, commands
from colabenv.importers.notebook import Notebook

Kind = Literal["package", "address", "folder", "file", "constraints", "unreadable"]
#: Longest requirement that is parsed; see `profile.validators.MAX_REQUIREMENT`.
_LONGEST: Final = 1000
# pip's options that take a value ("pip install" in pip's documentation), and those of uv and conda.
_WITH_VALUE: Final = re.compile(
    r"-[tifpnc]|--(target|index-url|extra-index-url|find-links|platform|python-version|implementation|abi|root|prefix|src"
    r"|upgrade-strategy|no-binary|only-binary|progress-bar|cache-dir|timeout|log|proxy|retries|trusted-host|cert"
    r"|client-cert|exists-action|python|index|default-index|index-strategy|torch-backend|exclude-newer|name|channel"
    r"|config-settings|global-option|install-option|report|group|root-user-action|override|build-constraint)"
)
_INDEXES: Final = (
    "-i",
    "--index-url",
    "--extra-index-url",
    "--index",
    "--default-index",
    "-f",
    "--find-links",
)
_TOOLS: Final = re.compile(r"(?:.*/)?(pip[0-9.]*|uv|conda|mamba|micromamba|easy_install)")
_PYTHON: Final = re.compile(r"(?:.*/)?(python[0-9.]*|\{sys\.executable\}|\$\{?PYTHON\}?|\{?executable\}?)")


@dataclass(frozen=True)
class Wanted:
    """One thing that an install command asks for.

    Attributes:
        kind: "package" (a requirement), "address" (a URL or a repository), "folder" (of this machine), "file" (a
            requirements file, `-r`), "constraints" (`-c`), or "unreadable" (a variable, or no requirement).
        text: as written, passwords left out; of a "package" in the form of PEP 508, of a "file" its path.
        place: where its command stands.
        tool: "pip", "uv", "conda" or "easy_install".
        editable: whether it was asked for with `-e`.
    """

    kind: Kind
    text: str
    place: Place
    tool: str = "pip"
    editable: bool = False

    @property
    def requirement(self) -> Requirement | None:
        """The requirement of a "package"."""
        return Requirement(self.text) if self.kind == "package" else None


@dataclass(frozen=True)
class Install:
    """One install command.

    Attributes:
        tool: "pip", "uv", "conda" or "easy_install".
        text: the command as written, at most 300 characters of it, passwords left out.
        place: where it stands.
        wanted: what it asks for, in order.
        indexes: the values of `--index-url`, `--extra-index-url` and `--find-links`; they may hold passwords.
        options: the names of all options.
    """

    tool: str
    text: str
    place: Place
    wanted: tuple[Wanted, ...]
    indexes: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


def installs(notebook: Notebook) -> list[Install]:
    """The install commands of a notebook, in order."""
    return [one for cell in notebook.code for command in commands(cell) for one in of_command(command)]


def of_command(command: Command) -> Iterator[Install]:
    """The install commands in a line of a shell, which may hold several (`… && …`)."""
    for words in _simple_commands(command.text):
        if found := _install_words(words):
            tool, arguments = found
            reading = Arguments(tool, command.place)
            reading.read(arguments)
            yield Install(
                tool,
                without_passwords(command.text.strip())[:300],
                command.place,
                tuple(reading.wanted),
                tuple(reading.indexes),
                tuple(reading.options),
            )


def parse_package(text: str, tool: str = "pip") -> str | None:
    """A requirement in the form of PEP 508, from one as pip or conda takes it; None where it is none."""
    if tool == "conda":
        text = _from_conda(text)
    bare = re.sub(r"^(['\"])(.*)\1$", r"\2", text.strip())
    if len(bare) > _LONGEST or bare.count("(") > 20 or "://" in bare:
        return None
    try:
        return str(Requirement(bare))
    except InvalidRequirement:
        pass
    # `numpy = 1.19` and `numpy=1.19`, which pip refuses and people write all the same
    mended = re.sub(r"^([A-Za-z0-9._-]+(?:\[[^\]]*\])?)\s*=\s*([0-9])", r"\1==\2", bare)
    try:
        return str(Requirement(mended))
    except InvalidRequirement:
        return None


def _from_conda(text: str) -> str:
    """A match specification of conda as a requirement: `conda-forge::numpy=1.19=py37_0` is `numpy==1.19.*`.

    By conda's documentation ("Package match specifications") one `=` takes any release that begins so.
    """
    bare = re.sub(r"^(['\"])(.*)\1$", r"\2", text.strip()).rpartition("::")[2]
    found = re.fullmatch(r"([A-Za-z0-9_.-]+)(?:\s*=\s*|\s+)([0-9][^=,<>!|\s]*)(?:[=\s]+\S+)?", bare)
    if found:
        return f"{found[1]}=={found[2].rstrip('*').rstrip('.')}.*"
    exact = re.fullmatch(r"([A-Za-z0-9_.-]+)\s*==\s*([^=\s]+)(?:=\S*)?", bare)
    if exact:
        return f"{exact[1]}=={exact[2]}"
    return re.sub(r"(?<=\w) (?=[<>!=])", "", bare).partition("|")[0]


def _simple_commands(text: str) -> Iterator[list[str]]:
    """The words of each command of a line, split at `&&`, `||`, `;` and `|`; redirections and comments left out."""
    # `>` without a space before it is part of a requirement that lacks its quotes, though a shell writes a file then.
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
    except ValueError:  # a quote that never ends
        words = text.split()
    yield words


def _install_words(words: list[str]) -> tuple[str, list[str]] | None:
    """The tool of an install command and what follows `install`; None for another command."""
    rest = list(words)
    while rest and (rest[0] in ("sudo", "yes", "time", "-H", "exec") or re.match(r"[A-Za-z_]\w*=", rest[0])):
        rest.pop(0)
    if len(rest) > 2 and _PYTHON.fullmatch(rest[0]) and "-m" in rest[1:4]:
        rest = rest[rest.index("-m") + 1 :]
    found = _TOOLS.fullmatch(rest[0]) if rest else None
    if not found:
        return None
    name = found[1]
    if name == "easy_install":
        return name, rest[1:]
    tool = "pip" if name.startswith("pip") else "conda" if "conda" in name or "mamba" in name else "uv"
    verbs = ("install", "add") if tool == "uv" else ("install",)
    at = next((index for index, word in enumerate(rest) if word in verbs and index <= 8), None)
    return None if at is None else (tool, rest[at + 1 :])


@dataclass
class Arguments:
    """Reads what follows `install`, or a line of a requirements file that begins with an option.

    Attributes:
        tool: see `Install`.
        place: where it stands.
        wanted, indexes, options: see `Install`.
        no_binary: the values of `--no-binary`.
    """

    tool: str
    place: Place
    wanted: list[Wanted] = field(default_factory=list)
    indexes: list[str] = field(default_factory=list)
    options: list[str] = field(default_factory=list)
    no_binary: list[str] = field(default_factory=list)

    def read(self, words: list[str]) -> None:
        """Take the words in their order."""
        queue = list(words)
        while queue:
            word = queue.pop(0)
            if re.match(r"[0-9&]?>{1,2}|<", word):
                if re.fullmatch(r"[0-9&]?>{1,2}|<", word) and queue:
                    queue.pop(0)  # the file that the output goes to
            elif word.startswith("-"):
                self._option(word, queue)
            else:
                self._take(word)

    def _option(self, word: str, queue: list[str]) -> None:
        name, given, value = word.partition("=")
        if not word.startswith("--") and len(word) > 2 and word[:2] in ("-r", "-c", "-e", "-i", "-f"):
            name, given, value = word[:2], "=", word[2:]
        self.options.append(name)
        files = ("-r", "--requirement", "--requirements", "--file", "-e", "--editable")
        constraints = ("-c", "--constraint", "--constraints") if self.tool != "conda" else ()
        if name in files or name in constraints or _WITH_VALUE.fullmatch(name):
            value = value if given else queue.pop(0) if queue else ""
        if name in ("-e", "--editable"):
            self._take(value, editable=True)
        elif name in files:
            self.wanted.append(Wanted("file", value, self.place, self.tool))
        elif name in constraints:
            self.wanted.append(Wanted("constraints", value, self.place, self.tool))
        elif name in _INDEXES and value:
            self.indexes.append(value)
        elif name == "--no-binary":
            self.no_binary += [part for part in value.split(",") if part]

    def _take(self, word: str, editable: bool = False) -> None:
        kind, text = classify(word, self.tool)
        self.wanted.append(Wanted(kind, text, self.place, self.tool, editable))


def classify(word: str, tool: str = "pip") -> tuple[Kind, str]:
    """What a word of an install command is, and its text; see `Wanted`."""
    if re.search(r"[$`{]", word):
        # The version is a variable, so the name at least is known; a name that is one is nothing.
        name = re.match(r"([A-Za-z0-9][A-Za-z0-9._-]*(?:\[[\w,-]+\])?)\s*(?:[=<>~!]=?)", word)
        return ("package", name[1]) if name else ("unreadable", word)
    if "://" in word or re.match(r"(git|hg|svn|bzr)\+|git@", word):
        return "address", without_passwords(word)
    if re.match(r"[./~]", word) or re.search(r"\.(whl|zip|tar\.gz|tgz)$", word):
        return "folder", word
    parsed = parse_package(word, tool)
    if parsed is None:
        return "unreadable", word
    return ("address", without_passwords(word)) if "@ " in parsed else ("package", parsed)


def without_passwords(text: str) -> str:
    """Text in which no URL has a user or a password."""
    return re.sub(r"(://)[^/@\s'\"]+@", r"\1***@", text)
