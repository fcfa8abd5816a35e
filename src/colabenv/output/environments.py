"""What `status`, `switch`, `down` and `gc` return."""

from __future__ import annotations

from dataclasses import dataclass

from colabenv.output.results import Result
from colabenv.system.units import format_bytes


@dataclass(frozen=True)
class StatusRow:
    """One environment."""

    name: str
    digest: str
    #: "ready" (its kernel is registered), "older" (the registered kernel is that of another environment of this
    #: name), "unregistered", or "broken" (its build did not finish)
    state: str
    python: str  #: full version, or ""
    variant: str  #: "cpu", "gpu" or ""
    packages: int  #: number of distributions; 0 if unknown
    bytes: int  #: size on disk, including files shared with the download cache
    built: str  #: date and time, or ""
    environment: str  #: its folder
    kernel_name: str
    warm: str = ""  #: a description of the warm process that becomes its next kernel, or ""


@dataclass(frozen=True)
class StatusResult(Result):
    """The environments, and the machine."""

    home: str  #: COLABENV_HOME
    host: str  #: "colab", "jupyter" or "terminal"
    free_bytes: int  #: free disk space at `home`
    gpus: tuple[str, ...]  #: their names
    environments: tuple[StatusRow, ...]
    orphans: tuple[str, ...] = ()  #: names of registered kernels whose environment is gone

    def table(self) -> tuple[list[str], list[list[str]]] | None:
        """A row for each environment."""
        if not self.environments:
            return None
        rows = [
            [
                row.name,
                row.state,
                row.python,
                row.variant,
                str(row.packages),
                format_bytes(row.bytes),
                row.built,
            ]
            for row in self.environments
        ]
        return ["name", "state", "python", "variant", "packages", "size", "built"], rows

    def lines(self) -> list[str]:
        """What needs attention, then the machine."""
        lines = [] if self.environments else ["No environments yet. Build one with: colabenv up PROFILE"]
        lines += [
            f"The kernel of {name} is registered, but its environment is gone. To remove it: colabenv down {name}"
            for name in self.orphans
        ]
        lines += [f"{row.name}: {row.warm}" for row in self.environments if row.warm]
        gpus = ", ".join(self.gpus) or "no GPU"
        return [*lines, f"Stored in {self.home} ({format_bytes(self.free_bytes)} free); {self.host}, {gpus}."]


@dataclass(frozen=True)
class SwitchResult(Result):
    """The default kernel that the session starts next."""

    name: str  #: of the environment; "" for the machine's own Python
    environment: str  #: its folder, or ""
    file: str  #: the only file outside COLABENV_HOME: the one that was added, or removed if `name` is ""
    host: str  #: "colab", "jupyter" or "terminal"

    def lines(self) -> list[str]:
        """What to do now, and what was added."""
        restart = "Runtime > Restart session" if self.host == "colab" else "Kernel > Restart"
        if not self.name:
            if not self.file:
                return ["✓ The default kernel is already the machine's own. Nothing was changed."]
            return [
                f"✓ After {restart}, the default kernel is the machine's own again ({self.file} was removed)."
            ]
        return [
            f"✓ After {restart}, and after every later restart, the default kernel runs in {self.name}.",
            f"  added   {self.file} (the only file outside COLABENV_HOME; the base is unchanged)",
            "  back    colabenv switch --base, then restart; a broken environment switches back by itself",
        ]


@dataclass(frozen=True)
class DownResult(Result):
    """What `down` removed."""

    name: str
    removed: tuple[str, ...]  #: paths
    freed_bytes: int  #: what they took on disk

    def lines(self) -> list[str]:
        """What was removed."""
        first = (
            f"✓ Removed {self.name} ({format_bytes(self.freed_bytes)}). Its profile and lock are still there."
        )
        return [first, *(f"  {path}" for path in self.removed)]


@dataclass(frozen=True)
class RemovedFolder:
    """A folder that `gc` removed."""

    path: str
    why: str  #: why it was removed
    bytes: int  #: size of its files, including those that are linked to uv's cache and stay there


@dataclass(frozen=True)
class GcResult(Result):
    """What `gc` removed."""

    removed: tuple[RemovedFolder, ...]  #: with `dry_run`, what would be removed
    freed_bytes: int  #: how much more space is free now; 0 with `dry_run`
    free_bytes: int  #: free disk space at COLABENV_HOME
    dry_run: bool  #: whether nothing was removed
    notes: tuple[str, ...] = ()  #: what stays, and why

    def lines(self) -> list[str]:
        """The sum, then each folder."""
        rows = [
            f"  {format_bytes(folder.bytes):>9}  {folder.path}  ({folder.why})" for folder in self.removed
        ]
        free = f"{format_bytes(self.free_bytes)} are free"
        if not rows:
            return [f"✓ Nothing to remove; {free}."]
        if self.dry_run:
            return ["Would remove:", *rows, "Nothing was removed."]
        return [f"✓ Freed {format_bytes(self.freed_bytes)}; {free}.", *rows]
