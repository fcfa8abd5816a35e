"""The launcher: what it computes, and how it lends `google.colab` of the base to an environment."""

from __future__ import annotations

import ast
import json
import os
import subprocess
from pathlib import Path

import pytest
from traitlets.config import Config

from colabenv.embedded import environ, launcher
from colabenv.embedded.launcher import add_google_colab, find_cuda_folders, without_google_colab
from support.patience import PATIENCE
from support.pythons import interpreters

KERNEL = Path(launcher.__file__).parent
OLDEST = next(iter(interpreters().values()))


def made(root: Path, *files: str) -> Path:
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("")
    return root


def test_folders_of_cudas_wheels_are_found(tmp_path: Path) -> None:
    nvidia = "lib/python3.11/site-packages/nvidia"
    made(
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


def test_the_wheels_of_cuda_13_share_a_folder(tmp_path: Path) -> None:
    # As nvidia-cuda-runtime 13.0, nvidia-cuda-nvcc 13.0 and nvidia-cudnn-cu13 9.20 unpack.
    nvidia = "lib/python3.12/site-packages/nvidia"
    files = ("cu13/lib/libcudart.so.13", "cu13/bin/ptxas", "cudnn/lib/libcudnn.so.9")
    made(tmp_path, *(f"{nvidia}/{file}" for file in files))
    libraries, programs = find_cuda_folders(str(tmp_path))
    assert libraries == [f"{tmp_path}/{nvidia}/cu13/lib", f"{tmp_path}/{nvidia}/cudnn/lib"]
    assert programs == [f"{tmp_path}/{nvidia}/cu13/bin"]


@pytest.mark.parametrize("files", [(), ("lib/python3.11/site-packages/numpy/x.py",)])
def test_without_them_there_are_none(tmp_path: Path, files: tuple[str, ...]) -> None:
    assert find_cuda_folders(str(made(tmp_path, *files))) == ([], [])


def colab_configuration() -> Config:
    """What /etc/ipython/ipython_config.py of Colab sets."""
    config = Config()
    config.IPKernelApp.kernel_class = "google.colab._kernel.Kernel"
    config.InteractiveShellApp.extensions = ["google.colab"]
    return config


def test_where_googles_kernel_cannot_be_had_its_names_go() -> None:
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


def test_where_it_can_be_had_it_is_taken_once() -> None:
    for config in (Config(), colab_configuration()):
        add_google_colab(config)
        add_google_colab(config)
        assert config.IPKernelApp.kernel_class == "google.colab._kernel.Kernel"
        assert config.InteractiveShellApp.extensions == ["google.colab"]


def test_a_kernel_class_and_extensions_of_the_person_stay() -> None:
    config = Config()
    config.IPKernelApp.kernel_class = "my.Kernel"
    config.InteractiveShellApp.extensions = ["autoreload"]
    assert without_google_colab(config) == config
    add_google_colab(config)
    assert config.InteractiveShellApp.extensions == ["autoreload", "google.colab"]


def test_an_empty_configuration_stays_empty() -> None:
    adapted = without_google_colab(Config())
    assert not adapted.IPKernelApp
    assert not adapted.InteractiveShellApp


def test_extensions_that_a_configuration_only_appends_are_seen() -> None:
    config = Config()
    config.InteractiveShellApp.extensions.append("autoreload")
    config.InteractiveShellApp.extensions.append("google.colab")
    assert without_google_colab(config).InteractiveShellApp.extensions == ["autoreload"]
    config = Config()
    config.InteractiveShellApp.extensions.append("autoreload")
    add_google_colab(config)
    assert config.InteractiveShellApp.extensions == ["autoreload", "google.colab"]


@pytest.mark.parametrize(
    "name", sorted(path.name for path in KERNEL.glob("*.py") if path.name != "__init__.py")
)
def test_what_travels_into_environments_is_readable_by_python_3_8(name: str) -> None:
    ast.parse((KERNEL / name).read_text(encoding="utf-8"), feature_version=(3, 8))


# Runs in a process of its own, on the oldest Python there is: the made package, then what a script asks.
PROLOGUE = """
import os, sys
sys.path.insert(0, sys.argv[1])
import launcher
package, bytecode, environment = sys.argv[2:5]
sys.path.insert(1, environment)
"""


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A base with Google's package and others beside it."""
    root = tmp_path / "base"
    made(root, "google/colab/sub/__init__.py", "google/other/__init__.py", "basepackage/__init__.py")
    (root / "google" / "colab" / "__init__.py").write_text("NAME = __name__\n")
    (root / "google" / "colab" / "_kernel.py").write_text(
        "from google.colab.sub import deep\nclass Kernel: pass\n"
    )
    (root / "google" / "colab" / "sub" / "deep.py").write_text("VALUE = 42\n")
    (tmp_path / "environment").mkdir()
    return root


def python(base: Path, script: str, *, program: Path = OLDEST) -> subprocess.CompletedProcess[str]:
    folder = base.parent
    return subprocess.run(
        [
            program,
            "-I",
            "-c",
            PROLOGUE + script,
            str(KERNEL),
            str(base / "google" / "colab"),
            str(folder / "bytecode"),
            str(folder / "environment"),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )


def files(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("minor", sorted(interpreters()))
def test_only_googles_package_of_the_base_can_be_imported(base: Path, minor: str) -> None:
    before = files(base)
    done = python(
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
        program=interpreters()[minor],
    )
    assert done.stderr == ""
    assert done.stdout == "True\ngoogle.colab 42 True\n"
    assert files(base) == before
    assert any(name.endswith(".pyc") for name in files(base.parent / "bytecode"))


def test_bytecode_in_the_environment_is_used_again_and_renewed(base: Path) -> None:
    script = "launcher.provide_google_colab(package, bytecode)\nimport google.colab.sub.deep as d\nprint(d.VALUE)\n"
    assert python(base, script).stdout == "42\n"
    (cached,) = (base.parent / "bytecode").rglob("deep.*.pyc")
    stamp = cached.stat().st_mtime_ns
    assert python(base, script).stdout == "42\n"
    assert cached.stat().st_mtime_ns == stamp
    source = base / "google" / "colab" / "sub" / "deep.py"
    source.write_text("VALUE = 1000\n")
    assert python(base, script).stdout == "1000\n"


@pytest.mark.parametrize("namespace", [True, False])
def test_the_environments_own_google_packages_stay(base: Path, namespace: bool) -> None:
    environment = base.parent / "environment"
    made(environment, "google/auth/__init__.py", "google/protobuf/__init__.py")
    if not namespace:
        (environment / "google" / "__init__.py").write_text(
            "__path__ = __import__('pkgutil').extend_path(__path__, __name__)\nOWN = True\n"
        )
    done = python(
        base,
        """
print(launcher.provide_google_colab(package, bytecode))
import google.auth, google.protobuf, google.colab
print(google.auth.__file__.startswith(environment), google.protobuf.__file__.startswith(environment))
print(getattr(google, "OWN", False))
""",
    )
    assert done.stderr == ""
    assert done.stdout == f"True\nTrue True\n{not namespace}\n"


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ("import no_such_thing\n", "no_such_thing"),
        ("1 / 0\n", "ZeroDivisionError"),
        ("def broken(:\n", "SyntaxError"),
        ("raise RuntimeError('no')\n", "RuntimeError"),
    ],
)
def test_a_package_that_does_not_import_leaves_a_plain_kernel_and_no_trace(
    base: Path, content: str, word: str
) -> None:
    (base / "google" / "colab" / "_kernel.py").write_text(content)
    done = python(
        base,
        """
before = list(sys.meta_path)
print(launcher.provide_google_colab(package, bytecode), sys.meta_path == before)
print([name for name in sys.modules if name.startswith("google.colab")])
""",
    )
    assert done.stdout == "False True\n[]\n"
    assert word in done.stderr
    assert "starting a plain kernel" in done.stderr


def test_a_package_that_is_gone_is_said(base: Path) -> None:
    done = python(base, "print(launcher.provide_google_colab(package + 'x', bytecode))\n")
    assert done.stdout == "False\n"
    assert "is gone; starting a plain kernel" in done.stderr


def test_a_package_in_a_folder_of_another_shape_is_no_reason_to_fail(base: Path) -> None:
    (base / "google" / "colab" / "_kernel.py").unlink()
    assert python(base, "print(launcher.provide_google_colab(package, bytecode))\n").stdout == "False\n"


SECOND = """
import json, os, sys
print(json.dumps({"argv": sys.argv, "environ": dict(os.environ), "flags": sys.flags.isolated}))
"""


def environment_at(prefix: Path, python: Path, settings: dict[str, object]) -> None:
    """A folder like an environment's, whose second step tells what it was given."""
    (prefix / "bin").mkdir(parents=True)
    (prefix / "bin" / "python").write_text(f"#!/bin/sh\nshift\nexec {python} -c '{SECOND}' \"$@\"\n")
    (prefix / "bin" / "python").chmod(0o755)
    (prefix / "colabenv").mkdir()
    (prefix / "colabenv" / "launcher.py").write_bytes((KERNEL / "launcher.py").read_bytes())
    (prefix / "colabenv" / "environ.py").write_bytes(Path(environ.__file__).read_bytes())
    (prefix / "colabenv" / "settings.json").write_text(json.dumps(settings))


def test_the_first_step_becomes_the_environments_python(tmp_path: Path) -> None:
    prefix = tmp_path / "e"
    settings: dict[str, object] = {
        "variables": {"MINE": "1"},
        "google_colab": "",
        "bytecode": "",
        "base_python": "/usr/bin/python3",
    }
    environment_at(prefix, OLDEST, settings)
    toolkit = prefix / "lib" / "python3.11" / "site-packages" / "nvidia" / "cuda_nvcc"
    made(toolkit, "bin/ptxas", "lib/x.so", "nvvm/libdevice/libdevice.10.bc")
    inherited = {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": "/env/python",
        "LD_LIBRARY_PATH": "/usr/local/nvidia/lib",
        "CLOUDSDK_PYTHON": "python3",
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "XLA_FLAGS": "--xla_dump_to=/x",
    }
    done = subprocess.run(
        [OLDEST, "-I", "-S", prefix / "colabenv" / "launcher.py", "-f", "/c.json"],
        capture_output=True,
        text=True,
        env=inherited,
        check=True,
        timeout=PATIENCE,
    )
    told = json.loads(done.stdout)
    variables = told["environ"]
    assert told["argv"][1:] == ["-f", "/c.json"]
    assert variables["MINE"] == "1"
    assert variables["VIRTUAL_ENV"] == variables["COLABENV_KERNEL_PREFIX"] == str(prefix)
    assert variables["PATH"].split(os.pathsep)[:2] == [str(prefix / "bin"), str(toolkit / "bin")]
    assert variables["LD_LIBRARY_PATH"] == f"{toolkit / 'lib'}:/usr/local/nvidia/lib"
    assert variables["CLOUDSDK_PYTHON"] == "/usr/bin/python3"
    assert variables["XLA_FLAGS"] == f"--xla_dump_to=/x --xla_gpu_cuda_data_dir={toolkit}"
    assert variables["PYTHONNOUSERSITE"] == "1"
    assert not {"PYTHONPATH", "MPLBACKEND"} & set(variables)
