"""An `up` with nothing to do: how long it takes, what it loads, and that it starts no process."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchlib.figures import turns
from benchlib.place import timed

#: What an `up` with nothing to do may not load.
HEAVY = ("pydantic", "pydantic_core", "rich")
# Runs colabenv as `python -m` does, under an audit hook, and says at the end what was loaded and what was started.
# The resource usage of children is a second witness: it stays 0 in a process that never had one.
_WATCHED = """
import json, resource, runpy, sys
started = []
events = ("subprocess.", "os.fork", "os.posix_spawn", "os.exec", "os.spawn", "os.system", "pty.")
sys.addaudithook(lambda event, arguments: started.append(event) if event.startswith(events) else None)
answer, sys.argv = sys.argv[1], ["colabenv", *sys.argv[2:]]
code = 0
try:
    runpy.run_module("colabenv", run_name="__main__", alter_sys=True)
except SystemExit as end:
    code = end.code or 0
loaded = sorted(name for name in sys.modules if "." not in name)
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
with open(answer, "w") as file:
    json.dump({"code": code, "started": started, "loaded": loaded, "children_kib": usage.ru_maxrss}, file)
"""


@dataclass(frozen=True)
class Noop:
    """What was found.

    Attributes:
        up: seconds of each `up` with nothing to do.
        yaml: seconds of each `python -c "import yaml"`.
        empty: seconds of each `python -c pass`.
        heavy: modules it loaded that it may not load.
        started: audit events of processes it started.
        children_kib: peak memory of its children in KiB; 0 where it had none.
        loaded: how many top-level modules it loaded.
    """

    up: list[float]
    yaml: list[float]
    empty: list[float]
    heavy: list[str]
    started: list[str]
    children_kib: int
    loaded: int

    @property
    def faults(self) -> list[str]:
        """What it did and may not do, a sentence each."""
        found = [f"loads {name}" for name in self.heavy] + [
            f"starts a process ({event})" for event in self.started
        ]
        return found + (["had a child process"] if self.children_kib else [])


def measure(profile: Path, environ: Mapping[str, str], times: int) -> Noop:
    """Measure in turns.

    Args:
        profile: one whose environment is there, in the home that `environ` names.
        environ: what the programs inherit.
        times: how often each runs.

    Raises:
        SystemExit: there was something to do after all.
    """
    up = ["-m", "colabenv", "up", str(profile), "--variant", "cpu"]
    programs: dict[str, Sequence[str]] = {"up": up, "yaml": ["-c", "import yaml"], "empty": ["-c", "pass"]}
    _, said = timed([sys.executable, *up, "--json"], environ)
    if json.loads(said)["action"] != "unchanged":
        raise SystemExit("This up had something to do, so it is not the one to measure here.")
    seconds: dict[str, list[float]] = {name: [] for name in programs}
    for number in range(times):
        for name in turns(list(programs), number):
            seconds[name].append(timed([sys.executable, *programs[name]], environ)[0])
    answer = profile.parent / "noop.json"
    timed([sys.executable, "-c", _WATCHED, answer, *up[2:]], environ)
    found = json.loads(answer.read_text(encoding="utf-8"))
    if found["code"] != 0:
        raise SystemExit(f"The watched up ended with exit status {found['code']}.")
    return Noop(
        **seconds,
        heavy=[name for name in HEAVY if name in found["loaded"]],
        started=found["started"],
        children_kib=found["children_kib"],
        loaded=len(found["loaded"]),
    )
