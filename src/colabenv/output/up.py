"""What `up` and `verify` return."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from colabenv.host.detect import detect_host_kind
from colabenv.output.environments import SwitchResult
from colabenv.output.results import Result, format_steps

if TYPE_CHECKING:
    from pathlib import Path

    from colabenv.kernel.candidate import KernelCandidate
    from colabenv.kernel.check import CheckReport
    from colabenv.lock.service import EnsuredLock


def list_frameworks(result: UpResult | VerifyResult) -> list[str]:
    """The frameworks that a check found, with their versions: "TensorFlow 2.18.1", "Keras 3.11.3 on jax"."""
    backend = f" on {result.backend}" if result.backend else ""
    versions = {
        "TensorFlow": result.tensorflow,
        "PyTorch": result.torch,
        "JAX": result.jax,
        "Keras": result.keras and f"{result.keras}{backend}",
    }
    return [f"{title} {version}" for title, version in versions.items() if version]


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


def _round_seconds(seconds: Mapping[str, float]) -> dict[str, float]:
    return {step: round(value, 3) for step, value in seconds.items()}


def _is_inside(environment: str, environ: Mapping[str, str]) -> bool:
    return environ.get("COLABENV_INSIDE", "") == environment


@dataclass(frozen=True)
class UpResult(Result):
    """What `up` did."""

    name: str
    action: str  #: "built", "registered" (built before, checked and registered now) or "unchanged"
    kernel_name: str
    display_name: str  #: of the kernel, in menus
    environment: str  #: its folder
    python: str  #: full version
    interpreter: str  #: path of the Python that the environment is built on
    variant: str
    lock: str  #: path of the lock
    kernelspec: str  #: path of the kernel.json
    #: "colab", "jupyter" or "terminal"; "attached" if the notebook continues in the environment by itself
    host: str
    kernel: str  #: "colab" or "plain"
    packages: int  #: number of installed distributions
    tensorflow: str = ""  #: version that the check found, or ""; likewise `keras`, `torch` and `jax`
    keras: str = ""
    tensorflow_from: str = ""  #: folder that TensorFlow was imported from, or ""
    devices: tuple[str, ...] = ()  #: TensorFlow's devices, and the GPUs that other frameworks see
    seconds: dict[str, float] = field(default_factory=dict)  #: by stage
    proof_seconds: dict[str, float] = field(default_factory=dict)  #: by step of the check
    notes: tuple[str, ...] = ()  #: sentences for the user
    switched_by: str = ""  #: path of the file that makes this the session's default kernel, or ""
    inside: bool = False  #: whether the notebook that ran `up` already runs in this environment
    torch: str = ""
    jax: str = ""
    backend: str = ""  #: what Keras 3 runs on, if the profile names it, or ""
    preload: tuple[str, ...] = ()  #: modules that the next kernel should have imported
    warming: bool = False  #: whether a background process is importing them now
    #: what the store provided, as data and, in `said`, as text; {} if nothing was installed, or there is no store
    store: dict[str, Any] = field(default_factory=dict)
    #: imports of the notebook that failed in a drafted environment: statement, module that was not found, error
    failed_imports: tuple[tuple[str, str, str], ...] = ()
    #: what `--push` uploaded, as data and, in `said`, as text, or its `trouble`; {} without it
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
        """The result of an `up` that ran all stages."""
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
            seconds=_round_seconds(seconds),
            proof_seconds=_round_seconds(report.seconds),
            inside=_is_inside(str(environment.prefix), environ),
            store=store,
            failed_imports=report.failed_imports,
            **_framework_fields(report),
        )

    @classmethod
    def unchanged(cls, fields: Mapping[str, Any], environ: Mapping[str, str]) -> UpResult:
        """The result of an earlier `up`, after which nothing has changed."""
        tuples = {
            name: tuple(fields.get(name, ())) for name in ("devices", "notes", "preload", "failed_imports")
        }
        session = {"host": detect_host_kind(environ), "inside": _is_inside(fields["environment"], environ)}
        return cls(**{**fields, **tuples, **session, "action": "unchanged"})

    def lines(self) -> list[str]:
        """At most ten lines, without the notes, which were shown during the run."""
        versions = ", ".join([f"Python {self.python}", *list_frameworks(self), self.variant])
        pushed = [f"  pushed  {self.pushed['said']}"] if "said" in self.pushed else []
        modules = ", ".join(self.preload)
        warm = [f"  warm    the next kernel starts with {modules} imported"] if self.warming else []
        if self.action == "unchanged":
            first = f"✓ {self.name} is ready: nothing has changed since the last check ({versions})."
            return [first, *pushed, *warm, *self._next_steps()]
        lines = [f"✓ {self.name} is ready: {versions}, {self.packages} packages."]
        if self.tensorflow_from:
            devices = ", ".join(self.devices) or "no device"
            lines.append(f"  TensorFlow from {self.tensorflow_from}, sees {devices}")
        else:
            lines.append(f"  in {self.environment}")
        lines.append(f"  lock    {self.lock}")
        lines += [f"  store   {self.store['said']}"] if self.store else []
        lines += pushed
        lines.append(f"  took    {sum(self.seconds.values()):.1f} s ({format_steps(self.seconds)})")
        lines.append(f"  check   {format_steps(self.proof_seconds)}")
        return [*lines, *warm, *self._next_steps()]

    def _next_steps(self) -> list[str]:
        if self.switched_by:
            return SwitchResult(self.name, self.environment, self.switched_by, self.host).lines()
        if self.host == "attached":
            return []
        if self.inside:
            return ["This notebook already runs in it."]
        if self.host == "colab":
            return [
                "To switch: Runtime > Change runtime type > Runtime type: "
                f"{self.display_name}. (If it is not listed yet, reload the page.)",
                f"A notebook whose metadata names the kernel {self.kernel_name} uses it after you reload the page.",
            ]
        if self.host == "jupyter":
            return [
                f"To switch: Kernel > Change Kernel… > {self.display_name}. (Reload the page if it is not listed.)"
            ]
        return [
            f"In Jupyter, select the kernel “{self.display_name}” ({self.kernel_name}); "
            f"in a terminal: colabenv run {self.name} -- python"
        ]


@dataclass(frozen=True)
class DryRunResult(Result):
    """What `up --dry-run` would do."""

    name: str
    variant: str
    python: str  #: version to build on
    interpreter: str  #: the Python to build on, and where it comes from
    kernel: str  #: "colab" or "plain"
    lock: str  #: path of the lock, which may not exist yet
    lock_state: str  #: "kept", "new" or "changed"
    pins: dict[str, str]  #: name and version of every package
    notes: tuple[str, ...] = ()  #: why choices were made

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
        pins = [f"  {name}=={version}" for name, version in self.pins.items()]
        return [
            f"Would build {self.name} ({self.variant}) on {self.interpreter}: {len(self.pins)} packages, "
            f"{self.kernel} kernel.",
            f"Lock: {self.lock} ({self.lock_state}). Nothing was written.",
            *pins,
        ]


@dataclass(frozen=True)
class VerifyResult(Result):
    """An environment that passed its check again. Attributes as of `UpResult`."""

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
        fields: dict[str, Any] = {
            "kernel_class": report.kernel_class,
            "python": report.python,
            "notes": notes,
        }
        seconds = _round_seconds(report.seconds)
        return cls(name, str(prefix), seconds=seconds, **fields, **_framework_fields(report))

    def lines(self) -> list[str]:
        """What works, and how long it took."""
        versions = ", ".join([f"Python {self.python}", *list_frameworks(self)])
        lines = [f"✓ {self.name} works: {versions}, kernel {self.kernel_class}."]
        if self.tensorflow_from:
            lines.append(
                f"  TensorFlow from {self.tensorflow_from}, sees {', '.join(self.devices) or 'no device'}"
            )
        return [*lines, f"  took    {format_steps(self.seconds)}"]
