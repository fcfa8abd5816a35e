"""How a store grows: profiles that share a stack, pushed one after another. Bytes kept, and seconds of each push.

Each profile is TensorFlow 2.15 with its usual companions and two packages of its own, as the weeks of one course are.
The first environment is built by `up`, proof and bytecode included; of the others only what a push needs is made, since
a proof of each would take half a minute and change no byte that is shared.

By itself: PYTHONPATH=scripts .venv/bin/python -m benchlib.growth [NUMBER OF PROFILES]
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchlib.place import REPOSITORY, Place, machine, remove, timed
from colabenv.commands.context import Context
from colabenv.environment.build import Environment, ensure_environment, find_environments
from colabenv.environment.source import PackageSource
from colabenv.frameworks.plan import make_plan
from colabenv.lock.service import ensure_lock, find_lock
from colabenv.profile.load import LoadedProfile, load
from colabenv.store.gc import read_contents
from colabenv.store.open import open_store
from colabenv.store.push import push_environment

#: After how many profiles the sums are told.
COUNTS = (1, 5, 20)
_BASE = 'python: "3.11"\nstack: {tensorflow: "2.15.1", accelerator: cpu}\n'
_SHARED = ("matplotlib", "pandas", "scikit-learn")
#: What a course's weeks add, two each; none of it moves a package of the stack.
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


def measure(place: Place, say: Callable[[str], None], counts: tuple[int, ...] = COUNTS) -> dict[str, Any]:
    """Push as many profiles as the last of `counts`, and look at the store after each number in it.

    Args:
        place: where all that is made lies; its programs' variables.
        say: takes what is going on, a line each.
        counts: numbers of profiles, ascending; 20 at most.

    Returns:
        "pushes": of each profile seconds, bytes sent and kept, packages and how many of them were new; "after": by
        number of profiles the store's bytes, its layers, and what as many stores of one profile each would take.
    """
    store = place.folder("store")
    environ = {**place.environ, "COLABENV_HOME": str(place.folder("home")), "COLABENV_STORE": str(store)}
    pushes: list[dict[str, Any]] = []
    after: dict[str, dict[str, int]] = {}
    for number in range(counts[-1]):
        path = _profile(place, number)
        context = Context(environ)
        loaded = load(path, context.outside())
        if number == 0:
            timed([sys.executable, "-m", "colabenv", "up", path, "--variant", "cpu"], environ)
            environment = next(find_environments(context.home, "week-1"))
        else:
            environment = _built(loaded, context)
        started = time.perf_counter()
        done = push_environment(environment, loaded, str(store), context)
        seconds = time.perf_counter() - started
        pushes.append(
            {
                "profile": done.name,
                "seconds": round(seconds, 2),
                "steps": dict(done.seconds),
                "sent": done.sent_bytes,
                "kept": done.bytes,
                "packages": done.packages,
                "new": done.sent,
                "wheels": done.wheel_bytes,
                "ratio": None if done.ratio is None else round(done.ratio, 3),
                "left_out": dict(done.left_out),
            }
        )
        say(f"{done.name}: {done.said()}, {seconds:.1f} s")
        if number:
            remove(environment.prefix)
        if number + 1 in counts:
            found = read_contents(open_store(str(store), environ))
            alone = sum(push["kept"] for push in pushes)
            after[str(number + 1)] = {"bytes": found.bytes, "layers": found.objects, "apart": alone}
            say(
                f"{number + 1} profiles: {found.bytes / 1e6:.0f} MB kept, {alone / 1e6:.0f} MB if each kept its own"
            )
    return {"pushes": pushes, "after": after}


def _profile(place: Place, number: int) -> Path:
    """The profile of a week."""
    packages = [*_SHARED, *_OWN[2 * number : 2 * number + 2]]
    path = place.folder("profiles") / f"week-{number + 1}.yaml"
    path.write_text(f"name: week-{number + 1}\n{_BASE}packages: [{', '.join(packages)}]\n")
    return path


def _built(loaded: LoadedProfile, context: Context) -> Environment:
    """The environment of a profile, installed and stamped; not checked."""
    source = PackageSource(context.installer(), context)
    plan = make_plan(loaded, "cpu", platform=context.host().platform)
    existing = find_lock(plan, loaded, context)
    interpreter = source.find_interpreter(plan.requirements.python)
    locked = ensure_lock(plan, existing, loaded, source, interpreter, context)
    return ensure_environment(locked, plan, loaded, source, context).environment


def main() -> None:
    """Measure by itself, in a folder that is removed, and print the figures as JSON."""
    number = int(sys.argv[1]) if len(sys.argv) > 1 else COUNTS[-1]
    counts = tuple(sorted({*(count for count in COUNTS if count < number), number}))
    cache = REPOSITORY / ".cache"
    cache.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix="growth-") as folder:
        place = Place.at(Path(folder))
        place.environ["UV_CACHE_DIR"] = str(cache / "uv")
        figures = measure(place, lambda line: print(line, file=sys.stderr, flush=True), counts)
    print(json.dumps({"machine": machine(), **figures}, indent=2))


if __name__ == "__main__":
    main()
