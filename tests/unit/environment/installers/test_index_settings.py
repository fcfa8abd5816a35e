"""Installers get the user's download settings, and no settings of the base environment."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

import colabenv
from colabenv.environment.installers.index_settings import find_secrets, pip_variables, uv_variables
from support import pythons
from support.timeouts import TIMEOUT

CACHE, PYTHONS = Path("/home/cache"), Path("/home/pythons")
COLAB = {
    "UV_SYSTEM_PYTHON": "true",
    "UV_CONSTRAINT": "/gone.txt",
    "UV_BUILD_CONSTRAINT": "",
    "UV_INSTALL_DIR": "/usr/local/bin",
    "UV_PRERELEASE": "allow",
    "PIP_CONSTRAINT": "/gone.txt",
    "PIP_USER": "1",
    "PIP_TARGET": "/elsewhere",
    "PYTHONPATH": "/env/python",
    "VIRTUAL_ENV": "/other",
}
TEAM = (("team", "https://bob:pw@host/simple"), ("lab", "https://lab/simple"))


def uv(environ: dict[str, str], indexes: tuple[tuple[str, str], ...] = ()) -> dict[str, str]:
    return uv_variables({"HOME": "/nowhere", **environ}, indexes, CACHE, PYTHONS)


def pip(environ: dict[str, str], indexes: tuple[tuple[str, str], ...] = ()) -> dict[str, str]:
    return pip_variables({"HOME": "/nowhere", **environ}, indexes, CACHE)


def test_installers_do_not_inherit_settings_of_the_base() -> None:
    assert not COLAB.keys() & uv(COLAB).keys()
    assert not COLAB.keys() & pip(COLAB).keys()


def test_installers_read_no_configuration_files() -> None:
    assert uv({})["UV_NO_CONFIG"] == "1"
    assert pip({"PIP_CONFIG_FILE": "/mine"})["PIP_CONFIG_FILE"] == "/dev/null"
    assert pip({})["PIP_NO_INPUT"] == "1"


def test_caches_and_interpreters_are_in_the_colabenv_home_by_default() -> None:
    assert uv({})["UV_CACHE_DIR"] == "/home/cache/uv"
    assert uv({"UV_CACHE_DIR": "/fast"})["UV_CACHE_DIR"] == "/fast"
    assert uv({"UV_PYTHON_INSTALL_DIR": "/x"})["UV_PYTHON_INSTALL_DIR"] == "/home/pythons"
    assert uv({})["UV_PYTHON_INSTALL_BIN"] == "0"
    assert pip({})["PIP_CACHE_DIR"] == "/home/cache/pip"
    assert pip({"PIP_CACHE_DIR": "/fast"})["PIP_CACHE_DIR"] == "/fast"


DOWNLOAD_SETTINGS = (
    "UV_DEFAULT_INDEX UV_INDEX_TEAM_PASSWORD UV_HTTP_TIMEOUT UV_PYTHON_INSTALL_MIRROR SSL_CERT_FILE HTTPS_PROXY "
    "UV_PYTHON_DOWNLOADS UV_OFFLINE NETRC PIP_INDEX_URL PIP_CERT PIP_DEFAULT_TIMEOUT"
)


def test_download_settings_of_the_user_are_kept() -> None:
    for name in DOWNLOAD_SETTINGS.split():
        assert uv({name: "x"}).get(name) == "x", name
        assert pip({name: "x"}).get(name) == "x", name


def test_indexes_of_the_profile_come_first() -> None:
    variables = uv({"UV_INDEX": "mine=https://mine"}, TEAM)
    assert variables["UV_INDEX"] == "team=https://bob:pw@host/simple lab=https://lab/simple mine=https://mine"
    variables = pip({"PIP_EXTRA_INDEX_URL": "https://mine"}, TEAM)
    assert variables["PIP_EXTRA_INDEX_URL"] == "https://bob:pw@host/simple https://lab/simple https://mine"


def test_no_index_variable_without_indexes() -> None:
    assert "UV_INDEX" not in uv({})
    assert "PIP_EXTRA_INDEX_URL" not in pip({})


def test_uv_uses_the_mirror_set_for_pip() -> None:
    assert uv({"PIP_INDEX_URL": "https://mirror"})["UV_DEFAULT_INDEX"] == "https://mirror"
    both = {"PIP_INDEX_URL": "https://mirror", "UV_DEFAULT_INDEX": "https://own"}
    assert uv(both)["UV_DEFAULT_INDEX"] == "https://own"
    assert "UV_DEFAULT_INDEX" not in uv({"PIP_INDEX_URL": "https://mirror", "UV_INDEX": "https://own"})


def test_inherited_variables_are_not_changed() -> None:
    environ = {"HOME": "/nowhere", **COLAB}
    before = dict(environ)
    uv_variables(environ, TEAM, CACHE, PYTHONS)
    pip_variables(environ, TEAM, CACHE)
    assert environ == before


PIP_CONF = """\
[global]
index-url = https://mirror/simple
trusted-host = mirror
  other
timeout = 60
target = /elsewhere
no-deps = true
[install]
extra-index-url =
    https://one
    https://two
[freeze]
timeout = 1
"""


@pytest.mark.parametrize("path", [".pip/pip.conf", ".config/pip/pip.conf"])
def test_only_download_settings_of_pip_conf_are_used(tmp_path: Path, path: str) -> None:
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_text(PIP_CONF)
    variables = pip({"HOME": str(tmp_path)})
    assert variables["PIP_INDEX_URL"] == "https://mirror/simple"
    assert variables["PIP_TRUSTED_HOST"] == "mirror other"
    assert variables["PIP_TIMEOUT"] == "60"
    assert variables["PIP_EXTRA_INDEX_URL"] == "https://one https://two"
    assert "PIP_TARGET" not in variables
    assert "PIP_NO_DEPS" not in variables
    assert uv({"HOME": str(tmp_path)})["UV_DEFAULT_INDEX"] == "https://mirror/simple"


def test_pip_config_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "mine.conf").write_text(PIP_CONF)
    environ = {"PIP_CONFIG_FILE": str(tmp_path / "mine.conf")}
    assert pip(environ)["PIP_INDEX_URL"] == "https://mirror/simple"
    assert uv(environ)["UV_DEFAULT_INDEX"] == "https://mirror/simple"


def test_no_file_is_read_if_pip_config_file_is_devnull(tmp_path: Path) -> None:
    (tmp_path / ".pip").mkdir()
    (tmp_path / ".pip" / "pip.conf").write_text(PIP_CONF)
    assert "PIP_INDEX_URL" not in pip({"HOME": str(tmp_path), "PIP_CONFIG_FILE": "/dev/null"})


def test_variables_override_files(tmp_path: Path) -> None:
    (tmp_path / "pip").mkdir()
    (tmp_path / "pip" / "pip.conf").write_text(PIP_CONF)
    environ = {"XDG_CONFIG_HOME": str(tmp_path), "PIP_INDEX_URL": "https://own"}
    assert pip(environ)["PIP_INDEX_URL"] == "https://own"
    assert uv(environ)["UV_DEFAULT_INDEX"] == "https://own"


def test_invalid_pip_conf_is_ignored(tmp_path: Path) -> None:
    (tmp_path / "pip").mkdir()
    for content in (b"index-url = x", b"[global\n", b"\xff\xfe", b"[global]\nx\n", b""):
        (tmp_path / "pip" / "pip.conf").write_bytes(content)
        assert "PIP_INDEX_URL" not in pip({"XDG_CONFIG_HOME": str(tmp_path)}), content


UV_TOML = """\
native-tls = true
index-url = "https://old"
cache-dir = "/fast"
extra-index-url = ["https://one", "https://two"]
prerelease = "allow"
python-install-mirror = "https://pythons"
[[index]]
name = "lab"
url = "https://lab"
[[index]]
url = "https://unnamed"
[[index]]
name = "main"
url = "https://main"
default = true
[pip]
system = true
"""


def test_only_download_settings_of_uv_toml_are_used(tmp_path: Path) -> None:
    (tmp_path / "uv").mkdir()
    (tmp_path / "uv" / "uv.toml").write_text(UV_TOML)
    variables = uv({"XDG_CONFIG_HOME": str(tmp_path)}, TEAM[:1])
    assert variables["UV_NATIVE_TLS"] == "true"
    assert variables["UV_CACHE_DIR"] == "/fast"
    assert variables["UV_EXTRA_INDEX_URL"] == "https://one https://two"
    assert variables["UV_PYTHON_INSTALL_MIRROR"] == "https://pythons"
    assert variables["UV_DEFAULT_INDEX"] == "main=https://main"
    assert variables["UV_INDEX"] == "team=https://bob:pw@host/simple lab=https://lab https://unnamed"
    assert "UV_PRERELEASE" not in variables
    assert "UV_SYSTEM_PYTHON" not in variables


def test_uv_config_file_replaces_other_files(tmp_path: Path) -> None:
    (tmp_path / "uv").mkdir()
    (tmp_path / "uv" / "uv.toml").write_text(UV_TOML)
    (tmp_path / "mine.toml").write_text('index-url = "https://own"\n')
    environ = {"XDG_CONFIG_HOME": str(tmp_path), "UV_CONFIG_FILE": str(tmp_path / "mine.toml")}
    assert uv(environ)["UV_DEFAULT_INDEX"] == "https://own"
    assert "UV_INDEX" not in uv(environ)
    assert "UV_CONFIG_FILE" not in uv(environ)


def test_uv_toml_is_read_on_python_3_10(tmp_path: Path) -> None:
    """Python 3.10 has no tomllib; colabenv depends on tomli there, and pip includes a copy of it."""
    python = pythons.find_cpython("3.10")
    if python is None:
        pytest.skip("no Python 3.10 on this machine")
    (tmp_path / "uv.toml").write_text('index-url = "https://mirror"\n')
    code = (
        "import sys, pip._vendor.tomli as tomli; sys.modules['tomli'] = tomli; sys.path.insert(0, sys.argv[1]);"
        "from pathlib import Path; from colabenv.environment.installers.index_settings import uv_variables;"
        "print(uv_variables({'UV_CONFIG_FILE': sys.argv[2]}, (), Path('/c'), Path('/p'))['UV_DEFAULT_INDEX'])"
    )
    argv = [str(python), "-I", "-c", code, str(Path(colabenv.__file__).parents[1]), str(tmp_path / "uv.toml")]
    result = subprocess.run(argv, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    assert result.stdout == "https://mirror\n", result.stderr


def test_invalid_uv_toml_is_ignored(tmp_path: Path) -> None:
    (tmp_path / "uv").mkdir()
    for content in (b"[[index", b"\xff\xfe", b"index = 3", b"index = ['x']", b"[index]\nurl = 'x'", b""):
        (tmp_path / "uv" / "uv.toml").write_bytes(content)
        assert "UV_INDEX" not in uv({"XDG_CONFIG_HOME": str(tmp_path)}), content


def test_secrets_are_the_credentials_of_urls() -> None:
    indexes = (("a", "https://bob:hunter22@host/x"), ("b", "https://token@host"), ("c", "https://host"))
    assert set(find_secrets(indexes)) == {"bob", "hunter22", "token"}
