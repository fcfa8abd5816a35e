"""The store against everything else that brings the same environment to disk, in turns."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from uv import find_uv_bin

from benchlib.contenders import Up
from benchlib.cushion import prepare
from benchlib.figures import turns
from benchlib.loopback import BUCKET, Loopback
from benchlib.place import REPOSITORY, Place, remove, timed
from benchlib.wheels import downloaded
from colabenv.errors import InterpreterError
from colabenv.host import interpreters
from colabenv.lock.files import read_lock
from colabenv.system.process import SystemRunner

#: Bytes a second; 0 is as fast as loopback goes.
RATES = (0, 100_000_000, 30_000_000)
_TURN = Path(__file__).with_name("turn.py")


@dataclass(frozen=True)
class Stocked:
    """What the turns need.

    Attributes:
        place: where.
        lock: path of the lock.
        python: executable that environments are built on.
        tree: a built environment, as it was pushed.
        wheels: folder of the lock's wheels.
        store: folder of the store.
        sizes: in bytes: "wheels", "kept" and "tree"; "files" of the tree; "requests" a restore needs.
        push: what `store push` said.
    """

    place: Place
    lock: Path
    python: str
    tree: Path
    wheels: Path
    store: Path
    sizes: dict[str, int]
    push: dict[str, Any]


@dataclass(frozen=True)
class Way:
    """One way to bring the environment to disk.

    Attributes:
        name: short.
        title: for people.
        argv: the program.
        environ: its variables.
        leaves: what it makes, or needs absent.
        rate: bytes a second that the loopback server gives.
    """

    name: str
    title: str
    argv: Sequence[str]
    environ: Mapping[str, str]
    leaves: tuple[Path, ...]
    rate: int = 0


def stocked(
    place: Place, variant: str, say: Callable[[str], None]
) -> tuple[Stocked, Loopback, tuple[str, str]]:
    """Download the wheels, build the environment from loopback and push it into a folder.

    Returns:
        What is there now, the server (not started), and the lock's file name and text.
    """
    profile = REPOSITORY / "profiles" / "quickstart.yaml"
    lock = profile.with_name(f"quickstart.{variant}.lock.txt")
    beside = (lock.name, lock.read_text(encoding="utf-8"))
    first = Up(
        place, place.folder("stock"), profile.read_text(encoding="utf-8"), "quickstart", beside, "", variant
    )
    first.forget(downloads=True)
    python = _python(lock, first.environ)
    say(f"wheels of {lock.name} for {python}")
    wheels = downloaded(place, lock, python, REPOSITORY / ".cache" / "bench")
    store = place.root / BUCKET
    server = Loopback(wheels, store)
    with server:
        first.environ.update(server.index)
        say("building the environment from loopback")
        _, result = first.up()
        pushed = timed(
            [sys.executable, "-m", "colabenv", "store", "push", "--store", store, "--json"], first.environ
        )
    say("pushed")
    tree = Path(result["environment"])
    push = json.loads(pushed[1])
    files = [path for path in tree.rglob("*") if path.is_file() and not path.is_symlink()]
    sizes = {
        "wheels": sum(path.stat().st_size for path in wheels.glob("*.whl")),
        "kept": push["bytes"],
        "tree": sum(path.stat().st_size for path in files),
        "files": len(files),
    }
    remove(first.home / "cache")
    return (
        Stocked(place, lock, python, tree, wheels, store, sizes, push),
        Loopback(wheels, store),
        beside,
    )


def _python(lock: Path, environ: Mapping[str, str]) -> str:
    """The Python of the lock's version that `up` would take.

    Raises:
        SystemExit: there is none on this machine.
    """
    pins = read_lock(str(lock))
    wanted = pins.header.python if pins else ""
    pythons = Path(environ["COLABENV_HOME"]) / "pythons"
    try:
        found = interpreters.find_interpreter(
            wanted, environ=environ, runner=SystemRunner(), pythons=pythons, download=None
        )
    except InterpreterError as error:
        raise SystemExit(f"{error.message} {error.hint}") from None
    return str(found.path)


def ways(stock: Stocked, server: Loopback, rates: Sequence[int]) -> dict[str, Way]:
    """Everybody who takes part, by name."""
    root = stock.place.folder("turns")
    tree, plain, packed = root / "tree", root / "tree.tar", root / "tree.tar.zst"
    parent, name = stock.tree.parent, stock.tree.name
    if not plain.exists():
        timed(["tar", "-C", parent, "-cf", plain, name], stock.place.environ)
        timed(["zstd", "--quiet", "-9", "-T2", plain, "-o", packed], stock.place.environ)
        stock.sizes["tar"], stock.sizes["tar.zst"] = plain.stat().st_size, packed.stat().st_size
    found = [
        Way(
            "cp", "cp -r of the tree", ["cp", "-r", str(stock.tree), str(tree)], stock.place.environ, (tree,)
        ),
        Way("read", "reading the store's bytes", _reading(stock.store), stock.place.environ, ()),
        Way(
            "tar",
            "tar -x of one plain archive",
            _untarred(["-xf", plain], tree),
            stock.place.environ,
            (tree,),
        ),
        Way(
            "tar.zst",
            "tar -x of one archive, zstd -9",
            _untarred(["--zstd", "-xf", packed], tree),
            stock.place.environ,
            (tree,),
        ),
        _restore(stock, server, "folder", str(stock.store), 0),
    ]
    for rate in rates:
        found += [_restore(stock, server, "s3", f"s3://{BUCKET}", rate), _uv(stock, server, rate)]
    return {way.name: way for way in found}


def at(name: str, rate: int) -> str:
    """The name of a way at a rate."""
    return f"{name}@{rate // 1_000_000}" if rate else name


def _reading(store: Path) -> list[str]:
    return ["sh", "-c", f"cat {shlex.quote(str(store))}/layers/*/* > /dev/null"]


def _untarred(how: Sequence[str | Path], tree: Path) -> list[str]:
    words = shlex.join(["tar", *map(str, how), "-C", str(tree)])
    return ["sh", "-c", f"mkdir {shlex.quote(str(tree))} && {words}"]


def _restore(stock: Stocked, server: Loopback, kind: str, url: str, rate: int) -> Way:
    folder = stock.place.root / "turns" / "restored"
    environ = {
        **stock.place.environ,
        **server.index,
        **server.store,
        "PYTHONPATH": str(REPOSITORY / "scripts"),
    }
    argv = [
        sys.executable,
        "-m",
        "benchlib.restored",
        url,
        str(stock.lock),
        stock.python,
        str(folder / "env"),
    ]
    return Way(
        at(kind, rate),
        f"restore from {'a folder' if kind == 'folder' else 'S3'}",
        argv,
        environ,
        (folder,),
        rate,
    )


def _uv(stock: Stocked, server: Loopback, rate: int) -> Way:
    folder = stock.place.root / "turns" / "uv"
    environ = {
        **stock.place.environ,
        **server.index,
        "UV_CACHE_DIR": str(folder / "cache"),
        "UV_NO_CONFIG": "1",
    }
    uv, env = find_uv_bin(), folder / "env"
    venv = shlex.join([uv, "venv", "--quiet", "--no-project", "--python", stock.python, str(env)])
    sync = shlex.join(
        [uv, "pip", "sync", "--quiet", "--require-hashes", "--only-binary", ":all:", str(stock.lock)]
    )
    into = shlex.join(["--python", str(env / "bin" / "python")])
    argv = ["sh", "-c", f"{venv} && {sync} {into}"]
    return Way(at("uv", rate), "uv venv, uv pip sync", argv, environ, (folder,), rate)


def measured(
    stock: Stocked,
    server: Loopback,
    chosen: Mapping[str, Way],
    number: int,
    say: Callable[[str], None],
) -> list[dict[str, Any]]:
    """Everybody's turn in one round; a record each."""
    records = []
    for name in turns(list(chosen), number):
        remove(*chosen[name].leaves)
        prepare()
        records.append({"round": number, **turn(stock, server, chosen[name])})
        say(f"round {number + 1} {name}: {_told(records[-1])}")
    return records


def turn(stock: Stocked, server: Loopback, way: Way) -> dict[str, Any]:
    """One turn.

    Raises:
        SystemExit: it failed.
    """
    said = stock.place.root / "said"
    server.throttle.rate = way.rate
    server.asked.clear()
    words = [sys.executable, "-I", "-S", str(_TURN), str(said), *way.argv]
    process = subprocess.Popen(words, env=dict(way.environ), stdout=subprocess.PIPE, text=True)
    try:
        answer = json.loads(process.communicate(timeout=1800)[0])
    except BaseException:
        process.terminate()
        process.wait(30)
        raise
    finally:
        remove(*way.leaves)
    if answer.pop("status") != 0:
        raise SystemExit(
            f"{way.name} failed:\n{said.with_suffix('.err').read_text(encoding='utf-8')[-3000:]}"
        )
    out = said.with_suffix(".out").read_text(encoding="utf-8")
    parts = json.loads(out) if out.startswith("{") else {}
    asked = server.asked
    return {"way": way.name, **answer, "bytes": asked.bytes, "requests": dict(asked.requests), "parts": parts}


def _told(record: Mapping[str, Any]) -> str:
    busy = (record["user"] + record["system"]) / record["seconds"]
    return (
        f"{record['seconds']:.1f} s, user {record['user']:.1f}, system {record['system']:.1f}, {busy:.1f} cores, "
        f"{record['peak'] / 1e6:.0f} MB at most, load {record['load']:.1f}{_lacking(record['parts'])}"
    )


def _lacking(parts: Mapping[str, Any]) -> str:
    """For a restore that gave the store up: how much of it came from there."""
    if parts.get("restored") == parts.get("packages"):
        return ""
    return f"; {parts['restored']} of {parts['packages']} packages from the store, the rest from the index"
