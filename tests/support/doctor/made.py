"""Facts made by hand, for tests of rules."""

from __future__ import annotations

from colabenv.doctor.model import Distribution, Facts

SITE = "/env/lib/python3.11/site-packages"


def dist(name: str, version: str = "1.0", **more: object) -> Distribution:
    """An installed distribution with metadata of pip."""
    known: dict[str, object] = {
        "root": SITE,
        "info": f"{SITE}/{name}-{version}.dist-info",
        "installer": "pip",
        "files": 10,
        "modules": (name,),
    }
    return Distribution(name, version, **{**known, **more})  # type: ignore[arg-type]


def facts(*distributions: Distribution, **more: object) -> Facts:
    """Facts of CPython 3.11 on Linux."""
    known: dict[str, object] = {
        "python": (3, 11, 7),
        "executable": "/env/bin/python",
        "prefix": "/env",
        "base_prefix": "/usr",
        "soabi": "cpython-311-x86_64-linux-gnu",
        "markers": {"platform_machine": "x86_64", "sys_platform": "linux"},
        "distributions": distributions,
    }
    return Facts("this Python", **{**known, **more})  # type: ignore[arg-type]
