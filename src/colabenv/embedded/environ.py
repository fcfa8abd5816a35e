"""Which environment variables a program of an environment inherits, and which it must not. All functions are pure.

Standard library only, Python 3.6 syntax: the launcher uses a copy in every environment, and colabenv itself uses this
file. The variables that leak on Colab, and what each one breaks, are in docs/decisions.md.
"""

import fnmatch

TYPE_CHECKING = False  # importing `typing` would cost every kernel start some milliseconds
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

#: Set below an environment's kernel, to the environment's folder: there, `python -m pip` is answered like `pip`.
COMMANDS_VARIABLE = "COLABENV_COMMANDS"

# Python's own settings that change how text and processes behave, not what can be imported.
_PYTHON_KEPT = frozenset(
    {"PYTHONUTF8", "PYTHONIOENCODING", "PYTHONUNBUFFERED", "PYTHONHASHSEED", "PYTHONFAULTHANDLER"}
)

# The user's settings for downloads: index, credentials, proxy, certificates, mirrors, cache, timeouts.
DOWNLOAD_SETTINGS = (
    *("UV_INDEX", "UV_INDEX_*", "UV_DEFAULT_INDEX", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS"),
    *("UV_KEYRING_PROVIDER", "UV_NATIVE_TLS", "UV_SYSTEM_CERTS", "UV_INSECURE_HOST", "UV_CACHE_DIR"),
    *("UV_HTTP_TIMEOUT", "UV_REQUEST_TIMEOUT", "UV_HTTP_RETRIES", "UV_CONCURRENT_DOWNLOADS"),
    *("UV_PYTHON_INSTALL_MIRROR", "UV_PYPY_INSTALL_MIRROR", "UV_PYTHON_DOWNLOADS_JSON_URL"),
    *("UV_PYTHON_DOWNLOADS", "UV_OFFLINE"),
    *("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_PROXY", "PIP_CERT", "PIP_CLIENT_CERT"),
    *("PIP_TRUSTED_HOST", "PIP_KEYRING_PROVIDER", "PIP_CACHE_DIR"),
    *("PIP_DEFAULT_TIMEOUT", "PIP_TIMEOUT", "PIP_RETRIES"),
)

# Set by another environment, or by the base for itself. A notebook sets the last two for the base's Keras; which Keras
# an environment uses is up to its profile.
_DROPPED = frozenset(
    (
        *("VIRTUAL_ENV", "VIRTUAL_ENV_PROMPT", "CONDA_PREFIX", "CONDA_DEFAULT_ENV", "CONDA_PYTHON_EXE"),
        *("PYENV_VERSION", "__PYVENV_LAUNCHER__", "LD_PRELOAD", "IPYTHON_KERNEL_INSTANCE"),
        *("KERAS_BACKEND", "TF_USE_LEGACY_KERAS", COMMANDS_VARIABLE),
    )
)


def is_leak(name: str, value: str) -> bool:
    """Whether a variable of the base must not reach a program of the environment."""
    if name.startswith("PYTHON"):
        return name not in _PYTHON_KEPT
    if name.startswith(("UV_", "PIP_")) or name == "UV":
        return not any(fnmatch.fnmatchcase(name, pattern) for pattern in DOWNLOAD_SETTINGS)
    if name == "MPLBACKEND":
        # Colab names a module that an environment without matplotlib-inline lacks. A backend of the user's stays.
        return value.startswith("module://")
    return name in _DROPPED


def remove_leaks(environ: "Mapping[str, str]") -> "dict[str, str]":
    """A copy of `environ` without the variables that belong to the base."""
    return {name: value for name, value in environ.items() if not is_leak(name, value)}


def environment_variables(
    environ: "Mapping[str, str]",
    prefix: str,
    *,
    variables: "Mapping[str, str]",
    library_paths: "Sequence[str]" = (),
    program_paths: "Sequence[str]" = (),
) -> "dict[str, str]":
    """The variables for a program that runs in the environment at `prefix`; `environ` are the inherited ones.

    `variables` are the profile's `env`, which override them. Shared libraries are searched in `library_paths` before
    the machine's own folders, and programs in `program_paths` after the environment's `bin`.
    """
    result = remove_leaks(environ)
    inherited_path = result.get("PATH", "/usr/local/bin:/usr/bin:/bin").split(":")
    result["VIRTUAL_ENV"] = prefix
    result["PATH"] = _join_path([prefix + "/bin", *program_paths, *inherited_path])
    result["PYTHONNOUSERSITE"] = "1"
    # google.colab refuses to run `!` commands unless text is UTF-8.
    result.setdefault("PYTHONUTF8", "1")
    if library_paths:
        inherited = result.get("LD_LIBRARY_PATH", "").split(":")
        result["LD_LIBRARY_PATH"] = _join_path([*library_paths, *inherited])
    result.update(variables)
    return result


def _join_path(folders: "Iterable[str]") -> str:
    """A search path without repetitions and without empty entries, which mean the working directory."""
    return ":".join(dict.fromkeys(folder for folder in folders if folder))
