"""The doctor's findings as text and as data."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from colabenv.output.results import Result

if TYPE_CHECKING:
    from colabenv.doctor.model import Diagnosis

#: Columns of running text; evidence is not wrapped.
_WIDTH = 100


@dataclass(frozen=True)
class DoctorResult(Result):
    """The findings."""

    target: str
    python: str
    executable: str
    distributions: int  #: how many are installed
    #: each with "code", "what", "evidence", "why", "commands" and "explains"; what to fix first comes first
    findings: tuple[dict[str, Any], ...]
    commands: tuple[str, ...]  #: the fixes of all findings, in order
    seconds: dict[str, float]  #: by part
    tried: tuple[str, ...] = ()  #: statements that a child process ran without an error
    fixed: tuple[str, ...] = ()  #: the commands that `--fix` has run; "mended" in `--json`
    restart: bool = False  #: whether the session may have old modules in memory

    @property
    def exit_code(self) -> int:  # type: ignore[override]
        """0 without findings, else 1."""
        return 1 if self.findings else 0

    def as_dict(self) -> dict[str, Any]:
        """The result as `--json` prints it."""
        fields = asdict(self)
        fields["mended"] = fields.pop("fixed")
        return fields

    def lines(self) -> list[str]:
        """A paragraph for each finding, then the commands that fix all of them."""
        version = f"Python {self.python}, " if self.python else ""
        target = f"{self.target} ({version}{self.distributions} packages)"
        lines = [f"  ran   {command}" for command in self.fixed]
        if self.findings:
            count = len(self.findings)
            still = " still" if self.fixed else ""
            problems = "1 problem" if count == 1 else f"{count} problems"
            lines += [f"{target}{still} has {problems}:", *self._paragraphs(), *self._all_commands()]
        else:
            verb = "works" if len(self.tried) == 1 else "work"
            tried = f"; {', '.join(self.tried)} {verb}" if self.tried else ""
            lines.append(f"✓ Nothing is wrong with {target}{tried}.")
        if self.restart:
            lines.append(
                "  Restart the session (Runtime > Restart session): it still uses the modules in memory."
            )
        return lines

    def _paragraphs(self) -> list[str]:
        lines = []
        for number, finding in enumerate(self.findings, start=1):
            lines += ["", *_wrap(f"{number}. ", f"{finding['what']} [{finding['code']}]")]
            lines += [f"     {line}" for text in finding["evidence"] for line in text.splitlines()]
            lines += _wrap("   Why:  ", finding["why"])
            lines += [f"   Fix:  {command}" for command in finding["commands"]]
        return lines

    def _all_commands(self) -> list[str]:
        if len(self.findings) == 1 or not self.commands:
            return []
        return ["", "To fix all of them, in this order:", *(f"  {command}" for command in self.commands)]


def _wrap(head: str, text: str) -> list[str]:
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=head,
        subsequent_indent=" " * len(head),
        break_long_words=False,
        break_on_hyphens=False,
    )


def report_diagnosis(
    diagnosis: Diagnosis, own_python: str, *, cell: bool, fixed: Sequence[str] = (), restart: bool = False
) -> DoctorResult:
    """The result for a diagnosis; with `cell`, its commands are written for a notebook cell."""
    from colabenv.doctor.fixes import describe_fixes, plan_fixes  # noqa: PLC0415

    facts = diagnosis.facts
    findings = tuple(
        {
            "code": finding.code,
            "what": finding.summary,
            "evidence": list(finding.evidence),
            "why": finding.explanation,
            "commands": describe_fixes(finding.fixes, facts, own_python, cell=cell),
            "explains": list(finding.explains),
        }
        for finding in diagnosis.findings
    )
    return DoctorResult(
        target=facts.target,
        python=".".join(map(str, facts.python)),
        executable=facts.executable,
        distributions=len(facts.distributions),
        findings=findings,
        commands=tuple(describe_fixes(plan_fixes(diagnosis.findings), facts, own_python, cell=cell)),
        seconds={name: round(value, 3) for name, value in diagnosis.seconds.items()},
        tried=facts.successful_imports,
        fixed=tuple(fixed),
        restart=restart,
    )
