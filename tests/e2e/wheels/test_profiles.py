"""A part of scripts/verify-profiles: the oldest, a middle and the newest release, on CPU."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from colabenv.frameworks import facts
from support.pythons import interpreters

pytestmark = [pytest.mark.wheels, pytest.mark.network, pytest.mark.slow]


@pytest.fixture(scope="module")
def check() -> Iterator[Any]:
    scripts = Path(__file__).resolve().parents[3] / "scripts"
    sys.path.insert(0, str(scripts))
    yield importlib.import_module("wheelcheck.check")
    sys.path.remove(str(scripts))


@pytest.mark.timeout(1500)
@pytest.mark.parametrize("line", ["2.8", "2.15", "2.21"])
def test_release_from_a_minimal_profile(line: str, check: Any, tmp_path: Path, uv_cache: Path) -> None:
    # The home is empty, so PATH lists the Pythons of this machine; colabenv downloads missing ones.
    folders = [str(path.parent) for path in interpreters().values()]
    environ = {**os.environ, "PATH": os.pathsep.join([os.environ["PATH"], *folders])}
    folder = check.CheckFolder.create(tmp_path, environ, uv_cache)
    version = check.newest_release(line, facts.load_table())

    record = check.check_release(version, "cpu", folder)

    assert record["tensorflow"] == version
    assert record["python"].startswith(find_release(version).pythons[-1] + ".")
    assert {"MobileNetV2", "ResNet50", "EfficientNetB0", "VGG16"} <= set(record["models"])
    assert not list(tmp_path.glob("colabenv/envs/*/*/stamp.json"))


def find_release(version: str) -> facts.TensorFlowRelease:
    return next(release for release in facts.load_table().releases if release.version == version)
