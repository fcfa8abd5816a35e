"""Read what an interpreter has installed, without importing any of it. Standard library only, CPython 3.6.

The doctor runs this file in the interpreter that it examines: `PYTHON -I -S probe.py REQUEST`. REQUEST is JSON: `path`
(the session's sys.path), `prefix` and `base_prefix` (unknown without site), `cwd` and `modules` (names to look for
besides those of the distributions). The answer is one JSON document on standard output; `doctor/facts.py` reads it, and
`doctor/model.py` documents its fields. With `-I -S` nothing in the environment can run or interfere.
"""

import base64
import collections
import csv
import gc
import hashlib
import json
import os
import pkgutil
import platform
import re
import struct
import sys
import sysconfig
import warnings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Files to hash for each pair of distributions: enough to tell which one owns them.
_HASHED_FILES = 40
# Most bytes of a file to read; larger than any file that matters.
_READ_BYTES = 64000000
_EXTENSION = re.compile(r"\.(?:(cpython-\d+[a-z]*-[^.]+|abi3)\.so|(cp\d+-win[^.]+)\.pyd)$")
_CODE = re.compile(r"\.(py|pyd|so[.\d]*)$")
_LIBRARY = re.compile(r"^lib[\w+-]+\.so(\.\d+)*$")


class Folders:
    """Directory listings, each read once: {name: size of a file, -1 for a folder, -2 for a broken link}."""

    def __init__(self) -> None:
        self._read = {}  # type: dict[str, dict[str, int]]
        self._extensions = {}  # type: dict[str, dict[str, str]]

    def listing(self, folder: str) -> "dict[str, int]":
        """A folder's listing; empty if it cannot be read."""
        if folder not in self._read:
            listing = self._read[folder] = {}
            try:
                for entry in os.scandir(folder):
                    try:
                        listing[entry.name] = -1 if entry.is_dir() else entry.stat().st_size
                    except OSError:
                        listing[entry.name] = -2
            except (OSError, ValueError):  # no such folder, or an invalid name
                pass
        return self._read[folder]

    def extensions(self, folder: str) -> "dict[str, str]":
        """Extension modules directly in a folder: module to file."""
        if folder not in self._extensions:
            files = [file for file in self.listing(folder) if file.endswith(".so")]
            self._extensions[folder] = {file.split(".")[0]: file for file in files}
        return self._extensions[folder]


def read_text(path: str) -> str:
    """A file's text; empty if it cannot be read."""
    try:
        if not os.path.isfile(path):  # a pipe would never end
            return ""
        with open(path, encoding="utf-8", errors="replace", newline="") as file:
            return file.read(_READ_BYTES)
    except (OSError, ValueError):
        return ""


def headers(text: str) -> "dict[str, list[str]]":
    """The headers of a METADATA or WHEEL file ("Core metadata specifications"), names in lower case."""
    values = {}  # type: dict[str, list[str]]
    for line in text.split("\n"):
        # A line of spaces belongs to a folded value: pandas has its license there, before its requirements.
        if not line.rstrip("\r"):
            break
        name, colon, value = line.partition(":")
        if colon and not line[0].isspace():
            values.setdefault(name.strip().lower(), []).append(value.strip())
    return values


def egg_requires(text: str) -> "list[str]":
    """Requirements in an .egg-info's requires.txt, without those of extras."""
    return list(filter(None, map(str.strip, ("\n" + text).partition("\n[")[0].splitlines())))


def distribution(root: str, name: str, folders: Folders) -> "tuple[dict[str, Any], list[tuple[str, str]]]":
    """The distribution of a metadata folder, and its claims: (path, hash) of each file that its RECORD lists."""
    info = os.path.join(root, name)
    single = os.path.isfile(info)
    metadata = headers(read_text(info if single else os.path.join(info, "METADATA")))
    if not metadata and not single:
        metadata = headers(read_text(os.path.join(info, "PKG-INFO")))
    stem = name.rsplit(".", 1)[0].split("-") if name != "EGG-INFO" else os.path.basename(root).split("-")
    requires = metadata.get("requires-dist", [])
    if not name.endswith(".dist-info") and not single:
        requires = requires or egg_requires(read_text(os.path.join(info, "requires.txt")))
    known = {} if single else folders.listing(info)
    fields = {
        "name": (metadata.get("name") or [stem[0]])[0],
        "version": (metadata.get("version") or [stem[1] if len(stem) > 1 else ""])[0],
        "root": root,
        "info": info,
        "has_metadata": bool(metadata),
        "requires": requires,
        "tags": headers(read_text(os.path.join(info, "WHEEL"))).get("tag", []),
        "installer": read_text(os.path.join(info, "INSTALLER")).strip(),
        "has_record": "RECORD" in known,
        "requested": "REQUESTED" in known,
        "direct_url": read_text(os.path.join(info, "direct_url.json")).strip(),
    }
    files, claims = check_files(root, read_text(os.path.join(info, "RECORD")), folders)
    return dict(fields, **files), claims


def check_files(root: str, record: str, folders: Folders) -> "tuple[dict[str, Any], list[tuple[str, str]]]":
    """Compare the files of a RECORD with the disk, without bytecode; fields of a distribution, and its claims."""
    missing, altered, claims = [], [], []  # type: list[str], list[list[Any]], list[tuple[str, str]]
    tops, binaries = set(), []
    last, known = None, {}  # type: str | None, dict[str, int]
    for path, digest, listed in rows(record):
        # Joined by hand: a hundred thousand calls of os.path would take half of the time.
        folder, _, name = path.rpartition("/")
        if folder != last:  # a RECORD lists the files of a folder one after another
            last, known = folder, folders.listing(root + "/" + folder if folder else root)
        size = known.get(name, -2)
        if size < 0:
            missing.append(path)
        elif listed.isdigit() and size != int(listed):
            altered.append([path, int(listed), size])
        tops.add(path.partition("/")[0] if folder else path)
        if ".so" in name or name.endswith(".pyd"):
            binaries.append(path)
        if digest:
            claims.append((path, digest))
    extensions = {match.group(1) or match.group(2) for match in map(_EXTENSION.search, binaries) if match}
    nvidia = [path for path in binaries if path.startswith("nvidia/")]
    libraries = [[os.path.basename(path), os.path.join(root, path)] for path in nvidia]
    fields = {
        "files": len(claims),
        "missing": missing,
        "altered": altered,
        "damaged": list(filter(None, (find_damage(root, *sizes) for sizes in altered))),
        "modules": sorted(filter(None, map(module_of, tops))),
        "extensions": sorted(extensions),
        "libraries": [library for library in libraries if _LIBRARY.match(library[0])],
    }
    return fields, claims


def rows(record: str) -> "list[list[str]]":
    """Path, hash and size from each valid line of a RECORD, without bytecode."""
    valid = []  # type: list[list[str]]
    for line in record.split("\n"):
        if "\0" in line:
            continue
        # Only a path with a comma or a quote is quoted; for the others csv would take twice the time.
        fields = split_quoted(line) if '"' in line else line.strip("\r").split(",")
        if len(fields) == 3 and not fields[0].endswith(".pyc"):
            valid.append([fields[0], fields[1], fields[2].strip()])
    return valid


def split_quoted(line: str) -> "list[str]":
    """The fields of a line of CSV with quotes; none if a quote does not end."""
    try:
        return next(csv.reader([line], strict=True), [])
    except csv.Error:
        return []


def find_damage(root: str, path: str, listed: int, size: int) -> "list[str] | None":
    """What is wrong with a file whose size differs from RECORD; None if it may have been edited.

    Debian strips libraries and people edit modules, so another size alone means nothing.
    """
    if size == 0:
        return [path, "empty"]
    file = root + "/" + path
    if ".so" in path.rpartition("/")[2]:
        return None if is_whole_library(file, size) else [path, "truncated"]
    if path.endswith(".py") and size < listed:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                compile(read_text(file), file, "exec", dont_inherit=True)
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                return [path, "truncated"]
    return None


def is_whole_library(path: str, size: int) -> bool:
    """Whether an ELF file contains everything that its headers refer to (elf(5)); True for other headers."""
    try:
        with open(path, "rb") as file:
            head = file.read(64)
            if head[:6] != b"\x7fELF\x02\x01":  # 64 bits, little-endian
                return head[:4] == b"\x7fELF" or head[:2] == b"/*"  # "/*": a linker script
            start, sections = struct.unpack_from("<QQ", head, 0x20)
            entry, count, section, sections_count = struct.unpack_from("<HHHH", head, 0x36)
            file.seek(start)
            table = file.read(entry * count)
        segments = [struct.unpack_from("<Q16xQ", table, entry * index + 8) for index in range(count)]
    except (OSError, struct.error):
        return False
    ends = [offset + length for offset, length in segments]
    return bool(max([sections + section * sections_count, start + entry * count, *ends]) <= size)


def module_of(top: str) -> str:
    """The module that a file or folder directly below a path entry provides, or ""."""
    is_module = "." not in top or top.endswith((".py", ".so"))
    return top.partition(".")[0] if is_module and top not in ("__pycache__", "bin") else ""


def find_overlaps(
    distributions: "list[dict[str, Any]]", claims: "list[list[tuple[str, str]]]"
) -> "list[dict[str, Any]]":
    """Modules and libraries that several distributions claim with different hashes."""
    first = {}  # type: dict[str, tuple[int, str]]
    shared = {}  # type: dict[str, list[tuple[int, str]]]
    for index, own_claims in enumerate(claims):
        root = distributions[index]["root"] + "/"
        for path, digest in own_claims:
            file = root + path
            earlier = first.setdefault(file, (index, digest))
            if earlier[0] != index:
                shared.setdefault(file, [earlier]).append((index, digest))
    overlaps = []
    hashed = collections.Counter()  # type: collections.Counter[tuple[int, ...]]
    for path, owners in sorted(shared.items()):
        if len({digest for _, digest in owners}) == 1 or not _CODE.search(path) or is_shared_namespace(path):
            continue
        pair = tuple(index for index, _ in owners)
        hashed[pair] += 1
        actual = digest_of(path) if hashed[pair] <= _HASHED_FILES else None
        on_disk = [index for index, digest in owners if digest == actual]
        overlaps.append({"path": path, "owners": pair, "on_disk": on_disk, "hashed": actual is not None})
    return overlaps


def is_shared_namespace(path: str) -> bool:
    """Whether a file only declares a namespace package, which every distribution in it brings."""
    if not path.endswith("/__init__.py"):
        return False
    text = read_text(path)
    is_empty = all(not line.strip() or line.startswith("#") for line in text.splitlines())
    return is_empty or "declare_namespace" in text or "extend_path" in text


def digest_of(path: str) -> "str | None":
    """A file's digest in RECORD's form; None if it cannot be read or is too large to hash quickly."""
    try:
        if os.path.getsize(path) > _READ_BYTES:
            return None
        with open(path, "rb") as file:
            digest = hashlib.sha256(file.read()).digest()
    except (OSError, ValueError):
        return None
    return "sha256=" + base64.urlsafe_b64encode(digest).decode().rstrip("=")


def kind_at(entry: str, name: str, folders: Folders) -> "tuple[str, str] | None":
    """How a path entry provides a top-level module: (kind, file), or None. Follows the import system's order."""
    listing, folder = folders.listing(entry), os.path.join(entry, name)
    if listing.get(name) == -1:
        for file in ("__init__.py", "__init__.pyc"):
            if file in folders.listing(folder):
                return "package", os.path.join(folder, file)
    extension = folders.extensions(entry).get(name)
    if extension is not None:
        return "extension", os.path.join(entry, extension)
    if listing.get(name + ".py", -1) >= 0:
        return "module", folder + ".py"
    return ("namespace", folder) if listing.get(name) == -1 else None


def locate_modules(
    names: "list[str]", path: "list[str]", folders: Folders
) -> "dict[str, list[dict[str, str]]]":
    """The locations of each top-level module in the order of the path; namespaces come last."""
    modules = {}
    for name in names:
        kinds = [(kind_at(entry, name, folders), entry) for entry in path]
        locations = [{"kind": kind[0], "file": kind[1], "entry": entry} for kind, entry in kinds if kind]
        locations.sort(key=lambda location: location["kind"] == "namespace")
        if locations:
            modules[name] = locations
    return modules


def standard_modules() -> "list[str]":
    """Names of this interpreter's standard library modules."""
    names = set(getattr(sys, "stdlib_module_names", ())) | set(sys.builtin_module_names)
    if not hasattr(sys, "stdlib_module_names"):  # before Python 3.10
        names.update(module.name for module in pkgutil.iter_modules([os.path.dirname(os.__file__)]))
    return sorted(name for name in names if not name.startswith("_"))


def markers() -> "dict[str, str]":
    """The values of the environment markers (PEP 508)."""
    return {
        "implementation_name": sys.implementation.name,
        "implementation_version": platform.python_version(),
        "os_name": os.name,
        "platform_machine": platform.machine(),
        "platform_python_implementation": platform.python_implementation(),
        "platform_release": platform.release(),
        "platform_system": platform.system(),
        "platform_version": platform.version(),
        "python_full_version": platform.python_version(),
        "python_version": "%d.%d" % sys.version_info[:2],
        "sys_platform": sys.platform,
    }


def decode_path(text: str) -> str:
    """A path of the request in this interpreter's encoding: in the C locale, old ones decode paths as ASCII."""
    return os.fsdecode(text.encode("utf-8", "surrogateescape"))


def find_installed(
    path: "list[str]", folders: Folders
) -> "tuple[list[Any], list[Any], list[Any], list[str]]":
    """Distributions on the path, their claims, half-removed distributions, and the folders that pip left behind."""
    distributions, claims, removed, leftovers = [], [], [], []  # type: list[Any], list[Any], list[Any], list[str]
    for root in path:
        for name in sorted(folders.listing(root)):
            is_metadata = name.endswith((".dist-info", ".egg-info"))
            if name.startswith("~"):
                leftovers.append(os.path.join(root, name))
                if is_metadata:
                    removed.append(distribution(root, name, folders)[0])
            elif is_metadata or (name == "EGG-INFO" and root.endswith(".egg")):
                fields, own_claims = distribution(root, name, folders)
                distributions.append(fields)
                claims.append(own_claims)
    return distributions, claims, removed, leftovers


def answer(request: "dict[str, Any]") -> "dict[str, Any]":
    """The answer to a request; see the module's docstring."""
    folders = Folders()
    prefix, cwd = decode_path(request["prefix"]), decode_path(request["cwd"])
    path = [os.path.normpath(os.path.join(cwd, decode_path(entry))) for entry in request["path"]]
    path = [entry for index, entry in enumerate(path) if entry not in path[:index]]
    distributions, claims, removed, leftovers = find_installed(path, folders)
    names = {module for each in distributions for module in each["modules"]} | set(request.get("modules", []))
    names |= {name.split(".")[0] for name in folders.listing(path[0] if path else "")}
    standard = standard_modules()
    return {
        "executable": sys.executable,
        "prefix": request["prefix"],
        "base_prefix": request["base_prefix"],
        "version": list(sys.version_info[:3]),
        "soabi": sysconfig.get_config_var("SOABI") or "",
        "stdlib": os.path.dirname(os.__file__),
        "markers": markers(),
        "pyvenv": read_text(os.path.join(prefix, "pyvenv.cfg")),
        "path": path,
        "standard": standard,
        "distributions": distributions,
        "overlaps": find_overlaps(distributions, claims),
        "removed": removed,
        "leftovers": leftovers,
        "modules": locate_modules(sorted(names | set(standard)), path, folders),
    }


def main() -> None:
    """Answer the request on the command line."""
    gc.disable()  # collecting takes a seventh of this short run over a hundred thousand small objects
    request = json.loads(sys.argv[1])
    sys.stdout.write(json.dumps(answer(request)))


if __name__ == "__main__":
    main()
