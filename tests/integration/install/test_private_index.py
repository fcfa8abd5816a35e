"""An index with a password, named in the profile by a variable: it works, and the password is written nowhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.bench import TINY, Bench, CommandResult
from support.index_server import Fault, Index
from support.packages import wheel

TOKEN = "hunter2-very-secret-Qx7"


@pytest.fixture
def private() -> Iterator[Index]:
    """The team's index, that wants a password."""
    with Index() as started:
        started.credentials = ("team", TOKEN)
        started.add(*wheel("ours", "1.0"))
        yield started


@pytest.fixture
def member(bench: Bench, private: Index) -> Bench:
    """A machine whose profile names the team's index, and whose cache is its own."""
    address = private.url.replace("http://", "http://team:${TOKEN}@")
    bench.profile.write_text(
        TINY.replace("[tiny]\n", "[tiny, ours]\n", 1) + f'indexes: [{{name: team, url: "{address}"}}]\n'
    )
    return bench


def assert_password_is_hidden(bench: Bench, done: CommandResult, cache: Path) -> None:
    """Assert that the password is in no file and was not said."""
    assert TOKEN not in done.text
    assert bench.files_with(TOKEN) == []
    assert [path for path in cache.rglob("*") if path.is_file() and TOKEN.encode() in path.read_bytes()] == []


def test_up_with_credentials(member: Bench, private: Index, unpacked: Path) -> None:
    done = member.up("-v", TOKEN=TOKEN).expect(0)
    assert_password_is_hidden(member, done, unpacked)
    assert member.cell("import ours; print(ours.VERSION)") == "1.0"
    assert "ours==1.0" in member.lock.read_text()
    assert any("ours" in line for line in private.asked)


def test_up_with_credentials_and_pip(member: Bench, private: Index, unpacked: Path) -> None:
    # The team's wheel is the last thing that pip asks for, and does not come: quicker than a whole installation.
    private.faults[r"\.whl$"] = Fault(status=500)
    done = member.up("-v", TOKEN=TOKEN, COLABENV_INSTALLER="pip").expect(3)
    assert_password_is_hidden(member, done, unpacked)
    assert "ours==1.0" in member.lock.read_text()


@pytest.mark.parametrize("installer", ["uv", "pip"])
def test_wrong_credentials(member: Bench, private: Index, unpacked: Path, installer: str) -> None:
    private.credentials = ("team", "another one")
    done = member.up("-v", TOKEN=TOKEN, COLABENV_INSTALLER=installer)
    assert done.code in {3, 4}, done.text
    assert_password_is_hidden(member, done, unpacked)
    assert "refused access" in done.text


def test_unset_credentials_variable(member: Bench, private: Index) -> None:
    assert "TOKEN, which is not set" in member.up().expect(2).text
    assert private.asked == []


def test_exports_do_not_contain_the_password(member: Bench, unpacked: Path) -> None:
    member.run("lock", "tiny.yaml", "--variant", "cpu", TOKEN=TOKEN).expect(0)
    for format_ in ("requirements", "pylock", "conda", "dockerfile", "ray"):
        done = member.run(
            "export", "tiny.yaml", "--format", format_, "-o", f"out/{format_}", TOKEN=TOKEN
        ).expect(0)
        assert_password_is_hidden(member, done, unpacked)
        text = (member.project / "out" / format_).read_text()
        assert ("${TOKEN}" in text) == (format_ != "pylock")
    assert "/files/ours-1.0-py3-none-any.whl" in (member.project / "out" / "pylock").read_text()
