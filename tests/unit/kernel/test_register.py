"""Kernelspecs and their registration with Jupyter."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from jupyter_client.kernelspec import KernelSpecManager

from colabenv import embedded
from colabenv.errors import DiskError
from colabenv.kernel.register import (
    find_kernels_folder,
    install_launcher,
    link_uv,
    list_registered_names,
    read_registered_spec,
    read_settings,
    register_kernel,
    unregister_kernel,
)
from colabenv.kernel.spec import kernelspec
from support.timeouts import TIMEOUT

SPEC = kernelspec(
    name="demo",
    display_name="Demo (Python 3.11)",
    environment="/e",
    digest="d1",
    version="0.1",
    profile="/p.yaml",
)


def test_kernel_starts_isolated_and_without_site() -> None:
    assert json.loads(json.dumps(SPEC)) == SPEC
    assert SPEC["argv"] == ["/e/bin/python", "-I", "-S", "/e/colabenv/launcher.py", "-f", "{connection_file}"]
    assert SPEC["display_name"] == "Demo (Python 3.11)"
    assert SPEC["interrupt_mode"] == "signal"
    assert SPEC["metadata"]["colabenv"] == {
        "name": "demo",
        "digest": "d1",
        "version": "0.1",
        "profile": "/p.yaml",
    }


def test_kernels_folder_is_the_one_that_jupyter_uses() -> None:
    cases: list[tuple[dict[str, str], str]] = [
        ({"HOME": "/root"}, "/root/.local/share/jupyter/kernels"),
        ({"HOME": "/root", "XDG_DATA_HOME": "/x"}, "/x/jupyter/kernels"),
        ({"HOME": "/root", "XDG_DATA_HOME": "/x", "JUPYTER_DATA_DIR": "/j"}, "/j/kernels"),
        ({}, "/root/.local/share/jupyter/kernels"),
    ]
    for environ, folder in cases:
        assert find_kernels_folder(environ) == Path(folder), environ


def test_launcher_is_installed_without_registering_the_kernel(tmp_path: Path) -> None:
    (tmp_path / "lib" / "python3.11" / "site-packages").mkdir(parents=True)
    kernels = install_launcher(
        tmp_path,
        SPEC,
        variables={"A": "1"},
        google_colab=Path("/g"),
        preload=("json",),
        constraints=("numpy<2",),
    )
    program = "try:\n    import google.colab\nexcept ModuleNotFoundError as error:\n    print(error)\n"
    site = [
        sys.executable,
        "-I",
        "-c",
        f"import sys; sys.path.append({str(tmp_path / 'colabenv' / 'site')!r})\n{program}",
    ]
    done = subprocess.run(site, capture_output=True, text=True, check=True, timeout=TIMEOUT)
    assert "move this line into a cell" in done.stdout
    for name in ("launcher.py", "environ.py"):
        assert (tmp_path / "colabenv" / name).read_bytes() == (embedded.FOLDER / name).read_bytes()
    assert read_settings(tmp_path) == {
        "variables": {"A": "1"},
        "google_colab": "/g",
        "colab_kernel": False,
        "base_python": sys.executable,
        "preload": ["json"],
        "constraints": ["numpy<2"],
    }
    assert os.access(tmp_path / "colabenv" / "bin" / "pip3.11", os.X_OK)
    assert [path.name for path in kernels.iterdir()] == ["colabenv-demo"]
    specs = KernelSpecManager(kernel_dirs=[str(kernels)], ensure_native_kernel=False)
    assert specs.get_kernel_spec("colabenv-demo").argv == SPEC["argv"]


def test_damaged_or_absent_settings_are_empty(tmp_path: Path) -> None:
    assert read_settings(tmp_path) == {}
    (tmp_path / "colabenv").mkdir()
    for content in ("", "{", "[]", "null"):
        (tmp_path / "colabenv" / "settings.json").write_text(content)
        assert read_settings(tmp_path) == {}, content


def test_kernels_are_registered_listed_and_unregistered(tmp_path: Path) -> None:
    assert list_registered_names(tmp_path) == []
    assert read_registered_spec("demo", tmp_path) is None
    path = register_kernel("demo", SPEC, tmp_path)
    assert path == tmp_path / "colabenv-demo" / "kernel.json"
    assert read_registered_spec("demo", tmp_path) == SPEC
    register_kernel("demo", {**SPEC, "display_name": "New"}, tmp_path)
    register_kernel("a.b", SPEC, tmp_path)
    (tmp_path / "python3").mkdir()
    (tmp_path / "python3" / "kernel.json").write_text("{}")
    (tmp_path / "colabenv-empty").mkdir()
    assert list_registered_names(tmp_path) == ["a.b", "demo"]
    assert unregister_kernel("demo", tmp_path)
    assert not unregister_kernel("demo", tmp_path)
    assert list_registered_names(tmp_path) == ["a.b"]
    assert (tmp_path / "python3" / "kernel.json").exists()


def test_damaged_kernelspec_can_be_unregistered(tmp_path: Path) -> None:
    for content in ("", "[]", "{", "\x00"):
        register_kernel("demo", SPEC, tmp_path).write_text(content)
        assert read_registered_spec("demo", tmp_path) is None, content
        assert unregister_kernel("demo", tmp_path), content


def test_folder_that_cannot_be_written_to_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "kernels").write_text("a file")
    with pytest.raises(DiskError):
        register_kernel("demo", SPEC, tmp_path / "kernels")


def test_uv_is_linked_once_and_a_dangling_link_is_replaced(tmp_path: Path) -> None:
    binary = tmp_path / "uv"
    binary.write_text("")
    (tmp_path / "e" / "bin").mkdir(parents=True)
    link = tmp_path / "e" / "bin" / "uv"
    link.symlink_to(tmp_path / "gone")
    link_uv(tmp_path / "e", binary)
    assert link.resolve() == binary
    link_uv(tmp_path / "e", tmp_path / "other")
    assert link.resolve() == binary
    link_uv(tmp_path / "none", None)
    with pytest.raises(DiskError):
        link_uv(tmp_path / "none", binary)
