"""Read what an interpreter has installed, without importing any of it. Standard library only, CPython 3.6.

The doctor has the interpreter in question run this file: `PYTHON -I -S probe.py REQUEST`. REQUEST is JSON: `path` (its
sys.path as the session has it), `prefix` and `base_prefix` (which no one knows without site), `cwd` and `modules`
(names to look for besides those of the distributions). The answer is one JSON document on standard output;
`doctor/facts.py` turns it into plain data, and `doctor/model.py` says what each field means. With `-I -S` nothing that
the environment holds can run or get in the way.
"""

import base64
import csv
import hashlib
import json
import os
import platform
import re
import sys
import sysconfig

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Files of one pair of distributions to be hashed, and the largest file: enough to tell whose they are.
_HASHED_FILES = 40
_HASHED_BYTES = 64000000
_EXTENSION = re.compile(r"\.(cpython-\d+[a-z]*-[^.]+|abi3)\.so$")
_LIBRARY = re.compile(r"^lib[\w+-]+\.so(\.\d+)*$")


class Folders:
    """Directory listings, each read once: {name: size of a file, -1 for a folder}."""

    def __init__(self) -> None:
        self._read = {}  # type: dict[str, dict[str, int]]
        self._extensions = {}  # type: dict[str, dict[str, str]]

    def listing(self, folder: str) -> "dict[str, int]":
        """What a folder holds; nothing where it cannot be read."""
        if folder not in self._read:
            found = {}
            try:
                for entry in os.scandir(folder):
                    try:
                        found[entry.name] = -1 if entry.is_dir() else entry.stat().st_size
                    except OSError:
                        found[entry.name] = -2  # a link that leads nowhere
            except OSError:
                pass
            self._read[folder] = found
        return self._read[folder]

    def extensions(self, folder: str) -> "dict[str, str]":
        """Extension modules directly in a folder: module to file."""
        if folder not in self._extensions:
            self._extensions[folder] = {
                file.split(".")[0]: file for file in self.listing(folder) if file.endswith(".so")
            }
        return self._extensions[folder]


def read_text(path: str) -> str:
    """A file's text, empty where it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace", newline="") as file:
            return file.read()
    except OSError:
        return ""


def headers(text: str) -> "dict[str, list[str]]":
    """The headers of a METADATA or WHEEL file ("Core metadata specifications"), names in lower case."""
    found = {}  # type: dict[str, list[str]]
    for line in text.splitlines():
        if not line.strip():
            break
        name, colon, value = line.partition(":")
        if colon and not line[0].isspace():
            found.setdefault(name.strip().lower(), []).append(value.strip())
    return found


def egg_requires(text: str) -> "list[str]":
    """Requirements of an .egg-info's requires.txt, those of extras left out."""
    found = []
    for line in text.splitlines():
        if line.startswith("["):
            break
        if line.strip():
            found.append(line.strip())
    return found


def distribution(root: str, name: str, folders: Folders) -> "tuple[dict[str, Any], list[tuple[str, str]]]":
    """One distribution by its metadata folder, and its claims: (path, hash) of each file that RECORD lists."""
    info = os.path.join(root, name)
    single = os.path.isfile(info)
    metadata = headers(read_text(info if single else os.path.join(info, "METADATA")))
    if not metadata and not single:
        metadata = headers(read_text(os.path.join(info, "PKG-INFO")))
    stem = name.rsplit(".", 1)[0].split("-")
    requires = metadata.get("requires-dist", [])
    if name.endswith(".egg-info") and not single:
        requires = requires or egg_requires(read_text(os.path.join(info, "requires.txt")))
    record = os.path.join(info, "RECORD")
    known = {} if single else folders.listing(info)
    one = {
        "name": (metadata.get("name") or [stem[0]])[0],
        "version": (metadata.get("version") or [stem[1] if len(stem) > 1 else ""])[0],
        "root": root,
        "info": info,
        "metadata": bool(metadata),
        "requires": requires,
        "requires_python": (metadata.get("requires-python") or [""])[0],
        "tags": headers(read_text(os.path.join(info, "WHEEL"))).get("tag", []),
        "installer": read_text(os.path.join(info, "INSTALLER")).strip(),
        "record": "RECORD" in known,
        "requested": "REQUESTED" in known,
        "direct_url": read_text(os.path.join(info, "direct_url.json")).strip(),
    }
    files = check_files(root, read_text(record), folders)
    claims = files.pop("claims")
    one.update(files)
    return one, claims


def check_files(root: str, record: str, folders: Folders) -> "dict[str, Any]":
    """What a RECORD lists against what is on disk. Bytecode is passed over: anyone may write it anew."""
    missing, altered, claims = [], [], []  # type: list[str], list[list[Any]], list[tuple[str, str]]
    tops, binaries = set(), []
    for line in csv.reader(record.splitlines()):
        if len(line) != 3 or line[0].endswith(".pyc"):
            continue
        path, digest, listed = line
        # Joined by hand: a hundred thousand calls of os.path would take half of the whole time.
        folder, _, name = path.rpartition("/")
        size = folders.listing(root + "/" + folder if folder else root).get(name, -2)
        if size < 0:
            missing.append(path)
        elif listed.isdigit() and size != int(listed):
            altered.append([path, int(listed), size])
        tops.add(path.partition("/")[0] if folder else path)
        if ".so" in name:
            binaries.append(path)
        if digest:
            claims.append((path, digest))
    extensions = {matched.group(1) for matched in map(_EXTENSION.search, binaries) if matched}
    libraries = [
        [os.path.basename(path), os.path.join(root, path)]
        for path in binaries
        if path.startswith("nvidia/") and _LIBRARY.match(os.path.basename(path))
    ]
    return {
        "files": len(claims),
        "missing": missing,
        "altered": altered,
        "modules": sorted(filter(None, map(module_of, tops))),
        "extensions": sorted(extensions),
        "libraries": libraries,
        "claims": claims,
    }


def module_of(top: str) -> str:
    """The module that a file or folder directly below a path entry provides, or an empty string."""
    if top in ("..", "__pycache__", "bin") or top.endswith(
        (".dist-info", ".egg-info", ".data", ".libs", ".pth")
    ):
        return ""
    return top.split(".", maxsplit=1)[0] if "." not in top or top.endswith((".py", ".so")) else ""


def overlaps(found: "list[dict[str, Any]]", claims: "list[list[tuple[str, str]]]") -> "list[dict[str, Any]]":
    """Paths that several distributions claim with different hashes."""
    first = {}  # type: dict[str, tuple[int, str]]
    shared = {}  # type: dict[str, list[tuple[int, str]]]
    for index, listed in enumerate(claims):
        root = found[index]["root"] + "/"
        for path, digest in listed:
            whole = root + path
            earlier = first.setdefault(whole, (index, digest))
            if earlier[0] != index:
                shared.setdefault(whole, [earlier]).append((index, digest))
    answer = []
    hashed = {}  # type: dict[tuple[int, ...], int]
    for path in sorted(shared):
        own = shared[path]
        if len({digest for _, digest in own}) == 1:
            continue
        pair = tuple(index for index, _ in own)
        hashed[pair] = hashed.get(pair, 0) + 1
        actual = digest_of(path) if hashed[pair] <= _HASHED_FILES else None
        on_disk = [index for index, digest in own if digest == actual]
        answer.append({"path": path, "owners": list(pair), "on_disk": on_disk, "hashed": actual is not None})
    return answer


def digest_of(path: str) -> "str | None":
    """A file's digest in RECORD's form, None where it cannot be read or is too large for a quick look."""
    try:
        if os.path.getsize(path) > _HASHED_BYTES:
            return None
        with open(path, "rb") as file:
            digest = hashlib.sha256(file.read()).digest()
    except OSError:
        return None
    return "sha256=" + base64.urlsafe_b64encode(digest).decode().rstrip("=")


def kind_at(entry: str, name: str, folders: Folders) -> "tuple[str, str] | None":
    """How a path entry provides a top-level module: (kind, file), or None. As the import system looks for it."""
    listing = folders.listing(entry)
    if listing.get(name) == -1:
        inner = folders.listing(os.path.join(entry, name))
        for file in ("__init__.py", "__init__.pyc"):
            if file in inner:
                return "package", os.path.join(entry, name, file)
    extension = folders.extensions(entry).get(name)
    if extension is not None:
        return "extension", os.path.join(entry, extension)
    if listing.get(name + ".py", -1) >= 0:
        return "module", os.path.join(entry, name + ".py")
    if listing.get(name) == -1:
        return "namespace", os.path.join(entry, name)
    return None


def places(names: "list[str]", path: "list[str]", folders: Folders) -> "dict[str, list[dict[str, str]]]":
    """Where each top-level module is found along the path, in that order; a namespace only counts last."""
    found = {}
    for name in names:
        here = []
        for entry in path:
            kind = kind_at(entry, name, folders)
            if kind is not None:
                here.append({"kind": kind[0], "file": kind[1], "entry": entry})
        here.sort(key=lambda place: place["kind"] == "namespace")
        if here:
            found[name] = here
    return found


def standard_modules() -> "list[str]":
    """Names of the standard library's modules, for this interpreter."""
    names = set(getattr(sys, "stdlib_module_names", ())) | set(sys.builtin_module_names)
    if not hasattr(sys, "stdlib_module_names"):
        folder = os.path.dirname(os.__file__)
        for name in os.listdir(folder):
            if name.endswith(".py") or os.path.isfile(os.path.join(folder, name, "__init__.py")):
                names.add(name.split(".")[0])
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


def look(request: "dict[str, Any]") -> "dict[str, Any]":
    """The whole answer."""
    folders = Folders()
    path = [os.path.abspath(entry or request["cwd"]) for entry in request["path"]]
    path = [entry for index, entry in enumerate(path) if entry not in path[:index]]
    found, claims, leftovers = [], [], []
    for root in path:
        for name in sorted(folders.listing(root)):
            if name.endswith((".dist-info", ".egg-info")):
                if name.startswith("~"):
                    leftovers.append(os.path.join(root, name))
                    continue
                one, listed = distribution(root, name, folders)
                claims.append(listed)
                found.append(one)
            elif name.startswith("~"):
                leftovers.append(os.path.join(root, name))
    names = {module for one in found for module in one["modules"]} | set(request.get("modules", []))
    names |= {name.split(".")[0] for name, size in folders.listing(path[0] if path else "").items()}
    standard = standard_modules()
    return {
        "executable": sys.executable,
        "prefix": request["prefix"],
        "base_prefix": request["base_prefix"],
        "version": list(sys.version_info[:3]),
        "soabi": sysconfig.get_config_var("SOABI") or "",
        "stdlib": os.path.dirname(os.__file__),
        "markers": markers(),
        "pyvenv": read_text(os.path.join(request["prefix"], "pyvenv.cfg")),
        "path": path,
        "standard": standard,
        "distributions": found,
        "overlaps": overlaps(found, claims),
        "leftovers": leftovers,
        "modules": places(sorted(names | set(standard)), path, folders),
    }


def main() -> None:
    """Answer the request on the command line."""
    request = json.loads(sys.argv[1])
    sys.stdout.write(json.dumps(look(request)))


if __name__ == "__main__":
    main()
