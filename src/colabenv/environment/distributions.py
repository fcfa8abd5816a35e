"""The distributions in an environment, read from their metadata (PyPA's "Recording installed projects").

No code of theirs is imported or run.
"""

from __future__ import annotations

import contextlib
import csv
import importlib.metadata
import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from colabenv.lock.lockfile import is_same_version


class RecordedFile(NamedTuple):
    """A line of a RECORD."""

    path: str  #: relative to site-packages, or absolute; with "/"
    hash: str  #: such as "sha256=47DEQ…", or ""
    size: int | None  #: in bytes; None where the line has none


@dataclass(frozen=True)
class DistInfo:
    """A dist-info folder, whose files are read on request."""

    folder: Path

    @property
    def name(self) -> str:
        """The distribution's normalized name."""
        return canonicalize_name(self.folder.name.partition("-")[0])

    @property
    def version(self) -> str:
        """The distribution's version."""
        return self.folder.name.removesuffix(".dist-info").partition("-")[2]

    @property
    def site_packages(self) -> Path:
        """The folder that RECORD's paths are relative to."""
        return self.folder.parent

    def read_text(self, file: str) -> str | None:
        """The text of one of the folder's files, or None where it is missing."""
        try:
            return (self.folder / file).read_bytes().decode(errors="surrogateescape")
        except OSError:
            return None

    def read_record(self) -> list[RecordedFile] | None:
        """The files that RECORD lists, or None without a RECORD. Raises ValueError if it is not CSV."""
        text = self.read_text("RECORD")
        return None if text is None else [file for file, _ in parse_record(text)]


@dataclass(frozen=True)
class InstalledDistribution:
    """A distribution with its metadata."""

    name: str  #: normalized
    version: str  #: as METADATA spells it
    installer: str = ""  #: such as "pip" or "uv", or ""
    #: whether pip recorded that the user named it; always False with uv, which records this for every package
    requested: bool = False
    url: str = ""  #: where it was installed from, without credentials; "" for a package index
    requires: tuple[Requirement, ...] = ()  #: its valid requirements


def find_site_packages(prefix: Path) -> list[Path]:
    """The site-packages folders of the environment at `prefix`; usually one."""
    return sorted(prefix.glob("lib/python3.*/site-packages"))


def find_dist_infos(prefix: Path) -> Iterator[DistInfo]:
    """The dist-info folders of the environment at `prefix`, sorted."""
    for site_packages in find_site_packages(prefix):
        yield from map(DistInfo, sorted(site_packages.glob("*.dist-info")))


def find_distributions(prefix: Path) -> tuple[InstalledDistribution, ...]:
    """The distributions in the environment at `prefix`, sorted by name, without those whose metadata is broken."""
    folders = [str(folder) for folder in find_site_packages(prefix)]
    by_name: dict[str, InstalledDistribution] = {}
    for metadata in importlib.metadata.distributions(path=folders):
        distribution = _read_distribution(metadata)
        if distribution.name and distribution.version:
            # Python imports the first of two with the same name.
            by_name.setdefault(distribution.name, distribution)
    return tuple(by_name[name] for name in sorted(by_name))


def parse_record(text: str) -> Iterator[tuple[RecordedFile, str]]:
    """The files that a RECORD lists, each with the unchanged text of its line. Raises ValueError if it is not CSV."""
    # Not str.splitlines: a file name may contain Unicode's other line ends and, in quotes, a line feed.
    lines = list(io.StringIO(text, newline=""))
    reader = csv.reader(lines, strict=True)
    start = 0
    try:
        for row in reader:
            if row:
                path, hash_, size = (*row, "", "")[:3]
                recorded = RecordedFile(path, hash_, int(size) if size.isdecimal() else None)
                yield recorded, "".join(lines[start : reader.line_num])
            start = reader.line_num
    except csv.Error as error:
        raise ValueError(str(error)) from error


def find_damage(prefix: Path, versions: Mapping[str, str]) -> str | None:
    """What was lost or modified since the environment was built, as the end of a sentence; None if nothing was.

    `versions` has the locked version by normalized name.
    """
    python = prefix / "bin" / "python"
    if not (python.is_symlink() and python.exists()):
        return f"{python} is missing or was replaced"
    dist_infos = list(find_dist_infos(prefix))
    installed = {dist_info.name: dist_info.version for dist_info in dist_infos}
    for name, version in versions.items():
        if name not in installed:
            return f"{name} {version} is missing"
        if not is_same_version(installed[name], version):
            return f"{name} is {installed[name]}, not {version}"
    return next((damage for dist_info in dist_infos for damage in _damaged_files(dist_info)), None)


def _damaged_files(dist_info: DistInfo) -> Iterator[str]:
    """Files that are missing or whose size differs from RECORD, except bytecode, which Python rewrites."""
    try:
        files = dist_info.read_record() or ()
    except ValueError:
        yield f"{dist_info.folder / 'RECORD'} is damaged"
        return
    site_packages = str(dist_info.site_packages)
    for file in files:
        if file.size is None or file.path.endswith(".pyc"):
            continue
        path = os.path.join(site_packages, file.path)  # noqa: PTH118 - a Path for each file takes twice as long
        try:
            if os.stat(path).st_size != file.size:  # noqa: PTH116
                yield f"{path} was modified"
        except (OSError, ValueError):
            yield f"{path} is missing"


def _read_distribution(distribution: importlib.metadata.Distribution) -> InstalledDistribution:
    metadata = distribution.metadata
    installer = (distribution.read_text("INSTALLER") or "").strip()
    return InstalledDistribution(
        name=canonicalize_name(_first(metadata, "Name")),
        version=_first(metadata, "Version"),
        installer=installer,
        requested=installer == "pip" and distribution.read_text("REQUESTED") is not None,
        url=_direct_url(distribution.read_text("direct_url.json")),
        requires=tuple(_valid_requirements(metadata.get_all("Requires-Dist") or ())),
    )


def _first(metadata: importlib.metadata.PackageMetadata, field: str) -> str:
    """A field that a broken METADATA may lack."""
    return next(iter(metadata.get_all(field) or ()), "")


def _direct_url(text: str | None) -> str:
    """The URL of a direct_url.json (PEP 610), without credentials."""
    if text is None:
        return ""
    try:
        url = json.loads(text)["url"]
    except (ValueError, KeyError, TypeError):
        return "an unknown place"
    scheme, _, rest = str(url).partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"


def _valid_requirements(lines: Iterable[str]) -> Iterator[Requirement]:
    for line in lines:
        # Old metadata has invalid lines; pip ignores them as well.
        with contextlib.suppress(InvalidRequirement):
            yield Requirement(line)
