"""Check one release in one variant: install it with `colabenv up`, run it in its kernel, remove it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import KernelManager

from colabenv.embedded.environ import remove_leaks
from colabenv.frameworks.facts import Table
from wheelcheck import criteria, cuda_libraries
from wheelcheck.criteria import CheckFailedError

#: The lines that are checked, by variant; for gpu, with their CUDA wheels.
LINES = {
    "cpu": (
        *("1.15", "2.0", "2.1", "2.2", "2.3", "2.4", "2.6"),
        *("2.8", "2.10", "2.12", "2.13", "2.15", "2.16", "2.18", "2.20", "2.21"),
    ),
    "gpu": ("2.12", "2.15", "2.18", "2.21"),
}
_SOURCE = Path(__file__).resolve().parents[2] / "src"
_PROGRAMS = Path(__file__).parent / "programs"
#: Seconds.
_UP_LIMIT = 3600
_CELL_LIMIT = 900


@dataclass(frozen=True)
class CheckFolder:
    """The folder in which a release is checked."""

    root: Path  #: contains everything but the download cache
    environ: dict[str, str]  #: environment variables of every program

    @classmethod
    def create(cls, root: Path, environ: Mapping[str, str], cache: Path) -> CheckFolder:
        """A folder whose programs ignore the user's settings and write nowhere else.

        Args:
            root: an empty folder.
            environ: environment variables of this process.
            cache: folder for uv's downloads.
        """
        folders = {
            "COLABENV_HOME": "colabenv",
            "IPYTHONDIR": "ipython",
            "JUPYTER_DATA_DIR": "jupyter",
            "JUPYTER_RUNTIME_DIR": "runtime",
            "KERAS_HOME": "keras",
            "XDG_CACHE_HOME": "cache",
        }
        removed = ("COLABENV_", "JUPYTER_", "UV_CACHE_DIR", "LD_LIBRARY_PATH", "XLA_FLAGS", "TF_")
        kept = {name: value for name, value in remove_leaks(environ).items() if not name.startswith(removed)}
        moved = {name: str(root / folder) for name, folder in folders.items()}
        # PYTHONPATH selects this clone's colabenv. It must not reach the kernel.
        return cls(root, {**kept, **moved, "UV_CACHE_DIR": str(cache), "PYTHONPATH": str(_SOURCE)})

    def run_colabenv(self, *words: str | Path) -> dict[str, Any]:
        """Run a colabenv command and return its JSON.

        Raises:
            CheckFailedError: the command failed; the message ends with its output.
        """
        done = subprocess.run(
            [sys.executable, "-m", "colabenv", *map(str, words), "--json"],
            env=self.environ,
            cwd=self.root,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=_UP_LIMIT,
        )
        if done.returncode:
            output = (done.stdout + done.stderr)[-2000:]
            raise CheckFailedError(f"colabenv {words[0]} exited with {done.returncode}: {output}")
        result: dict[str, Any] = json.loads(done.stdout)
        return result


def newest_release(line: str, table: Table) -> str:
    """The newest release of a minor line, such as "2.15"."""
    return [release.version for release in table.releases if release.line == line][-1]


def check_release(version: str, variant: str, folder: CheckFolder) -> dict[str, Any]:
    """Install a release from a profile that names nothing else, run its models in the kernel, and remove it.

    Args:
        version: of TensorFlow, "2.15.1".
        variant: "cpu" or "gpu".
        folder: where everything is installed.

    Returns:
        The record for docs/verified.json.

    Raises:
        CheckFailedError: a check failed.
    """
    started = time.perf_counter()
    name = f"tf-{version}"
    profile = folder.root / f"{name}.yaml"
    profile.write_text(f'name: {name}\nstack: {{tensorflow: "{version}"}}\n', encoding="utf-8")
    up = folder.run_colabenv("up", profile, "--variant", variant)
    up_seconds = time.perf_counter() - started
    prefix = Path(up["environment"])
    models = criteria.check_models(run_in_kernel(folder, up["kernel_name"], "models.py", {}), up)
    record = {
        "release": version,
        "variant": variant,
        **{key: models[key] for key in ("python", "tensorflow", "keras", "numpy")},
        "packages": up["packages"],
        "bytes": sum(path.lstat().st_size for path in prefix.rglob("*") if not path.is_symlink()),
        "models": models["models"],
        "submodules": sorted(models["modules"]),
        "prediction": models["prediction"],
    }
    if variant == "gpu":
        scratch = folder.root / "requests"
        scratch.mkdir()
        requested = cuda_libraries.find_requested_libraries(prefix, remove_leaks(folder.environ), scratch)
        cuda = run_in_kernel(folder, up["kernel_name"], "cuda.py", {"names": list(requested.needed)})
        record["cuda"] = criteria.check_cuda(cuda, requested, prefix)
    seconds = {"up": up_seconds, "install": up["seconds"]["install"], **models["seconds"]}
    seconds["all"] = time.perf_counter() - started
    record["seconds"] = {step: round(value, 1) for step, value in seconds.items()}
    folder.run_colabenv("down", name)
    if prefix.exists():
        raise CheckFailedError(f"colabenv down did not remove {prefix.name}.")
    return record


def run_in_kernel(
    folder: CheckFolder, kernel: str, program: str, arguments: Mapping[str, Any]
) -> dict[str, Any]:
    """Start a registered kernel as Jupyter does, run one of the programs as a cell, and stop the kernel.

    Args:
        folder: where the kernel is registered.
        kernel: its name.
        program: file name in programs/.
        arguments: value of the variable `arguments` in the program.

    Raises:
        CheckFailedError: the cell or the kernel failed.
    """
    specs = KernelSpecManager(
        kernel_dirs=[str(folder.root / "jupyter" / "kernels")], ensure_native_kernel=False
    )
    manager = KernelManager(kernel_name=kernel, kernel_spec_manager=specs)
    file = folder.root / f"{program}.json"
    text = (_PROGRAMS / program).read_text(encoding="utf-8")
    cell = f"__name__ = 'wheelcheck'\narguments, answer_file = {dict(arguments)!r}, {str(file)!r}\n"
    with (folder.root / "kernel.log").open("ab") as log:
        # Like a Jupyter server of the base, with the base's PYTHONPATH, which must not reach the kernel.
        manager.start_kernel(env=folder.environ, cwd=str(folder.root), stdout=log, stderr=log)
        client = manager.blocking_client()
        client.start_channels()
        try:
            client.wait_for_ready(timeout=300)
            code = f"{cell}exec(compile({text!r}, {program!r}, 'exec'))"
            reply = client.execute_interactive(code, timeout=_CELL_LIMIT, output_hook=_ignore)["content"]
        except (RuntimeError, TimeoutError) as error:
            raise CheckFailedError(f"The kernel did not reply to {program} ({error}).") from error
        finally:
            client.stop_channels()
            manager.shutdown_kernel(now=True)
    if reply["status"] != "ok":
        raise CheckFailedError(f"{program} failed in the kernel: {reply['ename']}: {reply['evalue']}"[-2000:])
    result: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return result


def _ignore(message: object) -> None:
    """Discard the output of the cell."""


def describe_machine() -> dict[str, Any]:
    """The machine of a record, without names."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": os.uname().machine,
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory / 2**30),
        "glibc": os.confstr("CS_GNU_LIBC_VERSION"),
        "gpu": "none" if not Path("/dev/nvidia0").exists() else "present",
    }
