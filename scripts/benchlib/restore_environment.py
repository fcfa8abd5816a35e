"""Restore an environment from the store as `up --store` does, and nothing else.

    python -m benchlib.restore_environment STORE LOCK PYTHON PREFIX

It creates the virtual environment, streams the layers and moves them into place. It does not examine the machine, check
or register anything, so it is comparable with `uv venv` and `uv pip sync`. Prints JSON: seconds by part, the number of
packages, and how many of them came from the store.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

from uv import find_uv_bin

from colabenv.environment.installers.base import Job
from colabenv.environment.installers.uv import UvInstaller
from colabenv.host.interpreters import Interpreter
from colabenv.lock.files import read_lock
from colabenv.store.installed_wheels import tag_here
from colabenv.store.installer import StoreInstaller
from colabenv.store.open import open_store
from colabenv.store.restore import RestoreSession
from colabenv.system.workspace import Workspace


def main() -> None:
    """Restore an environment. As with `up`, packages that the store does not deliver in time come from the index."""
    url, lock_path, python, prefix = sys.argv[1:]
    environ = dict(os.environ)
    notes: list[str] = []
    progress: list[str] = []
    started = time.perf_counter()
    session = RestoreSession(lambda: open_store(url, environ), notes.append)
    lock = read_lock(lock_path)
    if lock is None:
        raise SystemExit(f"The lock {lock_path} does not exist.")
    folder = Path(prefix).parent
    folder.mkdir(parents=True, exist_ok=True)
    session.begin(lock, tag_here(lock.header.python), folder)
    workspace = Workspace({**environ, "COLABENV_HOME": str(folder / "home")})
    uv = UvInstaller(Path(find_uv_bin()), workspace)
    installer = StoreInstaller(uv, session, notes.append)
    interpreter = Interpreter(Path(python), f"{lock.header.python}.0", "given by the benchmark")
    job = Job(lock, interpreter, Path(prefix), (), ())
    installer.create(job)
    created = time.perf_counter()
    installer.install(job, progress.append)
    installed = time.perf_counter()
    session.close()
    ended = time.perf_counter()
    if len(installer.restored.names) != len(lock.pins):
        print("\n".join(notes), file=sys.stderr)
    parts = {"venv": created - started, "layers": installed - created, "close": ended - installed}
    print(json.dumps({**parts, "restored": len(installer.restored.names), "packages": len(lock.pins)}))


if __name__ == "__main__":
    main()
