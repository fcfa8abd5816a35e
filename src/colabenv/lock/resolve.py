"""From requirements to a lock."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from colabenv.errors import UnsatisfiableError
from colabenv.lock.model import Header, Lock, Pin, digest_of
from colabenv.stack.rules import Requirements

#: What a kernel of class `google.colab._kernel.Kernel` needs, in the versions that class takes. ipywidgets 7 is the
#: generation whose models Colab's page draws.
COLAB_KERNEL = (
    "ipykernel==6.17.1",
    "ipython==7.34.0",
    "ipython-genutils",
    "ipywidgets>=7.7.1,<8",
    "anywidget",
    "google-auth",
    "httplib2",
    "numpy",
    "packaging",
    "pexpect",
    "pillow",
    "portpicker",
    "psutil",
    "requests",
    "tornado",
)
#: ipywidgets 7 drags a notebook server along; this is the last line without JupyterLab behind it. jupyter_client 7
#: is what Colab pairs with that ipykernel.
COLAB_KERNEL_CONSTRAINTS = ("notebook<6.5", "jupyter-client<8")
PLAIN_KERNEL = ("ipykernel>=6.17",)
#: In every environment, so that `!pip` means it.
ALWAYS = ("pip",)


@dataclass(frozen=True)
class Question:
    """What a resolver is asked.

    Attributes:
        requirements: PEP 508 lines.
        constraints: PEP 508 lines.
        python: minor Python, such as "3.11".
        interpreter: an executable of that Python.
        platform: uv's name of a platform, or "" for this machine's.
        source_builds: distributions that may be built from source; all others are wheels.
        indexes: (name, URL) of further indexes, credentials included.
        preferred: pins to keep where they still fit.
    """

    requirements: tuple[str, ...]
    constraints: tuple[str, ...]
    python: str
    interpreter: Path
    platform: str
    source_builds: tuple[str, ...]
    indexes: tuple[tuple[str, str], ...]
    preferred: tuple[Pin, ...] = ()


class Resolver(Protocol):
    """Turns requirements into exact pins."""

    def resolve(self, question: Question) -> tuple[Pin, ...]:
        """The pins, sorted.

        Raises:
            UnsatisfiableError: no versions satisfy it.
            NetworkError: the index could not be reached.
        """
        ...


@dataclass(frozen=True)
class Plan:
    """All that decides what a lock holds.

    Attributes:
        name: of the profile.
        requirements: from the stack's rules.
        google_colab: the profile's `kernel.google_colab`.
        source_builds: see `Question`.
        index_names: names of the profile's indexes; their URLs may hold secrets and differ between people.
        platform: see `Question`.
    """

    name: str
    requirements: Requirements
    google_colab: str
    source_builds: tuple[str, ...]
    index_names: tuple[str, ...]
    platform: str

    @property
    def python_minor(self) -> str:
        """Minor Python to resolve for."""
        return ".".join(self.requirements.python.split(".")[:2])

    @property
    def digest(self) -> str:
        """What a lock has to agree with to fit. Display names, variables and the proof do not count."""
        return digest_of(
            {
                "requirements": sorted(self.requirements.lines),
                "constraints": sorted(self.requirements.constraints),
                "python": self.python_minor,
                "variant": self.requirements.variant,
                "google_colab": self.google_colab,
                "source_builds": sorted(self.source_builds),
                "indexes": list(self.index_names),
            }
        )


def fits(lock: Lock, plan: Plan) -> bool:
    """Whether a lock was made for this plan."""
    return lock.header.digest == plan.digest and lock.header.variant == plan.requirements.variant


def resolve(
    plan: Plan,
    resolver: Resolver,
    interpreter: Path,
    indexes: tuple[tuple[str, str], ...],
    preferred: tuple[Pin, ...] = (),
) -> tuple[Lock, str]:
    """Resolve a plan together with what the kernel needs.

    Args:
        plan: what to resolve.
        resolver: does it.
        interpreter: an executable of the plan's Python.
        indexes: (name, URL) of the profile's indexes, with credentials.
        preferred: pins of an earlier lock, kept where they fit, so that a lock changes as little as it can.

    Returns:
        The lock, and why its kernel is a plain one although the profile did not ask for that, or "".

    Raises:
        UnsatisfiableError: no versions satisfy the profile, with any kernel it admits.
        NetworkError: the index could not be reached.
    """

    def ask(kernel: tuple[str, ...], constraints: tuple[str, ...]) -> tuple[Pin, ...]:
        return resolver.resolve(
            Question(
                requirements=(*plan.requirements.lines, *kernel, *ALWAYS),
                constraints=(*plan.requirements.constraints, *constraints),
                python=plan.python_minor,
                interpreter=interpreter,
                platform=plan.platform,
                source_builds=plan.source_builds,
                indexes=indexes,
                preferred=preferred,
            )
        )

    def locked(kernel: str, pins: tuple[Pin, ...]) -> Lock:
        requirements = plan.requirements
        return Lock(
            Header(plan.name, plan.digest, plan.python_minor, requirements.variant, kernel, plan.platform),
            pins,
        )

    if plan.google_colab == "off":
        return locked("plain", ask(PLAIN_KERNEL, ())), ""
    try:
        return locked("colab", ask(COLAB_KERNEL, COLAB_KERNEL_CONSTRAINTS)), ""
    except UnsatisfiableError as conflict:
        if plan.google_colab == "on":
            raise
        # If the profile alone cannot be satisfied either, that is the error to show.
        pins = ask(PLAIN_KERNEL, ())
        return locked("plain", pins), conflict.detail or conflict.message
