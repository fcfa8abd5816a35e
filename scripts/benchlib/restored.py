"""What `up --store` does to bring an environment to disk, and nothing else: a program for one turn.

    python -m benchlib.restored STORE LOCK PYTHON PREFIX

It makes the virtual environment, has the layers streamed in, and moves them into place. It looks at no machine, proves
nothing and registers nothing, so that it compares with `uv venv` and `uv pip sync`. Prints JSON: seconds by part, and
how many packages came from the store, out of how many.
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
    """Restore an environment. What the store does not give in time comes from the index, as with `up`."""
    url, lock_path, python, prefix = sys.argv[1:]
    environ = dict(os.environ)
    said: list[str] = []
    progress: list[str] = []
    started = time.perf_counter()
    session = RestoreSession(lambda: open_store(url, environ), said.append)
    lock = read_lock(lock_path)
    if lock is None:
        raise SystemExit(f"There is no lock {lock_path}.")
    folder = Path(prefix).parent
    folder.mkdir(parents=True, exist_ok=True)
    session.begin(lock, tag_here(lock.header.python), folder)
    workspace = Workspace({**environ, "COLABENV_HOME": str(folder / "home")})
    uv = UvInstaller(Path(find_uv_bin()), workspace)
    installer = StoreInstaller(uv, session, said.append)
    interpreter = Interpreter(Path(python), f"{lock.header.python}.0", "the benchmark's")
    job = Job(lock, interpreter, Path(prefix), (), ())
    installer.create(job)
    created = time.perf_counter()
    installer.install(job, progress.append)
    installed = time.perf_counter()
    session.close()
    ended = time.perf_counter()
    if len(installer.restored.names) != len(lock.pins):
        print("".join(said), file=sys.stderr)
    parts = {"venv": created - started, "layers": installed - created, "close": ended - installed}
    print(json.dumps({**parts, "restored": len(installer.restored.names), "packages": len(lock.pins)}))


if __name__ == "__main__":
    main()
