"""Measure an `up` with nothing to do: its time, the modules that it loads, and that it starts no process."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchlib.figures import order_round
from benchlib.sandbox import run_timed

#: Modules that an `up` with nothing to do must not load.
SLOW_MODULES = ("pydantic", "pydantic_core", "rich")
# Runs colabenv as `python -m` does, under an audit hook, and reports the modules loaded and the processes started.
# The peak memory of child processes confirms it: it stays 0 if there were none.
_AUDIT = """
import json, resource, runpy, sys
started = []
events = ("subprocess.", "os.fork", "os.posix_spawn", "os.exec", "os.spawn", "os.system", "pty.")
sys.addaudithook(lambda event, arguments: started.append(event) if event.startswith(events) else None)
result_file, sys.argv = sys.argv[1], ["colabenv", *sys.argv[2:]]
code = 0
try:
    runpy.run_module("colabenv", run_name="__main__", alter_sys=True)
except SystemExit as end:
    code = end.code or 0
loaded = sorted(name for name in sys.modules if "." not in name)
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
with open(result_file, "w") as file:
    json.dump({"code": code, "started": started, "loaded": loaded, "children_kib": usage.ru_maxrss}, file)
"""


@dataclass(frozen=True)
class NoopResult:
    """Measurements of an `up` with nothing to do."""

    up: list[float]  #: seconds of each run
    yaml: list[float]  #: seconds of each `python -c "import yaml"`
    empty: list[float]  #: seconds of each `python -c pass`
    heavy: list[str]  #: modules that it loaded but must not
    started: list[str]  #: audit events of processes that it started
    children_kib: int  #: peak memory of child processes in KiB; 0 if there were none
    loaded: int  #: number of top-level modules that it loaded

    @property
    def problems(self) -> list[str]:
        """Each forbidden thing that it did, in words."""
        problems = [f"loads {name}" for name in self.heavy] + [
            f"starts a process ({event})" for event in self.started
        ]
        return problems + (["had a child process"] if self.children_kib else [])


def measure_noop(profile: Path, environ: Mapping[str, str], times: int) -> NoopResult:
    """Measure `up` and two programs to compare it with, in turns.

    Args:
        profile: a profile whose environment is built.
        environ: environment variables of the programs.
        times: how often each runs.

    Raises:
        SystemExit: `up` had something to do.
    """
    up = ["-m", "colabenv", "up", str(profile), "--variant", "cpu"]
    programs: dict[str, Sequence[str]] = {"up": up, "yaml": ["-c", "import yaml"], "empty": ["-c", "pass"]}
    _, output = run_timed([sys.executable, *up, "--json"], environ)
    if json.loads(output)["action"] != "unchanged":
        raise SystemExit("up had something to do.")
    seconds: dict[str, list[float]] = {name: [] for name in programs}
    for number in range(times):
        for name in order_round(list(programs), number):
            seconds[name].append(run_timed([sys.executable, *programs[name]], environ)[0])
    result_file = profile.parent / "noop.json"
    run_timed([sys.executable, "-c", _AUDIT, result_file, *up[2:]], environ)
    audit = json.loads(result_file.read_text(encoding="utf-8"))
    if audit["code"] != 0:
        raise SystemExit(f"The audited up exited with {audit['code']}.")
    return NoopResult(
        **seconds,
        heavy=[name for name in SLOW_MODULES if name in audit["loaded"]],
        started=audit["started"],
        children_kib=audit["children_kib"],
        loaded=len(audit["loaded"]),
    )
