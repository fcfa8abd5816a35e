"""What `notebook set` and `notebook new` return."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from colabenv.output.results import Result

_GITHUB_HINT: Final = "specify it with --github OWNER/REPO, OWNER/REPO@BRANCH or OWNER/REPO@BRANCH:FOLDER"


@dataclass(frozen=True)
class NotebookResult(Result):
    """A notebook that names its kernel and builds it in its first cell.

    Attributes:
        notebook: its path, as given.
        action: "made", "changed" or "unchanged".
        name: of the profile.
        profile: its path, as the first cell names it.
        url: opens the notebook on Colab; "" if unknown.
        badge: in Markdown, or "".
        no_badge: why there is no badge, or "".
    """

    notebook: str
    action: str
    name: str
    kernel_name: str
    profile: str
    url: str
    badge: str
    no_badge: str

    def lines(self) -> list[str]:
        """What was written, how to use it, and the badge on a line of its own."""
        first = f"✓ {self.notebook} names the kernel {self.kernel_name}, and a cell runs: colabenv up {self.profile}"
        if self.action == "unchanged":
            first = f"✓ {self.notebook} already names the kernel {self.kernel_name}; nothing was changed."
        lines = [
            first,
            "On a fresh machine, run that cell and reload the page. The notebook then runs in the environment.",
        ]
        if not self.badge:
            return [*lines, f"No “Open in Colab” badge: {self.no_badge}; {_GITHUB_HINT}."]
        return [
            *lines,
            f"Colab opens only the notebook from GitHub; {self.profile} has to be on the machine, too.",
            "Badge for a README:",
            self.badge,
        ]
