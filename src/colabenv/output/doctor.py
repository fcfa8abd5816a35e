"""What `doctor` found, as text and as data."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import Any

from colabenv.output.results import Result

#: Columns of the running text; evidence is shown as it is.
_WIDTH = 100


@dataclass(frozen=True)
class DoctorResult(Result):
    """What was found.

    Attributes:
        target: what was examined.
        python: its version.
        executable: its path.
        distributions: how many are installed.
        findings: code, what, evidence, why and the commands that mend it, what to mend first first.
        commands: what mends all of it, in order.
        seconds: by part.
        tried: statements that a child ran without an error.
        mended: commands that were run by `--fix`.
        restart: whether what was mended may be loaded in the session already.
    """

    target: str
    python: str
    executable: str
    distributions: int
    findings: tuple[dict[str, Any], ...]
    commands: tuple[str, ...]
    seconds: dict[str, float]
    tried: tuple[str, ...] = ()
    mended: tuple[str, ...] = ()
    restart: bool = False

    @property
    def exit_code(self) -> int:  # type: ignore[override]
        """0 where nothing is wrong, else 1."""
        return 1 if self.findings else 0

    def lines(self) -> list[str]:
        """A paragraph a finding, then what mends all."""
        version = f"Python {self.python}, " if self.python else ""
        what = f"{self.target} ({version}{self.distributions} packages)"
        lines = [f"  ran   {command}" for command in self.mended]
        if self.findings:
            lines += [*self._headline(what), *self._paragraphs(), *self._together()]
        else:
            works = "works" if len(self.tried) == 1 else "work"
            tried = f"; {', '.join(self.tried)} {works}" if self.tried else ""
            lines.append(f"✓ Nothing wrong with {what}{tried}.")
        if self.restart:
            lines.append(
                "  Restart the session (Runtime > Restart session): what it has imported it keeps until then."
            )
        return lines

    def _headline(self, what: str) -> list[str]:
        count = len(self.findings)
        still = " still" if self.mended else ""
        return [f"{count} {'thing is' if count == 1 else 'things are'}{still} wrong with {what}:"]

    def _paragraphs(self) -> list[str]:
        lines = []
        for number, finding in enumerate(self.findings, start=1):
            lines += ["", *_wrapped(f"{number}. ", f"{finding['what']} [{finding['code']}]")]
            lines += [f"     {line}" for text in finding["evidence"] for line in text.splitlines()]
            lines += _wrapped("   Why:  ", finding["why"])
            lines += [f"   Fix:  {command}" for command in finding["commands"]]
        return lines

    def _together(self) -> list[str]:
        if len(self.findings) == 1 or not self.commands:
            return []
        together = [*(f"  {command}" for command in self.commands)]
        return ["", "All of it, in this order:", *together]


def _wrapped(head: str, text: str) -> list[str]:
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=head,
        subsequent_indent=" " * len(head),
        break_long_words=False,
        break_on_hyphens=False,
    )
