"""A stand-in for a Colab machine: its interpreter, folders, environment variables and Jupyter server.

::

    with ColabMachine() as machine:
        page = machine.open("lesson.ipynb")
        assert page.run("!python -m colabenv --version").status == "ok"

If this process may create mount and process namespaces, `/content`, `/env/python`, `/etc/ipython` and
`/var/colab/hostname` exist inside the machine, and `/root` is not the user's own. Otherwise folders with other names
replace them. `namespaced` is whether the machine has namespaces, and `refusal` is the reason if it has none.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import functools
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from filelock import FileLock

from support.colab import base, environment, snapshot
from support.colab.namespace import Plan
from support.colab.page import KernelDiedError, Page
from support.colab.server import Server
from support.pythons import interpreters
from support.timeouts import TIMEOUT

IPYTHON_CONFIG = """\
c = get_config()
c.IPKernelApp.kernel_class = "google.colab._kernel.Kernel"
c.InteractiveShellApp.extensions = ["google.colab"]
"""
DRIVE = """\
#!/bin/bash
# The mount point is one of the comma-separated preferences.
[[ "$*" =~ mount_point_path:([^, ]+) ]] && mkdir -p "${BASH_REMATCH[1]}/My Drive" && sleep infinity
"""


class ColabMachine:
    """One machine, a context manager. It ends with the process that started it at the latest.

    Args:
        python: the minor version of the base, such as `3.12`; None for the newest of 3.11 to 3.13 on this machine.
        google_colab: True for the stand-in, False for none (a plain Jupyter server), or a folder with the real
            package's `google`.
        pythons: minor versions to add at the end of PATH. The attribute `pythons` maps those that this machine has to
            their programs.
        env: environment variables to add to Colab's, or to remove if the value is None.
        namespace: False to use no namespaces even if they are available.
        colabenv: whether to install colabenv into the base.
        prepared: a base with `google.colab`, to use instead of a new copy of the tests' own. It must be in a folder of
            its own. The machine then needs namespaces, and what its programs write stays in its own folder.

    Attributes:
        prefix: the base, at the same path inside and outside.
        home, content: folders of the machine, as paths outside.
        home_inside, content_inside: the same as paths inside.
        env: the environment variables of the server.
        namespaced: whether the machine has namespaces.
        refusal: why it has none, or "".
        server: the Jupyter server's address and token.
    """

    server: Server

    def __init__(
        self,
        python: str | None = None,
        *,
        google_colab: bool | Path = True,
        pythons: Sequence[str] = (),
        env: Mapping[str, str | None] | None = None,
        namespace: bool = True,
        colabenv: bool = True,
        prepared: Path | None = None,
    ) -> None:
        self._python = base.base_python(python)
        self._prepared = prepared
        self._google_colab = google_colab
        self._with_colabenv = colabenv
        self._changes = env or {}
        self.pythons = {minor: path for minor, path in interpreters().items() if minor in pythons}
        self.refusal = namespace_refusal() if namespace else "not requested"
        self.namespaced = not self.refusal
        self._pages: list[Page] = []
        self._launcher: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> ColabMachine:
        self._make_folders()
        atexit.register(self.close)
        try:
            self._install()
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _make_folders(self) -> None:
        machines = base.cache_folder() / "m"
        machines.mkdir(exist_ok=True)
        with FileLock(machines / "lock"):
            remove_abandoned(machines)
            self.folder = Path(tempfile.mkdtemp(dir=machines, prefix=""))
            self._lock = os.open(self.folder / "lock", os.O_CREAT | os.O_RDWR)
            fcntl.flock(self._lock, fcntl.LOCK_EX)
        memory = None if self._prepared else memory_folder()
        if self._prepared:
            self.prefix = self._prepared
        elif memory is None:
            self.prefix = self.folder / "base"
        else:
            self.prefix = Path(tempfile.mkdtemp(dir=memory, prefix="colabenv-")) / "base"
            (self.folder / "memory").symlink_to(self.prefix.parent)
        self.home, self.content = self.folder / "home", self.folder / "content"
        for folder in (self.home, self.content, self.folder / "env", self.folder / "root"):
            folder.mkdir()
        if self.namespaced:
            # uv links files from its cache only within one mount, so home and cache are in the same one.
            self.home_inside = f"/root/{self.home.relative_to(base.cache_folder())}"
            self.content_inside, env_python, uv_cache = "/content", "/env/python", "/root/uv"
        else:
            # A kernel's sockets are below the home, and their paths have at most 107 bytes.
            short = Path(tempfile.mkdtemp(dir="/tmp", prefix="m"))
            (self.folder / "short").symlink_to(short)
            self.home = short / "h"
            self.home.mkdir()
            self.home_inside, self.content_inside = str(self.home), str(self.content)
            env_python, uv_cache = str(self.folder / "env"), str(base.cache_folder() / "uv")
        self.env = environment.variables(
            base=self.prefix,
            home=self.home_inside,
            content=self.content_inside,
            env_python=env_python,
            uv_cache=uv_cache,
            outside=os.environ,
        )
        for name, value in self._changes.items():
            self.env.pop(name, None)
            if value is not None:
                self.env[name] = value

    def _install_base(self) -> None:
        base.copy_base(base.build_base(self._python), self.prefix)
        if self._with_colabenv:
            base.install_colabenv(self.prefix)
        if self._google_colab:
            real = self._google_colab if isinstance(self._google_colab, Path) else None
            base.install_google_colab(self.prefix, real)

    def _install(self) -> None:
        if not self._prepared:
            self._install_base()
        config = self.folder / "ipython"
        if not self.namespaced:
            config = self.home / ".ipython" / "profile_default"
        config.mkdir(parents=True)
        if self._google_colab:
            (config / "ipython_config.py").write_text(IPYTHON_CONFIG)
        if self.pythons:
            extra = self.folder / "pythons"
            extra.mkdir()
            for minor, path in self.pythons.items():
                (extra / f"python{minor}").symlink_to(path.resolve())
            inside = f"/root/{extra.relative_to(base.cache_folder())}" if self.namespaced else extra
            self.env["PATH"] += f":{inside}"

    def _plan(self, argv: list[str]) -> Plan:
        binds = {"/root": str(base.cache_folder()), "/content": str(self.content)}
        binds["/env/python"] = str(self.folder / "env")
        if self._google_colab:
            colab = self.folder / "var-colab"
            colab.mkdir()
            (colab / "hostname").write_text("colab-stand-in\n")
            binds |= {"/var/colab": str(colab), "/etc/ipython": str(self.folder / "ipython")}
            binds["/opt/google/drive"] = str(self._make_drive())
        kept, changes = kept_folders(), ""
        if self._prepared:
            kept = [*python_folders(), str(self.prefix.parent)]
            changes, binds["/tmp"] = str(self.folder / "changes"), str(self.folder / "tmp")
            Path(changes).mkdir()
            Path(binds["/tmp"]).mkdir(mode=0o777)
        return Plan(
            namespace=self.namespaced,
            root=str(self.folder / "root"),
            binds=binds,
            kept=kept,
            changes=changes,
            argv=argv,
            env=self.env,
            folder=self.content_inside,
            pid_file=str(self.folder / "pid"),
        )

    def _make_drive(self) -> Path:
        """A folder with a stand-in for Google's program that mounts a Drive; it creates a folder instead."""
        program = self.folder / "drive" / "drive"
        program.parent.mkdir()
        program.write_text(DRIVE)
        program.chmod(0o755)
        return program.parent

    def _start(self) -> None:
        token, port = secrets.token_hex(16), free_port()
        argv = [str(self.prefix / "bin" / "python3"), "-m", "jupyter_server", "--no-browser", "--allow-root"]
        argv += ["--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}", "--ServerApp.port_retries=0"]
        argv += [f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={self.content_inside}"]
        argv += ["--ServerApp.terminals_enabled=False", "--KernelManager.transport=ipc"]
        argv += ["--MappingKernelManager.default_kernel_name=python3"]
        # Colab uses the default of three seconds; with one second, the tests wait less.
        argv += ["--KernelRestarter.time_to_dead=1"]
        self._launcher = launch(self._plan(argv), self.folder)
        self.server = Server(f"http://127.0.0.1:{port}", token)
        deadline = time.monotonic() + TIMEOUT
        while not self.server.answers():
            if self._launcher.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the machine's server did not start:\n{self.log()[-4000:]}")
            time.sleep(0.05)

    def log(self) -> str:
        """The output of the server and its kernels."""
        return (self.folder / "log").read_text(errors="replace")

    def command(self, argv: Sequence[str | Path]) -> list[str]:
        """The command that runs `argv` in the machine's /content. The caller sets its environment variables."""
        program = [str(part) for part in argv]
        if not self.namespaced:
            return program
        pid = (self.folder / "pid").read_text()
        enter = ["nsenter", f"--target={pid}", "--mount", "--pid", "--root", "--"]
        return [*enter, "env", f"--chdir={self.content_inside}", *program]

    def run(
        self, *argv: str | Path, timeout: float = 300, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a program in /content as in Colab's terminal, with Colab's environment variables and `env`."""
        return subprocess.run(
            self.command(argv),
            env={**self.env, **(env or {})},
            cwd=None if self.namespaced else self.content,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def open(self, notebook: str = "Untitled.ipynb", kernel: str | None = None) -> Page:
        """Open a notebook in /content; creates it for the named kernel if it does not exist.

        Raises:
            KernelDiedError: the kernel did not start; the message has the end of the log.
        """
        try:
            page = Page(self.server, notebook, kernel)
        except KernelDiedError as error:
            raise KernelDiedError(f"{error}\n{self.log()[-4000:]}") from error
        self._pages.append(page)
        return page

    def snapshot(self) -> dict[str, snapshot.Entry]:
        """Every file below the base's prefix: path to size, modification time and digest."""
        return snapshot.take(self.prefix)

    def close(self) -> None:
        """End the machine and everything that runs on it, and remove its folders. May be called again."""
        atexit.unregister(self.close)
        for page in self._pages:
            page.close()
        self._pages = []
        if self._launcher is not None:
            self._launcher.send_signal(signal.SIGTERM)
            self._launcher.wait(timeout=TIMEOUT)
            self._launcher = None
        if self._lock >= 0:
            remove(self.folder, self._lock)
            os.close(self._lock)
            self._lock = -1


def free_port() -> int:
    """A free port on the loopback address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def launch(plan: Plan, folder: Path) -> subprocess.Popen[bytes]:
    """Start the program of a plan; its output goes to the file `log` in the folder."""
    plan_file = folder / "plan.json"
    plan_file.write_text(json.dumps(plan))
    program = Path(__file__).with_name("namespace.py")
    command = [sys.executable, "-I", str(program), str(plan_file)]
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )


def kept_folders() -> list[str]:
    """Folders that must be visible in a machine at their own paths: the clone, the cache and the interpreters."""
    folders = {base.REPOSITORY, base.cache_folder(), Path(sys.prefix)}
    return sorted({str(folder) for folder in folders} | set(python_folders()))


def python_folders() -> list[str]:
    """The folders of the interpreters of this machine."""
    return sorted({str(path.resolve().parent.parent) for path in interpreters().values()})


def memory_folder() -> Path | None:
    """A folder in memory for a base, whose ten thousand small files are slow on a disk; None if there is none."""
    folder = Path("/dev/shm")
    if not os.access(folder, os.W_OK) or os.statvfs(folder).f_flag & os.ST_NOEXEC:
        return None
    return folder if shutil.disk_usage(folder).free > 4 * 2**30 else None


def remove(folder: Path, lock: int) -> None:
    """Start a process that removes the folder of a machine, and the folders that it links to.

    Removing ten thousand small files takes half a minute on a slow disk, which must not count as the time of the last
    test on the machine. This process waits for it when it exits, and the remover holds the lock until then.
    """
    removed = [str(folder)]
    for name in ("memory", "short"):
        with contextlib.suppress(FileNotFoundError):
            removed.append(str((folder / name).readlink()))
    remover = subprocess.Popen(["rm", "-rf", "--", *removed], pass_fds=[lock], start_new_session=True)
    atexit.register(remover.wait)


@functools.cache
def namespace_refusal() -> str:
    """Why this process cannot create namespaces, or "". Tries to create some."""
    folder = Path(tempfile.mkdtemp(prefix="colabenv-"))
    (folder / "root").mkdir()
    plan = Plan(
        namespace=True,
        root=str(folder / "root"),
        binds={"/content": str(folder)},
        kept=[],
        changes="",
        argv=["/bin/sh", "-c", "test -d /content"],
        env={},
        folder="/content",
        pid_file=str(folder / "pid"),
    )
    try:
        code = launch(plan, folder).wait(timeout=TIMEOUT)
        output = (folder / "log").read_text().strip()
    finally:
        shutil.rmtree(folder)
    if shutil.which("nsenter") is None:
        return "there is no program nsenter"
    return "" if code == 0 else output or f"exit status {code}"


def remove_abandoned(machines: Path) -> None:
    """Remove the folders of machines whose process was killed. A running process holds their lock."""
    for lock in machines.glob("*/lock"):
        with contextlib.suppress(BlockingIOError, FileNotFoundError), lock.open() as opened:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            remove(lock.parent, opened.fileno())
