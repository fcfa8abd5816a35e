"""Versions that do not fit, each broken and mended for real."""

from __future__ import annotations

from pathlib import Path

import pytest

from doctor.recipe import Recipe, check

pytestmark = [pytest.mark.network, pytest.mark.slow]

SMALL = [
    Recipe(
        name="a requirement that is too old",
        code="CE101",
        statement="import httpx; httpx.Client()",
        install=("httpx==0.27.2",),
        then=("httpcore==0.9.1",),
        fails_with="ModuleNotFoundError",
        evidence=("httpx 0.27.2 requires httpcore", "0.9.1"),
    ),
]


@pytest.mark.parametrize("recipe", SMALL, ids=lambda recipe: recipe.name)
def test_is_found_and_mended(recipe: Recipe, tmp_path: Path, uv_cache: Path) -> None:
    check(recipe, tmp_path, uv_cache)
