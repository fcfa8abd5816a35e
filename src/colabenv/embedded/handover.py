"""The protocol that turns a warm process into a kernel. Standard library only, Python 3.6 syntax.

Every environment holds a copy beside the launcher. The parties:

- the **launcher** of a kernel, started by the server. It offers its command line (`offer_kernel`) and then stays as the
  kernel's **forwarder**: the server signals it, waits for it and sees its exit status.
- the **supervisor** (warm_supervisor.py), which owns the socket and the warm process, its child.
- the **warm process**, a kernel process that has done its imports and waits.
- **colabenv** itself (kernel/warm.py), which asks for the state of a warm process and ends it.

The socket lies in a folder of the environment that only its owner can enter. A message is JSON after its length in four
bytes; file descriptors travel with the first byte (unix(7), SCM_RIGHTS).
"""

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

ANSWER_TIMEOUT = 0.5  # seconds until an answer; a supervisor that hangs delays a kernel by this much at most
#: Seconds from the start of a warm process for its imports, before a kernel stops waiting for it.
IMPORT_TIMEOUT = 10.0
#: Seconds from the handover until the kernel listens, before a cold one is started instead.
START_TIMEOUT = 20.0
#: Signals that are forwarded to the kernel. Any other one ends the forwarder, and the kernel with it.
FORWARDED_SIGNALS = (
    *(signal.SIGINT, signal.SIGTERM, signal.SIGHUP),
    *(signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2),
)
SOCKET_NAME = "s"  # file name of the socket
#: Most bytes of a message. All variables together have at most some hundred kilobytes.
_MAX_BYTES = 8 * 2**20
_CLOEXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0x40000000)

#: Variables that a library reads when it is imported, or the loader before that. A warm process must have the same ones
#: as the kernel; all others are set at the handover.
_READ_AT_IMPORT = (
    *("LD_", "PYTHON", "GLIBC_", "MALLOC_", "LC_", "LANG", "TZ", "TMPDIR", "HOME", "MPL"),
    *("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"),
    *("TF_", "XLA_", "KERAS_", "CUDA", "NVIDIA_", "NCCL_", "CUDNN_", "JAX_", "TORCH_", "PYTORCH_"),
    *("OMP_", "MKL_", "OPENBLAS_", "GOTO_", "BLIS_", "NUMEXPR_", "NUMBA_", "PROTOCOL_BUFFERS_", "HF_"),
)


class NoWarmKernelError(Exception):
    """No warm process can become this kernel; the message says why."""


def socket_folder(prefix: str) -> str:
    """The folder of the socket and the log of an environment's warm process."""
    return os.path.join(prefix, "colabenv", "warm")


def build_identity(prefix: str, variables: "Mapping[str, str]") -> "dict[str, Any]":
    """Everything that a warm process must have in common with the kernel that it becomes."""
    with open(os.path.join(prefix, "colabenv", "settings.json"), encoding="utf-8") as file:
        settings = file.read()
    python = os.stat(os.path.join(prefix, "bin", "python"))
    place = [os.readlink("/proc/self/ns/" + name) for name in ("mnt", "pid", "net", "ipc", "user")]  # type: list[Any]
    with open("/proc/self/cgroup", encoding="utf-8") as file:
        place.append(file.read())
    limits = (resource.RLIMIT_NOFILE, resource.RLIMIT_NPROC, resource.RLIMIT_AS, resource.RLIMIT_DATA)
    place.append([list(resource.getrlimit(limit)) for limit in limits])
    return {
        "user": os.geteuid(),
        "settings": settings,
        "python": [python.st_dev, python.st_ino, python.st_size, python.st_mtime_ns],
        "packages": _list_packages(prefix),
        "place": place,
        "variables": {name: value for name, value in variables.items() if name.startswith(_READ_AT_IMPORT)},
    }


def _list_packages(prefix: str) -> "list[list[Any]]":
    """[metadata folder, time] of each installed package; an installer writes that folder in every case."""
    packages = []
    root = os.path.join(prefix, "lib")
    for python in sorted(os.listdir(root)):
        site = os.path.join(root, python, "site-packages")
        if os.path.isdir(site):
            infos = (entry for entry in os.scandir(site) if entry.name.endswith(".dist-info"))
            packages += [[info.name, info.stat().st_mtime_ns] for info in infos]
    return sorted(packages)


def find_difference(ours: "Mapping[str, Any]", theirs: "Mapping[str, Any]") -> str:
    """The first item in which two identities differ; empty if they agree."""
    return next((name for name in ours if ours[name] != theirs.get(name)), "")


def open_listener(prefix: str) -> socket.socket:
    """A listening socket in a folder that only this user can enter; it replaces an older one."""
    folder = socket_folder(prefix)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    os.chmod(folder, 0o700)
    with _PrivateFolder(folder) as private:
        listener = socket.socket(socket.AF_UNIX)
        try:
            name = f"{SOCKET_NAME}.{os.getpid()}"
            listener.bind(f"{private.path}/{name}")
            listener.listen(4)
            os.rename(os.path.join(folder, name), os.path.join(folder, SOCKET_NAME))
        except OSError:
            listener.close()
            raise
    return listener


def connect_to_supervisor(prefix: str, timeout: float = ANSWER_TIMEOUT) -> socket.socket:
    """A connection to the supervisor of an environment's warm process; raises `NoWarmKernelError`."""
    try:
        with _PrivateFolder(socket_folder(prefix)) as private:
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(timeout)
            try:
                connection.connect(f"{private.path}/{SOCKET_NAME}")
                if read_peer_user(connection) != os.geteuid():
                    raise NoWarmKernelError("it belongs to another user")
            except BaseException:
                connection.close()
                raise
    except OSError as error:
        raise NoWarmKernelError(f"none waits ({error.strerror})") from None
    return connection


def read_peer_user(connection: socket.socket) -> int:
    """The user at the other end, as the kernel reports it (unix(7), SO_PEERCRED)."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", credentials)[1])


class _PrivateFolder:
    """An open folder that only this user can enter; `path` names it in a few bytes, since a socket's path has 107."""

    def __init__(self, folder: str) -> None:
        self.handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        self.path = f"/proc/self/fd/{self.handle}"

    def __enter__(self) -> "_PrivateFolder":
        status = os.fstat(self.handle)
        if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o077:
            os.close(self.handle)
            raise NoWarmKernelError("other users can enter its folder")
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.handle)


def send_message(connection: socket.socket, message: object, handles: "Sequence[int]" = ()) -> None:
    """Send a message, with open files; OSError if the other end is gone or does not read in time."""
    raw = json.dumps(message).encode("utf-8", "surrogateescape")
    packed = struct.pack("!I", len(raw))
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", handles))] if handles else []
    connection.sendmsg([packed[:1]], rights)
    connection.sendall(packed[1:] + raw)


def receive_message(connection: socket.socket) -> "tuple[dict[str, Any], list[int]]":
    """The next message and the open files that came with it.

    Raises:
        EOFError: the other end is gone.
        OSError: no answer in time.
        ValueError: this is not a message of this protocol.
    """
    numbers = array.array("i")
    first, rights, _, _ = connection.recvmsg(1, socket.CMSG_SPACE(8 * numbers.itemsize), _CLOEXEC)
    for level, kind, data in rights:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            numbers.frombytes(data[: len(data) - len(data) % numbers.itemsize])
    handles = list(numbers)
    try:
        (length,) = struct.unpack("!I", first + _receive_bytes(connection, 3 if first else 4))
        if length > _MAX_BYTES:
            raise ValueError(f"a message of {length} bytes")
        message = json.loads(_receive_bytes(connection, length).decode("utf-8", "surrogateescape"))
        if not isinstance(message, dict):
            raise ValueError("a message that is not an object")
    except BaseException:
        close_handles(handles)
        raise
    return message, handles


def _receive_bytes(connection: socket.socket, count: int) -> bytes:
    received = b""
    while len(received) < count:
        part = connection.recv(min(count - len(received), 2**16))
        if not part:
            raise EOFError("the connection was closed")
        received += part
    return received


def close_handles(handles: "Sequence[int]") -> None:
    """Close open files."""
    for handle in handles:
        os.close(handle)


def open_wakeup_pipe() -> int:
    """A file that becomes readable, with the signal's number, when a handled signal arrives."""
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    signal.set_wakeup_fd(write_end)
    return read_end


def ignore_signal(*_: object) -> None:
    """A signal handler that leaves the work to the reader of the wakeup pipe."""


# The launcher's side


def offer_kernel(
    prefix: str, variables: "Mapping[str, str]", arguments: "Sequence[str]", timeout: float = ANSWER_TIMEOUT
) -> "NoReturn":
    """Let the warm process become this kernel, with these variables and, from `-f` on, this command line.

    Signals are forwarded to it until it ends. Raises `NoWarmKernelError` if this process has to start a cold kernel.
    """
    # First of all, because usually there is none and this is one system call.
    connection = connect_to_supervisor(prefix, timeout)
    folder = -1
    # An interrupt must not end a kernel that has not started: the server would restart it.
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        folder = os.open(".", os.O_RDONLY | os.O_DIRECTORY)
        mask = os.umask(0o077)
        os.umask(mask)
        request = {"identity": build_identity(prefix, variables), "variables": dict(variables), "umask": mask}
        send_message(connection, dict(request, arguments=list(arguments)), [0, 1, 2, folder])
        _wait_until_accepted(connection)
        _Forwarder(connection, "JPY_PARENT_PID" in variables).run()
    except (OSError, EOFError, ValueError, KeyError) as error:
        raise NoWarmKernelError(f"it does not answer ({str(error) or type(error).__name__})") from None
    finally:
        signal.signal(signal.SIGINT, previous)
        connection.close()  # a supervisor that has handed over ends its kernel when this closes
        if folder >= 0:
            os.close(folder)


def import_timeout(elapsed: float) -> float:
    """Seconds to wait for a process that has been importing for `elapsed` seconds; a cold kernel would be later."""
    return max(ANSWER_TIMEOUT, IMPORT_TIMEOUT - elapsed)


def _wait_until_accepted(connection: socket.socket) -> None:
    while True:
        answer, _ = receive_message(connection)
        if answer.get("accepted"):
            return
        if "importing" not in answer:
            raise NoWarmKernelError(str(answer.get("refused", "it sends an unknown answer")))
        connection.settimeout(import_timeout(float(answer["importing"])))


class _Forwarder:
    """This process while another one is the kernel that the server started here."""

    def __init__(self, supervisor: socket.socket, has_parent: bool) -> None:
        self._supervisor = supervisor
        # ipykernel ends when the process that started it is gone.
        self._parent = os.getppid() if has_parent else 0
        self._started = False
        self._ending = False

    def run(self) -> "NoReturn":
        """Forward signals until the kernel ends, and exit with its status; raises if it never became a kernel."""
        wakeup = open_wakeup_pipe()
        for number in FORWARDED_SIGNALS:
            signal.signal(number, ignore_signal)
        self._supervisor.settimeout(ANSWER_TIMEOUT)
        deadline = time.monotonic() + START_TIMEOUT
        watched = [self._supervisor, wakeup]  # type: list[Any]
        while True:
            ready, _, _ = select.select(watched, [], [], 1.0)
            if wakeup in ready:
                self._forward(os.read(wakeup, 64))
            if self._supervisor in ready:
                self._receive()
            if not self._started and time.monotonic() > deadline:
                raise NoWarmKernelError(f"it did not start within {START_TIMEOUT:.0f} s")
            if self._parent and os.getppid() != self._parent:
                os._exit(1)  # the supervisor notices, and ends the kernel

    def _forward(self, numbers: bytes) -> None:
        for number in numbers:
            self._ending = self._ending or number != signal.SIGINT
            send_message(self._supervisor, {"signal": number})

    def _receive(self) -> None:
        try:
            message, _ = receive_message(self._supervisor)
        except (OSError, EOFError, ValueError):
            # The supervisor was killed, and the kernel with it.
            if self._started or self._ending:
                exit_like(signal.SIGKILL)
            raise
        if message.get("started"):
            self._started = True
        elif "ended" in message:
            if not (self._started or self._ending):
                raise NoWarmKernelError("it ended before it was a kernel")
            exit_like(int(message["ended"]))


def exit_like(status: int) -> "NoReturn":
    """Exit as a process with this wait status did (wait(2)): a signal's number, or an exit code times 256."""
    sys.stderr.flush()
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # the kernel has written its own core dump
        if number != signal.SIGKILL:
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        time.sleep(1)
    os._exit(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 1)
