"""What commands return: plain data that `report` shows as text or JSON. Loads nothing heavy."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from colabenv.host.detect import detect_host_kind

if TYPE_CHECKING:
    from pathlib import Path

    from colabenv.kernel.candidate import KernelCandidate
    from colabenv.kernel.check import CheckReport
    from colabenv.lock.service import EnsuredLock


class Result:
    """What every command returns.

    Attributes:
        exit_code: 0 unless a subclass says otherwise.
    """

    exit_code = 0

    def as_dict(self) -> dict[str, Any]:
        """The result as `--json` prints it."""
        return asdict(self)  # type: ignore[call-overload,no-any-return]

    def lines(self) -> list[str]:
        """The result for people, a line each; the first says how it went."""
        raise NotImplementedError

    def table(self) -> tuple[list[str], list[list[str]]] | None:
        """Column titles and rows to show above the lines, or None."""
        return None

    def _ipython_display_(self) -> None:
        """At the end of a cell show nothing: all of it has been shown already."""


def stack_of(result: UpResult | VerifyResult) -> list[str]:
    """The frameworks that a proof saw, with their versions: "TensorFlow 2.18.1", "Keras 3.11.3 on jax"."""
    on = f" on {result.backend}" if result.backend else ""
    parts = {
        "TensorFlow ": result.tensorflow,
        "PyTorch ": result.torch,
        "JAX ": result.jax,
        "Keras ": result.keras and f"{result.keras}{on}",
    }
    return [title + version for title, version in parts.items() if version]


def _framework_fields(report: CheckReport) -> dict[str, Any]:
    """The fields that the results of `up` and `verify` share."""
    return {
        "tensorflow": report.tensorflow,
        "keras": report.keras,
        "torch": report.torch,
        "jax": report.jax,
        "backend": report.backend,
        "tensorflow_from": os.path.dirname(report.origins.get("tensorflow", "")),  # noqa: PTH120 - "" stays ""
        "devices": report.devices,
    }


def _rounded(seconds: Mapping[str, float]) -> dict[str, float]:
    return {step: round(value, 3) for step, value in seconds.items()}


def _is_inside(environment: str, environ: Mapping[str, str]) -> bool:
    return environ.get("COLABENV_INSIDE", "") == environment


@dataclass(frozen=True)
class UpResult(Result):
    """What `up` did.

    Attributes:
        name: of the profile.
        action: "built", "published" (the environment was there already) or "unchanged".
        kernel_name: name of the registered kernel.
        display_name: what menus show for it.
        environment: folder.
        python: full version.
        interpreter: what the environment is built on.
        variant: "cpu" or "gpu".
        lock: path of the lock.
        kernelspec: path of the kernel.json.
        host: "colab", "jupyter" or "terminal"; "attached" where the notebook goes on in it without a switch.
        kernel: "colab" or "plain".
        packages: how many distributions are installed.
        tensorflow: version the proof saw, or "".
        keras: likewise.
        torch: likewise.
        jax: likewise.
        backend: what Keras 3 runs on where that was said, or "".
        preload: modules that the next kernel is to have imported.
        store: what came from the store, and how it is said; {} where nothing was installed or there is no store.
        pushed: what `--push` kept in the store, and how it is said, or its trouble; {} without it.
        warming: whether a process in the background is importing them now.
        tensorflow_from: the file TensorFlow was loaded from, or "".
        devices: TensorFlow's devices, and the GPUs that others see.
        seconds: by stage.
        proof_seconds: by step of the proof.
        notes: what the person should know.
        switched_by: the file that makes this the session's default kernel, or "".
        inside: whether the notebook that asked runs in this environment already.
    """

    name: str
    action: str
    kernel_name: str
    display_name: str
    environment: str
    python: str
    interpreter: str
    variant: str
    lock: str
    kernelspec: str
    host: str
    kernel: str
    packages: int
    tensorflow: str = ""
    keras: str = ""
    tensorflow_from: str = ""
    devices: tuple[str, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)
    proof_seconds: dict[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    switched_by: str = ""
    inside: bool = False
    torch: str = ""
    jax: str = ""
    backend: str = ""
    preload: tuple[str, ...] = ()
    warming: bool = False
    store: dict[str, Any] = field(default_factory=dict)
    pushed: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def built(
        cls,
        candidate: KernelCandidate,
        report: CheckReport,
        locked: EnsuredLock,
        kernelspec: Path,
        host: str,
        seconds: dict[str, float],
        store: dict[str, Any],
        environ: Mapping[str, str],
    ) -> UpResult:
        """The result of an `up` that went through all stages."""
        environment = candidate.environment
        stamp = environment.stamp
        return cls(
            name=stamp.name,
            action="built",
            kernel_name=kernelspec.parent.name,
            display_name=candidate.display_name,
            environment=str(environment.prefix),
            python=stamp.python,
            interpreter=str(locked.interpreter.path),
            variant=stamp.variant,
            lock=str(locked.path),
            kernelspec=str(kernelspec),
            host=host,
            kernel="colab" if report.kernel_class.startswith("google.colab.") else "plain",
            packages=stamp.packages,
            seconds=_rounded(seconds),
            proof_seconds=_rounded(report.seconds),
            inside=_is_inside(str(environment.prefix), environ),
            store=store,
            **_framework_fields(report),
        )

    @classmethod
    def unchanged(cls, fields: Mapping[str, Any], environ: Mapping[str, str]) -> UpResult:
        """The result of an earlier `up`, after which nothing has changed."""
        tuples = {name: tuple(fields[name]) for name in ("devices", "notes", "preload")}
        now = {"host": detect_host_kind(environ), "inside": _is_inside(fields["environment"], environ)}
        return cls(**{**fields, **tuples, **now, "action": "unchanged"})

    def lines(self) -> list[str]:
        """At most ten lines; notes were shown while it ran."""
        if self.action == "unchanged":
            return [
                f"✓ {self.name} is ready: nothing has changed since it was last proven ({self._what()}).",
                *self._pushed(),
                *self._warm(),
                *self._switch(),
            ]
        verb = "is built and proven" if self.action == "built" else "is proven"
        lines = [f"✓ {self.name} {verb}: {self._what()}, {self.packages} packages."]
        if self.tensorflow_from:
            seen = ", ".join(self.devices) or "no device"
            lines.append(f"  TensorFlow from {self.tensorflow_from}, sees {seen}")
        else:
            lines.append(f"  in {self.environment}")
        lines.append(f"  lock    {self.lock}")
        lines += [f"  store   {self.store['said']}"] if self.store else []
        lines += self._pushed()
        timed = [f"{name} {value:.1f} s" for name, value in self.seconds.items() if value >= 0.05]
        lines.append(f"  took    {sum(self.seconds.values()):.1f} s ({', '.join(timed)})")
        steps = [f"{name} {value:.1f} s" for name, value in self.proof_seconds.items() if value >= 0.05]
        lines.append(f"  proof   {', '.join(steps)}")
        return [*lines, *self._warm(), *self._switch()]

    def _pushed(self) -> list[str]:
        return [f"  pushed  {self.pushed['said']}"] if "said" in self.pushed else []

    def _warm(self) -> list[str]:
        if not self.warming:
            return []
        return [f"  warm    the next kernel to start will have imported {', '.join(self.preload)}"]

    def _what(self) -> str:
        return ", ".join([f"Python {self.python}", *stack_of(self), self.variant])

    def _switch(self) -> list[str]:
        if self.switched_by:
            return SwitchResult(self.name, self.environment, self.switched_by, self.host).lines()
        if self.host == "attached":
            return []
        if self.inside:
            return ["This notebook runs in it already."]
        if self.host == "colab":
            return [
                "To switch: Runtime > Change runtime type > Runtime type: "
                f"{self.display_name}. (If it is not listed yet, reload the page first.)",
                f"A notebook whose metadata names the kernel {self.kernel_name} gets it after a page reload.",
            ]
        if self.host == "jupyter":
            return [
                f"To switch: Kernel > Change Kernel… > {self.display_name}. (Reload the page if it is not listed.)"
            ]
        return [
            f"In Jupyter pick the kernel “{self.display_name}” ({self.kernel_name}); "
            f"here: colabenv run {self.name} -- python"
        ]


@dataclass(frozen=True)
class DryRunResult(Result):
    """What `up --dry-run` would do.

    Attributes:
        name: of the profile.
        variant: "cpu" or "gpu".
        python: version it would build on.
        interpreter: its path and why.
        kernel: "colab" or "plain".
        lock: where the lock lies or would be written.
        lock_state: "kept", "new" or "changed".
        pins: name and version of every package.
        notes: why choices were made.
    """

    name: str
    variant: str
    python: str
    interpreter: str
    kernel: str
    lock: str
    lock_state: str
    pins: dict[str, str]
    notes: tuple[str, ...] = ()

    @classmethod
    def planned(cls, locked: EnsuredLock, notes: tuple[str, ...]) -> DryRunResult:
        """What `up` would do with a lock."""
        lock, python = locked.lock, locked.interpreter
        return cls(
            name=lock.header.profile,
            variant=lock.header.variant,
            python=python.version,
            interpreter=f"Python {python.version} ({python.origin})",
            kernel=lock.header.kernel,
            lock=str(locked.path),
            lock_state=locked.state,
            pins={pin.name: pin.version for pin in lock.pins},
            notes=notes,
        )

    def lines(self) -> list[str]:
        """The plan and the packages."""
        names = [f"  {name}=={version}" for name, version in self.pins.items()]
        return [
            f"Would build {self.name} ({self.variant}) on {self.interpreter}: {len(self.pins)} packages, "
            f"{self.kernel} kernel.",
            f"Lock: {self.lock} ({self.lock_state}; nothing was written).",
            *names,
        ]


@dataclass(frozen=True)
class CheckResult(Result):
    """A profile that is valid.

    Attributes:
        name: of the profile.
        source: path of the file.
        python: what it names or what the rules pick.
        requirements: what would be resolved, PEP 508.
        files: files it consists of.
        notes: why choices were made.
    """

    name: str
    source: str
    python: str
    requirements: tuple[str, ...]
    files: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """One line, then what it asks for."""
        return [
            f"✓ {self.source} is a valid profile: {self.name}, Python {self.python}.",
            *(f"  {line}" for line in self.requirements),
            "Checked offline; whether the versions go together is found by: colabenv up --dry-run",
        ]


@dataclass(frozen=True)
class StatusRow:
    """One environment.

    Attributes:
        name: of the profile.
        digest: of the environment.
        state: "ready" (its kernel is registered), "older" (another one's is), "unpublished" or "broken" (no stamp).
        python: version, or "".
        variant: "cpu", "gpu" or "".
        packages: how many, 0 where unknown.
        bytes: disk it takes; files shared with the download cache count here too.
        built: ISO date and time, or "".
        environment: folder.
        kernel_name: its kernel's name.
        warm: what waits to be its next kernel, for people, or "".
    """

    name: str
    digest: str
    state: str
    python: str
    variant: str
    packages: int
    bytes: int
    built: str
    environment: str
    kernel_name: str
    warm: str = ""


@dataclass(frozen=True)
class StatusResult(Result):
    """What there is.

    Attributes:
        home: COLABENV_HOME.
        host: "colab", "jupyter" or "terminal".
        free_bytes: free disk there.
        gpus: names.
        environments: a row each.
        orphans: registered kernels whose environment is gone.
    """

    home: str
    host: str
    free_bytes: int
    gpus: tuple[str, ...]
    environments: tuple[StatusRow, ...]
    orphans: tuple[str, ...] = ()

    def table(self) -> tuple[list[str], list[list[str]]] | None:
        """A row an environment."""
        if not self.environments:
            return None
        rows = [
            [
                row.name,
                row.state,
                row.python,
                row.variant,
                str(row.packages),
                f"{row.bytes / 1e9:.2f} GB",
                row.built,
            ]
            for row in self.environments
        ]
        return ["name", "state", "python", "variant", "packages", "size", "built"], rows

    def lines(self) -> list[str]:
        """What is amiss, then the machine."""
        lines = [] if self.environments else ["No environments yet. Build one with: colabenv up PROFILE"]
        lines += [
            f"The kernel of {name} is registered, but its environment is gone: colabenv down {name}"
            for name in self.orphans
        ]
        lines += [f"{row.name}: {row.warm}" for row in self.environments if row.warm]
        gpus = ", ".join(self.gpus) or "no GPU"
        lines.append(f"Kept in {self.home} ({self.free_bytes / 1e9:.1f} GB free); {self.host}, {gpus}.")
        return lines


@dataclass(frozen=True)
class DownResult(Result):
    """What `down` removed.

    Attributes:
        name: of the profile.
        removed: folders and files.
        freed_bytes: disk they took.
    """

    name: str
    removed: tuple[str, ...]
    freed_bytes: int

    def lines(self) -> list[str]:
        """What is gone, and that a running notebook is not."""
        return [
            f"✓ {self.name} is removed ({self.freed_bytes / 1e9:.2f} GB); profile and lock are untouched.",
            *(f"  {path}" for path in self.removed),
        ]


@dataclass(frozen=True)
class VerifyResult(Result):
    """An environment that passed its proof again. Attributes as of `UpResult`."""

    name: str
    environment: str
    kernel_class: str
    python: str
    tensorflow: str
    keras: str
    tensorflow_from: str
    devices: tuple[str, ...]
    seconds: dict[str, float]
    notes: tuple[str, ...] = ()
    torch: str = ""
    jax: str = ""
    backend: str = ""

    @classmethod
    def checked(cls, name: str, prefix: Path, report: CheckReport, notes: tuple[str, ...]) -> VerifyResult:
        """The result of a check."""
        own: dict[str, Any] = {"kernel_class": report.kernel_class, "python": report.python, "notes": notes}
        seconds = _rounded(report.seconds)
        return cls(name, str(prefix), seconds=seconds, **own, **_framework_fields(report))

    def lines(self) -> list[str]:
        """What held."""
        steps = ", ".join(f"{name} {value:.1f} s" for name, value in self.seconds.items())
        stack = ", ".join([f"Python {self.python}", *stack_of(self)])
        lines = [f"✓ {self.name} works: {stack}, kernel {self.kernel_class}."]
        if self.tensorflow_from:
            lines.append(
                f"  TensorFlow from {self.tensorflow_from}, sees {', '.join(self.devices) or 'no device'}"
            )
        return [*lines, f"  took    {steps}"]


@dataclass(frozen=True)
class SwitchResult(Result):
    """What the session's default kernel will be from its next start on.

    Attributes:
        name: of the environment; "" for Colab's own.
        environment: its folder, or "".
        file: the one file outside COLABENV_HOME that was added, or removed where `name` is "".
        host: "colab", "jupyter" or "terminal".
    """

    name: str
    environment: str
    file: str
    host: str

    def lines(self) -> list[str]:
        """What to do now, and what was added."""
        restart = "Runtime > Restart session" if self.host == "colab" else "Kernel > Restart"
        if not self.name:
            if not self.file:
                return ["✓ The default kernel is the machine's own; nothing was switched."]
            return [
                f"✓ After {restart} the default kernel is the machine's own again ({self.file} is removed)."
            ]
        return [
            f"✓ After {restart} the default kernel runs in {self.name}, and after every restart from then on.",
            f"  added   {self.file} (all there is outside COLABENV_HOME; nothing of the base was changed)",
            "  back    colabenv switch --base, then restart; if the environment breaks, that happens by itself",
        ]
