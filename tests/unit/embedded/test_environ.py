"""Which variables of Colab a program of an environment inherits."""

from __future__ import annotations

import ast
from pathlib import Path

from colabenv.embedded import environ
from colabenv.embedded.environ import environment_variables, is_leak, remove_leaks

# All variables of a Colab runtime. Those of KEPT change what programs do, but not what they import.
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
KEPT = {
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
COLAB = {**LEAKS, **KEPT, "PATH": "/opt/bin:/usr/local/nvidia/bin:/usr/local/bin:/usr/bin"}


def test_settings_of_the_base_and_of_other_environments_are_leaks() -> None:
    other_environments = [
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
    ]
    variables = {**LEAKS, **dict.fromkeys(other_environments, "x")}
    assert [name for name, value in variables.items() if not is_leak(name, value)] == []


def test_settings_of_the_machine_and_for_downloads_are_kept() -> None:
    download_settings = [
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
    ]
    similar_names = ["UVICORN_PORT", "PIPELINE"]
    variables = {**KEPT, **dict.fromkeys([*download_settings, *similar_names], "x")}
    assert [name for name, value in variables.items() if is_leak(name, value)] == []


def test_matplotlib_backend_of_the_user_is_kept() -> None:
    assert not is_leak("MPLBACKEND", "agg")
    assert is_leak("MPLBACKEND", "module://ipympl.backend_nbagg")


def test_remove_leaks_does_not_change_its_argument() -> None:
    before = dict(COLAB)
    assert remove_leaks(COLAB) == {**KEPT, "PATH": COLAB["PATH"]}
    assert before == COLAB


def test_environment_variables_on_colab() -> None:
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


def test_search_paths_have_no_empty_and_no_repeated_entries() -> None:
    inherited = {"PATH": "/e/bin::/usr/bin:/usr/bin:", "LD_LIBRARY_PATH": ":/l::"}
    result = environment_variables(inherited, "/e", variables={}, library_paths=["/l", "/m"])
    assert result["PATH"] == "/e/bin:/usr/bin"
    assert result["LD_LIBRARY_PATH"] == "/l:/m"


def test_environment_variables_from_an_empty_environment() -> None:
    result = environment_variables({}, "/e", variables={})
    assert result["PATH"] == "/e/bin:/usr/local/bin:/usr/bin:/bin"
    assert result["PYTHONUTF8"] == "1"
    assert "LD_LIBRARY_PATH" not in result


def test_variables_of_the_profile_override_all_others() -> None:
    result = environment_variables(
        {"PYTHONUTF8": "0"}, "/e", variables={"PATH": "/mine", "PYTHONPATH": "/wanted"}
    )
    assert result["PATH"] == "/mine"
    assert result["PYTHONPATH"] == "/wanted"
    assert result["PYTHONUTF8"] == "0"


def test_environ_imports_only_fnmatch() -> None:
    tree = ast.parse(Path(environ.__file__).read_text(encoding="utf-8"))
    imports = [node for node in ast.iter_child_nodes(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    assert [name.name for node in imports for name in node.names] == ["fnmatch"]
