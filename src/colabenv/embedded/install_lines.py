"""Decides what `pip install`, `pip uninstall` and their uv forms do in an environment's kernel.

What the lock pins never changes: a requirement that the environment meets needs nothing, one that contradicts a pin is
answered with a sentence, and everything else is installed with the pins as constraints. Standard library and
`packaging` (pip brings a copy), Python 3.6 syntax. Every environment holds a copy beside the launcher.
"""

import os
import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import Any

#: Distributions that are the same framework, whose files are in the same folder.
_TENSORFLOW = frozenset(
    (
        *("tensorflow", "tensorflow-gpu", "tensorflow-cpu", "tensorflow-intel", "tensorflow-rocm"),
        *("intel-tensorflow", "tf-nightly", "tf-nightly-gpu", "tf-nightly-cpu"),
        *("tf-nightly-2-0-preview", "tf-nightly-gpu-2-0-preview"),
    )
)
#: Their variant (CPU or GPU) belongs to the profile, so extras such as `and-cuda` add nothing.
_FRAMEWORKS = _TENSORFLOW | {"keras", "torch", "jax", "jaxlib"}
_ALIASES = {"sklearn": "scikit-learn"}
#: Would replace the environment's Python by conda's.
_CONDA_INSTALLERS = frozenset(("condacolab",))

_SHORT_WITH_VALUE = {"pip": "rcetifC", "uv": "rceifbpPC"}
_LONG_WITH_VALUE = frozenset(
    (
        *(
            "requirement",
            "requirements",
            "constraint",
            "constraints",
            "editable",
            "target",
            "platform",
            "abi",
        ),
        *("python-version", "python-platform", "implementation", "root", "prefix", "src", "upgrade-strategy"),
        *("index-url", "extra-index-url", "find-links", "no-binary", "only-binary", "progress-bar", "report"),
        *(
            "config-settings",
            "config-setting",
            "global-option",
            "install-option",
            "group",
            "root-user-action",
        ),
        *("cache-dir", "timeout", "log", "proxy", "retries", "trusted-host", "cert", "client-cert", "python"),
        *("exists-action", "use-feature", "use-deprecated", "keyring-provider", "index", "default-index"),
        *("index-strategy", "torch-backend", "exclude-newer", "override", "overrides", "build-constraint"),
        *("build-constraints", "link-mode", "prerelease", "resolution", "refresh-package", "upgrade-package"),
        *("reinstall-package", "color", "directory", "project", "config-file", "allow-insecure-host"),
        *("uploaded-prior-to", "no-build-isolation-package", "extra", "fork-strategy", "build-option"),
        *("no-build-package", "no-binary-package", "only-binary-package"),
    )
)
#: Options of the machine's Python that an environment does not need, and that its pip may refuse or not know.
_DROPPED = frozenset(("user", "break-system-packages", "root-user-action", "system", "sudo"))
_SPELLINGS = {"r": "requirement", "c": "constraint", "e": "editable", "t": "target"}
#: Where something else than the environment gets the packages.
_ELSEWHERE = frozenset(("target", "root", "prefix", "python"))


class Argument:
    """A word of a command line with its value: an option's long name, or "" for a positional argument."""

    def __init__(self, name: str, value: "str | None", words: "list[str]") -> None:
        self.name = name
        self.value = value
        self.words = words


class State:
    """What an environment has: the versions that its lock pins and those that are installed, by normalized name.

    `constraints` are those for packages that the lock does not have; `name` and `profile` are for messages, and
    `find_extra` returns the requirements of an extra of an installed distribution.
    """

    def __init__(
        self,
        pins: "Mapping[str, str]",
        installed: "Mapping[str, str]",
        *,
        name: str = "",
        profile: str = "",
        constraints: "Sequence[str]" = (),
        find_extra: "Callable[[str, str], Iterable[Any]] | None" = None,
    ) -> None:
        self.pins = dict(pins)
        self.installed = dict(installed)
        self.name = name
        self.profile = profile
        self.constraints = list(constraints)
        self.find_extra = find_extra

    def find(self, name: str) -> str:
        """The name under which the environment has a distribution, or another form of the same framework."""
        name = _ALIASES.get(name, name)
        if name in _TENSORFLOW and name not in self.pins:
            return next((other for other in sorted(_TENSORFLOW) if other in self.pins), name)
        return name

    def list_constraints(self) -> "list[str]":
        """Constraints for an installer: the pins, and no second copy of a framework in the same folder."""
        lines = [f"{name}=={version}" for name, version in sorted(self.pins.items())]
        lines += [line for line in self.constraints if normalize(_NAME.match(line)[0]) not in self.pins]  # type: ignore[index]
        if _TENSORFLOW & set(self.pins):
            lines += [f"{name}<0" for name in sorted(_TENSORFLOW - set(self.pins))]
        return lines


class Plan:
    """What a line comes to: the words to pass to the installer, or None if there is nothing to do, and messages.

    `files` are texts of requirements files by the placeholder that stands for their path in `words`; `wanted` is what
    the installer is asked for.
    """

    def __init__(self) -> None:
        self.words = None  # type: list[str] | None
        self.messages = []  # type: list[str]
        self.files = {}  # type: dict[str, str]
        self.wanted = []  # type: list[str]


_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")


def normalize(name: str) -> str:
    """A distribution's normalized name."""
    return re.sub(r"[-_.]+", "-", name).lower()


def parse_arguments(words: "Sequence[str]", tool: str = "pip") -> "list[Argument]":
    """Split the words after `install` or `uninstall` into options and positional arguments; `tool` is pip or uv."""
    arguments = []
    position = 0
    while position < len(words):
        word = words[position]
        position += 1
        if not word.startswith("-") or word == "-":
            arguments.append(Argument("", word, [word]))
            continue
        if word.startswith("--"):
            name, given, text = word[2:].partition("=")
            value = text if given else None
            taken = [word]
            if name in _LONG_WITH_VALUE and not given and position < len(words):
                value = words[position]
                taken.append(value)
                position += 1
            arguments.append(Argument(name, value, taken))
            continue
        letters = word[1:]
        while letters:
            letter, letters = letters[0], letters[1:]
            if letter not in _SHORT_WITH_VALUE[tool]:
                arguments.append(Argument(letter, None, ["-" + letter]))
                continue
            value = letters[1:] if letters.startswith("=") else letters
            if not letters and position < len(words):
                value = words[position]
                position += 1
            # Only for uv is `-p` the same as `--python`.
            name = "python" if (tool, letter) == ("uv", "p") else _SPELLINGS.get(letter, letter)
            arguments.append(Argument(name, value, ["-" + letter, value]))
            letters = ""
    return arguments


def plan_install(
    words: "Sequence[str]", state: State, read: "Callable[[str], str | None]", tool: str = "pip"
) -> Plan:
    """Decide what `install` with these arguments does; `read` returns the text of a requirements file, or None."""
    plan, answers = Plan(), Answers(state)
    arguments = parse_arguments(words, tool)
    elsewhere = any(argument.name in _ELSEWHERE for argument in arguments)
    kept = []  # type: list[str]
    for argument in arguments:
        if argument.name in _DROPPED:
            continue
        if argument.name in ("requirement", "requirements", "constraint", "constraints") and argument.value:
            is_constraint = argument.name.startswith("c")
            text = _filter_file(argument.value, read, answers, is_constraint, elsewhere)
            if text is None:
                kept += argument.words
                plan.wanted += [] if is_constraint else ["-r " + argument.value]
            elif text.strip():
                placeholder = f"{{{len(plan.files)}}}"
                plan.files[placeholder] = text
                kept += ["-c" if is_constraint else "-r", placeholder]
                plan.wanted += [] if is_constraint else ["-r " + argument.value]
        elif argument.name in ("", "editable"):
            target = argument.value or ""
            if elsewhere or answers.must_install(target):
                kept += argument.words
                plan.wanted.append(target)
        else:
            kept += argument.words
    for text in answers.constraints:
        placeholder = f"{{{len(plan.files)}}}"
        plan.files[placeholder] = text
        kept += ["-c", placeholder]
    asks_nothing = not answers.count and not plan.wanted
    if plan.wanted or asks_nothing:  # without any target, pip explains its usage
        plan.words = kept
    plan.messages = answers.format(nothing_else=plan.words is None)
    return plan


def plan_uninstall(
    words: "Sequence[str]", state: State, read: "Callable[[str], str | None]", tool: str = "pip"
) -> Plan:
    """Decide what `uninstall` with these arguments does: what the lock pins stays."""
    plan = Plan()
    refused, kept, rest = [], [], 0
    for argument in parse_arguments(words, tool):
        if argument.name in _DROPPED:
            continue
        names = [argument.value or ""] if argument.name == "" else []
        if argument.name in ("requirement", "requirements") and argument.value:
            text = read(argument.value)
            names = [line for line in _logical_lines(text or "") if not line.startswith("-")]
        elif argument.name:
            kept += argument.words
        for name in names:
            match = _NAME.match(name)
            own = state.find(normalize(match[0])) if match else name
            if own in state.pins:
                refused.append(own)
            else:
                kept.append(match[0] if match else name)
                rest += 1
    if rest or not refused:
        plan.words = kept
    if refused:
        what = _join(f"{name} {state.pins[name]}" for name in dict.fromkeys(refused))
        plan.messages.append(
            f"{what} {'stays' if len(set(refused)) == 1 else 'stay'}: {_describe(state)} is built from it. "
            f"{_how_to_change(state)}"
        )
    return plan


class Answers:
    """Decides about requirements one by one, and collects what the environment answers itself."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._present = []  # type: list[str]
        self._close = []  # type: list[str]
        self._refused = []  # type: list[str]
        self.count = 0  #: how many requirements were answered
        self.constraints = []  # type: list[str]  #: texts of constraints files that requirements files name

    def must_install(self, target: str) -> bool:
        """Whether the installer has to be asked for a requirement, an address or a folder."""
        name = guess_name(target)
        state = self._state
        if name in _CONDA_INSTALLERS:
            return self._answer(
                self._refused, f"{name} is not installed, because it would replace this Python."
            )
        requirement = parse_requirement(target)
        own = state.find(normalize(requirement.name) if requirement else name)
        if requirement is None or getattr(requirement, "url", None):
            is_pinned = own in state.pins and not os.path.exists(target)
            return self._refuse(target, own) if is_pinned else True
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            return self._answer([], "")
        installed = state.installed.get(own)
        return installed is None or self._judge_version(target, requirement, own, installed)

    def _judge_version(self, target: str, requirement: "Any", own: str, installed: str) -> bool:
        """Whether the installer has to be asked for a requirement although `own` is installed in some version."""
        state = self._state
        if requirement.specifier.contains(installed, prereleases=True):
            extras = () if own in _FRAMEWORKS else sorted(requirement.extras)
            lacks_extra = any(self._lacks_extra(own, extra) for extra in extras)
            return lacks_extra or self._answer(self._present, f"{own} {installed}")
        if own not in state.pins:
            return True
        if is_same_release_line(requirement.specifier, installed):
            text = f"Instead of {_short(target)}, {_describe(state)} has {own} {installed}."
            return self._answer(self._close, text)
        return self._refuse(target, own)

    def allows_constraint(self, line: str) -> bool:
        """Whether a constraint of the user's is about something that the lock does not pin."""
        match = _NAME.match(line)
        return match is None or self._state.find(normalize(match[0])) not in self._state.pins

    def format(self, nothing_else: bool) -> "list[str]":
        """Messages about what was answered, one line each."""
        state, lines = self._state, []
        if self._present:
            end = ", so there is nothing to install." if nothing_else and not self._refused else "."
            lines.append(f"{_describe(state)} already has {_join(dict.fromkeys(self._present))}{end}")
        lines += self._close
        lines += self._refused
        return lines

    def _refuse(self, target: str, own: str) -> bool:
        version = self._state.installed.get(own, self._state.pins[own])
        text = f"{_short(target)} is not installed: {_describe(self._state)} has {own} {version}. "
        return self._answer(self._refused, text + _how_to_change(self._state))

    def _answer(self, answers: "list[str]", text: str) -> bool:
        answers.append(text)
        self.count += 1
        return False

    def _lacks_extra(self, name: str, extra: str) -> bool:
        for requirement in self._state.find_extra(name, extra) if self._state.find_extra else ():
            installed = self._state.installed.get(self._state.find(normalize(requirement.name)))
            if installed is None or not requirement.specifier.contains(installed, prereleases=True):
                return True
        return False


def is_same_release_line(specifier: "Any", installed: str) -> bool:
    """Whether a specifier pins the release line of a version, as `==1.15` and `==1.15.2` do for 1.15.5."""
    pinned = [clause for clause in specifier if clause.operator in ("==", "===", "~=")]
    lines = [re.match(r"(\d+)\.(\d+)", clause.version) for clause in pinned]
    own = re.match(r"(\d+)\.(\d+)", installed)
    return bool(lines) and own is not None and all(line and line.groups() == own.groups() for line in lines)


def guess_name(target: str) -> str:
    """The normalized name of what a requirement, address or wheel installs; "" if only its content says so."""
    egg = re.search(r"#(?:.*&)?egg=([A-Za-z0-9._-]+)", target)
    if egg:
        return normalize(egg[1])
    if re.match(r"\s*[A-Za-z0-9._-]+\s*(?:\[[^]]*\]\s*)?@", target) or "/" not in target:
        match = _NAME.match(target.strip())
        wheel = re.match(r"([A-Za-z0-9._]+)-[^-]+(?:-[^-]+){2,3}\.whl$", target.strip())
        return normalize(wheel[1] if wheel else match[0]) if match else ""
    path = re.split("[#?]", target)[0].rstrip("/")
    last = path.rsplit("/", 1)[-1]
    if last.endswith(".whl"):
        return normalize(last.split("-")[0])
    if "://" in target or target.startswith("git@"):
        archive = re.match(r".*/([^/]+)/(?:archive|tarball|zipball)/", path)
        name = archive[1] if archive else re.sub(r"(\.git)?(@.*)?$|\.(zip|tar\.gz|tgz)$", "", last)
        parts = re.match(r"(.+)-\d[^-]*$", name)
        return normalize(parts[1] if parts else name)
    return ""


def parse_requirement(text: str) -> "Any":
    """A PEP 508 requirement as `packaging` reads it; None for an address, a folder or anything invalid."""
    bare = text.strip()
    if (
        not bare
        or "://" in bare.split("@")[0]
        or bare[0] in "./~"
        or os.sep in bare.split("@")[0].split(";")[0]
    ):
        return None
    if re.search(r"\.(whl|zip|tar\.gz|tgz|tar\.bz2)$", bare):
        return None
    parse = _requirement_class()
    try:
        return parse(bare)
    except Exception:  # noqa: BLE001 - copies of packaging raise their own exceptions
        return None


def _requirement_class() -> "Any":
    """`Requirement` of the environment's packaging, or of the copy in its pip, which every environment has."""
    import importlib

    try:
        return importlib.import_module("packaging.requirements").Requirement
    except ImportError:
        return importlib.import_module("pip._vendor.packaging.requirements").Requirement


def _filter_file(
    path: str,
    read: "Callable[[str], str | None]",
    answers: Answers,
    is_constraint: bool,
    elsewhere: bool,
    depth: int = 0,
) -> "str | None":
    """A requirements file without what the environment answers; None if it cannot be read or has another format.

    A file that it names with `-r` is put in its place.
    """
    text = read(path) if not path.endswith((".toml", ".cfg", ".py")) and depth < 5 else None
    if text is None:
        return None
    lines = []
    for line in _logical_lines(text):
        nested = re.match(r"(-r|-c|--requirements?|--constraints?)[\s=]*(\S+)", line)
        if nested:
            option = "-r" if nested[1].startswith(("-r", "--r")) else "-c"
            place = nested[2] if "://" in nested[2] else os.path.join(os.path.dirname(path), nested[2])
            inner = _filter_file(place, read, answers, option == "-c", elsewhere, depth + 1)
            if inner is None:
                lines.append(f"{option} {place}")
            elif option == "-r":
                lines.append(inner)
            else:
                answers.constraints.append(inner)
        elif _keeps_line(line, answers, is_constraint, elsewhere):
            lines.append(line)
    wanted = [line for line in "\n".join(lines).splitlines() if not re.match(r"-(?!-?[er])", line)]
    return "\n".join(lines) + "\n" if wanted else ""


def _keeps_line(line: str, answers: Answers, is_constraint: bool, elsewhere: bool) -> bool:
    """Whether a line of a requirements file is for the installer."""
    editable = re.match(r"(?:-e|--editable)[\s=]*(\S+)", line)
    if line.startswith("-") and not editable:
        return True
    target = (
        editable[1] if editable else re.split(r"\s--(?:hash|global-option|install-option|config)", line)[0]
    )
    if is_constraint:
        return answers.allows_constraint(target)
    return elsewhere or answers.must_install(target)


def _logical_lines(text: str) -> "Iterator[str]":
    """The lines of a requirements file, without comments and continuations ("Requirements File Format" of pip)."""
    for line in re.sub(r"\\\r?\n", " ", text.lstrip("\ufeff")).splitlines():
        bare = re.sub(r"(^|\s)#.*$", "", line).strip()
        if bare:
            yield bare


def _describe(state: State) -> str:
    return f"environment '{state.name}'" if state.name else "this environment"


def _how_to_change(state: State) -> str:
    profile = state.profile or "PROFILE"
    shown = f"'{profile}'" if " " in profile else profile
    return f"To change it, edit {os.path.basename(profile)} and run `%colabenv up {shown}` again."


def _short(target: str) -> str:
    """A target without passwords, at most 80 characters."""
    text = re.sub(r"(://)[^/@\s]+@", r"\1***@", target.strip())
    return text if len(text) <= 80 else text[:77] + "..."


def _join(items: "Iterable[str]", limit: int = 8) -> str:
    names = list(items)
    more = len(names) - limit
    shown = names[:limit] + ([f"{more} more"] if more > 0 else [])
    return shown[0] if len(shown) == 1 else ", ".join(shown[:-1]) + " and " + shown[-1]
