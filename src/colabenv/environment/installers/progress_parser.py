"""Reads an installer's progress from what it draws."""

from __future__ import annotations

import re

from colabenv.environment.installer_errors import clean_output

_UNITS = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
# What uv 0.13 draws under a pty: one line for all packages, one for each large download, one while linking.
_PREPARED = re.compile(r"Preparing packages\.\.\. \((\d+)/(\d+)\)")
_DOWNLOAD = re.compile(r"([A-Za-z0-9][\w.-]*) (?:-+ )?([\d.]+) ([KMG]?i?B)/([\d.]+) ([KMG]?i?B)")
_INSTALLED = re.compile(r"\[(\d+)/(\d+)\]")
# What pip draws with --progress-bar raw, and the name of what it is downloading.
_PIP = re.compile(
    r"Collecting (?P<name>[A-Za-z0-9][\w.-]*)(?=[^\w.-])|Progress (?P<done>\d+) of (?P<total>\d+)(?=\s)"
)
_BLANKS = re.compile(r" {2,}")
#: Characters of an unfinished line to keep. uv draws all its downloads, fifty at most, on one line.
_LONGEST = 8000


class ProgressParser:
    """Turns an installer's output into a phrase such as "116 of 131 packages, 301 of 612 MB"."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._ready = 0
        self._linked = 0
        self._downloads: dict[str, tuple[float, float]] = {}
        self._collected: dict[str, None] = {}
        self._rest = ""

    def feed(self, piece: str) -> str:
        """The phrase after another piece of output."""
        # uv fills each line with blanks to the width of the terminal.
        text = _BLANKS.sub(" ", self._rest + piece)
        # A piece may end inside a line; that line, and no earlier one, is read again with the next piece.
        self._rest = text[max(text.rfind("\n"), text.rfind("\r")) + 1 :][-_LONGEST:]
        drawn = _BLANKS.sub(" ", clean_output(text.replace("\x1b[2K", "\n").replace("\r", "\n")))
        for match in _PREPARED.finditer(drawn):
            self._ready = max(self._ready, int(match[1]))
        for match in _DOWNLOAD.finditer(drawn):
            self._downloads[match[1]] = (_bytes(match[2], match[3]), _bytes(match[4], match[5]))
        for match in _INSTALLED.finditer(drawn):
            if int(match[2]) <= self._total:
                self._linked = max(self._linked, int(match[1]))
        for match in _PIP.finditer(drawn):
            if match["name"]:
                self._collected[match["name"]] = None
            else:
                # pip downloads one file at a time: the one it named last.
                name = next(reversed(self._collected), "")
                self._downloads[name] = (float(match["done"]), float(match["total"]))
        return self._phrase()

    def _phrase(self) -> str:
        if self._linked:
            return f"{self._linked} of {self._total} packages installed"
        ready = max(self._ready, len(self._collected))
        phrase = f"{min(ready, self._total)} of {self._total} packages"
        total = sum(size for _, size in self._downloads.values())
        if total < 1e6:
            return phrase
        # A download that is no longer drawn has ended.
        received = sum(part for part, _ in self._downloads.values())
        return f"{phrase}, {received / 1e6:.0f} of {total / 1e6:.0f} MB"


def _bytes(number: str, unit: str) -> float:
    return float(number) * _UNITS.get(unit, 1)
