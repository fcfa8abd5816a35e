"""Every variable that a child process inherits on Colab, and whether an environment may see it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from colabenv.embedded import environ
from colabenv.embedded.environ import environment_variables, is_leak, remove_leaks

# As read off live runtimes; the second list may stay, since it changes what programs do, not what they import.
LEAKS = {
    "PYTHONPATH": "/env/python",
    "PYTHONWARNINGS": "ignore:::pip._internal.cli.base_command",
    "UV_SYSTEM_PYTHON": "true",
    "UV_CONSTRAINT": "",
    "UV_BUILD_CONSTRAINT": "",
    "UV_INSTALL_DIR": "/usr/local/bin",
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    "LD_PRELOAD": "/usr/lib/x86_64-linux-gnu/libtcmalloc.so.4",
    "KERAS_BACKEND": "torch",
    "TF_USE_LEGACY_KERAS": "1",
}
STAY = {
    "PYTHONUTF8": "1",
    "LD_LIBRARY_PATH": "/usr/local/nvidia/lib:/usr/local/nvidia/lib64",
    "LIBRARY_PATH": "/usr/local/cuda/lib64/stubs",
    "CUDA_VERSION": "12.5.1",
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",
    "CLOUDSDK_CONFIG": "/content/.config",
    "CLOUDSDK_PYTHON": "python3",
    "DEBIAN_FRONTEND": "noninteractive",
    "TBE_RUNTIME_ADDR": "172.28.0.1:8011",
    "TBE_CREDS_ADDR": "172.28.0.1:8008",
    "TBE_EPHEM_CREDS_ADDR": "172.28.0.1:8009",
    "COLAB_JUPYTER_TRANSPORT": "ipc",
    "COLAB_JUPYTER_IP": "172.28.0.12",
    "COLAB_RELEASE_TAG": "release-colab_20260820",
    "KMP_TARGET_PORT": "9000",
    "JPY_SESSION_NAME": "/content/a.ipynb",
    "JPY_PARENT_PID": "80",
    "TERM": "xterm-color",
    "PAGER": "cat",
    "GIT_PAGER": "cat",
    "CLICOLOR": "1",
    "HOME": "/root",
}
COLAB = {**LEAKS, **STAY, "PATH": "/opt/bin:/usr/local/nvidia/bin:/usr/local/bin:/usr/bin"}


@pytest.mark.parametrize("name", LEAKS)
def test_what_belongs_to_the_base_leaks(name: str) -> None:
    assert is_leak(name, LEAKS[name])


@pytest.mark.parametrize("name", STAY)
def test_what_describes_the_machine_stays(name: str) -> None:
    assert not is_leak(name, STAY[name])


@pytest.mark.parametrize(
    "name",
    [
        "PYTHONHOME",
        "PYTHONSTARTUP",
        "PYTHONUSERBASE",
        "PYTHONNOUSERSITE",
        "PYTHONSAFEPATH",
        "PYTHONBREAKPOINT",
        "PYTHONPYCACHEPREFIX",
        "UV",
        "UV_PYTHON",
        "UV_TARGET",
        "UV_PROJECT",
        "UV_NO_INDEX",
        "UV_OVERRIDE",
        "PIP_TARGET",
        "PIP_PREFIX",
        "PIP_USER",
        "PIP_CONSTRAINT",
        "PIP_NO_DEPS",
        "VIRTUAL_ENV",
        "CONDA_PREFIX",
        "PYENV_VERSION",
        "__PYVENV_LAUNCHER__",
    ],
)
def test_settings_of_another_environment_leak(name: str) -> None:
    assert is_leak(name, "x")


@pytest.mark.parametrize(
    "name",
    [
        "UV_INDEX",
        "UV_INDEX_TEAM_USERNAME",
        "UV_DEFAULT_INDEX",
        "UV_CACHE_DIR",
        "UV_HTTP_TIMEOUT",
        "PIP_INDEX_URL",
        "PIP_PROXY",
        "PIP_TRUSTED_HOST",
        "HTTPS_PROXY",
        "SSL_CERT_FILE",
        "PYTHONIOENCODING",
        "PYTHONUNBUFFERED",
        "UVICORN_PORT",
        "PIPELINE",
    ],
)
def test_download_settings_and_names_that_only_look_alike_stay(name: str) -> None:
    assert not is_leak(name, "x")


def test_a_backend_the_user_chose_stays() -> None:
    assert not is_leak("MPLBACKEND", "agg")
    assert is_leak("MPLBACKEND", "module://ipympl.backend_nbagg")


def test_without_leaks_leaves_its_argument_alone() -> None:
    before = dict(COLAB)
    assert remove_leaks(COLAB) == {**STAY, "PATH": COLAB["PATH"]}
    assert before == COLAB


def test_a_program_of_an_environment_on_colab() -> None:
    before = dict(COLAB)
    result = environment_variables(
        COLAB,
        "/e",
        variables={"TF_CPP_MIN_LOG_LEVEL": "2", "PAGER": "less"},
        library_paths=["/e/lib/a", "/e/lib/b"],
        program_paths=["/e/nvcc/bin"],
    )
    changed = {name: value for name, value in result.items() if COLAB.get(name) != value}
    assert changed == {
        "VIRTUAL_ENV": "/e",
        "PATH": f"/e/bin:/e/nvcc/bin:{COLAB['PATH']}",
        "PYTHONNOUSERSITE": "1",
        "LD_LIBRARY_PATH": f"/e/lib/a:/e/lib/b:{COLAB['LD_LIBRARY_PATH']}",
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "PAGER": "less",
    }
    assert set(COLAB) - set(result) == set(LEAKS)
    assert before == COLAB


def test_search_paths_have_no_empty_entries_and_no_repetitions() -> None:
    given = {"PATH": "/e/bin::/usr/bin:/usr/bin:", "LD_LIBRARY_PATH": ":/l::"}
    result = environment_variables(given, "/e", variables={}, library_paths=["/l", "/m"])
    assert result["PATH"] == "/e/bin:/usr/bin"
    assert result["LD_LIBRARY_PATH"] == "/l:/m"


def test_an_empty_environment_still_finds_programs_and_speaks_utf8() -> None:
    result = environment_variables({}, "/e", variables={})
    assert result["PATH"] == "/e/bin:/usr/local/bin:/usr/bin:/bin"
    assert result["PYTHONUTF8"] == "1"
    assert "LD_LIBRARY_PATH" not in result


def test_the_profile_has_the_last_word() -> None:
    result = environment_variables(
        {"PYTHONUTF8": "0"}, "/e", variables={"PATH": "/mine", "PYTHONPATH": "/wanted"}
    )
    assert result["PATH"] == "/mine"
    assert result["PYTHONPATH"] == "/wanted"
    assert result["PYTHONUTF8"] == "0"


def test_the_file_can_travel_into_an_environment_of_python_3_8() -> None:
    tree = ast.parse(Path(environ.__file__).read_text(encoding="utf-8"), feature_version=(3, 8))
    imported = {
        name.name if isinstance(node, ast.Import) else str(node.module)
        for node in ast.iter_child_nodes(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in node.names
    }
    assert imported == {"__future__", "fnmatch"}
