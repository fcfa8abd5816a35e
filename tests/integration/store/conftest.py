"""Stores on real servers, for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.store.drive import fuse_unavailable_reason, mount_drive
from support.store.servers import Served, gcs_server, s3_server


@pytest.fixture(scope="session")
def s3() -> Iterator[Served]:
    """A bucket on an S3 server."""
    with s3_server() as served:
        yield served


@pytest.fixture(scope="session")
def gcs() -> Iterator[Served]:
    """A bucket on a Google Cloud Storage server."""
    with gcs_server() as served:
        yield served


@pytest.fixture
def drive(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """A FUSE mount like Google Drive's: the MyDrive folder behind it, and MyDrive on the mount."""
    reason = fuse_unavailable_reason()
    if reason:
        pytest.skip(f"cannot mount a drive: {reason}")
    behind, point = tmp_path / "behind", tmp_path / "drive"
    (behind / "MyDrive").mkdir(parents=True)
    point.mkdir()
    with mount_drive(behind, point):
        yield behind / "MyDrive", point / "MyDrive"
