"""`lock`: pin a profile for CPU and GPU machines from one machine, which needs no GPU for it."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from colabenv.commands.context import Context, quote_name
from colabenv.errors import LockError, UsageError
from colabenv.frameworks.plan import choose_variant
from colabenv.lock import files as lock_files
from colabenv.lock import service
from colabenv.lock.lockfile import Lock, Pin, normalised
from colabenv.lock.resolve import Plan
from colabenv.output.results import Result
from colabenv.profile.load import LoadedProfile, load
from colabenv.system.files import locked

_VARIANTS = ("cpu", "gpu")


@dataclass(frozen=True)
class Move:
    """A distribution whose version is another than before; `old` is "" for an added one, `new` for one that left."""

    name: str
    old: str
    new: str

    def __str__(self) -> str:
        if not self.old:
            return f"{self.name} {self.new} (added)"
        return f"{self.name} {self.old} -> {self.new}" if self.new else f"{self.name} {self.old} (removed)"


@dataclass(frozen=True)
class VariantLock:
    """What became of one variant's lock.

    Attributes:
        variant: "cpu" or "gpu".
        state: "kept", "new" or "changed".
        path: where it lies.
        python: minor Python.
        kernel: "colab" or "plain".
        packages: how many pins it has.
        moved: versions that are others than before, by name; empty for a new lock.
        rehashed: names whose version stayed and whose files are others, because more were uploaded.
    """

    variant: str
    state: str
    path: str
    python: str
    kernel: str
    packages: int
    moved: tuple[Move, ...] = ()
    rehashed: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """The lock, then what moved."""
        lines = [f"  {self.variant}  {self.state}, {self.packages} packages: {self.path}"]
        lines += [f"       {move}" for move in self.moved]
        if self.rehashed:
            lines.append(f"       same version, other files: {', '.join(self.rehashed)}")
        return lines


@dataclass(frozen=True)
class LockResult(Result):
    """What `lock` did.

    Attributes:
        name: of the profile.
        checked: whether it only compared.
        locks: a variant each.
        notes: why choices were made.
    """

    name: str
    checked: bool
    locks: tuple[VariantLock, ...]
    notes: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """How it went, then each lock."""
        variants = " and ".join(one.variant for one in self.locks)
        if self.checked:
            first = f"✓ The locks of {self.name} fit the profile ({variants})."
        elif all(one.state == "kept" for one in self.locks):
            first = f"✓ {self.name} is locked for {variants}: nothing had to change."
        else:
            first = f"✓ {self.name} is locked for {variants}."
        return [first, *(line for one in self.locks for line in one.lines())]


def lock(
    context: Context,
    profile: str,
    *,
    variant: str = "both",
    upgrade: tuple[str, ...] | None = None,
    check: bool = False,
) -> LockResult:
    """Write the locks of a profile, or check that they fit.

    Args:
        context: the machine.
        profile: path, URL or `builtin:NAME`.
        variant: "cpu", "gpu", or "both", which is every one that the profile admits.
        upgrade: None keeps pins where they still fit; names let these move; an empty tuple lets all move.
        check: compare and write nothing.

    Returns:
        What became of each. All variants are resolved before the first is written.

    Raises:
        LockError: with `check`, a lock is missing or was made for another profile.
        UsageError: the options do not go together, or a package to upgrade is in no lock.
        ColabenvError: why there is no lock. Those that were there stay as they are.
    """
    if check and upgrade is not None:
        raise UsageError("--check writes nothing, so there is nothing to --upgrade.", hint="Leave one out.")
    loaded = load(profile, context.outside())
    variants = _variants(loaded.profile.stack.accelerator, variant)
    if check:
        return _check(loaded, variants, profile, context)
    with locked(
        context.home.lock_file(loaded.profile.name),
        lambda: context.progress.note(f"Another colabenv is working on {loaded.profile.name}; waiting."),
    ):
        return _write(loaded, variants, upgrade, context)


def _variants(accelerator: str, asked: str) -> tuple[str, ...]:
    if asked == "both":
        return _VARIANTS if accelerator == "auto" else (accelerator,)
    return (choose_variant(accelerator, asked, asked),)


def _plans(loaded: LoadedProfile, variants: tuple[str, ...], platform: str, context: Context) -> list[Plan]:
    wanted = [service.requirements_of(loaded, variant) for variant in variants]
    for note in dict.fromkeys(note for one in wanted for note in one.notes):
        context.progress.note(note)
    return [service.plan_of(loaded, one, platform) for one in wanted]


def _check(loaded: LoadedProfile, variants: tuple[str, ...], profile: str, context: Context) -> LockResult:
    """Compare; asks neither the network nor the machine, since the platform does not decide whether a lock fits."""
    found = [service.find_lock(plan, loaded, context) for plan in _plans(loaded, variants, "", context)]
    troubles = [one.trouble for one in found if one.trouble]
    if troubles:
        said = "; ".join(troubles)
        raise LockError(
            f"{said[0].upper()}{said[1:]}.", hint=f"Run colabenv lock {profile}, and commit what it writes."
        )
    locks = tuple(outcome(one.lock, one.lock, str(one.path)) for one in found if one.lock is not None)
    return LockResult(loaded.profile.name, checked=True, locks=locks, notes=context.notes())


def _write(
    loaded: LoadedProfile, variants: tuple[str, ...], upgrade: tuple[str, ...] | None, context: Context
) -> LockResult:
    plans = _plans(loaded, variants, context.host().platform, context)
    before = [service.find_lock(plan, loaded, context) for plan in plans]
    names = tuple(normalised(name) for name in upgrade or ())
    _require_known(upgrade or (), [one.lock for one in before if one.lock])
    # Where the profile names no Python, the rules may pick another one for each variant.
    tools: dict[str, service.ResolveTools] = {}
    after = []
    for plan, old in zip(plans, before, strict=True):
        if old.lock and old.fits and upgrade is None:
            after.append(old.lock)
            continue
        python = plan.requirements.python
        if python not in tools:
            tools[python] = service.tools_for(loaded, python, context)
        preferred = _preferred(old.pins, upgrade, names)
        after.append(service.resolve_lock(plan, tools[python], preferred, context))
    done = []
    for old, new in zip(before, after, strict=True):
        path = old.path
        if new != old.lock:
            path = lock_files.write(new, loaded.path, context.home, shipped=loaded.builtin)
        done.append(outcome(old.lock, new, str(path)))
    return LockResult(loaded.profile.name, checked=False, locks=tuple(done), notes=context.notes())


def _preferred(
    pins: tuple[Pin, ...], upgrade: tuple[str, ...] | None, names: tuple[str, ...]
) -> tuple[Pin, ...]:
    """The pins to keep: all but those that may move."""
    if upgrade is not None and not names:
        return ()
    return tuple(pin for pin in pins if pin.name not in names)


def _require_known(asked: tuple[str, ...], locks: list[Lock]) -> None:
    """Refuse to upgrade what no lock pins: it would do nothing, and say nothing.

    Raises:
        UsageError: naming the nearest that is pinned.
    """
    pinned = sorted({pin.name for one in locks for pin in one.pins})
    for name in asked:
        if locks and normalised(name) not in pinned:
            near = difflib.get_close_matches(normalised(name), pinned, n=1)
            meant = f"Did you mean {near[0]}? " if near else ""
            raise UsageError(
                f"{quote_name(name)} is in no lock of this profile, so it cannot be upgraded.",
                hint=f"{meant}Name packages that the lock pins, without a version; versions belong in the profile.",
            )


def outcome(old: Lock | None, new: Lock, path: str) -> VariantLock:
    """What became of a variant's lock, where it was `old` or there was none."""
    moved, rehashed = _compare(old.pins, new.pins) if old else ((), ())
    state = "new" if old is None else "kept" if old == new else "changed"
    header = new.header
    return VariantLock(
        header.variant, state, path, header.python, header.kernel, len(new.pins), moved, rehashed
    )


def _compare(old: tuple[Pin, ...], new: tuple[Pin, ...]) -> tuple[tuple[Move, ...], tuple[str, ...]]:
    """What moved, and what has the same version and other hashes; both by name."""
    before, after = ({pin.name: pin for pin in pins} for pins in (old, new))
    nothing = Pin("", "", ())
    moved, rehashed = [], []
    for name in sorted({*before, *after}):
        one, other = before.get(name, nothing), after.get(name, nothing)
        if one.version != other.version:
            moved.append(Move(name, one.version, other.version))
        elif one.hashes != other.hashes:
            rehashed.append(name)
    return tuple(moved), tuple(rehashed)
