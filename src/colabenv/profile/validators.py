"""Validate and normalize single values of a profile.

Every function takes and returns text and raises the error of `invalid_value`, as pydantic's validators do.
"""

from __future__ import annotations

import keyword
import posixpath
import re
import unicodedata
from typing import Final
from urllib.parse import urlsplit

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version
from pydantic_core import PydanticCustomError

#: Minors of CPython 3 that a profile can request.
PYTHON_MINORS: Final = range(7, 15)
#: The same for messages.
PYTHON_SPAN: Final = f"3.{PYTHON_MINORS[0]} to 3.{PYTHON_MINORS[-1]}"
NAME_PATTERN: Final = r"^[a-z0-9][a-z0-9._-]{0,62}$"
PYTHON_PATTERN: Final = r"^3\.(7|8|9|10|11|12|13|14)(\.[0-9]{1,2})?$"
DISTRIBUTION_PATTERN: Final = r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$"
ENV_NAME_PATTERN: Final = r"^[A-Za-z_][A-Za-z0-9_]*$"
INDEX_NAME_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"
GITHUB_PATTERN: Final = r"gh:([\w.-]+)/([\w.-]+)/([^@#\s]+)@([^@#\s]+)#sha256=([0-9a-f]{64})"
#: Which schemes are available depends on the installed packages.
STORE_SCHEME: Final = r"[a-z][a-z0-9+.-]+"
VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")

# Limits that keep the requirement parser from long or deep work.
MAX_REQUIREMENT: Final = 1000
MAX_PARENTHESES: Final = 20
MAX_VERSION: Final = 200

# Windows reserves these names, whatever follows the first dot.
DEVICE_NAMES: Final = frozenset(
    {"con", "prn", "aux", "nul"} | {f"{port}{n}" for port in ("com", "lpt") for n in range(10)}
)
RESERVED_NAMES: Final = {"base": "'base' is the machine's own Python, as in `switch --base`"}

# Variables that colabenv sets or removes itself, so that a profile cannot undo the isolation.
REFUSED_ENV: Final = {
    "PATH": "colabenv puts the environment's programs first",
    "PYTHONPATH": "it would make packages from outside the environment importable",
    "PYTHONHOME": "it would replace the environment's standard library",
    "PYTHONUSERBASE": "it would make packages from outside the environment importable",
    "PYTHONNOUSERSITE": "colabenv sets it to keep the user's packages out",
    "PYTHONEXECUTABLE": "colabenv decides which Python runs",
    "PYTHONPLATLIBDIR": "it would replace the environment's standard library",
    "PYTHONSTARTUP": "it would run a file from outside the environment",
    "__PYVENV_LAUNCHER__": "colabenv decides which Python runs",
    "VIRTUAL_ENV": "colabenv sets it to the environment's folder",
    "VIRTUAL_ENV_PROMPT": "colabenv sets it to the environment's name",
    "CONDA_PREFIX": "it would make tools use another environment",
    "CONDA_DEFAULT_ENV": "it would make tools use another environment",
    "CONDA_PYTHON_EXE": "it would make tools use another Python",
    "PYENV_VERSION": "it would change which Python `python` runs",
    "IPYTHON_KERNEL_INSTANCE": "the kernel sets it",
    "UV": "uv sets it",
    "LD_PRELOAD": "it would load a library into every program",
    "LD_LIBRARY_PATH": "colabenv sets it so that programs find the GPU driver",
}
REFUSED_ENV_PREFIXES: Final = {
    "PIP_": "it would change where `pip` installs to",
    "UV_": "it would change where `uv` installs to",
    "COLABENV_": "colabenv reserves these names",
    "COLAB_": "Colab reserves these names",
}


def invalid_value(problem: str, hint: str = "", *, secret: bool = False) -> PydanticCustomError:
    """The error to raise, with `{value}` in `problem` as in `Problem.message`; a `secret` value is not shown."""
    return PydanticCustomError("refused", "{problem}", {"problem": problem, "hint": hint, "secret": secret})


def validate_profile_name(text: str) -> str:
    """Check a name that has to work as a folder, a kernel and part of a file name on every system."""
    if not re.fullmatch(NAME_PATTERN[1:-1], text):
        raise invalid_value(
            "invalid name {value}: use 1 to 63 of a-z, 0-9, '.', '_' and '-', starting with a letter or digit",
            _suggest_name(text),
        )
    if ".." in text or text.endswith("."):
        raise invalid_value(
            "invalid name {value}: it must not contain '..' or end with a dot", _suggest_name(text)
        )
    if text in RESERVED_NAMES:
        raise invalid_value(
            f"{{value}} is reserved: {RESERVED_NAMES[text]}", f"Choose another name, such as '{text}-env'."
        )
    if text.partition(".")[0] in DEVICE_NAMES:
        raise invalid_value(
            "{value} is a reserved name on Windows", f"Choose another name, such as 'my-{text}'."
        )
    return text


def _suggest_name(text: str) -> str:
    ascii_text = unicodedata.normalize("NFKD", text[:200]).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", ascii_text).strip("-")[:63].rstrip("-")
    return f"Did you mean '{slug}'?" if slug else "Choose a name such as 'vision-2023'."


def validate_python(text: str) -> str:
    """Check `3.10` (the newest patch release) or `3.10.13`."""
    if re.fullmatch(PYTHON_PATTERN[1:-1], text):
        return text
    accepted = ", ".join(f"3.{minor}" for minor in PYTHON_MINORS)
    hint = f'Use one of {accepted}, or a full version such as "3.10.13".'
    if match := re.match(r"\D{0,12}(3\.(?:[7-9]|1[0-4])(?:\.[0-9]{1,2})?)(?![0-9])", text):
        hint = f'Did you mean "{match[1]}"? {hint}'
    raise invalid_value("unsupported Python version {value}", hint)


def parse_specifier(text: str) -> str:
    """A PEP 440 specifier set: ``==2.15.1`` for ``2.15.1``, ``==2.15.*`` for ``2.15``, sorted parts for a range."""
    hint = 'Write a version such as "2.15.1", a series such as "2.15", or a range such as ">=2.15,<2.16".'
    bare = text.strip()
    if not bare or len(bare) > MAX_VERSION:
        raise invalid_value("invalid version {value}", hint)
    try:
        if bare[0].isdigit():
            return _bare_version(bare)
        parts = sorted(str(part) for part in SpecifierSet(bare))
    except (InvalidVersion, InvalidSpecifier):
        raise invalid_value("invalid version {value}", hint) from None
    if not parts:
        raise invalid_value("invalid version {value}", hint)
    return ",".join(parts)


def _bare_version(text: str) -> str:
    if text.endswith(".*"):
        return str(SpecifierSet(f"=={text}"))
    version = Version(text)
    exact = len(version.release) >= 3 or str(version) != version.base_version or version.epoch
    return f"=={version}" if exact else f"=={version}.*"


def validate_version(text: str) -> str:
    """Check a framework's version, which the profile keeps as written."""
    parse_specifier(text)
    return text


def normalize_requirement(text: str) -> str:
    """A PEP 508 requirement with canonical name and sorted extras and specifiers; URLs are refused."""
    line = text.strip()
    if problem := _find_unsupported(line):
        raise invalid_value(*problem)
    try:
        parsed = Requirement(line)
    except InvalidRequirement as error:
        reason = str(error).partition("\n")[0]
        raise invalid_value(f"invalid requirement {{value}} ({reason})", _suggest_requirement(line)) from None
    if parsed.url is not None:
        raise invalid_value(*_URL_REFUSED)
    extras = f"[{','.join(sorted(parsed.extras))}]" if parsed.extras else ""
    versions = ",".join(sorted(str(part) for part in parsed.specifier))
    marker = f" ; {parsed.marker}" if parsed.marker else ""
    return f"{canonicalize_name(parsed.name)}{extras}{versions}{marker}"


_URL_REFUSED: Final = (
    "packages from URLs are not supported, because a lock must work with every index",
    "List the package's name and version, and its index under `indexes`.",
)


def _find_unsupported(line: str) -> tuple[str, str] | None:
    if len(line) > MAX_REQUIREMENT or line.count("(") > MAX_PARENTHESES:
        return "this requirement is too long or too deeply nested", "Simplify it."
    if line.startswith("-"):
        return "{value} is a pip option, not a package", "Use the profile's own keys, such as `indexes`."
    if "://" in line.partition(";")[0] or re.match(r"(git|hg|svn|bzr)\+", line):
        return _URL_REFUSED
    if line.startswith((".", "/", "~")) or re.search(r"\.(whl|zip|tar\.gz)$", line):
        return (
            "packages from files and folders are not supported, because other machines do not have them",
            "Publish the package on an index, and list its name and version.",
        )
    return None


def _suggest_requirement(line: str) -> str:
    if match := re.fullmatch(r"([A-Za-z0-9._-]+)\s*(?:=|\s)\s*([0-9][A-Za-z0-9.*]*)", line):
        return f'Did you mean "{match[1]}=={match[2]}"?'
    return 'Write a name and versions, such as "pandas==2.1.4" or "opencv-python-headless>=4.8,<5".'


def validate_relative_file(text: str) -> str:
    """Check a relative path that stays in its folder: folders can be shared, and no other files are read."""
    hint = "Put the file in the profile's folder, and write the path relative to the profile."
    if not text.strip() or not text.isprintable():
        raise invalid_value("invalid path", hint)
    if "://" in text:
        raise invalid_value("a requirements file cannot be a URL", "Download it into the profile's folder.")
    if text.startswith(("/", "~")) or re.match(r"[A-Za-z]:[\\/]", text):
        raise invalid_value("absolute paths are not supported", hint)
    if "\\" in text:
        raise invalid_value("the path contains a backslash", "Separate folders with '/'.")
    if posixpath.normpath(text).split("/")[0] == "..":
        raise invalid_value("this path is outside the profile's folder", hint)
    return text


def validate_extends(text: str) -> str:
    """Check an entry of `extends`: a path, `builtin:NAME`, or a URL with the SHA-256 of the file."""
    if text.startswith("builtin:"):
        return f"builtin:{validate_profile_name(text.removeprefix('builtin:'))}"
    if not (text.startswith("gh:") or "://" in text):
        # `extends.collect_profiles` checks where the path leads.
        plain = text if "\\" in text or not text else posixpath.normpath(text)
        validate_relative_file(re.sub(r"^(\.\./)+", "", plain))
        return text
    address, _, digest = text.partition("#sha256=")
    if not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise invalid_value(
            "a profile from the web needs its SHA-256, so that it cannot change unnoticed",
            "Review the file, compute its digest (curl -L URL | sha256sum), and append #sha256=DIGEST to the URL.",
            secret="@" in address.partition("://")[2],
        )
    if text.startswith("gh:"):
        if not re.fullmatch(GITHUB_PATTERN, text) or ".." in address.split("/"):
            raise invalid_value("invalid GitHub reference", "Write gh:owner/repo/path@ref#sha256=DIGEST.")
        return text
    validate_complete_url(address, address)
    parts = urlsplit(address)
    if parts.scheme == "file" or parts.username is not None or parts.fragment:
        raise invalid_value(
            "the URL of a profile must be http or https, without a user or password",
            "Write https://host/profile.yaml#sha256=DIGEST, or a path.",
            secret=True,
        )
    return text


def validate_index_name(text: str) -> str:
    """Check the short name of a package index."""
    if not re.fullmatch(INDEX_NAME_PATTERN[1:-1], text):
        raise invalid_value(
            "invalid index name {value}: use letters, digits, '.', '_' and '-'",
            "Choose a name such as 'team'.",
        )
    return text


def validate_index_url(text: str) -> str:
    """Check the URL of a package index, with `${VARIABLE}` not yet replaced."""
    refuse_password(text)
    # `urls.expand_url` checks the URL again when the variables are known.
    return text if text.startswith("${") else validate_complete_url(text, VARIABLE.sub("0", text))


def refuse_password(text: str) -> None:
    """Refuse a URL with a password, or with a '$' that does not start a variable."""
    stripped = VARIABLE.sub("", text)
    if "$" in stripped:
        raise invalid_value(
            "a '$' must start a variable of the form ${NAME}",
            "Write ${NAME}, or %24 for a literal '$'.",
            secret=True,
        )
    userinfo = text.partition("://")[2].partition("/")[0].rpartition("@")[0]
    if VARIABLE.sub("", userinfo.partition(":")[2]):
        raise invalid_value(
            "a profile must not contain a password, because profiles are shared",
            "Use an environment variable, such as https://user:${TEAM_TOKEN}@host/simple.",
            secret=True,
        )


def validate_complete_url(text: str, filled: str) -> str:
    """Check `filled`, a URL without variables, and return `text`; messages show neither."""
    hint = "Write a URL such as https://host/simple, http://localhost:8080/simple or file:///content/wheels."
    try:
        parts = urlsplit(filled)
        complete = bool(parts.path.startswith("/") if parts.scheme == "file" else parts.hostname)
        _ = parts.port
    except ValueError:
        raise invalid_value("invalid URL", hint, secret=True) from None
    if parts.scheme not in ("http", "https", "file"):
        raise invalid_value("the URL must be http, https or file", hint, secret=True)
    if not complete or not filled.isprintable() or re.search(r"\s", filled):
        raise invalid_value("incomplete URL", hint, secret=True)
    return text


def validate_store_url(text: str) -> str:
    """Check the URL of a store, with `${VARIABLE}` not yet replaced."""
    if text == "none" or text.startswith("${"):
        return text
    refuse_password(text)
    return validate_complete_store_url(text, VARIABLE.sub("0", text))


def validate_complete_store_url(text: str, filled: str) -> str:
    """Check `filled`, a store's URL without variables, and return `text`; messages show neither."""
    hint = (
        "Write a folder such as /content/drive/MyDrive/colabenv, or a URL such as gs://bucket/folder, "
        "s3://bucket/folder or https://host/folder."
    )
    if not filled.isprintable() or len(filled) > 1000 or filled != filled.strip():
        raise invalid_value("invalid store URL", hint, secret=True)
    if filled.startswith(("/", "~/")):
        return text
    try:
        parts = urlsplit(filled)
    except ValueError:
        raise invalid_value("invalid store URL", hint, secret=True) from None
    if not re.match(rf"{STORE_SCHEME}://", filled):
        raise invalid_value("invalid store URL", hint, secret=True)
    if not (parts.path.startswith("/") if parts.scheme == "file" else parts.hostname):
        raise invalid_value("incomplete store URL", hint, secret=True)
    return text


def normalize_distribution(text: str) -> str:
    """The canonical name of a distribution."""
    if not re.fullmatch(DISTRIBUTION_PATTERN[1:-1], text):
        raise invalid_value("invalid package name {value}", 'Write only the name, such as "pycocotools".')
    return str(canonicalize_name(text))


def validate_env_name(text: str) -> str:
    """Check the name of an environment variable that a profile may set."""
    if not re.fullmatch(ENV_NAME_PATTERN[1:-1], text):
        raise invalid_value(
            "invalid variable name {value}", "Use letters, digits and '_', and do not start with a digit."
        )
    prefix = next((start for start in REFUSED_ENV_PREFIXES if text.startswith(start)), "")
    if reason := REFUSED_ENV.get(text) or REFUSED_ENV_PREFIXES.get(prefix):
        raise invalid_value(f"a profile cannot set {{value}}: {reason}", "Remove this line.")
    return text


def validate_display_name(text: str) -> str:
    """Check the display name of a kernel: one line."""
    if not text.strip() or not text.isprintable() or len(text) > 100:
        raise invalid_value("invalid display name", "Use one line of 1 to 100 characters.")
    return text


def validate_module_name(text: str) -> str:
    """Check a dotted module name."""
    parts = text.split(".")
    if len(text) > 500 or not all(part.isidentifier() and not keyword.iskeyword(part) for part in parts):
        raise invalid_value(
            "invalid module name {value}",
            'Write it as in an `import` statement, such as "tensorflow.keras.applications".',
        )
    return text


def validate_code(text: str) -> str:
    """Check that there is code; the environment's own Python checks its syntax."""
    if not text.strip():
        raise invalid_value("no code", "Remove `code` to run the default checks.")
    return text
