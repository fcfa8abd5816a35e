"""A user's machine for tests of the real command line: its own home, project and package index."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from support.index_server import Index
from support.timeouts import FOREVER, TIMEOUT, wait_until

T = TypeVar("T")

TINY = """\
name: tiny
kernel: {google_colab: off}
packages: [tiny]
verify: {imports: [tiny]}
"""


@dataclass(frozen=True)
class CommandResult:
    """The exit status of a command, and its standard output and error together."""

    code: int
    text: str

    def expect(self, code: int) -> CommandResult:
        """Check the exit status and that there is no traceback; returns this object."""
        assert self.code == code, f"exit status {self.code} instead of {code}:\n{self.text}"
        assert "Traceback (most recent call last)" not in self.text, self.text
        return self


class RunningCommand:
    """A command that may still run. Its output goes to a file, so it never blocks."""

    def __init__(self, argv: list[str], environ: Mapping[str, str], cwd: Path, output: Path) -> None:
        self._output = output
        with output.open("wb") as file:
            self.process = subprocess.Popen(
                argv,
                env=dict(environ),
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def text(self) -> str:
        """Its output so far."""
        return self._output.read_text(encoding="utf-8", errors="replace")

    def wait_until(self, condition: Callable[[], T], what: str) -> T:
        """Wait until a condition is true while the command runs; returns its value."""
        deadline = time.monotonic() + TIMEOUT
        while True:
            value = condition()
            if value:
                return value
            assert self.process.poll() is None, f"the command ended before this happened: {what}\n{self.text}"
            assert time.monotonic() < deadline, f"this did not happen: {what}\n{self.text}"
            time.sleep(0.001)

    def send(self, number: signal.Signals, *, group: bool = False) -> None:
        """Send a signal to the command, or to its process group as a terminal does."""
        if group:
            os.killpg(self.process.pid, number)
        else:
            self.process.send_signal(number)

    def wait(self) -> CommandResult:
        """Wait until it ends."""
        try:
            code = self.process.wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"the command did not end:\n{self.text}") from None
        return CommandResult(code, self.text)


class UserMachine:
    """A user's machine.

    Attributes:
        home: HOME.
        colabenv_home: COLABENV_HOME.
        jupyter: Jupyter's data directory.
        project: the working directory, which contains the profile.
        environ: environment variables of commands; tests add to it.
        launcher: words to put before the command.
    """

    def __init__(self, root: Path, index: Index, uv_cache: Path) -> None:
        self.root = root
        self.home, self.colabenv_home, self.jupyter = root / "home", root / "store", root / "jupyter"
        self.project, self.temporary = root / "project", root / "tmp"
        for folder in (self.home, self.jupyter, self.project, self.temporary):
            folder.mkdir()
        self.profile = self.project / "tiny.yaml"
        self.profile.write_text(TINY)
        self._commands = 0
        self.launcher: list[str] = []
        self.environ = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "HOME": str(self.home),
            "TMPDIR": str(self.temporary),
            "COLABENV_HOME": str(self.colabenv_home),
            "JUPYTER_DATA_DIR": str(self.jupyter),
            "UV_DEFAULT_INDEX": index.url,
            "UV_CACHE_DIR": str(uv_cache),
            "UV_HTTP_RETRIES": "1",
            # An installer that waits for the index never gives up: tests end it and check that it has ended.
            "UV_HTTP_TIMEOUT": str(FOREVER),
            "PIP_DEFAULT_TIMEOUT": str(FOREVER),
            "PIP_INDEX_URL": index.url,
            # Ignore other indexes that the machine's own pip.conf may add.
            "PIP_EXTRA_INDEX_URL": "",
            "PIP_FIND_LINKS": "",
            "PIP_RETRIES": "1",
        }

    @property
    def lock(self) -> Path:
        """The lock beside the profile."""
        return self.project / "tiny.cpu.lock.txt"

    def start(self, *arguments: str, **variables: str) -> RunningCommand:
        """Start `colabenv` with these arguments and additional environment variables."""
        self._commands += 1
        argv = [*self.launcher, sys.executable, "-m", "colabenv", *arguments]
        output = self.root / f"output-{self._commands}.txt"
        return RunningCommand(argv, {**self.environ, **variables}, self.project, output)

    def run(self, *arguments: str, **variables: str) -> CommandResult:
        """Run `colabenv` and wait until it ends."""
        return self.start(*arguments, **variables).wait()

    def start_up(self, *options: str, **variables: str) -> RunningCommand:
        """Start `colabenv up` on the profile."""
        return self.start("up", self.profile.name, *options, **variables)

    def up(self, *options: str, **variables: str) -> CommandResult:
        """Run `colabenv up` on the profile and wait until it ends."""
        return self.start_up(*options, **variables).wait()

    def environments(self, name: str = "tiny") -> list[Path]:
        """All environment folders of a name, including partial ones."""
        folder = self.colabenv_home / "envs" / name
        return sorted(folder.iterdir()) if folder.is_dir() else []

    def kernels(self) -> list[str]:
        """Names of the registered kernels."""
        folder = self.jupyter / "kernels"
        kernels = sorted(folder.iterdir()) if folder.is_dir() else []
        return [kernel.name for kernel in kernels if (kernel / "kernel.json").exists()]

    def cell(self, code: str, name: str = "tiny") -> str:
        """Start the registered kernel like Jupyter and run a cell in it; returns its output."""
        script = textwrap.dedent(
            """
            import sys
            from jupyter_client.manager import start_new_kernel
            manager, client = start_new_kernel(kernel_name=sys.argv[1], startup_timeout=150)
            try:
                reply = client.execute_interactive(sys.argv[2], timeout=150, store_history=False)
            finally:
                client.stop_channels()
                manager.shutdown_kernel(now=True)
            sys.exit(reply["content"]["status"] != "ok")
            """
        )
        # With -I, so that leaking variables affect the kernel, which inherits them, but not this client.
        argv = [sys.executable, "-I", "-c", script, f"colabenv-{name}", code]
        done = subprocess.run(
            argv,
            env=self.environ,
            cwd=self.project,
            capture_output=True,
            text=True,
            timeout=2 * TIMEOUT,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    def assert_kernel_works(self, version: str = "1.0") -> None:
        """Assert that the kernel is registered, and that a cell in it sees that version of the package."""
        assert self.kernels() == ["colabenv-tiny"]
        assert self.cell("import tiny, sys; print(tiny.VERSION, sys.prefix)").split() == [
            version,
            str(self.registered_environment()),
        ]

    def registered_environment(self) -> Path | None:
        """The environment of the registered kernel, which must be complete; None if no kernel is registered."""
        if not self.kernels():
            return None
        spec = json.loads((self.jupyter / "kernels" / "colabenv-tiny" / "kernel.json").read_text())
        prefix = Path(spec["argv"][0]).parent.parent
        assert (prefix / "stamp.json").is_file(), f"{prefix} is registered but not complete"
        return prefix

    def processes(self) -> list[str]:
        """Command lines of all processes that have this machine's COLABENV_HOME."""
        variable = f"COLABENV_HOME={self.colabenv_home}".encode()
        commands = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if variable in (folder / "environ").read_bytes().split(b"\0"):
                    commands.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
            except OSError:  # noqa: PERF203 - it has ended meanwhile
                continue
        return commands

    def assert_no_processes(self) -> None:
        """Check that all processes of this machine end soon. A blocked process would run much longer."""
        wait_until(lambda: not self.processes(), "the end of every process")

    def find_files_containing(self, secret: str) -> list[Path]:
        """All files below the machine's folders that contain a text."""
        files = (path for path in self.root.rglob("*") if path.is_file() and not path.is_symlink())
        return [path for path in files if secret.encode() in path.read_bytes()]
