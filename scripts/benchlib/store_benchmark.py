"""Measure the store against other methods to bring the same environment to disk, in turns."""

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

from benchlib.contenders import ColabenvUp
from benchlib.figures import order_round
from benchlib.loopback import BUCKET, LoopbackServer
from benchlib.reserve_memory import prepare_machine
from benchlib.sandbox import REPOSITORY, Sandbox, run_timed, set_aside
from benchlib.wheels import download_wheels
from colabenv.errors import InterpreterError
from colabenv.host import interpreters
from colabenv.lock.files import read_lock
from colabenv.system.process import SystemRunner

#: Bytes per second; 0 is as fast as loopback allows.
RATES = (0, 100_000_000, 30_000_000)
_MEASURE_PROCESS = Path(__file__).with_name("measure_process.py")


@dataclass(frozen=True)
class StoreSetup:
    """Inputs of the install methods."""

    sandbox: Sandbox
    lock: Path
    python: str  #: executable for environments
    tree: Path  #: the environment that was pushed
    wheels: Path  #: folder of the lock's wheels
    store: Path  #: folder of the store
    sizes: dict[str, int]  #: bytes of "wheels", "kept" (stored) and "tree"; number of "files"
    push: dict[str, Any]  #: result of `store push --json`


@dataclass(frozen=True)
class InstallMethod:
    """A method to bring the environment to disk."""

    name: str
    title: str
    argv: Sequence[str]
    environ: Mapping[str, str]
    creates: tuple[Path, ...]  #: paths that it creates; they must not exist before
    rate: int = 0  #: bytes per second that the loopback server sends


def prepare_store(
    sandbox: Sandbox, variant: str, print_line: Callable[[str], None]
) -> tuple[StoreSetup, LoopbackServer, tuple[str, str]]:
    """Download the wheels, build the environment from loopback and push it to a folder.

    Returns:
        The setup, the server (not started), and the lock's file name and text.
    """
    profile = REPOSITORY / "profiles" / "quickstart.yaml"
    lock = profile.with_name(f"quickstart.{variant}.lock.txt")
    lock_file = (lock.name, lock.read_text(encoding="utf-8"))
    first = ColabenvUp(
        sandbox,
        sandbox.make_folder("stock"),
        profile.read_text(encoding="utf-8"),
        "quickstart",
        lock_file,
        "",
        variant,
    )
    first.forget(downloads=True)
    python = _find_python(lock, first.environ)
    print_line(f"wheels of {lock.name} for {python}")
    wheels = download_wheels(sandbox, lock, python, REPOSITORY / ".cache" / "bench")
    store = sandbox.root / BUCKET
    server = LoopbackServer(wheels, store)
    with server:
        first.environ.update(server.index)
        print_line("building the environment from loopback")
        _, result = first.run_up()
        _, output = run_timed(
            [sys.executable, "-m", "colabenv", "store", "push", "--store", store, "--json"], first.environ
        )
    print_line("pushed")
    tree = Path(result["environment"])
    push = json.loads(output)
    files = [path for path in tree.rglob("*") if path.is_file() and not path.is_symlink()]
    sizes = {
        "wheels": sum(path.stat().st_size for path in wheels.glob("*.whl")),
        "kept": push["bytes"],
        "tree": sum(path.stat().st_size for path in files),
        "files": len(files),
    }
    set_aside(first.home / "cache")
    setup = StoreSetup(sandbox, lock, python, tree, wheels, store, sizes, push)
    return setup, LoopbackServer(wheels, store), lock_file


def _find_python(lock: Path, environ: Mapping[str, str]) -> str:
    """The Python that `up` would use for the lock; raises `SystemExit` if this machine has none."""
    pins = read_lock(str(lock))
    version = pins.header.python if pins else ""
    pythons = Path(environ["COLABENV_HOME"]) / "pythons"
    try:
        interpreter = interpreters.find_interpreter(
            version, environ=environ, runner=SystemRunner(), pythons=pythons, download=None
        )
    except InterpreterError as error:
        raise SystemExit(f"{error.message} {error.hint}") from None
    return str(interpreter.path)


def list_methods(setup: StoreSetup, server: LoopbackServer, rates: Sequence[int]) -> dict[str, InstallMethod]:
    """The install methods, by name."""
    root = setup.sandbox.make_folder("turns")
    tree, plain, packed = root / "tree", root / "tree.tar", root / "tree.tar.zst"
    parent, name = setup.tree.parent, setup.tree.name
    if not plain.exists():
        run_timed(["tar", "-C", parent, "-cf", plain, name], setup.sandbox.environ)
        run_timed(["zstd", "--quiet", "-9", "-T2", plain, "-o", packed], setup.sandbox.environ)
        setup.sizes["tar"], setup.sizes["tar.zst"] = plain.stat().st_size, packed.stat().st_size
    methods = [
        InstallMethod(
            "cp",
            "cp -r of the tree",
            ["cp", "-r", str(setup.tree), str(tree)],
            setup.sandbox.environ,
            (tree,),
        ),
        InstallMethod(
            "read", "reading the store's bytes", _read_command(setup.store), setup.sandbox.environ, ()
        ),
        InstallMethod(
            "tar",
            "tar -x of one plain archive",
            _untar_command(["-xf", plain], tree),
            setup.sandbox.environ,
            (tree,),
        ),
        InstallMethod(
            "tar.zst",
            "tar -x of one archive, zstd -9",
            _untar_command(["--zstd", "-xf", packed], tree),
            setup.sandbox.environ,
            (tree,),
        ),
        _restore(setup, server, "folder", str(setup.store), 0),
    ]
    for rate in rates:
        methods += [_restore(setup, server, "s3", f"s3://{BUCKET}", rate), _uv(setup, server, rate)]
    return {method.name: method for method in methods}


def _name_at_rate(name: str, rate: int) -> str:
    """The name of a method at a rate: s3@100."""
    return f"{name}@{rate // 1_000_000}" if rate else name


def _read_command(store: Path) -> list[str]:
    return ["sh", "-c", f"cat {shlex.quote(str(store))}/layers/*/* > /dev/null"]


def _untar_command(options: Sequence[str | Path], tree: Path) -> list[str]:
    words = shlex.join(["tar", *map(str, options), "-C", str(tree)])
    return ["sh", "-c", f"mkdir {shlex.quote(str(tree))} && {words}"]


def _restore(setup: StoreSetup, server: LoopbackServer, kind: str, url: str, rate: int) -> InstallMethod:
    folder = setup.sandbox.root / "turns" / "restored"
    environ = {
        **setup.sandbox.environ,
        **server.index,
        **server.store,
        "PYTHONPATH": str(REPOSITORY / "scripts"),
    }
    argv = [
        sys.executable,
        "-m",
        "benchlib.restore_environment",
        url,
        str(setup.lock),
        setup.python,
        str(folder / "env"),
    ]
    return InstallMethod(
        _name_at_rate(kind, rate),
        f"restore from {'a folder' if kind == 'folder' else 'S3'}",
        argv,
        environ,
        (folder,),
        rate,
    )


def _uv(setup: StoreSetup, server: LoopbackServer, rate: int) -> InstallMethod:
    folder = setup.sandbox.root / "turns" / "uv"
    environ = {
        **setup.sandbox.environ,
        **server.index,
        "UV_CACHE_DIR": str(folder / "cache"),
        "UV_NO_CONFIG": "1",
    }
    uv, env = find_uv_bin(), folder / "env"
    venv = shlex.join([uv, "venv", "--quiet", "--no-project", "--python", setup.python, str(env)])
    sync = shlex.join(
        [uv, "pip", "sync", "--quiet", "--require-hashes", "--only-binary", ":all:", str(setup.lock)]
    )
    into = shlex.join(["--python", str(env / "bin" / "python")])
    argv = ["sh", "-c", f"{venv} && {sync} {into}"]
    return InstallMethod(_name_at_rate("uv", rate), "uv venv, uv pip sync", argv, environ, (folder,), rate)


def measure_round(
    setup: StoreSetup,
    server: LoopbackServer,
    methods: Mapping[str, InstallMethod],
    number: int,
    print_line: Callable[[str], None],
) -> list[dict[str, Any]]:
    """Measure each method once; returns a record each."""
    records = []
    for name in order_round(list(methods), number):
        set_aside(*methods[name].creates)
        prepare_machine()
        records.append({"round": number, **measure_method(setup, server, methods[name])})
        print_line(f"round {number + 1} {name}: {_format_record(records[-1])}")
    return records


def measure_method(setup: StoreSetup, server: LoopbackServer, method: InstallMethod) -> dict[str, Any]:
    """Measure a method once; raises `SystemExit` if it fails."""
    output = setup.sandbox.root / "output"
    server.limit.rate = method.rate
    server.traffic.clear()
    words = [sys.executable, "-I", "-S", str(_MEASURE_PROCESS), str(output), *method.argv]
    process = subprocess.Popen(words, env=dict(method.environ), stdout=subprocess.PIPE, text=True)
    try:
        result = json.loads(process.communicate(timeout=1800)[0])
    except BaseException:
        process.terminate()
        process.wait(30)
        raise
    finally:
        set_aside(*method.creates)
    if result.pop("status") != 0:
        raise SystemExit(
            f"{method.name} failed:\n{output.with_suffix('.err').read_text(encoding='utf-8')[-3000:]}"
        )
    out = output.with_suffix(".out").read_text(encoding="utf-8")
    parts = json.loads(out) if out.startswith("{") else {}
    traffic = {"bytes": server.traffic.bytes, "requests": dict(server.traffic.requests)}
    return {"way": method.name, **result, **traffic, "parts": parts}


def _format_record(record: Mapping[str, Any]) -> str:
    busy = (record["user"] + record["system"]) / record["seconds"]
    return (
        f"{record['seconds']:.1f} s, user {record['user']:.1f}, system {record['system']:.1f}, {busy:.1f} cores, "
        f"{record['peak'] / 1e6:.0f} MB peak, load {record['load']:.1f}{_format_missing(record['parts'])}"
    )


def _format_missing(parts: Mapping[str, Any]) -> str:
    """How much a restore that gave up got from the store."""
    if parts.get("restored") == parts.get("packages"):
        return ""
    return f"; {parts['restored']} of {parts['packages']} packages from the store, the rest from the index"
