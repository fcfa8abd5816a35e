"""Put a profile and its locks together for the metadata of a notebook."""

from __future__ import annotations

from colabenv.errors import LockError, UnsatisfiableError, UsageError
from colabenv.frameworks.plan import make_plan
from colabenv.importers.embedded_profile import EmbeddedProfile
from colabenv.lock.lockfile import format_lock
from colabenv.lock.service import find_lock
from colabenv.profile.load import LoadedProfile
from colabenv.system.workspace import Workspace


def embed_profile(loaded: LoadedProfile, workspace: Workspace) -> EmbeddedProfile:
    """A profile and those of its locks that fit.

    Raises:
        UsageError: the profile needs other files, which a notebook cannot contain.
        LockError: no lock fits.
    """
    if loaded.url:
        raise UsageError(
            f"{loaded.url} is on the web, and only a file can be embedded.",
            hint="Download the profile, and name the file with --profile.",
        )
    builtin = loaded.path.parent if loaded.builtin else None
    others = [path for path, _ in loaded.inputs if path != loaded.path and path.parent != builtin]
    if others:
        listed = ", ".join(str(path) for path in others[:5])
        raise UsageError(
            f"{loaded.path.name} needs other files, which a notebook cannot contain: {listed}.",
            hint="Move their packages to `packages` in the profile.",
        )
    locks: dict[str, str] = {}
    accelerator = loaded.profile.stack.accelerator
    for variant in ("cpu", "gpu") if accelerator == "auto" else (accelerator,):
        try:
            existing = find_lock(make_plan(loaded, variant), loaded, workspace)
        except UnsatisfiableError:  # for example, no GPU support on this Python
            continue
        if existing.lock is not None and existing.fits:
            locks[variant] = format_lock(existing.lock)
    if not locks:
        raise LockError(
            f"{loaded.path.name} has no lock that fits, so it would not give everyone the same packages.",
            hint=f"Lock it first: colabenv lock {loaded.reference}",
        )
    text = loaded.path.read_text(encoding="utf-8-sig")
    return EmbeddedProfile(text, loaded.profile.name, locks)
