"""The launcher: the variables that it sets, and its changes of IPython's configuration."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from traitlets.config import Config

from colabenv import embedded
from colabenv.embedded import environ, launcher
from colabenv.embedded.launcher import add_google_colab, find_cuda_folders, without_google_colab
from support.pythons import embedded_interpreters
from support.timeouts import TIMEOUT

EMBEDDED = Path(launcher.__file__).parent
PYTHONS = embedded_interpreters()


def make_files(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("")


def test_cuda_folders_of_wheels(tmp_path: Path) -> None:
    nvidia = "lib/python3.11/site-packages/nvidia"
    make_files(
        tmp_path,
        f"{nvidia}/cudnn/lib/libcudnn.so.8",
        f"{nvidia}/cublas/lib/libcublas.so.11",
        f"{nvidia}/cuda_nvcc/bin/ptxas",
        f"{nvidia}/cuda_nvcc/nvvm/libdevice/libdevice.10.bc",
        f"{nvidia}/nvtx/include/nvtx.h",
        f"{nvidia}/__init__.py",
        "lib/libother.so",
    )
    libraries, programs = find_cuda_folders(str(tmp_path))
    assert libraries == [f"{tmp_path}/{nvidia}/cublas/lib", f"{tmp_path}/{nvidia}/cudnn/lib"]
    assert programs == [f"{tmp_path}/{nvidia}/cuda_nvcc/bin"]


def test_cuda_folders_of_cuda_13_wheels(tmp_path: Path) -> None:
    # The folders of nvidia-cuda-runtime 13.0, nvidia-cuda-nvcc 13.0 and nvidia-cudnn-cu13 9.20.
    nvidia = "lib/python3.12/site-packages/nvidia"
    files = ("cu13/lib/libcudart.so.13", "cu13/bin/ptxas", "cudnn/lib/libcudnn.so.9")
    make_files(tmp_path, *(f"{nvidia}/{file}" for file in files))
    libraries, programs = find_cuda_folders(str(tmp_path))
    assert libraries == [f"{tmp_path}/{nvidia}/cu13/lib", f"{tmp_path}/{nvidia}/cudnn/lib"]
    assert programs == [f"{tmp_path}/{nvidia}/cu13/bin"]


def test_no_cuda_folders_without_wheels(tmp_path: Path) -> None:
    assert find_cuda_folders(str(tmp_path)) == ([], [])
    make_files(tmp_path, "lib/python3.11/site-packages/numpy/x.py")
    assert find_cuda_folders(str(tmp_path)) == ([], [])


COLAB_KERNEL = "google.colab._kernel.Kernel"


def colab_configuration() -> Config:
    """Return the settings of /etc/ipython/ipython_config.py on Colab."""
    config = Config()
    config.IPKernelApp.kernel_class = "google.colab._kernel.Kernel"
    config.InteractiveShellApp.extensions = ["google.colab"]
    return config


def test_without_google_colab_removes_its_kernel_and_extensions() -> None:
    config = colab_configuration()
    config.InteractiveShellApp.extensions = [
        "autoreload",
        "google.colab",
        "google.colab.data_table",
        "google.cloud",
    ]
    adapted = without_google_colab(config)
    assert adapted.IPKernelApp.kernel_class == "ipykernel.ipkernel.IPythonKernel"
    assert adapted.InteractiveShellApp.extensions == ["autoreload", "google.cloud"]
    assert config.IPKernelApp.kernel_class == "google.colab._kernel.Kernel"


def test_google_colab_is_added_once() -> None:
    for config in (Config(), colab_configuration()):
        add_google_colab(config, COLAB_KERNEL)
        add_google_colab(config, COLAB_KERNEL)
        assert config.IPKernelApp.kernel_class == "google.colab._kernel.Kernel"
        assert config.InteractiveShellApp.extensions == ["google.colab"]


def test_kernel_class_and_extensions_of_the_user_are_kept() -> None:
    config = Config()
    config.IPKernelApp.kernel_class = "my.Kernel"
    config.InteractiveShellApp.extensions = ["autoreload"]
    assert without_google_colab(config) == config
    add_google_colab(config, COLAB_KERNEL)
    assert config.InteractiveShellApp.extensions == ["autoreload", "google.colab"]


def test_empty_configuration_stays_empty() -> None:
    adapted = without_google_colab(Config())
    assert not adapted.IPKernelApp
    assert not adapted.InteractiveShellApp


def test_appended_extensions_are_kept() -> None:
    config = Config()
    config.InteractiveShellApp.extensions.append("autoreload")
    config.InteractiveShellApp.extensions.append("google.colab")
    assert without_google_colab(config).InteractiveShellApp.extensions == ["autoreload"]
    config = Config()
    config.InteractiveShellApp.extensions.append("autoreload")
    add_google_colab(config, COLAB_KERNEL)
    assert config.InteractiveShellApp.extensions == ["autoreload", "google.colab"]


PRINT_START = """
import json, os, sys
print(json.dumps({"argv": sys.argv, "environ": dict(os.environ), "flags": sys.flags.isolated}))
"""


def make_environment(prefix: Path, python: Path, settings: dict[str, object]) -> None:
    """Create a folder like an environment whose Python prints its arguments and variables."""
    (prefix / "bin").mkdir(parents=True)
    (prefix / "bin" / "python").write_text(f"#!/bin/sh\nshift\nexec {python} -c '{PRINT_START}' \"$@\"\n")
    (prefix / "bin" / "python").chmod(0o755)
    (prefix / "colabenv").mkdir()
    (prefix / "colabenv" / "launcher.py").write_bytes((EMBEDDED / "launcher.py").read_bytes())
    (prefix / "colabenv" / "environ.py").write_bytes(Path(environ.__file__).read_bytes())
    (prefix / "colabenv" / "settings.json").write_text(json.dumps(settings))


@pytest.mark.parametrize("minor", PYTHONS)
def test_launcher_starts_the_python_of_the_environment(tmp_path: Path, minor: str) -> None:
    prefix = tmp_path / "e"
    settings: dict[str, object] = {
        "variables": {"MINE": "1"},
        "google_colab": "",
        "base_python": "/usr/bin/python3",
    }
    make_environment(prefix, PYTHONS[minor], settings)
    toolkit = prefix / "lib" / "python3.11" / "site-packages" / "nvidia" / "cuda_nvcc"
    make_files(toolkit, "bin/ptxas", "lib/x.so", "nvvm/libdevice/libdevice.10.bc")
    inherited = {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": "/env/python",
        "LD_LIBRARY_PATH": "/usr/local/nvidia/lib",
        "CLOUDSDK_PYTHON": "python3",
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "XLA_FLAGS": "--xla_dump_to=/x",
    }
    result = subprocess.run(
        [PYTHONS[minor], "-I", "-S", prefix / "colabenv" / "launcher.py", "-f", "/c.json"],
        capture_output=True,
        text=True,
        env=inherited,
        check=True,
        timeout=TIMEOUT,
    )
    start = json.loads(result.stdout)
    variables = start["environ"]
    assert start["argv"][1:] == ["-f", "/c.json"]
    assert variables["MINE"] == "1"
    assert variables["VIRTUAL_ENV"] == variables["COLABENV_KERNEL_PREFIX"] == str(prefix)
    folders = [str(prefix / "colabenv" / "bin"), str(prefix / "bin"), str(toolkit / "bin")]
    assert variables["PATH"].split(os.pathsep)[:3] == folders
    assert variables["COLABENV_COMMANDS"] == str(prefix)
    assert variables["LD_LIBRARY_PATH"] == f"{toolkit / 'lib'}:/usr/local/nvidia/lib"
    assert variables["CLOUDSDK_PYTHON"] == "/usr/bin/python3"
    assert variables["XLA_FLAGS"] == f"--xla_dump_to=/x --xla_gpu_cuda_data_dir={toolkit}"
    assert variables["PYTHONNOUSERSITE"] == "1"
    assert not {"PYTHONPATH", "MPLBACKEND"} & set(variables)


@pytest.mark.parametrize("minor", PYTHONS)
def test_cells_are_not_taken_for_coroutines_before_python_3_8(minor: str) -> None:
    """IPython 7 does so if a magic precedes `from __future__ import`, where Python has no top-level await."""
    script = f"""
import sys
sys.path.insert(0, {str(embedded.FOLDER)!r})
import launcher
class Shell: autoawait = True
class Application:
    def init_shell(self): self.shell = Shell()
application = launcher.kernel_application(Application, False)()
application.init_shell()
print(application.shell.autoawait)
"""
    python = PYTHONS[minor]
    done = subprocess.run(
        [python, "-I", "-c", script], capture_output=True, text=True, check=False, timeout=TIMEOUT
    )
    assert done.stdout == f"{tuple(map(int, minor.split('.'))) >= (3, 8)}\n", done.stderr
