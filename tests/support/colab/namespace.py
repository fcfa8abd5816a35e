"""Start a stand-in machine's server with its own /content, /root and /etc/ipython, and end it.

Run this file with the path of a JSON file (see `Plan`), with Python 3.10 or newer; it imports only the standard
library. With `"namespace": true`, the server gets its own mount and process namespaces: the real machine's folders are
visible inside, nothing of the real machine changes, and when this program ends, Linux ends every process in the
namespace. Otherwise the server is an ordinary child process, and this program ends all its descendants.

It stops on SIGTERM, when the server stops, and when the process that started it ends.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shutil
import signal
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import NoReturn, TypedDict

MS_BIND, MS_REC, MS_UNBINDABLE, MS_PRIVATE = 0x1000, 0x4000, 1 << 17, 1 << 18
CLONE_NEWNS, CLONE_NEWPID = 0x00020000, 0x20000000
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36

#: Folders that Linux provides.
DEVICES = (Path("/dev"), Path("/sys"))

LIBC = ctypes.CDLL(None, use_errno=True)


class Plan(TypedDict):
    """The program to start, and its file system.

    Attributes:
        namespace: whether to create namespaces; without, the next three are ignored.
        root: an empty folder for the machine's root.
        binds: path inside the machine to the folder outside that is mounted there.
        kept: folders that stay visible at their own path although a bind covers them.
        changes: an empty folder for the machine's changes to all other folders, which then do not reach the real
            machine; or "", to mount them as they are.
        argv: command of the server.
        env: all its environment variables.
        folder: its working directory, as a path inside.
        pid_file: file for the ID of a process whose namespaces other programs can enter.
    """

    namespace: bool
    root: str
    binds: dict[str, str]
    kept: list[str]
    changes: str
    argv: list[str]
    env: dict[str, str]
    folder: str
    pid_file: str


def check(result: int, what: str) -> None:
    """Raise an OSError if a C call failed."""
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def mount(
    source: str | Path, target: str | Path, flags: int, kind: str = "none", options: str | None = None
) -> None:
    """mount(2)."""
    data = None if options is None else os.fsencode(options)
    arguments = (os.fsencode(source), os.fsencode(target), kind.encode(), ctypes.c_ulong(flags), data)
    check(LIBC.mount(*arguments), f"mount {source} on {target}")


def bind(source: Path, target: Path) -> None:
    """Mount a file or folder, with everything mounted in it, at another path too."""
    if source.is_dir():
        target.mkdir(parents=True, exist_ok=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
    mount(source, target, MS_BIND | MS_REC)


def copy_on_write(source: Path, target: Path, changes: Path) -> None:
    """Mount a folder at another path too; what is written there goes to a new folder in `changes`."""
    target.mkdir(parents=True, exist_ok=True)
    upper, work = (
        changes / f"{os.fspath(source).strip('/').replace('/', '_')}-{use}" for use in ("new", "work")
    )
    upper.mkdir()
    work.mkdir()
    shutil.copystat(source, upper)
    mount("overlay", target, 0, "overlay", f"lowerdir={source},upperdir={upper},workdir={work}")


def place(source: Path, target: Path, changes: str) -> None:
    """Mount a file or folder of the real machine; with `changes`, so that the machine cannot change the folder."""
    if changes and source.is_dir() and source not in DEVICES:
        copy_on_write(source, target, Path(changes))
    else:
        bind(source, target)


def mirror(real: Path, copy: Path, replaced: list[Path], changes: str) -> None:
    """Mount the content of the folder `real` in the folder `copy`, except what is replaced; see `place`."""
    for entry in sorted(real.iterdir()):
        target = copy / entry.name
        if entry in replaced:
            continue
        if entry.is_symlink():
            target.symlink_to(entry.readlink())
        elif any(entry in path.parents for path in replaced):
            target.mkdir(mode=stat.S_IMODE(entry.stat().st_mode))
            mirror(entry, target, replaced, changes)
        elif entry.is_dir() or entry.is_file():
            place(entry, target, changes)


def build_root(plan: Plan) -> None:
    """Build the machine's file system and change its root to it."""
    root = Path(plan["root"])
    binds = {Path(inside): Path(outside) for inside, outside in plan["binds"].items()}
    mount("none", "/", MS_REC | MS_PRIVATE)
    mount("machine", root, 0, "tmpfs")
    mount("none", root, MS_UNBINDABLE)  # or else the folder that contains `root` would show it a second time
    # Copy /etc, because programs rename files over those in it, which fails for mounted files.
    shutil.copytree("/etc", root / "etc", symlinks=True, ignore=_unreadable, dirs_exist_ok=True)
    # Linux refuses to put a folder's changes below the folder itself, so each folder around them is made anew.
    own = [Path(plan["changes"])] if plan["changes"] else []
    mirror(Path("/"), root, [Path("/etc"), Path("/proc"), *binds, *own], plan["changes"])
    for inside, outside in sorted(binds.items()):  # the outermost first
        bind(outside, root / inside.relative_to("/"))
    for folder in map(Path, plan["kept"]):
        if any(inside in folder.parents for inside in binds):
            place(folder, root / folder.relative_to("/"), plan["changes"])
    (root / "proc").mkdir(exist_ok=True)
    mount("proc", root / "proc", 0, "proc")
    os.chroot(root)


def _unreadable(folder: str, names: list[str]) -> list[str]:
    """Entries of /etc that cannot be copied: sockets, pipes and files that this user may not read."""
    paths = (Path(folder, name) for name in names)
    return [p.name for p in paths if not p.is_symlink() and not (_plain(p) and os.access(p, os.R_OK))]


def _plain(path: Path) -> bool:
    return path.is_file() or path.is_dir()


def start_server(plan: Plan) -> int:
    """Start the server in a new session; returns its process ID."""
    pid = os.fork()
    if not pid:
        os._exit(guarded(become_server, plan))
    return pid


def become_server(plan: Plan) -> NoReturn:
    """Replace this process with the server."""
    os.setsid()
    os.chdir(plan["folder"])
    os.execve(plan["argv"][0], plan["argv"], plan["env"])  # noqa: S606 - replaces this process


def reap(server: int) -> int:
    """Reap child processes until the server ends; returns its exit status."""
    while True:
        pid, status = os.wait()
        if pid == server:
            return os.waitstatus_to_exitcode(status)


def first_process(plan: Plan) -> int:
    """Run as process 1 of the namespace. The server cannot: kernels whose parent is process 1 think it has died."""
    check(LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL), "prctl")
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    build_root(plan)
    return reap(start_server(plan))


def run_within(plan: Plan) -> int:
    """Start the server in new namespaces and wait for it."""
    check(LIBC.unshare(CLONE_NEWNS | CLONE_NEWPID), "unshare")
    first = os.fork()
    if not first:
        os._exit(guarded(first_process, plan))

    def stop(number: int, frame: FrameType | None) -> None:
        os.kill(first, signal.SIGKILL)

    signal.signal(signal.SIGTERM, stop)
    Path(plan["pid_file"]).write_text(str(first))
    return os.waitstatus_to_exitcode(os.waitpid(first, 0)[1])


def run_plainly(plan: Plan) -> int:
    """Start the server as an ordinary child, wait for it, and end all processes that it has started."""
    check(LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1), "prctl")
    server = start_server(plan)

    def stop(number: int, frame: FrameType | None) -> None:
        os.kill(server, signal.SIGKILL)

    signal.signal(signal.SIGTERM, stop)
    Path(plan["pid_file"]).write_text(str(server))
    code = reap(server)
    while children := descendants(os.getpid()):
        for pid in children:
            os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):  # its own parent has reaped it
            for _ in children:
                os.wait()
    return code


def descendants(ancestor: int) -> list[int]:
    """The children of a process, their children, and so on."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:  # it has ended meanwhile
                continue
            if fields[0] != "Z":
                parents[int(entry.name)] = int(fields[1])
    family = [ancestor]
    for pid in family:
        family += [child for child, parent in parents.items() if parent == pid]
    return family[1:]


def guarded(main: Callable[[Plan], int], plan: Plan) -> int:
    """Run one of the functions above; an OSError becomes a line in the log and exit status 71."""
    try:
        return main(plan)
    except OSError as error:
        print(f"namespace: {error}", file=sys.stderr, flush=True)  # noqa: T201 - goes to the machine's log
        return 71


def main() -> int:
    """Read the plan and run the server; returns its exit status."""
    parent = os.getppid()
    check(LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM), "prctl")
    if os.getppid() != parent:
        return 0
    plan: Plan = json.loads(Path(sys.argv[1]).read_text())
    return guarded(run_within if plan["namespace"] else run_plainly, plan)


if __name__ == "__main__":
    sys.exit(main())
