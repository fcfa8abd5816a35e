"""What `init` returns."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from colabenv.output.results import Result


@dataclass(frozen=True)
class InitResult(Result):
    """A new profile and its text; `source` is "" for a starter profile, `chosen` its frameworks and Python in words."""

    profile: str
    source: str
    name: str
    chosen: tuple[str, ...]
    notes: tuple[str, ...]
    left_out: tuple[str, ...]
    text: str

    def lines(self) -> list[str]:
        """What was written, what to review, and the next command."""
        path = shlex.quote(self.profile)
        if not self.source:
            return [
                f"✓ Created {self.profile}, a short profile to start from. Edit it to request what you need.",
                f"Next: colabenv check {path}, then colabenv up {path}",
            ]
        lines = [f"✓ Created {self.profile} from {self.source}: {', '.join(self.chosen)}."]
        lines += [f"  {note}" for note in self.notes]
        if self.left_out:
            listed = ", ".join(self.left_out[:6]) + (" and more" if len(self.left_out) > 6 else "")
            lines.append(f"  Left out (reasons are in the profile): {listed}")
        return [*lines, "Review the profile: comments explain every guess.", f"Next: colabenv up {path}"]
