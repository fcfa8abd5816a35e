"""Servers with a certificate of an authority that only the system trusts, as behind a company's proxy."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import certifi
import pytest

from support import pythons
from support.certificates import Authority
from support.index_server import Index
from support.packages import wheel
from support.timeouts import TIMEOUT
from support.user_machine import UserMachine

NOTE = "The package index's certificate is not in the bundled list; using this system's certificates."


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def private(authority: Authority, kernel_wheels: Path) -> Iterator[Index]:
    """An index over https, which also serves a store's file."""
    with Index(kernel_wheels, authority.server) as index:
        index.add(*wheel("tiny", "1.0"))
        index.extra_files["/store/file"] = b"content"
        yield index


@pytest.fixture
def member(tmp_path: Path, private: Index) -> UserMachine:
    """A machine that uses that index."""
    machine = UserMachine(tmp_path, private, tmp_path / "uv-cache")
    machine.environ["PIP_CONFIG_FILE"] = "/dev/null"
    return machine


def run_python(member: UserMachine, code: str, *arguments: str) -> str:
    argv = [*member.launcher, sys.executable, "-c", code, *arguments]
    completed = subprocess.run(
        argv, env=member.environ, capture_output=True, text=True, timeout=TIMEOUT, check=False
    )
    assert completed.returncode == 0, completed.stdout + completed.stderr
    return completed.stdout


def test_uv_uses_system_certificates_and_reports_it_once(member: UserMachine, authority: Authority) -> None:
    member.launcher = authority.trusted_by_system()
    assert member.up().expect(0).text.count(NOTE) == 1
    assert member.cell("import tiny; print(tiny.VERSION)") == "1.0"


def test_unknown_certificates_are_rejected(member: UserMachine) -> None:
    result = member.up().expect(3)
    assert "certificate was rejected while resolving" in result.text
    assert "SSL_CERT_FILE" in result.text


def test_certificates_that_the_user_chose_are_used(member: UserMachine, authority: Authority) -> None:
    member.launcher = authority.trusted_by_system()
    for choice in ({"SSL_CERT_FILE": certifi.where()}, {"UV_SYSTEM_CERTS": "false"}):
        result = member.up(**choice).expect(3)
        assert "certificate was rejected" in result.text
        assert NOTE not in result.text


RESOLVE = """
import os, sys
from pathlib import Path
from colabenv.environment.installers.pip import PipInstaller
from colabenv.lock.request import ResolveRequest
from colabenv.system.workspace import Workspace
workspace = Workspace(os.environ)
request = ResolveRequest(("tiny",), (), sys.argv[2], Path(sys.argv[1]), "", (), ())
print(*PipInstaller(workspace, "").resolve(request), *workspace.notes())
"""


@pytest.mark.parametrize("minor", ["3.9", "3.11"])
def test_pip_uses_system_certificates(member: UserMachine, authority: Authority, minor: str) -> None:
    """pip does so itself on Python 3.10 and newer (truststore); on older ones, colabenv retries with them."""
    python = pythons.find_cpython(minor)
    if python is None:
        pytest.skip(f"no Python {minor} on this machine")
    member.launcher = authority.trusted_by_system()
    # pip 25.3 with truststore cannot check the certificate of an IP address.
    member.environ["PIP_INDEX_URL"] = member.environ["PIP_INDEX_URL"].replace("127.0.0.1", "localhost")
    output = run_python(member, RESOLVE, str(python), minor)
    assert "name='tiny', version='1.0'" in output
    assert (NOTE in output) == (minor == "3.9")


READ = """
import sys
from colabenv.store.open import open_store
from colabenv.system.certificates import SystemCertificates
from colabenv.system.fetch import download_file
store = open_store(sys.argv[1], {}, SystemCertificates(print))
print(store.read("file"), store.read("file"), download_file(sys.argv[1] + "/file"))
"""


def test_stores_and_profiles_use_system_certificates(
    member: UserMachine, authority: Authority, private: Index
) -> None:
    member.launcher = authority.trusted_by_system()
    assert run_python(member, READ, f"{private.site}/store").splitlines() == [
        NOTE.replace("package index", "store"),
        "b'content' b'content' b'content'",
    ]
