"""A stand-in for a Colab machine: its interpreter, its folders, its variables and its Jupyter server.

::

    with ColabMachine() as machine:
        page = machine.open("lesson.ipynb")
        assert page.run("!python -m colabenv --version").status == "ok"

Where this process may make mount and process namespaces, `/content`, `/env/python`, `/etc/ipython` and
`/var/colab/hostname` are really there inside the machine, and `/root` is not the person's own. Where it
may not, folders of other names stand in for them; `namespaced` says which, `refusal` says why.
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
from support.patience import PATIENCE
from support.pythons import interpreters

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
    """One machine, from `__enter__` to `__exit__`; it ends with the process that made it at the latest.

    Args:
        python: the minor version of the base, such as `3.12`; None for the newest of 3.11 to 3.13 here.
        google_colab: True for our stand-in, False for none (a plain Jupyter server), or a folder that
            holds the real package's `google`.
        pythons: minor versions to have on PATH besides, after everything else; `pythons` then maps those
            that are on this machine to their programs.
        env: environment variables to add to or, with None, take from Colab's.
        namespace: False to do without namespaces even where they can be had.
        colabenv: whether to install colabenv into the base.

    Attributes:
        prefix: the base, at the same path inside and outside.
        home, content: folders of the machine, as paths outside.
        home_inside, content_inside: the same as paths inside.
        env: the environment variables of the server.
        namespaced: whether the machine has namespaces; `refusal` is why not, or empty.
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
    ) -> None:
        self._python = base.base_python(python)
        self._google_colab = google_colab
        self._with_colabenv = colabenv
        self._changes = env or {}
        self.pythons = {minor: path for minor, path in interpreters().items() if minor in pythons}
        self.refusal = namespace_refusal() if namespace else "not asked for"
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
        memory = memory_folder()
        if memory is None:
            self.prefix = self.folder / "base"
        else:
            self.prefix = Path(tempfile.mkdtemp(dir=memory, prefix="colabenv-")) / "base"
            (self.folder / "memory").symlink_to(self.prefix.parent)
        self.home, self.content = self.folder / "home", self.folder / "content"
        for folder in (self.home, self.content, self.folder / "env", self.folder / "root"):
            folder.mkdir()
        if self.namespaced:
            # uv links files from its cache only within one mount, so home and cache are below the same.
            self.home_inside = f"/root/{self.home.relative_to(base.cache_folder())}"
            self.content_inside, env_python, uv_cache = "/content", "/env/python", "/root/uv"
        else:
            # A kernel's sockets lie below the home, and their paths may have 107 bytes.
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

    def _install(self) -> None:
        base.copy_base(base.build_base(self._python), self.prefix)
        if self._with_colabenv:
            base.install_colabenv(self.prefix)
        config = self.folder / "ipython"
        if self._google_colab:
            real = self._google_colab if isinstance(self._google_colab, Path) else None
            base.install_google_colab(self.prefix, real)
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
            self.env["PATH"] += f":{extra}"

    def _plan(self, argv: list[str]) -> Plan:
        binds = {"/root": str(base.cache_folder()), "/content": str(self.content)}
        binds["/env/python"] = str(self.folder / "env")
        if self._google_colab:
            colab = self.folder / "var-colab"
            colab.mkdir()
            (colab / "hostname").write_text("colab-stand-in\n")
            binds |= {"/var/colab": str(colab), "/etc/ipython": str(self.folder / "ipython")}
            binds["/opt/google/drive"] = str(self._make_drive())
        return Plan(
            namespace=self.namespaced,
            root=str(self.folder / "root"),
            binds=binds,
            kept=kept_folders(),
            argv=argv,
            env=self.env,
            folder=self.content_inside,
            pid_file=str(self.folder / "pid"),
        )

    def _make_drive(self) -> Path:
        """A folder with a program in the place of Google's that mounts a Drive; this one makes a folder."""
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
        # Colab has the default of three seconds; one second only makes the tests wait less.
        argv += ["--KernelRestarter.time_to_dead=1"]
        self._launcher = launch(self._plan(argv), self.folder)
        self.server = Server(f"http://127.0.0.1:{port}", token)
        deadline = time.monotonic() + PATIENCE
        while not self.server.answers():
            if self._launcher.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the machine's server did not start:\n{self.log()[-4000:]}")
            time.sleep(0.05)

    def log(self) -> str:
        """What the server and its kernels have written to their terminal."""
        return (self.folder / "log").read_text(errors="replace")

    def command(self, argv: Sequence[str | Path]) -> list[str]:
        """The command that runs `argv` in the machine's /content; its variables are the caller's to set."""
        program = [str(part) for part in argv]
        if not self.namespaced:
            return program
        pid = (self.folder / "pid").read_text()
        enter = ["nsenter", f"--target={pid}", "--mount", "--pid", "--root", "--"]
        return [*enter, "env", f"--chdir={self.content_inside}", *program]

    def run(
        self, *argv: str | Path, timeout: float = 300, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a program in the machine as its terminal would: Colab's variables and `env`, in /content."""
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
        """Open a notebook in /content; where it is not there, it is made, for the kernel named.

        Raises:
            KernelDiedError: with the end of the log.
        """
        try:
            page = Page(self.server, notebook, kernel)
        except KernelDiedError as error:
            raise KernelDiedError(f"{error}\n{self.log()[-4000:]}") from error
        self._pages.append(page)
        return page

    def snapshot(self) -> dict[str, snapshot.Entry]:
        """Every file below the base's prefix: path to size, time of writing and digest."""
        return snapshot.take(self.prefix)

    def close(self) -> None:
        """End the machine with all that runs on it and remove its folders. May be called again."""
        atexit.unregister(self.close)
        for page in self._pages:
            page.close()
        self._pages = []
        if self._launcher is not None:
            self._launcher.send_signal(signal.SIGTERM)
            self._launcher.wait(timeout=PATIENCE)
            self._launcher = None
        if self._lock >= 0:
            remove(self.folder, self._lock)
            os.close(self._lock)
            self._lock = -1


def free_port() -> int:
    """A port on the loopback address that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def launch(plan: Plan, folder: Path) -> subprocess.Popen[bytes]:
    """Start what the plan says, with its output in the file `log` of the folder."""
    written = folder / "plan.json"
    written.write_text(json.dumps(plan))
    program = Path(__file__).with_name("namespace.py")
    command = [sys.executable, "-I", str(program), str(written)]
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )


def kept_folders() -> list[str]:
    """Folders that a machine must see at their own paths: this clone, the cache and the interpreters."""
    folders = {base.REPOSITORY, base.cache_folder(), Path(sys.prefix)}
    folders |= {path.resolve().parent.parent for path in interpreters().values()}
    return sorted(str(folder) for folder in folders)


def memory_folder() -> Path | None:
    """A folder in memory that can hold a base, whose ten thousand small files make a disk slow, or None."""
    folder = Path("/dev/shm")
    if not os.access(folder, os.W_OK) or os.statvfs(folder).f_flag & os.ST_NOEXEC:
        return None
    return folder if shutil.disk_usage(folder).free > 4 * 2**30 else None


def remove(folder: Path, lock: int) -> None:
    """Have the folder of a machine removed, and those elsewhere that it has links to, by a process of its own.

    Ten thousand small files take a slow disk half a minute, which must not count as the time of whichever test
    happens to be the last one on the machine. The end of this process waits for it, and until then it holds the lock.
    """
    gone = [str(folder)]
    for name in ("memory", "short"):
        with contextlib.suppress(FileNotFoundError):
            gone.append(str((folder / name).readlink()))
    remover = subprocess.Popen(["rm", "-rf", "--", *gone], pass_fds=[lock], start_new_session=True)
    atexit.register(remover.wait)


@functools.cache
def namespace_refusal() -> str:
    """Why this process cannot have namespaces of its own; empty where it can. Found out by making some."""
    folder = Path(tempfile.mkdtemp(prefix="colabenv-"))
    (folder / "root").mkdir()
    plan = Plan(
        namespace=True,
        root=str(folder / "root"),
        binds={"/content": str(folder)},
        kept=[],
        argv=["/bin/sh", "-c", "test -d /content"],
        env={},
        folder="/content",
        pid_file=str(folder / "pid"),
    )
    try:
        code = launch(plan, folder).wait(timeout=PATIENCE)
        said = (folder / "log").read_text().strip()
    finally:
        shutil.rmtree(folder)
    if shutil.which("nsenter") is None:
        return "there is no program nsenter"
    return "" if code == 0 else said or f"exit status {code}"


def remove_abandoned(machines: Path) -> None:
    """Remove the folders of machines whose process was killed; it held a lock while it lived."""
    for lock in machines.glob("*/lock"):
        with contextlib.suppress(BlockingIOError, FileNotFoundError), lock.open() as opened:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            remove(lock.parent, opened.fileno())
