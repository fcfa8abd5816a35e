"""Which files an import can touch, which complaints they explain, and how a distribution is installed anew. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable

from colabenv.doctor.model import Distribution, Facts, Step

#: Folders that hold no code of the package itself. At the top of site-packages several distributions leave the same.
_ASIDE = frozenset({"tests", "test", "docs", "doc", "examples", "example", "benchmarks", "samples"})
_ASIDE_AT_TOP = _ASIDE | {"scripts", "tools", "src", "conftest.py", "setup.py"}
_CODE = re.compile(r"(\.py|\.pyd|\.so(\.\d+)*)$|/[^/]+\.pem$")


def matters(path: str) -> bool:
    """Whether an import can touch a file that a RECORD lists: code or a library of the package itself.

    Installers write scripts in their own way, and people delete tests and headers to save room.
    """
    if path.startswith(("..", "/")) or not _CODE.search(path):
        return False
    parts = path.split("/")
    if parts[0] in _ASIDE_AT_TOP or parts[0].endswith((".data", ".dist-info", ".egg-info")):
        return False
    return _ASIDE.isdisjoint(parts[:-1])


def blamed(facts: Facts, modules: Iterable[str], files: Iterable[str] = ()) -> tuple[str, ...]:
    """The sources of the complaints in which one of these modules or files plays a part.

    Args:
        facts: with the complaints.
        modules: top-level modules.
        files: paths.
    """
    names = "|".join(map(re.escape, modules))
    # A file counts where packages lie: any folder above them may be called like a module.
    lies = r"(?:(?:site|dist)-packages|python\d\.\d+|lib-dynload)/"
    pattern = re.compile(rf"{lies}(?:{names})[/.]|['\"](?:{names})['\".]") if names else None
    wanted = tuple(files)
    return tuple(
        one.source
        for one in facts.complaints
        if one.here and ((pattern and pattern.search(one.text)) or any(file in one.text for file in wanted))
    )


def killed(facts: Facts) -> tuple[str, ...]:
    """The sources of the complaints of processes that a signal ended: libraries do that, and leave no trace."""
    return tuple(one.source for one in facts.complaints if one.here and one.kind == "Killed")


def as_shipped(facts: Facts, distributions: Iterable[Distribution]) -> bool:
    """Whether a Colab runtime ships these side by side: Google's own builds of them, which were tried together."""
    here = [(one.name, one.version.partition("+")[0]) for one in distributions]
    return any(all(runtime.get(name) == version for name, version in here) for runtime in facts.shipped)


def requirement(one: Distribution) -> str:
    """What to ask an installer for to get the same distribution again: from where it came, or by its version.

    A local part of a version, such as `+cu124`, is left out: the index has the release under its public version.
    """
    try:
        origin = json.loads(one.direct_url or "{}")
    except ValueError:
        origin = {}
    url = origin.get("url", "") if isinstance(origin, dict) else ""
    if url and "vcs_info" in origin:
        vcs = origin["vcs_info"]
        return f"{one.name} @ {vcs.get('vcs', 'git')}+{url}@{vcs.get('commit_id', '')}"
    if url and not origin.get("dir_info", {}).get("editable"):
        return f"{one.name} @ {url}"
    public = one.version.partition("+")[0]
    return f"{one.name}=={public}" if re.fullmatch(r"\d[\w.!-]*", public) else one.name


def anew(broken: Collection[Distribution]) -> tuple[Step, ...]:
    """The step that installs distributions anew; none where there is none."""
    return (Step("reinstall", tuple(requirement(one) for one in broken)),) if broken else ()


def listed(paths: Collection[str], most: int = 3) -> str:
    """Some paths in words: the first ones, and how many more."""
    shown = ", ".join(list(paths)[:most])
    return shown + (f" and {len(paths) - most} more" if len(paths) > most else "")
