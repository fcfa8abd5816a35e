"""The user's settings for downloads, as variables for uv and pip.

Both run without their own configuration files, which may change anything. The settings for indexes, proxies,
certificates, mirrors and caches in those files are read here.
"""

from __future__ import annotations

import configparser
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from colabenv._compat import tomllib
from colabenv.embedded.environ import DOWNLOAD_SETTINGS, remove_leaks

# Keys of uv.toml and the equivalent variables (uv's settings reference).
_UV_KEYS = {
    "default-index": "UV_DEFAULT_INDEX",
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_EXTRA_INDEX_URL",
    "find-links": "UV_FIND_LINKS",
    "keyring-provider": "UV_KEYRING_PROVIDER",
    "native-tls": "UV_NATIVE_TLS",
    "system-certs": "UV_SYSTEM_CERTS",
    "allow-insecure-host": "UV_INSECURE_HOST",
    "cache-dir": "UV_CACHE_DIR",
    "python-install-mirror": "UV_PYTHON_INSTALL_MIRROR",
    "python-downloads-json-url": "UV_PYTHON_DOWNLOADS_JSON_URL",
    "python-downloads": "UV_PYTHON_DOWNLOADS",
    "offline": "UV_OFFLINE",
}


def uv_variables(
    environ: Mapping[str, str], indexes: tuple[tuple[str, str], ...], cache: Path, pythons: Path
) -> dict[str, str]:
    """All environment variables of a uv process, which downloads interpreters to `pythons`.

    The profile's `indexes` (name, URL) come before the default one; `cache` is used unless the user chose a folder.
    """
    result = _uv_files(environ) | remove_leaks(environ)
    pip_index = result.get("PIP_INDEX_URL") or _pip_files(environ).get("PIP_INDEX_URL")
    if pip_index and not any(name in result for name in ("UV_DEFAULT_INDEX", "UV_INDEX")):
        # A mirror is often configured for pip only.
        result["UV_DEFAULT_INDEX"] = pip_index
    if indexes:
        named_urls = " ".join(f"{name}={url}" for name, url in indexes)
        result["UV_INDEX"] = f"{named_urls} {result.get('UV_INDEX', '')}".strip()
    result.setdefault("UV_CACHE_DIR", str(cache / "uv"))
    return result | {"UV_PYTHON_INSTALL_DIR": str(pythons), "UV_PYTHON_INSTALL_BIN": "0", "UV_NO_CONFIG": "1"}


def pip_variables(
    environ: Mapping[str, str], indexes: tuple[tuple[str, str], ...], cache: Path
) -> dict[str, str]:
    """All environment variables of a pip process; see `uv_variables`."""
    result = _pip_files(environ) | remove_leaks(environ)
    if indexes:
        urls = " ".join(url for _, url in indexes)
        result["PIP_EXTRA_INDEX_URL"] = f"{urls} {result.get('PIP_EXTRA_INDEX_URL', '')}".strip()
    result.setdefault("PIP_CACHE_DIR", str(cache / "pip"))
    result["PIP_CONFIG_FILE"] = "/dev/null"
    result["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
    result["PIP_NO_INPUT"] = "1"
    result["PIP_ROOT_USER_ACTION"] = "ignore"
    return result


def find_secrets(indexes: tuple[tuple[str, str], ...]) -> tuple[str, ...]:
    """The user names and passwords in index URLs, which must not be shown."""
    parts = [urlsplit(url) for _, url in indexes]
    return tuple(value for part in parts for value in (part.password, part.username) if value)


def _uv_files(environ: Mapping[str, str]) -> dict[str, str]:
    """Download settings in the user's and the system's uv.toml, as variables."""
    home = Path(environ.get("XDG_CONFIG_HOME") or Path(environ.get("HOME", "/")) / ".config")
    result: dict[str, str] = {}
    files = [home / "uv" / "uv.toml", Path("/etc/uv/uv.toml")]
    for path in [Path(environ["UV_CONFIG_FILE"])] if environ.get("UV_CONFIG_FILE") else files:
        table = _toml(path)
        for entry in _index_tables(table):
            text = f"{entry['name']}={entry['url']}" if "name" in entry else str(entry["url"])
            if entry.get("default"):
                result.setdefault("UV_DEFAULT_INDEX", text)
            else:
                result["UV_INDEX"] = f"{result.get('UV_INDEX', '')} {text}".strip()
        for key, name in _UV_KEYS.items():
            if key in table:
                result.setdefault(name, _as_variable(table[key]))
    return result


def _index_tables(table: dict[str, Any]) -> list[dict[str, Any]]:
    tables = table.get("index")
    entries = tables if isinstance(tables, list) else []
    return [entry for entry in entries if isinstance(entry, dict) and "url" in entry]


def _toml(path: Path) -> dict[str, Any]:
    try:
        return dict(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def _pip_files(environ: Mapping[str, str]) -> dict[str, str]:
    """Download settings in pip's configuration files, as variables; the user's win over the system's."""
    home = Path(environ.get("HOME", "/"))
    config = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    files = [Path("/etc/pip.conf"), home / ".pip" / "pip.conf", config / "pip" / "pip.conf"]
    own_file = environ.get("PIP_CONFIG_FILE")
    if own_file == os.devnull:
        return {}  # pip reads no files then
    parser = configparser.RawConfigParser()
    try:
        parser.read([*files, Path(own_file)] if own_file else files, encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError):
        return {}
    result = {}
    for section in ("global", "install"):
        if parser.has_section(section):
            for key, value in parser.items(section):
                name = f"PIP_{key.upper().replace('-', '_')}"
                if name in DOWNLOAD_SETTINGS:
                    result[name] = " ".join(value.split())
    return result


def _as_variable(value: object) -> str:
    if isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, list):
        return " ".join(str(part) for part in value)
    return str(value)
