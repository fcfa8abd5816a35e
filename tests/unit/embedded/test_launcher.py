"""The launcher: the variables that it sets, and `google.colab` of the base."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from traitlets.config import Config

from colabenv.embedded import environ, launcher
from colabenv.embedded.launcher import add_google_colab, find_cuda_folders, without_google_colab
from support.pythons import embedded_interpreters
from support.timeouts import TIMEOUT

EMBEDDED = Path(launcher.__file__).parent
PYTHONS = embedded_interpreters()
OLDEST = next(iter(PYTHONS.values()))


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
        add_google_colab(config)
        add_google_colab(config)
        assert config.IPKernelApp.kernel_class == "google.colab._kernel.Kernel"
        assert config.InteractiveShellApp.extensions == ["google.colab"]


def test_kernel_class_and_extensions_of_the_user_are_kept() -> None:
    config = Config()
    config.IPKernelApp.kernel_class = "my.Kernel"
    config.InteractiveShellApp.extensions = ["autoreload"]
    assert without_google_colab(config) == config
    add_google_colab(config)
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
    add_google_colab(config)
    assert config.InteractiveShellApp.extensions == ["autoreload", "google.colab"]


# Precedes the script of a test, which runs in another process.
PROLOGUE = """
import os, sys
sys.path.insert(0, sys.argv[1])
import launcher
package, bytecode, environment = sys.argv[2:5]
sys.path.insert(1, environment)
"""


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A base Python's packages: `google.colab` and others."""
    root = tmp_path / "base"
    make_files(root, "google/colab/sub/__init__.py", "google/other/__init__.py", "basepackage/__init__.py")
    (root / "google" / "colab" / "__init__.py").write_text("NAME = __name__\n")
    (root / "google" / "colab" / "_kernel.py").write_text(
        "from google.colab.sub import deep\nclass Kernel: pass\n"
    )
    (root / "google" / "colab" / "sub" / "deep.py").write_text("VALUE = 42\n")
    (tmp_path / "environment").mkdir()
    return root


def run_script(base: Path, script: str, *, python: Path = OLDEST) -> subprocess.CompletedProcess[str]:
    """Run a script that uses the launcher, by default with the oldest Python of this machine."""
    folder = base.parent
    return subprocess.run(
        [
            python,
            "-I",
            "-c",
            PROLOGUE + script,
            str(EMBEDDED),
            str(base / "google" / "colab"),
            str(folder / "bytecode"),
            str(folder / "environment"),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT,
    )


def list_files(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("minor", PYTHONS)
def test_only_google_colab_of_the_base_can_be_imported(base: Path, minor: str) -> None:
    before = list_files(base)
    result = run_script(
        base,
        """
print(launcher.provide_google_colab(package, bytecode))
import google.colab, google.colab.sub.deep
print(google.colab.NAME, google.colab.sub.deep.VALUE, google.colab.__file__.startswith(package))
for name in ("google.other", "basepackage", "google.colab.nothing", "google.colabx"):
    try:
        __import__(name)
        print(name, "was imported")
    except ImportError:
        pass
""",
        python=PYTHONS[minor],
    )
    assert result.stderr == ""
    assert result.stdout == "True\ngoogle.colab 42 True\n"
    assert list_files(base) == before
    assert any(path.endswith(".pyc") for path in list_files(base.parent / "bytecode"))


def test_bytecode_is_reused_until_the_source_changes(base: Path) -> None:
    script = "launcher.provide_google_colab(package, bytecode)\nimport google.colab.sub.deep as d\nprint(d.VALUE)\n"
    assert run_script(base, script).stdout == "42\n"
    (bytecode,) = (base.parent / "bytecode").rglob("deep.*.pyc")
    written = bytecode.stat().st_mtime_ns
    assert run_script(base, script).stdout == "42\n"
    assert bytecode.stat().st_mtime_ns == written
    source = base / "google" / "colab" / "sub" / "deep.py"
    source.write_text("VALUE = 1000\n")
    assert run_script(base, script).stdout == "1000\n"


@pytest.mark.parametrize("namespace", [True, False])
def test_google_packages_of_the_environment_can_be_imported(base: Path, namespace: bool) -> None:
    environment = base.parent / "environment"
    make_files(environment, "google/auth/__init__.py", "google/protobuf/__init__.py")
    if not namespace:
        (environment / "google" / "__init__.py").write_text(
            "__path__ = __import__('pkgutil').extend_path(__path__, __name__)\nOWN = True\n"
        )
    result = run_script(
        base,
        """
print(launcher.provide_google_colab(package, bytecode))
import google.auth, google.protobuf, google.colab
print(google.auth.__file__.startswith(environment), google.protobuf.__file__.startswith(environment))
print(getattr(google, "OWN", False))
""",
    )
    assert result.stderr == ""
    assert result.stdout == f"True\nTrue True\n{not namespace}\n"


def test_google_colab_that_cannot_be_imported_is_removed_again(base: Path) -> None:
    script = """
before = list(sys.meta_path)
print(launcher.provide_google_colab(package, bytecode), sys.meta_path == before)
print([name for name in sys.modules if name.startswith("google.colab")])
"""
    for content, error in (
        ("import no_such_thing\n", "no_such_thing"),
        ("1 / 0\n", "ZeroDivisionError"),
        ("def broken(:\n", "SyntaxError"),
        ("raise RuntimeError('no')\n", "RuntimeError"),
    ):
        (base / "google" / "colab" / "_kernel.py").write_text(content)
        result = run_script(base, script)
        assert result.stdout == "False True\n[]\n", content
        assert error in result.stderr
        assert "starting a plain kernel" in result.stderr, content


def test_missing_google_colab_is_reported(base: Path) -> None:
    result = run_script(base, "print(launcher.provide_google_colab(package + 'x', bytecode))\n")
    assert result.stdout == "False\n"
    assert "is gone; starting a plain kernel" in result.stderr


def test_google_colab_without_a_kernel_module_is_not_provided(base: Path) -> None:
    (base / "google" / "colab" / "_kernel.py").unlink()
    assert run_script(base, "print(launcher.provide_google_colab(package, bytecode))\n").stdout == "False\n"


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
