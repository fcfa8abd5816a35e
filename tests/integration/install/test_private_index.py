"""An index whose password is a variable in the profile: it is used, and the password is written nowhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.index_server import Fault, Index
from support.packages import wheel
from support.user_machine import TINY, CommandResult, UserMachine

TOKEN = "hunter2-very-secret-Qx7"


@pytest.fixture
def private() -> Iterator[Index]:
    """The team's index, which requires a password."""
    with Index() as index:
        index.credentials = ("team", TOKEN)
        index.add(*wheel("ours", "1.0"))
        yield index


@pytest.fixture
def member(machine: UserMachine, private: Index) -> UserMachine:
    """A machine whose profile names the team's index."""
    address = private.url.replace("http://", "http://team:${TOKEN}@")
    machine.profile.write_text(
        TINY.replace("[tiny]\n", "[tiny, ours]\n", 1) + f'indexes: [{{name: team, url: "{address}"}}]\n'
    )
    return machine


def assert_password_is_hidden(machine: UserMachine, result: CommandResult, cache: Path) -> None:
    """Assert that the password is in no file and not in the output."""
    assert TOKEN not in result.text
    assert machine.find_files_containing(TOKEN) == []
    assert [path for path in cache.rglob("*") if path.is_file() and TOKEN.encode() in path.read_bytes()] == []


def test_up_with_credentials(member: UserMachine, private: Index, shared_uv_cache: Path) -> None:
    result = member.up("-v", TOKEN=TOKEN).expect(0)
    assert_password_is_hidden(member, result, shared_uv_cache)
    assert member.cell("import ours; print(ours.VERSION)") == "1.0"
    assert "ours==1.0" in member.lock.read_text()
    assert any("ours" in request for request in private.requests)


def test_up_with_credentials_and_pip(member: UserMachine, private: Index, shared_uv_cache: Path) -> None:
    # pip requests the team's wheel last. It fails, which is faster than a whole installation.
    private.faults[r"\.whl$"] = Fault(status=500)
    result = member.up("-v", TOKEN=TOKEN, COLABENV_INSTALLER="pip").expect(3)
    assert_password_is_hidden(member, result, shared_uv_cache)
    assert "ours==1.0" in member.lock.read_text()


@pytest.mark.parametrize("installer", ["uv", "pip"])
def test_wrong_credentials(
    member: UserMachine, private: Index, shared_uv_cache: Path, installer: str
) -> None:
    private.credentials = ("team", "another password")
    result = member.up("-v", TOKEN=TOKEN, COLABENV_INSTALLER=installer)
    assert result.code in {3, 4}, result.text
    assert_password_is_hidden(member, result, shared_uv_cache)
    assert "refused access" in result.text


def test_unset_credentials_variable(member: UserMachine, private: Index) -> None:
    assert "TOKEN, which is not set" in member.up().expect(2).text
    assert private.requests == []


def test_exports_do_not_contain_the_password(member: UserMachine, shared_uv_cache: Path) -> None:
    member.run("lock", "tiny.yaml", "--variant", "cpu", TOKEN=TOKEN).expect(0)
    for format_ in ("requirements", "pylock", "conda", "dockerfile", "ray"):
        result = member.run(
            "export", "tiny.yaml", "--format", format_, "-o", f"out/{format_}", TOKEN=TOKEN
        ).expect(0)
        assert_password_is_hidden(member, result, shared_uv_cache)
        text = (member.project / "out" / format_).read_text()
        assert ("${TOKEN}" in text) == (format_ != "pylock")
    assert "/files/ours-1.0-py3-none-any.whl" in (member.project / "out" / "pylock").read_text()
