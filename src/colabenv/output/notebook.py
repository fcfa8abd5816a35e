"""What `notebook set` and `notebook new` return."""

from __future__ import annotations

from dataclasses import dataclass

from colabenv.output.results import Result


@dataclass(frozen=True)
class NotebookResult(Result):
    """A notebook that was "made", "changed" or "unchanged" (`action`), and its badge in Markdown or why it has none."""

    notebook: str
    action: str
    name: str
    kernel_name: str
    profile: str
    url: str
    badge: str
    no_badge: str
    embedded: bool = False  #: the notebook contains the profile and its locks

    def lines(self) -> list[str]:
        """What was written, how to use it, and the badge on a line of its own."""
        verb = {"made": "Created", "changed": "Updated"}.get(self.action, "Nothing to change in")
        lines = [
            f"✓ {verb} {self.notebook}: its kernel is {self.kernel_name}, and its first cell runs colabenv up "
            f"{self.profile}.",
            "On a new machine, run that cell and reload the page. The notebook then runs in the environment.",
        ]
        if self.embedded:
            lines = [
                f"✓ {verb} {self.notebook}: it contains the profile {self.profile} with its locks, and its first cell "
                "builds the environment and continues in it.",
                "On a new machine, choose Runtime > Run all. Nothing has to be uploaded.",
            ]
        if not self.badge:
            form = "OWNER/REPO, OWNER/REPO@BRANCH or OWNER/REPO@BRANCH:FOLDER"
            return [
                *lines,
                f"No “Open in Colab” badge: {self.no_badge}. Set the repository: --github {form}.",
            ]
        needed = [
            f"Colab opens only the notebook from GitHub, so the first cell also needs {self.profile} on the machine."
        ]
        return [*lines, *([] if self.embedded else needed), "The badge for a README:", self.badge]
