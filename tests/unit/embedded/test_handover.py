"""The messages of a handover, and the identities that it compares."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from colabenv.embedded import handover
from colabenv.embedded.handover import (
    NoWarmKernelError,
    find_difference,
    import_timeout,
    receive_message,
    send_message,
)


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """The files that an identity reads."""
    site = tmp_path / "lib" / "python3.11" / "site-packages"
    (site / "numpy-1.26.4.dist-info").mkdir(parents=True)
    (site / "numpy").mkdir()
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").write_text("")
    (tmp_path / "colabenv").mkdir()
    (tmp_path / "colabenv" / "settings.json").write_text("{}")
    return tmp_path


def test_messages_are_received_with_their_files(tmp_path: Path) -> None:
    sender, receiver = socket.socketpair()
    (tmp_path / "note").write_text("content")
    message = {"variables": {"A": "ä\udcff" * 40_000}, "arguments": ["-f", "x"]}
    with sender, receiver, (tmp_path / "note").open("rb") as file:
        sender.settimeout(5)
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**21)
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2**21)
        send_message(sender, message, [file.fileno()])
        send_message(sender, {"second": 1})
        received, (handle,) = receive_message(receiver)
        assert received == message
        assert os.read(handle, 10) == b"content"
        assert not os.get_inheritable(handle)
        handover.close_handles([handle])
        assert receive_message(receiver) == ({"second": 1}, [])
        sender.close()
        with pytest.raises(EOFError):
            receive_message(receiver)


@pytest.mark.parametrize("data", [b"\xff\xff\xff\xff", b"\0\0\0\2[]", b"\0\0\0\3{,}", b"\0\0\0\1\xff"])
def test_invalid_message_is_an_error(data: bytes) -> None:
    sender, receiver = socket.socketpair()
    with sender, receiver:
        sender.sendall(data)
        with pytest.raises(ValueError, match=r"."):
            receive_message(receiver)


def test_identities_differ_in_what_is_read_at_import(environment: Path) -> None:
    def identity(**variables: str) -> dict[str, object]:
        return handover.build_identity(str(environment), variables)

    first = identity(TF_CPP_MIN_LOG_LEVEL="2", PATH="/a", JPY_SESSION_NAME="x")
    assert find_difference(first, identity(TF_CPP_MIN_LOG_LEVEL="2", PATH="/b", TERM="xterm")) == ""
    assert find_difference(first, identity()) == "variables"
    assert find_difference(first, identity(TF_CPP_MIN_LOG_LEVEL="2", LD_LIBRARY_PATH="/x")) == "variables"
    second = identity()
    (environment / "lib/python3.11/site-packages/numpy/__pycache__").mkdir()
    (environment / "lib/python3.11/site-packages/__pycache__").mkdir()
    assert find_difference(second, identity()) == "", "bytecode is not a difference"
    (environment / "lib/python3.11/site-packages/numpy-1.26.4.dist-info").rmdir()
    assert find_difference(second, identity()) == "packages"
    (environment / "bin" / "python").write_text("another")
    assert find_difference(second, identity()) == "python"
    (environment / "colabenv" / "settings.json").write_text('{"preload": []}')
    assert find_difference(second, identity()) == "settings"
    assert find_difference(second, {**second, "user": 4711}) == "user"


def test_import_timeout() -> None:
    assert import_timeout(0) == 10
    assert import_timeout(9) == 1
    assert import_timeout(60) == handover.ANSWER_TIMEOUT == 0.5


def test_connecting_without_a_warm_process_is_an_error(environment: Path) -> None:
    with pytest.raises(NoWarmKernelError, match="none waits"):
        handover.connect_to_supervisor(str(environment))
    assert not (environment / "colabenv" / "warm").exists(), "connecting creates no files"


def test_socket_can_have_a_long_path(tmp_path: Path) -> None:
    prefix = tmp_path / ("d" * 100) / ("e" * 100)
    prefix.mkdir(parents=True)
    with handover.open_listener(str(prefix)), handover.connect_to_supervisor(str(prefix)) as connection:
        assert handover.read_peer_user(connection) == os.geteuid()
    folder = Path(handover.socket_folder(str(prefix)))
    assert folder.stat().st_mode & 0o777 == 0o700
    assert [path.name for path in folder.iterdir()] == ["s"]
