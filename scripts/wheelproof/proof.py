"""One release, one variant: installed by `colabenv up`, tried in its kernel, removed."""

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
from wheelproof import judge, libraries
from wheelproof.judge import NotProvenError

#: What issue and README speak of: the lines that are tried on a CPU, and those whose CUDA wheels are.
LINES = {
    "cpu": ("2.8", "2.10", "2.12", "2.13", "2.15", "2.16", "2.18", "2.20", "2.21"),
    "gpu": ("2.12", "2.15", "2.18", "2.21"),
}
_SOURCE = Path(__file__).resolve().parents[2] / "src"
_INSIDE = Path(__file__).parent / "inside"
_UP_LIMIT = 3600
_CELL_LIMIT = 900


@dataclass(frozen=True)
class Place:
    """Where a proof works.

    Attributes:
        root: an empty folder; all but the download cache lies below it.
        environ: what every program inherits.
    """

    root: Path
    environ: dict[str, str]

    @classmethod
    def at(cls, root: Path, environ: Mapping[str, str], cache: Path) -> Place:
        """A place whose programs read no settings of the person's and write nowhere else.

        Args:
            root: an empty folder.
            environ: of this process.
            cache: uv's downloads.
        """
        folders = {
            "COLABENV_HOME": "colabenv",
            "IPYTHONDIR": "ipython",
            "JUPYTER_DATA_DIR": "jupyter",
            "JUPYTER_RUNTIME_DIR": "runtime",
            "KERAS_HOME": "keras",
            "XDG_CACHE_HOME": "cache",
        }
        ours = ("COLABENV_", "JUPYTER_", "UV_CACHE_DIR", "LD_LIBRARY_PATH", "XLA_FLAGS", "TF_")
        kept = {name: value for name, value in remove_leaks(environ).items() if not name.startswith(ours)}
        moved = {name: str(root / folder) for name, folder in folders.items()}
        # colabenv itself is that of this clone. Nothing of this variable may reach the kernel.
        return cls(root, {**kept, **moved, "UV_CACHE_DIR": str(cache), "PYTHONPATH": str(_SOURCE)})

    def colabenv(self, *words: str | Path) -> dict[str, Any]:
        """Run a command of colabenv.

        Raises:
            NotProvenError: it did not end well; with the end of what it said.
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
            said = (done.stdout + done.stderr)[-2000:]
            raise NotProvenError(f"colabenv {words[0]} ended with exit code {done.returncode}: {said}")
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer


def newest(line: str, table: Table) -> str:
    """The newest release of a minor line, such as "2.15"."""
    return [release.version for release in table.releases if release.line == line][-1]


def prove(version: str, variant: str, place: Place) -> dict[str, Any]:
    """Install a release from a profile that names nothing else, try it, and remove it.

    Args:
        version: of TensorFlow, "2.15.1".
        variant: "cpu" or "gpu".
        place: where.

    Returns:
        What was found; every value is one for JSON.

    Raises:
        NotProvenError: it does not do what it must.
    """
    started = time.perf_counter()
    name = f"tf-{version}"
    profile = place.root / f"{name}.yaml"
    profile.write_text(f'name: {name}\nstack: {{tensorflow: "{version}"}}\n', encoding="utf-8")
    up = place.colabenv("up", profile, "--variant", variant)
    up_seconds = time.perf_counter() - started
    prefix = Path(up["environment"])
    models = judge.models(in_kernel(place, up["kernel_name"], "models.py", {}), up)
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
        asked = libraries.of_environment(prefix, remove_leaks(place.environ), folder(place.root / "asked"))
        cuda = in_kernel(place, up["kernel_name"], "cuda.py", {"names": list(asked.needed)})
        record["cuda"] = judge.cuda(cuda, asked, prefix)
    seconds = {"up": up_seconds, "install": up["seconds"]["install"], **models["seconds"]}
    seconds["all"] = time.perf_counter() - started
    record["seconds"] = {step: round(value, 1) for step, value in seconds.items()}
    place.colabenv("down", name)
    if prefix.exists():
        raise NotProvenError(f"colabenv down left {prefix.name} where it was.")
    return record


def folder(path: Path) -> Path:
    """The folder, made."""
    path.mkdir(parents=True)
    return path


def in_kernel(place: Place, kernel: str, program: str, question: Mapping[str, Any]) -> dict[str, Any]:
    """Start a registered kernel as Jupyter does, run one of the programs of `inside` as a cell, and stop it.

    Args:
        place: where the kernel is registered.
        kernel: its name.
        program: file name.
        question: what the program is asked.

    Raises:
        NotProvenError: the cell or the kernel failed.
    """
    specs = KernelSpecManager(
        kernel_dirs=[str(place.root / "jupyter" / "kernels")], ensure_native_kernel=False
    )
    manager = KernelManager(kernel_name=kernel, kernel_spec_manager=specs)
    file = place.root / f"{program}.json"
    text = (_INSIDE / program).read_text(encoding="utf-8")
    cell = f"__name__ = 'wheelproof'\nquestion, answer_file = {dict(question)!r}, {str(file)!r}\n"
    with (place.root / "kernel.log").open("ab") as log:
        # As a server of the base would: with the base's PYTHONPATH, which must not reach the kernel.
        manager.start_kernel(env=place.environ, cwd=str(place.root), stdout=log, stderr=log)
        client = manager.blocking_client()
        client.start_channels()
        try:
            client.wait_for_ready(timeout=300)
            code = f"{cell}exec(compile({text!r}, {program!r}, 'exec'))"
            reply = client.execute_interactive(code, timeout=_CELL_LIMIT, output_hook=_ignore)["content"]
        except (RuntimeError, TimeoutError) as error:
            raise NotProvenError(f"The kernel gave no answer to {program} ({error}).") from error
        finally:
            client.stop_channels()
            manager.shutdown_kernel(now=True)
    if reply["status"] != "ok":
        raise NotProvenError(f"{program} failed in the kernel: {reply['ename']}: {reply['evalue']}"[-2000:])
    answer: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return answer


def _ignore(message: object) -> None:
    """What the cell prints is nobody's concern."""


def machine() -> dict[str, Any]:
    """What a proof ran on: figures without names."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": os.uname().machine,
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory / 2**30),
        "glibc": os.confstr("CS_GNU_LIBC_VERSION"),
        "gpu": "none" if not Path("/dev/nvidia0").exists() else "present",
    }
