"""Run pytest, rerun failed tests alone, and report those that then pass as unsteady.

    rerun_failed.py REPORT ARGUMENT...

ARGUMENTs are pytest's. A test that fails on a busy machine and passes alone is unsteady; it does not mean that the
change under test is wrong, so CI accepts the change. To make it visible, the output ends with a line `unsteady: NAME`
for each such test, after the text of each first failure. Both are also appended to the file REPORT. If more than
`MAX_FAILURES` tests fail, or something other than a test, nothing is rerun.

The exit status is pytest's: that of the first run, or 0 if every failed test has passed alone.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

#: More failed tests than this are not rerun.
MAX_FAILURES = 5
#: The last lines of a failure that are printed again.
MAX_LINES = 120

#: Each test to the text of its failure, or "" if it passed.
Outcomes = dict[str, str]


class Recorder:
    """A pytest plugin that records the outcome of each test and each collected file, also of other processes."""

    def __init__(self) -> None:
        self.outcomes: Outcomes = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Record a phase of a test."""
        if report.failed:
            self._add_failure(report.nodeid, str(report.when), report)
        elif report.when == "call":
            self.outcomes.setdefault(report.nodeid, "")

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Record a file that could not be collected."""
        if report.failed:
            self._add_failure(report.nodeid, "collect", report)

    def _add_failure(self, name: str, when: str, report: Any) -> None:
        sections = "".join(f"\n---- {title}\n{text}" for title, text in report.sections)
        text = f"({when}) {report.longreprtext}{sections}".rstrip()
        self.outcomes[name] = "\n".join(part for part in (self.outcomes.get(name, ""), text) if part)


def record_outcomes(file: Path, arguments: list[str]) -> int:
    """Run pytest in this process and write the outcomes to a file; returns the exit status."""
    recorder = Recorder()
    code = int(pytest.main(arguments, plugins=[recorder]))
    file.write_text(json.dumps(recorder.outcomes))
    return code


def run_pytest(folder: Path, arguments: list[str]) -> tuple[int, Outcomes]:
    """Run pytest in another process; returns its exit status and the outcomes."""
    file = folder / "outcomes.json"
    file.unlink(missing_ok=True)
    cache = ["-o", f"cache_dir={folder / 'cache'}"]  # so that --last-failed refers to this run
    done = subprocess.run([sys.executable, __file__, "--record", file, *arguments, *cache], check=False)
    return done.returncode, json.loads(file.read_text()) if file.exists() else {}


def format_failure(name: str, text: str) -> str:
    """The text of a failure, shortened."""
    lines = text.splitlines()
    left_out = [f"... {len(lines) - MAX_LINES} lines left out"] if len(lines) > MAX_LINES else []
    return "\n".join([f"____ {name} ____", *left_out, *lines[-MAX_LINES:], ""])


def report(file: Path, text: str) -> None:
    """Print a text and append it to the report file."""
    print(text, flush=True)
    with file.open("a") as opened:
        opened.write(text + "\n")


def rerun(folder: Path, file: Path, arguments: list[str], failed: Outcomes) -> int:
    """Rerun the failed tests alone; returns the exit status."""
    print(f"\n== rerunning {len(failed)} failed tests alone\n", flush=True)
    alone = ["-n0", "--dist=no", "--no-cov", "--last-failed", "--last-failed-no-failures=none"]
    code, outcomes = run_pytest(folder, [*arguments, *alone])
    steady = [name for name in failed if outcomes.get(name) == ""]
    report(file, "\n== First failures\n")
    for name, text in failed.items():
        report(file, format_failure(name, text))
    for name in sorted(failed, key=lambda name: (name not in steady, name)):
        report(file, f"{'unsteady' if name in steady else 'failed again'}: {name}")
    if code == 0 and steady == list(failed):
        report(
            file,
            "unsteady: failed in the suite and passed alone. Fix the tests: make them steady.",
        )
        return 0
    return code or int(pytest.ExitCode.TESTS_FAILED)


def main(file: Path, arguments: list[str]) -> int:
    """Run pytest and rerun failed tests; returns the exit status."""
    with tempfile.TemporaryDirectory(prefix="again-") as name:
        folder = Path(name)
        code, outcomes = run_pytest(folder, arguments)
        failed = {test: text for test, text in outcomes.items() if text}
        if code != pytest.ExitCode.TESTS_FAILED or not failed:
            return code
        if len(failed) <= MAX_FAILURES:
            return rerun(folder, file, arguments, failed)
        report(file, f"\n== {len(failed)} tests failed, too many to rerun; the first of them:\n")
        for test, text in list(failed.items())[:MAX_FAILURES]:
            report(file, format_failure(test, text))
        for test in failed:
            report(file, f"failed: {test}")
        return code


if __name__ == "__main__":
    sys.path.pop(0)  # tests must not import from this program's folder
    if sys.argv[1] == "--record":
        sys.exit(record_outcomes(Path(sys.argv[2]), sys.argv[3:]))
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
