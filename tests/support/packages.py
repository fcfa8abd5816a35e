"""Build small real packages: wheels (PEP 427) and source archives (PEP 517)."""

from __future__ import annotations

import base64
import hashlib
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from io import BytesIO


def wheel(
    name: str,
    version: str,
    *,
    files: Mapping[str, bytes | str] | None = None,
    requires: Sequence[str] = (),
) -> tuple[str, bytes]:
    """File name and bytes of a pure wheel.

    Args:
        name: name of the project, with `_` for `-`.
        version: version (PEP 440).
        files: content by path; by default, a module with the project's name and a VERSION.
        requires: requirements (PEP 508).
    """
    content = dict(files) if files is not None else {f"{name}.py": f"VERSION = {version!r}\n"}
    info = f"{name}-{version}.dist-info"
    content[f"{info}/METADATA"] = metadata(name, version, requires)
    content[f"{info}/WHEEL"] = (
        "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    )
    rows = [f"{path},{_record_hash(_raw(data))},{len(_raw(data))}" for path, data in content.items()]
    content[f"{info}/RECORD"] = "\n".join([*rows, f"{info}/RECORD,,"]) + "\n"
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for path, data in content.items():
            archive.writestr(zipfile.ZipInfo(path, (2024, 1, 1, 0, 0, 0)), _raw(data), zipfile.ZIP_DEFLATED)
    return f"{name}-{version}-py3-none-any.whl", buffer.getvalue()


def metadata(name: str, version: str, requires: Sequence[str] = ()) -> str:
    """The core metadata of a project."""
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    return "\n".join([*lines, *(f"Requires-Dist: {line}" for line in requires)]) + "\n"


_BACKEND = '''"""A build backend, so that building needs nothing from an index."""

import base64, hashlib, os, zipfile

NAME, VERSION = {name!r}, {version!r}


def get_requires_for_build_wheel(config_settings=None):
    return []


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    info = f"{{NAME}}-{{VERSION}}.dist-info"
    files = {{
        f"{{NAME}}.py": open(f"{{NAME}}.py").read(),
        f"{{info}}/METADATA": open("PKG-INFO").read(),
        f"{{info}}/WHEEL": "Wheel-Version: 1.0\\nGenerator: own\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    }}
    rows = []
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        rows.append(f"{{path}},sha256={{digest}},{{len(text.encode())}}")
    files[f"{{info}}/RECORD"] = "\\n".join([*rows, f"{{info}}/RECORD,,", ""])
    filename = f"{{NAME}}-{{VERSION}}-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(wheel_directory, filename), "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return filename
'''


def sdist(name: str, version: str) -> tuple[str, bytes]:
    """File name and bytes of a source archive that contains its build backend and a module with its version."""
    pyproject = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    pyproject += f'[project]\nname = "{name}"\nversion = "{version}"\n'
    content = {
        "PKG-INFO": metadata(name, version),
        "pyproject.toml": pyproject,
        "backend.py": _BACKEND.format(name=name, version=version),
        f"{name}.py": f"VERSION = {version!r}\nBUILT_FROM_SOURCE = True\n",
    }
    buffer = BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for path, text in content.items():
            entry = tarfile.TarInfo(f"{name}-{version}/{path}")
            entry.size = len(text.encode())
            archive.addfile(entry, BytesIO(text.encode()))
    return f"{name}-{version}.tar.gz", buffer.getvalue()


def _raw(data: bytes | str) -> bytes:
    return data.encode() if isinstance(data, str) else data


def _record_hash(data: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return f"sha256={digest}"
