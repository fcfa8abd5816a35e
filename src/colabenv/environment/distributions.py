"""What is installed in an environment, told from its files alone: nothing of it is imported or run."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from colabenv.lock.lockfile import normalised


@dataclass(frozen=True)
class InstalledDistribution:
    """A distribution as its metadata tells of it (PyPA's "Recording installed projects").

    Attributes:
        name: normalised.
        version: as the metadata has it.
        by: the installer, such as "pip" or "uv", or "".
        requested: whether an installer says that a person asked for it by name. uv says so of all it installs.
        url: where it came from, if from no index: a URL, a repository or a folder; "" otherwise.
        requires: its PEP 508 requirements; what is none is left out.
    """

    name: str
    version: str
    by: str = ""
    requested: bool = False
    url: str = ""
    requires: tuple[Requirement, ...] = ()

    @property
    def by_hand(self) -> bool:
        """Whether it was asked for by name. Only pip tells that apart."""
        return self.requested and self.by == "pip"


def installed(prefix: Path) -> tuple[InstalledDistribution, ...]:
    """The distributions in the environment at `prefix`, by name."""
    folders = [str(folder) for folder in sorted(prefix.glob("lib/python3.*/site-packages"))]
    found: dict[str, InstalledDistribution] = {}
    for distribution in importlib.metadata.distributions(path=folders):
        one = _read(distribution)
        # A broken METADATA has no name; and of two of a name the first is the one that is imported.
        if one.name and one.version:
            found.setdefault(one.name, one)
    return tuple(found[name] for name in sorted(found))


def _read(distribution: importlib.metadata.Distribution) -> InstalledDistribution:
    metadata = distribution.metadata
    return InstalledDistribution(
        name=normalised(_first(metadata, "Name")),
        version=_first(metadata, "Version"),
        by=(distribution.read_text("INSTALLER") or "").strip(),
        requested=distribution.read_text("REQUESTED") is not None,
        url=_url(distribution.read_text("direct_url.json")),
        requires=tuple(_requirements(metadata.get_all("Requires-Dist") or ())),
    )


def _first(metadata: importlib.metadata.PackageMetadata, field: str) -> str:
    """A field that a broken METADATA may lack."""
    return next(iter(metadata.get_all(field) or ()), "")


def _url(text: str | None) -> str:
    """The URL of a direct_url.json (PEP 610), without credentials."""
    if text is None:
        return ""
    try:
        url = json.loads(text)["url"]
    except (ValueError, KeyError, TypeError):
        return "somewhere"
    scheme, _, rest = str(url).partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"


def _requirements(lines: Iterable[str]) -> Iterable[Requirement]:
    for line in lines:
        # Old metadata has lines that are none; pip passes over them as well.
        with contextlib.suppress(InvalidRequirement):
            yield Requirement(line)


def reachable(
    roots: Iterable[tuple[str, frozenset[str]]],
    present: Mapping[str, InstalledDistribution],
    environment: Mapping[str, str],
) -> set[str]:
    """All that some distributions need, they themselves included.

    Args:
        roots: (normalised name, extras).
        present: what is installed, by name.
        environment: markers' variables (PEP 508) of the environment's Python.
    """
    waiting = list(roots)
    seen: set[tuple[str, str]] = set()
    while waiting:
        name, extras = waiting.pop()
        for extra in {"", *extras}:
            if name not in present or (name, extra) in seen:
                continue
            seen.add((name, extra))
            here = {**environment, "extra": extra}
            waiting += [
                (normalised(need.name), frozenset(need.extras))
                for need in present[name].requires
                if need.marker is None or need.marker.evaluate(here)
            ]
    return {name for name, _ in seen}
