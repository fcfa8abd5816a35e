"""A Jupyter server with JupyterLab and Notebook, and its own home folder."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from filelock import FileLock

from support.colab.base import REPOSITORY, base_python, cache_folder, digest, run_uv
from support.colab.environment import network
from support.colab.machine import free_port, launch
from support.colab.namespace import Plan
from support.colab.server import Server
from support.pythons import interpreters
from support.timeouts import TIMEOUT

FRONT_ENDS = ("jupyterlab==4.6.6", "notebook==7.6.5", "ipykernel==7.4.0", "ipywidgets==8.1.9")

# Turn off the question for new users ("Would you like to receive news?"), which would cover the page.
SETTINGS = {
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False},
}


def front_ends() -> Path:
    """The interpreter of a venv with JupyterLab, Notebook and the working tree's colabenv.

    The venv is created once in the tests' cache folder, from the package index.
    """
    python = base_python(None)
    parts = [bytes(python), bytes(REPOSITORY), (REPOSITORY / "pyproject.toml").read_bytes()]
    name = digest([*parts, *map(str.encode, FRONT_ENDS)])
    prefix = cache_folder() / "browser" / name
    prefix.parent.mkdir(exist_ok=True)
    inside, done = prefix / "bin" / "python", prefix / "done"
    with FileLock(f"{prefix}.lock"):
        if not done.exists():
            run_uv("venv", "--clear", "--no-project", "--python", python, prefix)
            run_uv("pip", "install", "--python", inside, *FRONT_ENDS, "--editable", REPOSITORY)
            done.touch()
    return inside


class Jupyter:
    """The server, a context manager. It ends with the process that started it at the latest.

    Args:
        folder: an empty folder, for the home and the notebooks.

    Attributes:
        home: the user's home.
        notebooks: the folder that the server shows.
        server: its address and token.
    """

    server: Server

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._python = front_ends()
        self.home, self.notebooks = folder / "home", folder / "notebooks"
        config, pythons = self.home / ".jupyter" / "labconfig", folder / "pythons"
        for path in (self.notebooks, config, pythons):
            path.mkdir(parents=True)
        (config / "default_setting_overrides.json").write_text(json.dumps(SETTINGS))
        for minor, path in interpreters().items():
            (pythons / f"python{minor}").symlink_to(path.resolve())
        self.env = {
            **network(os.environ),
            "PATH": f"{self._python.parent}:/usr/local/bin:/usr/bin:/bin:{pythons}",
            "HOME": str(self.home),
            "UV_CACHE_DIR": str(cache_folder() / "uv"),
        }

    def __enter__(self) -> Jupyter:
        token, port = secrets.token_hex(16), free_port()
        argv = [str(self._python), "-m", "jupyter_server", "--no-browser", "--allow-root"]
        argv += ["--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}", "--ServerApp.port_retries=0"]
        argv += [f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={self.notebooks}"]
        argv += ["--ServerApp.terminals_enabled=False"]
        plan = Plan(
            namespace=False,
            root="",
            binds={},
            kept=[],
            changes="",
            argv=argv,
            env=self.env,
            folder=str(self.notebooks),
            pid_file=str(self._folder / "pid"),
        )
        self._launcher = launch(plan, self._folder)
        self.server = Server(f"http://127.0.0.1:{port}", token)
        deadline = time.monotonic() + TIMEOUT
        while not self.server.answers():
            if self._launcher.poll() is not None or time.monotonic() > deadline:
                self.close()
                raise RuntimeError(f"the server did not start:\n{self.log()}")
            time.sleep(0.05)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the server and every kernel that it started."""
        self._launcher.send_signal(signal.SIGTERM)
        self._launcher.wait(timeout=TIMEOUT)

    def log(self) -> str:
        """The end of the output of the server and its kernels."""
        return (self._folder / "log").read_text(errors="replace")[-6000:]

    def colabenv(self, *arguments: str) -> str:
        """Run `python -m colabenv` as in a terminal; returns its output."""
        command = [str(self._python), "-m", "colabenv", *arguments]
        done = subprocess.run(
            command,
            env=self.env,
            cwd=self.notebooks,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
        return done.stdout

    def write(self, name: str, cells: Sequence[str]) -> str:
        """Write a notebook for the default kernel into the folder; returns its name."""
        spec = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
        blank: dict[str, object] = {
            "cell_type": "code",
            "execution_count": None,
            "metadata": {},
            "outputs": [],
        }
        code = [{**blank, "id": f"cell-{number}", "source": cell} for number, cell in enumerate(cells)]
        content = {"cells": code, "metadata": {"kernelspec": spec}, "nbformat": 4, "nbformat_minor": 5}
        (self.notebooks / name).write_text(json.dumps(content))
        return name
