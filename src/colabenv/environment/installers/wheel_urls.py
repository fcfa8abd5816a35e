"""Where an index has the files of a lock. Only uv can tell, so it is asked even where pip installs."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from colabenv._compat import tomllib
from colabenv.environment.installer_errors import error_from, plain, redacted
from colabenv.environment.installers.index_settings import secrets_of, uv_variables
from colabenv.environment.installers.uv import UvInstaller
from colabenv.lock.lockfile import Lock, dump


def find_wheel_urls(
    uv: UvInstaller, lock: Lock, source_builds: tuple[str, ...], indexes: tuple[tuple[str, str], ...]
) -> dict[str, Any]:
    """A pylock document (PEP 751) of exactly the lock's pins, as uv writes it; metadata and archives are not fetched.

    Args:
        uv: asks.
        lock: whose files are wanted, for its Python and platform.
        source_builds: distributions whose source archive is wanted, not a wheel.
        indexes: (name, URL) of the profile's indexes, credentials included.

    Raises:
        NetworkError: an index could not be reached.
        UnsatisfiableError: no index has a version that the lock pins.
    """
    with tempfile.TemporaryDirectory(prefix="colabenv-") as folder:
        asked, answer = Path(folder) / "asked.txt", Path(folder) / "pylock.toml"
        asked.write_text(dump(lock), encoding="utf-8")
        argv = [str(uv.binary), "pip", "compile", str(asked), "--no-deps", "--quiet", "--no-header"]
        argv += ["--format", "pylock.toml", "--output-file", str(answer), "--only-binary", ":all:"]
        argv += [word for name in source_builds for word in ("--no-binary", name)]
        argv += ["--python-version", lock.header.python]
        argv += ["--python-platform", lock.header.platform] if lock.header.platform else []
        done = uv.runner.run(argv, env=uv_variables(uv.environ, indexes, uv.home.cache, uv.home.pythons))
        said, secrets = plain(done.output + done.errors).strip(), secrets_of(indexes)
        uv.log(redacted(f"$ {' '.join(argv)}\n{said}\nexit status {done.returncode}\n", secrets))
        if done.returncode != 0:
            raise error_from("asking the index", said, secrets)
        document: dict[str, Any] = tomllib.loads(answer.read_text(encoding="utf-8"))
        return document
