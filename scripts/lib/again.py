"""Run pytest; run the tests that failed once more, alone, and say loudly which ones passed then.

    again.py REPORT ARGUMENT...

ARGUMENTs are pytest's. A test that fails on a busy machine and passes alone says that the test is unsteady, not that
the change under test is wrong, and CI need not refuse the change for it. It must not be overlooked either: this ends
with a line `unsteady: NAME` for each one, after the whole text of each first failure. Both are added to the file
REPORT too. More failures than `MOST`, and anything but failed tests, are no noise and are not tried again.

The exit status is pytest's: that of the first run, or 0 where all that failed has passed alone.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

#: So many failed tests may be noise.
MOST = 5
#: Lines of one failure's text that are shown again; its end says most.
LINES = 120

#: What a run came to: test to the text of its failure, "" where it passed.
Outcomes = dict[str, str]


class Recorder:
    """A plugin that notes how each test and each collected file ended. It hears of other processes' tests too."""

    def __init__(self) -> None:
        self.outcomes: Outcomes = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note one phase of a test. Of several failures the first counts most, so it stands first."""
        if report.failed:
            self._failed(report.nodeid, str(report.when), report)
        elif report.when == "call":
            self.outcomes.setdefault(report.nodeid, "")

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note a file that could not be read."""
        if report.failed:
            self._failed(report.nodeid, "collect", report)

    def _failed(self, name: str, when: str, report: Any) -> None:
        sections = "".join(f"\n---- {title}\n{text}" for title, text in report.sections)
        text = f"({when}) {report.longreprtext}{sections}".rstrip()
        self.outcomes[name] = "\n".join(part for part in (self.outcomes.get(name, ""), text) if part)


def record(file: Path, arguments: list[str]) -> int:
    """Run pytest in this process, and write to a file how the tests ended; returns the exit status."""
    recorder = Recorder()
    code = int(pytest.main(arguments, plugins=[recorder]))
    file.write_text(json.dumps(recorder.outcomes))
    return code


def run(folder: Path, arguments: list[str]) -> tuple[int, Outcomes]:
    """Run pytest in a process of its own: its exit status, and how the tests ended."""
    file = folder / "outcomes.json"
    file.unlink(missing_ok=True)
    cache = ["-o", f"cache_dir={folder / 'cache'}"]  # so that the last failures are those of this run
    done = subprocess.run([sys.executable, __file__, "--record", file, *arguments, *cache], check=False)
    return done.returncode, json.loads(file.read_text()) if file.exists() else {}


def shown(name: str, text: str) -> str:
    """A failure as it is shown again."""
    lines = text.splitlines()
    left_out = [f"... {len(lines) - LINES} lines are left out"] if len(lines) > LINES else []
    return "\n".join([f"____ {name} ____", *left_out, *lines[-LINES:], ""])


def report(file: Path, text: str) -> None:
    """Print a text, and add it to the file that is shown at the very end."""
    print(text, flush=True)
    with file.open("a") as opened:
        opened.write(text + "\n")


def try_again(folder: Path, file: Path, arguments: list[str], failed: Outcomes) -> int:
    """Run what failed once more, alone; returns the exit status."""
    print(f"\n== again, alone: the {len(failed)} that failed\n", flush=True)
    alone = ["-n0", "--dist=no", "--no-cov", "--last-failed", "--last-failed-no-failures=none"]
    code, outcomes = run(folder, [*arguments, *alone])
    steady = [name for name in failed if outcomes.get(name) == ""]
    report(file, "\n== What failed at first\n")
    for name, text in failed.items():
        report(file, shown(name, text))
    for name in sorted(failed, key=lambda name: (name not in steady, name)):
        report(file, f"{'unsteady' if name in steady else 'failed again'}: {name}")
    if code == 0 and steady == list(failed):
        report(
            file,
            "unsteady: failed at first and passed alone. That is not accepted for good: make them steady.",
        )
        return 0
    return code or int(pytest.ExitCode.TESTS_FAILED)


def main(file: Path, arguments: list[str]) -> int:
    """Run pytest, and once more what failed; returns the exit status."""
    with tempfile.TemporaryDirectory(prefix="again-") as name:
        folder = Path(name)
        code, outcomes = run(folder, arguments)
        failed = {test: text for test, text in outcomes.items() if text}
        if code != pytest.ExitCode.TESTS_FAILED or not failed:
            return code
        if len(failed) <= MOST:
            return try_again(folder, file, arguments, failed)
        report(file, f"\n== {len(failed)} failed, more than noise explains; the first of them:\n")
        for test, text in list(failed.items())[:MOST]:
            report(file, shown(test, text))
        for test in failed:
            report(file, f"failed: {test}")
        return code


if __name__ == "__main__":
    sys.path.pop(0)  # the folder of this program holds nothing for tests
    if sys.argv[1] == "--record":
        sys.exit(record(Path(sys.argv[2]), sys.argv[3:]))
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
