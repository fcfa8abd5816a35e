"""How a starting kernel is handed over to a process that has imported already.

Standard library only, CPython 3.8 to 3.13. A copy lies in every environment beside the launcher. There are four
parties, and this file is what they have in common:

- the **launcher** of a kernel, started by the server, which offers its command line (`offer_kernel`) and then stays
  as the kernel's **stand-in**: the server signals it, waits for it and sees its exit status;
- the **keeper** (warm_supervisor.py), which owns the socket and the warm process, its child;
- the **warm process**, an ordinary kernel process that stopped before its start;
- **colabenv** itself (warm.py), which asks how things are and sends a warm process away.

The socket lies in a folder of the environment that only its owner can enter. Messages are JSON behind their length in
four bytes; file descriptors travel with the first byte (unix(7), SCM_RIGHTS).
"""

from __future__ import annotations

import array
import json
import os
import resource
import select
import signal
import socket
import stat
import struct
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, NoReturn

#: Seconds that an answer may take; a kernel is never started later by more than this for a keeper that is stuck.
ANSWER_TIMEOUT = 0.5
#: Seconds that its imports may take, from its start, before no kernel waits for it any more.
IMPORT_TIMEOUT = 10.0
#: Seconds from the handover until the kernel listens, before a cold one is started instead.
START_TIMEOUT = 20.0
#: Bytes of a message, at most. A whole environment has at most some hundred kilobytes.
_LIMIT = 8 * 2**20
_NAME = "s"

#: Variables that libraries read while they are imported, or the loader before: by these a warm process must be what
#: a cold one would be. Anything else is set at the handover, in time.
_READ_AT_IMPORT = (
    *("LD_", "PYTHON", "GLIBC_", "MALLOC_", "LC_", "LANG", "TZ", "TMPDIR", "HOME", "MPL"),
    *("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"),
    *("TF_", "XLA_", "KERAS_", "CUDA", "NVIDIA_", "NCCL_", "CUDNN_", "JAX_", "TORCH_", "PYTORCH_"),
    *("OMP_", "MKL_", "OPENBLAS_", "GOTO_", "BLIS_", "NUMEXPR_", "NUMBA_", "PROTOCOL_BUFFERS_", "HF_"),
)


class NoWarmKernelError(Exception):
    """There is no warm process for this kernel; the message says why."""


def socket_folder(prefix: str) -> str:
    """Where the socket and the log of an environment's warm process lie."""
    return os.path.join(prefix, "colabenv", "warm")


def build_identity(prefix: str, variables: Mapping[str, str]) -> dict[str, Any]:
    """What must be the same for a warm process and for the kernel that it is to be.

    Args:
        prefix: folder of the environment.
        variables: of the process.
    """
    with open(os.path.join(prefix, "colabenv", "settings.json"), encoding="utf-8") as file:
        settings = file.read()
    python = os.stat(os.path.join(prefix, "bin", "python"))
    place: list[Any] = [os.readlink("/proc/self/ns/" + name) for name in ("mnt", "pid", "net", "ipc", "user")]
    with open("/proc/self/cgroup", encoding="utf-8") as file:
        place.append(file.read())
    limits = (resource.RLIMIT_NOFILE, resource.RLIMIT_NPROC, resource.RLIMIT_AS, resource.RLIMIT_DATA)
    place.append([list(resource.getrlimit(limit)) for limit in limits])
    return {
        "user": os.geteuid(),
        "settings": settings,
        "python": [python.st_dev, python.st_ino, python.st_size, python.st_mtime_ns],
        "packages": _packages(prefix),
        "place": place,
        "variables": {name: value for name, value in variables.items() if name.startswith(_READ_AT_IMPORT)},
    }


def _packages(prefix: str) -> list[list[Any]]:
    """What is installed. Whoever installs, upgrades or removes a package writes its folder of metadata."""
    found = []
    root = os.path.join(prefix, "lib")
    for python in sorted(os.listdir(root)):
        site = os.path.join(root, python, "site-packages")
        if os.path.isdir(site):
            with os.scandir(site) as entries:
                found += [
                    [one.name, one.stat().st_mtime_ns] for one in entries if one.name.endswith(".dist-info")
                ]
    return sorted(found)


def find_difference(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> str:
    """The first thing in which two identities differ; empty where they agree."""
    return next((name for name in ours if ours[name] != theirs.get(name)), "")


def open_listener(prefix: str) -> socket.socket:
    """A listening socket in a folder that only this user can enter; an older one gives way.

    Raises:
        OSError: it cannot be had there.
    """
    folder = socket_folder(prefix)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    os.chmod(folder, 0o700)
    with _opened(folder) as inside:
        listener = socket.socket(socket.AF_UNIX)
        try:
            fresh = "%s.%d" % (_NAME, os.getpid())
            # By way of the open folder, since a socket's path may have 107 bytes only.
            listener.bind("%s/%s" % (inside.path, fresh))
            listener.listen(4)
            os.rename(os.path.join(folder, fresh), os.path.join(folder, _NAME))
        except OSError:
            listener.close()
            raise
    return listener


def connect_to_supervisor(prefix: str, timeout: float = ANSWER_TIMEOUT) -> socket.socket:
    """A connection to the keeper of an environment's warm process.

    Raises:
        RefusedError: none is there, or it is another user's.
    """
    try:
        with _opened(socket_folder(prefix)) as inside:
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(timeout)
            try:
                connection.connect("%s/%s" % (inside.path, _NAME))
                if read_peer_user(connection) != os.geteuid():
                    raise NoWarmKernelError("it is another user's")
            except BaseException:
                connection.close()
                raise
    except OSError as error:
        raise NoWarmKernelError("none waits (%s)" % error.strerror) from None
    return connection


def read_peer_user(connection: socket.socket) -> int:
    """The user at the other end, as the system knows it (unix(7), SO_PEERCRED)."""
    found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    user: int = struct.unpack("3i", found)[1]
    return user


class _opened:  # noqa: N801 - used like a function
    """An open folder that is this user's alone; `path` names it in a few bytes."""

    def __init__(self, folder: str) -> None:
        self.handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        self.path = "/proc/self/fd/%d" % self.handle

    def __enter__(self) -> _opened:
        found = os.fstat(self.handle)
        if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
            os.close(self.handle)
            raise NoWarmKernelError("its folder is not this user's alone")
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.handle)


def send_message(connection: socket.socket, message: object, handles: Sequence[int] = ()) -> None:
    """Send a message, and open files with it.

    Raises:
        OSError: the other end is gone, or does not read in time.
    """
    raw = json.dumps(message).encode("utf-8", "surrogateescape")
    packed = struct.pack("!I", len(raw))
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", handles))] if handles else []
    connection.sendmsg([packed[:1]], rights)
    connection.sendall(packed[1:] + raw)


def receive_message(connection: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """The next message and the open files that came with it.

    Raises:
        EOFError: the other end is gone.
        OSError: it went quiet in the middle of a message.
        ValueError: it is none of ours.
    """
    numbers = array.array("i")
    first, rights, _, _ = connection.recvmsg(1, socket.CMSG_SPACE(8 * numbers.itemsize), _CLOEXEC)
    for level, kind, data in rights:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            numbers.frombytes(data[: len(data) - len(data) % numbers.itemsize])
    handles = list(numbers)
    try:
        (length,) = struct.unpack("!I", first + _exactly(connection, 3 if first else 4))
        if length > _LIMIT:
            raise ValueError("a message of %d bytes" % length)
        message = json.loads(_exactly(connection, length).decode("utf-8", "surrogateescape"))
        if not isinstance(message, dict):
            raise ValueError("a message that is no object")
    except BaseException:
        close_handles(handles)
        raise
    return message, handles


_CLOEXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0x40000000)


def _exactly(connection: socket.socket, count: int) -> bytes:
    parts = b""
    while len(parts) < count:
        part = connection.recv(min(count - len(parts), 2**16))
        if not part:
            raise EOFError("the other end is gone")
        parts += part
    return parts


def close_handles(handles: Sequence[int]) -> None:
    """Close open files."""
    for handle in handles:
        os.close(handle)


# The launcher's side


def offer_kernel(prefix: str, variables: Mapping[str, str], arguments: Sequence[str]) -> NoReturn:
    """Have the warm process be this kernel, and stand in for it until it ends.

    Args:
        prefix: folder of the environment.
        variables: the kernel's whole environment.
        arguments: the kernel's command line, from `-f` on.

    Raises:
        RefusedError: a cold kernel is to be started, by the same process.
    """
    # Not only whether there is one: a folder that was never made is the rule, and costs one look.
    connection = connect_to_supervisor(prefix)
    here = -1
    # Whoever interrupts what has not started yet means nothing by it, and a kernel that ends at once is restarted.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        here = os.open(".", os.O_RDONLY | os.O_DIRECTORY)
        mask = os.umask(0o077)
        os.umask(mask)
        request = {"identity": build_identity(prefix, variables), "variables": dict(variables), "umask": mask}
        send_message(connection, dict(request, arguments=list(arguments)), [0, 1, 2, here])
        _wait_until_accepted(connection)
        _Forwarder(connection, "JPY_PARENT_PID" in variables).stand()
    except (OSError, EOFError, ValueError, KeyError) as error:
        raise NoWarmKernelError("it does not answer (%s)" % (str(error) or type(error).__name__)) from None
    finally:
        signal.signal(signal.SIGINT, before)
        connection.close()  # a keeper that has handed over ends the other kernel then
        if here >= 0:
            os.close(here)


def import_timeout(importing: float) -> float:
    """Seconds to wait for a process that has been importing for so long.

    A cold kernel would have to import all of it again, in competition with that one, and be later.
    """
    return max(ANSWER_TIMEOUT, IMPORT_TIMEOUT - importing)


def _wait_until_accepted(connection: socket.socket) -> None:
    while True:
        answer, _ = receive_message(connection)
        if answer.get("accepted"):
            return
        if "importing" not in answer:
            raise NoWarmKernelError(str(answer.get("refused", "it says nothing of use")))
        connection.settimeout(import_timeout(float(answer["importing"])))


class _Forwarder:
    """This process while another one is the kernel that the server started it to be.

    Args:
        connection: to the keeper.
        has_parent: whether the kernel is to end when the process that started it is gone, as ipykernel does.
    """

    def __init__(self, connection: socket.socket, has_parent: bool) -> None:
        self._keeper = connection
        self._parent = os.getppid() if has_parent else 0
        self._started = False
        self._told_to_end = False

    def stand(self) -> NoReturn:
        """Pass on signals until the kernel ends, and end like it.

        Raises:
            RefusedError: it ended, or did not answer, before it was a kernel.
        """
        wakes, wake = os.pipe()
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        for number in FORWARDED_SIGNALS:
            signal.signal(number, _nothing)
        self._keeper.settimeout(ANSWER_TIMEOUT)
        deadline = time.monotonic() + START_TIMEOUT
        while True:
            watched: list[Any] = [self._keeper, wakes]
            ready, _, _ = select.select(watched, [], [], 1.0)
            if wakes in ready:
                self._forward(os.read(wakes, 64))
            if self._keeper in ready:
                self._hear()
            if not self._started and time.monotonic() > deadline:
                raise NoWarmKernelError("it did not start within %d s" % START_TIMEOUT)
            if self._parent and os.getppid() != self._parent:
                os._exit(1)  # the keeper sees it and ends the kernel

    def _forward(self, numbers: bytes) -> None:
        for number in numbers:
            self._told_to_end = self._told_to_end or number != signal.SIGINT
            send_message(self._keeper, {"signal": number})

    def _hear(self) -> None:
        try:
            message, _ = receive_message(self._keeper)
        except (OSError, EOFError, ValueError):
            # The keeper was killed, and the kernel with it.
            if self._started or self._told_to_end:
                exit_like(signal.SIGKILL)
            raise
        if message.get("started"):
            self._started = True
        elif "ended" in message:
            if not (self._started or self._told_to_end):
                raise NoWarmKernelError("it ended before it was a kernel")
            exit_like(int(message["ended"]))


#: What a server or a person may send a kernel. The rest ends the stand-in, and the kernel with it.
FORWARDED_SIGNALS = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
)


def _nothing(*_: object) -> None:
    """A signal's handler; the number itself comes by the wakeup file."""


def exit_like(status: int) -> NoReturn:
    """End as a process with this wait status ended (wait(2)): a signal's number, or an exit code times 256."""
    sys.stderr.flush()
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # what is worth a dump has made its own
        if number != signal.SIGKILL:
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        time.sleep(1)
    os._exit(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 1)
