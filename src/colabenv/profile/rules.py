"""What one value of a profile may look like. Pure: text in, text out, or a refusal with its reason.

The functions raise pydantic's custom error, so that the model can use them as validators and
`problems` can read the message and the hint apart.
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

PYTHON_MINORS: Final = range(8, 14)
NAME_PATTERN: Final = r"^[a-z0-9][a-z0-9._-]{0,62}$"
PYTHON_PATTERN: Final = r"^3\.(8|9|10|11|12|13)(\.[0-9]{1,2})?$"
DISTRIBUTION_PATTERN: Final = r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$"
ENV_NAME_PATTERN: Final = r"^[A-Za-z_][A-Za-z0-9_]*$"
INDEX_NAME_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"
GITHUB_PATTERN: Final = r"gh:([\w.-]+)/([\w.-]+)/([^@#\s]+)@([^@#\s]+)#sha256=([0-9a-f]{64})"
#: Which of them there are only the machine knows: it depends on what is installed.
STORE_SCHEME: Final = r"[a-z][a-z0-9+.-]+"
VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")

# A requirement longer than this is no requirement; the caps keep its parser from long or deep work.
MAX_REQUIREMENT: Final = 1000
MAX_PARENTHESES: Final = 20
MAX_VERSION: Final = 200

# Windows keeps these names for devices, whatever follows the first dot; folders travel in Git.
DEVICE_NAMES: Final = frozenset(
    {"con", "prn", "aux", "nul"} | {f"{port}{n}" for port in ("com", "lpt") for n in range(10)}
)
RESERVED_NAMES: Final = {"base": "'base' means the machine's own Python, as in `switch --base`"}

# Variables that colabenv sets or takes away itself, so that a profile cannot undo the isolation.
REFUSED_ENV: Final = {
    "PATH": "colabenv puts the environment's programs first in it",
    "PYTHONPATH": "it would make packages from outside the environment importable",
    "PYTHONHOME": "it would give the environment another Python's library",
    "PYTHONUSERBASE": "it would make packages from outside the environment importable",
    "PYTHONNOUSERSITE": "colabenv sets it, to keep the user's packages out",
    "PYTHONEXECUTABLE": "colabenv decides which Python runs",
    "PYTHONPLATLIBDIR": "it would give the environment another Python's library",
    "PYTHONSTARTUP": "it would run a file from outside the environment",
    "__PYVENV_LAUNCHER__": "colabenv decides which Python runs",
    "VIRTUAL_ENV": "colabenv sets it to the environment's folder",
    "VIRTUAL_ENV_PROMPT": "colabenv sets what names the environment",
    "CONDA_PREFIX": "it would make tools take another environment for this one",
    "CONDA_DEFAULT_ENV": "it would make tools take another environment for this one",
    "CONDA_PYTHON_EXE": "it would make tools take another Python for this one",
    "PYENV_VERSION": "it would make `python` another one",
    "IPYTHON_KERNEL_INSTANCE": "the kernel sets it for itself",
    "UV": "uv sets it for the programs it starts",
    "LD_PRELOAD": "it would load a library into every program before it starts",
    "LD_LIBRARY_PATH": "the GPU driver is found through it, so colabenv looks after it",
}
REFUSED_ENV_PREFIXES: Final = {
    "PIP_": "it would change where `pip` installs to",
    "UV_": "it would change where `uv` installs to",
    "COLABENV_": "colabenv keeps these names for itself",
    "COLAB_": "Colab keeps these names for itself",
}


def refuse(problem: str, hint: str = "", *, secret: bool = False) -> PydanticCustomError:
    """The error to raise. With `secret`, no message may show the value."""
    return PydanticCustomError("refused", "{problem}", {"problem": problem, "hint": hint, "secret": secret})


def profile_name(text: str) -> str:
    """A name that is safe as a folder, a kernel and a part of a file name on every system."""
    if not re.fullmatch(NAME_PATTERN[1:-1], text):
        raise refuse(
            "this name cannot be used: a name is 1 to 63 characters of a-z, 0-9, '.', '_' and '-', "
            "and starts with a letter or digit",
            _suggest_name(text),
        )
    if ".." in text or text.endswith("."):
        raise refuse("a name holds no two dots in a row and does not end in a dot", _suggest_name(text))
    if text in RESERVED_NAMES:
        raise refuse(f"this name is taken: {RESERVED_NAMES[text]}", f"Choose another, such as '{text}-env'.")
    if text.partition(".")[0] in DEVICE_NAMES:
        raise refuse("Windows cannot have a folder of this name", f"Choose another, such as 'my-{text}'.")
    return text


def _suggest_name(text: str) -> str:
    ascii_text = unicodedata.normalize("NFKD", text[:200]).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", ascii_text).strip("-")[:63].rstrip("-")
    return f"Did you mean '{slug}'?" if slug else "Choose a name such as 'vision-2023'."


def python_version(text: str) -> str:
    """`3.10` (the newest patch release) or `3.10.13`."""
    if re.fullmatch(PYTHON_PATTERN[1:-1], text):
        return text
    accepted = ", ".join(f"3.{minor}" for minor in PYTHON_MINORS)
    hint = f'Write one of {accepted}, or a full version such as "3.10.13".'
    if found := re.match(r"\D{0,12}(3\.(?:8|9|1[0-3])(?:\.[0-9]{1,2})?)(?![0-9])", text):
        hint = f'Did you mean "{found[1]}"? {hint}'
    raise refuse("this is not a Python version that colabenv can build", hint)


def specifier(text: str) -> str:
    """Turn a version as people write it into a PEP 440 specifier set.

    ``2.15.1`` means ``==2.15.1``; ``2.15`` means any 2.15, ``==2.15.*``; anything that starts with an
    operator is taken as a specifier set, its parts sorted.
    """
    hint = 'Write a version such as "2.15.1", a series such as "2.15", or a range such as ">=2.15,<2.16".'
    bare = text.strip()
    if not bare or len(bare) > MAX_VERSION:
        raise refuse("this is not a version", hint)
    try:
        if bare[0].isdigit():
            return _bare_version(bare)
        parts = sorted(str(part) for part in SpecifierSet(bare))
    except (InvalidVersion, InvalidSpecifier):
        raise refuse("this is not a version or a range of versions", hint) from None
    if not parts:
        raise refuse("this is not a version or a range of versions", hint)
    return ",".join(parts)


def _bare_version(text: str) -> str:
    if text.endswith(".*"):
        return str(SpecifierSet(f"=={text}"))
    version = Version(text)
    exact = len(version.release) >= 3 or str(version) != version.base_version or version.epoch
    return f"=={version}" if exact else f"=={version}.*"


def version_text(text: str) -> str:
    """Check a stack version; the profile keeps it as written."""
    specifier(text)
    return text


def requirement(text: str) -> str:
    """A PEP 508 requirement in one spelling: canonical name, sorted extras and specifiers.

    URLs are refused, because a lock holds none.
    """
    line = text.strip()
    if problem := _not_pep508(line):
        raise refuse(*problem)
    try:
        parsed = Requirement(line)
    except InvalidRequirement as error:
        reason = str(error).partition("\n")[0]
        raise refuse(f"this is not a package requirement ({reason})", _mend_requirement(line)) from None
    if parsed.url is not None:
        raise refuse(*_URL_REFUSED)
    extras = f"[{','.join(sorted(parsed.extras))}]" if parsed.extras else ""
    versions = ",".join(sorted(str(part) for part in parsed.specifier))
    marker = f" ; {parsed.marker}" if parsed.marker else ""
    return f"{canonicalize_name(parsed.name)}{extras}{versions}{marker}"


_URL_REFUSED: Final = (
    "a package cannot be given by URL: the lock holds none, so that it works from every index",
    "Give its name and version, and the index it is on under `indexes`.",
)


def _not_pep508(line: str) -> tuple[str, str] | None:
    if len(line) > MAX_REQUIREMENT or line.count("(") > MAX_PARENTHESES:
        return "this is too long or too deeply nested for a package requirement", ""
    if line.startswith("-"):
        return "this is an option of pip, not a package", "Options have keys of their own in the profile."
    if "://" in line.partition(";")[0] or re.match(r"(git|hg|svn|bzr)\+", line):
        return _URL_REFUSED
    if line.startswith((".", "/", "~")) or re.search(r"\.(whl|zip|tar\.gz)$", line):
        return (
            "a package cannot be given as a file or folder: it would not be there on another machine",
            "Publish it on an index and give its name and version.",
        )
    return None


def _mend_requirement(line: str) -> str:
    if found := re.fullmatch(r"([A-Za-z0-9._-]+)\s*(?:=|\s)\s*([0-9][A-Za-z0-9.*]*)", line):
        return f'Did you mean "{found[1]}=={found[2]}"?'
    return 'Write a name and its versions, such as "pandas==2.1.4" or "opencv-python-headless>=4.8,<5".'


def relative_file(text: str) -> str:
    """A path relative to the file that names it, which does not lead above that file's folder.

    What a profile needs lies beside it or below, so that the folder can be shared as one thing, and a
    profile from a stranger cannot read other files.
    """
    hint = "Put the file beside the profile or below it, and write its path from there."
    if not text.strip() or not text.isprintable():
        raise refuse("this is not the path of a file", hint)
    if "://" in text:
        raise refuse("a requirements file cannot be a URL", "Download it, and put it beside the profile.")
    if text.startswith(("/", "~")) or re.match(r"[A-Za-z]:[\\/]", text):
        raise refuse("this path means something else on another machine", hint)
    if "\\" in text:
        raise refuse("this path holds a backslash", "Separate folders with '/'.")
    if posixpath.normpath(text).split("/")[0] == "..":
        raise refuse("this path leads out of the profile's folder", hint)
    return text


def extended(text: str) -> str:
    """A profile that another one extends: a path, `builtin:NAME`, or a web address with the sha256 of its bytes."""
    if text.startswith("builtin:"):
        return f"builtin:{profile_name(text.removeprefix('builtin:'))}"
    if not (text.startswith("gh:") or "://" in text):
        # Only what is no relative path at all is refused here; where it leads, the reader checks.
        plain = text if "\\" in text or not text else posixpath.normpath(text)
        relative_file(re.sub(r"^(\.\./)+", "", plain))
        return text
    address, _, digest = text.partition("#sha256=")
    if not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise refuse(
            "a profile from the web needs the sha256 of its bytes, so that nobody can change it unnoticed",
            "Look at the file, take its digest (curl -L ADDRESS | sha256sum), and write #sha256=DIGEST behind "
            "the address.",
            secret="@" in address.partition("://")[2],
        )
    if text.startswith("gh:"):
        if not re.fullmatch(GITHUB_PATTERN, text) or ".." in address.split("/"):
            raise refuse("this is not a file on GitHub", "Write gh:owner/repo/path@ref#sha256=DIGEST.")
        return text
    full_url(address, address)
    parts = urlsplit(address)
    if parts.scheme == "file" or parts.username is not None or parts.fragment:
        raise refuse(
            "a profile is fetched by http or https, without a user or password",
            "Write https://host/profile.yaml#sha256=DIGEST, or a path.",
            secret=True,
        )
    return text


def index_name(text: str) -> str:
    """The short name of a package index."""
    if not re.fullmatch(INDEX_NAME_PATTERN[1:-1], text):
        raise refuse("an index name is letters, digits, '.', '_' and '-'", "Choose a name such as 'team'.")
    return text


def index_url(text: str) -> str:
    """The URL of a package index as the profile has it, `${VARIABLE}` not yet replaced."""
    no_password(text)
    # What a variable stands for is checked once it is known, by `urls.expand_url`.
    return text if text.startswith("${") else full_url(text, VARIABLE.sub("0", text))


def no_password(text: str) -> None:
    """Refuse a URL that holds a password, or a '$' that starts no variable."""
    stripped = VARIABLE.sub("", text)
    if "$" in stripped:
        raise refuse(
            "a '$' starts a variable, and variables are written ${NAME}",
            "Write ${NAME}, or %24 where the URL really holds a '$'.",
            secret=True,
        )
    userinfo = text.partition("://")[2].partition("/")[0].rpartition("@")[0]
    if VARIABLE.sub("", userinfo.partition(":")[2]):
        raise refuse(
            "a password does not belong in a profile, which is shared",
            "Set a variable and name it, such as https://user:${TEAM_TOKEN}@host/simple.",
            secret=True,
        )


def full_url(text: str, filled: str) -> str:
    """Check `filled`, a URL without variables, and return `text`. No message shows either."""
    hint = "Write a URL such as https://host/simple, http://localhost:8080/simple or file:///content/wheels."
    try:
        parts = urlsplit(filled)
        complete = bool(parts.path.startswith("/") if parts.scheme == "file" else parts.hostname)
        _ = parts.port
    except ValueError:
        raise refuse("this is not a URL", hint, secret=True) from None
    if parts.scheme not in ("http", "https", "file"):
        raise refuse("an index is reached by http, https or file", hint, secret=True)
    if not complete or not filled.isprintable() or re.search(r"\s", filled):
        raise refuse("this is not a complete URL", hint, secret=True)
    return text


def store_url(text: str) -> str:
    """Where built environments are kept, as the profile has it, `${VARIABLE}` not yet replaced."""
    if text == "none" or text.startswith("${"):
        return text
    no_password(text)
    return full_store_url(text, VARIABLE.sub("0", text))


def full_store_url(text: str, filled: str) -> str:
    """Check `filled`, a store's URL without variables, and return `text`. No message shows either."""
    hint = (
        "Write a folder such as /content/drive/MyDrive/colabenv, or a URL such as gs://bucket/folder, "
        "s3://bucket/folder or https://host/folder."
    )
    if not filled.isprintable() or len(filled) > 1000 or filled != filled.strip():
        raise refuse("this is not the address of a store", hint, secret=True)
    if filled.startswith(("/", "~/")):
        return text
    try:
        parts = urlsplit(filled)
    except ValueError:
        raise refuse("this is not the address of a store", hint, secret=True) from None
    if not re.match(rf"{STORE_SCHEME}://", filled):
        raise refuse("this is not the address of a store", hint, secret=True)
    if not (parts.path.startswith("/") if parts.scheme == "file" else parts.hostname):
        raise refuse("this address of a store is not complete", hint, secret=True)
    return text


def distribution(text: str) -> str:
    """The canonical name of a distribution."""
    if not re.fullmatch(DISTRIBUTION_PATTERN[1:-1], text):
        raise refuse("this is not the name of a package", 'Write the name alone, such as "pycocotools".')
    return str(canonicalize_name(text))


def env_name(text: str) -> str:
    """The name of an environment variable that a profile may set."""
    if not re.fullmatch(ENV_NAME_PATTERN[1:-1], text):
        raise refuse("a variable's name is letters, digits and '_', and starts with no digit")
    prefix = next((start for start in REFUSED_ENV_PREFIXES if text.startswith(start)), "")
    if reason := REFUSED_ENV.get(text) or REFUSED_ENV_PREFIXES.get(prefix):
        raise refuse(f"a profile cannot set {text}: {reason}", "Take this line out.")
    return text


def display_name(text: str) -> str:
    """A kernel's name for people: one line."""
    if not text.strip() or not text.isprintable() or len(text) > 100:
        raise refuse("a display name is one line of 1 to 100 characters")
    return text


def module_name(text: str) -> str:
    """A dotted module name that an import statement takes."""
    parts = text.split(".")
    if len(text) > 500 or not all(part.isidentifier() and not keyword.iskeyword(part) for part in parts):
        raise refuse(
            "this is not the name of a module",
            'Write it as after `import`, such as "tensorflow.keras.applications".',
        )
    return text


def code(text: str) -> str:
    """Python code for the proof; the environment's own Python is the judge of its syntax."""
    if not text.strip():
        raise refuse("there is no code here", "Leave `code` out to have the usual prediction as proof.")
    return text
