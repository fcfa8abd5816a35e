"""Measure how a store grows when profiles with the same frameworks are pushed one after another.

Each profile is TensorFlow 2.15 with common companions and two packages of its own, like the weeks of a course. `up`
builds the first environment, with check and bytecode. The others are only installed: a check of each takes half a
minute and does not change the shared bytes.

Run it alone with: PYTHONPATH=scripts .venv/bin/python -m benchlib.growth [NUMBER OF PROFILES]
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchlib.sandbox import REPOSITORY, Sandbox, describe_machine, run_timed, set_aside
from colabenv.commands.context import Context
from colabenv.environment.build import Environment, ensure_environment, find_environments
from colabenv.environment.source import PackageSource
from colabenv.frameworks.plan import make_plan
from colabenv.lock.service import ensure_lock, find_lock
from colabenv.profile.load import LoadedProfile, load
from colabenv.store.gc import read_contents
from colabenv.store.open import open_store
from colabenv.store.push import push_environment

#: Report the size after these numbers of profiles.
COUNTS = (1, 5, 20)
_BASE = 'python: "3.11"\nstack: {tensorflow: "2.15.1", accelerator: cpu}\n'
_SHARED = ("matplotlib", "pandas", "scikit-learn")
#: Each profile adds two of these; none changes the version of a shared package.
_OWN = (
    *("seaborn", "plotly", "networkx", "sympy", "nltk", "gensim", "openpyxl", "xlrd", "lxml", "pyyaml"),
    *(
        "tabulate",
        "humanize",
        "emoji",
        "unidecode",
        "faker",
        "geopy",
        "textdistance",
        "toolz",
        "tqdm",
        "altair",
    ),
    *(
        "statsmodels",
        "lightgbm",
        "bokeh",
        "pydot",
        "imageio",
        "shapely",
        "pyarrow",
        "numba",
        "patsy",
        "wordcloud",
    ),
    *(
        "xarray",
        "zarr",
        "music21",
        "pydub",
        "rapidfuzz",
        "polars",
        "duckdb",
        "sqlalchemy",
        "folium",
        "pillow-heif",
    ),
)


def measure_growth(
    sandbox: Sandbox, print_line: Callable[[str], None], counts: tuple[int, ...] = COUNTS
) -> dict[str, Any]:
    """Push profiles up to the last of `counts`, and report the size of the store after each of them.

    Args:
        sandbox: the folder and the environment variables of the programs.
        print_line: receives progress.
        counts: numbers of profiles, ascending; 20 at most.

    Returns:
        "pushes": for each profile the seconds, the bytes sent and stored, and the packages and how many were new;
        "after": for each count the store's bytes and layers, and the bytes if each profile had its own store.
    """
    store = sandbox.make_folder("store")
    environ = {
        **sandbox.environ,
        "COLABENV_HOME": str(sandbox.make_folder("home")),
        "COLABENV_STORE": str(store),
    }
    pushes: list[dict[str, Any]] = []
    after: dict[str, dict[str, int]] = {}
    for number in range(counts[-1]):
        path = _write_profile(sandbox, number)
        context = Context(environ)
        loaded = load(path, context.profile_sources())
        if number == 0:
            run_timed([sys.executable, "-m", "colabenv", "up", path, "--variant", "cpu"], environ)
            environment = next(find_environments(context.home, "week-1"))
        else:
            environment = _build_environment(loaded, context)
        started = time.perf_counter()
        push = push_environment(environment, loaded, str(store), context)
        seconds = time.perf_counter() - started
        pushes.append(
            {
                "profile": push.name,
                "seconds": round(seconds, 2),
                "steps": dict(push.seconds),
                "sent": push.sent_bytes,
                "kept": push.bytes,
                "packages": push.packages,
                "new": push.sent,
                "wheels": push.wheel_bytes,
                "ratio": None if push.ratio is None else round(push.ratio, 3),
                "left_out": dict(push.left_out),
            }
        )
        print_line(f"{push.name}: {push.summary()}, {seconds:.1f} s")
        if number:
            set_aside(environment.prefix)
        if number + 1 in counts:
            contents = read_contents(open_store(str(store), environ))
            separate = sum(record["kept"] for record in pushes)
            stored = contents.bytes
            after[str(number + 1)] = {"bytes": stored, "layers": contents.layers, "apart": separate}
            print_line(
                f"{number + 1} profiles: {stored / 1e6:.0f} MB stored, {separate / 1e6:.0f} MB if each had its own"
            )
    return {"pushes": pushes, "after": after}


def _write_profile(sandbox: Sandbox, number: int) -> Path:
    """Write the profile of a week."""
    packages = [*_SHARED, *_OWN[2 * number : 2 * number + 2]]
    path = sandbox.make_folder("profiles") / f"week-{number + 1}.yaml"
    path.write_text(f"name: week-{number + 1}\n{_BASE}packages: [{', '.join(packages)}]\n")
    return path


def _build_environment(loaded: LoadedProfile, context: Context) -> Environment:
    """Install the environment of a profile without checking it."""
    source = PackageSource(context.installer(), context)
    plan = make_plan(loaded, "cpu", platform=context.host().platform)
    existing = find_lock(plan, loaded, context)
    interpreter = source.find_interpreter(plan.requirements.python)
    locked = ensure_lock(plan, existing, loaded, source, interpreter, context)
    return ensure_environment(locked, plan, loaded, source, context).environment


def main() -> None:
    """Measure in a temporary folder and print the figures as JSON."""
    number = int(sys.argv[1]) if len(sys.argv) > 1 else COUNTS[-1]
    counts = tuple(sorted({*(count for count in COUNTS if count < number), number}))
    cache = REPOSITORY / ".cache"
    cache.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix="growth-") as folder:
        sandbox = Sandbox.create(Path(folder))
        sandbox.environ["UV_CACHE_DIR"] = str(cache / "uv")
        figures = measure_growth(sandbox, lambda line: print(line, file=sys.stderr, flush=True), counts)
    print(json.dumps({"machine": describe_machine(), **figures}, indent=2))


if __name__ == "__main__":
    main()
