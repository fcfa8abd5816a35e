"""Make a plan from a profile: the Python, the requirements and the variables of one variant. Pure."""

from __future__ import annotations

import functools
import sys
from dataclasses import dataclass

from colabenv.frameworks.as_of import PointInTime
from colabenv.frameworks.request import FrameworkRequest
from colabenv.frameworks.requirements import Requirements, choose_variant, derive_requirements
from colabenv.frameworks.runtimes import load_runtime
from colabenv.host.interpreters import minor_version
from colabenv.host.probe import Gpu
from colabenv.profile.load import LoadedProfile
from colabenv.profile.validators import parse_specifier


@dataclass(frozen=True)
class Plan:
    """Everything that decides what a lock contains.

    Attributes:
        name: name of the profile.
        requirements: the requirements of the frameworks and the profile's packages.
        google_colab: the profile's `kernel.google_colab`.
        source_builds: distributions that may be built from source.
        index_names: names of the profile's indexes; their URLs may contain secrets and differ between users.
        platform: uv's name of a platform, or "" for this machine's.
        as_of: the day whose releases are considered, or "".
        like: the Colab runtime whose versions are preferred, or "".
        shipped: (name, version) of that runtime's packages in this variant.
    """

    name: str
    requirements: Requirements
    google_colab: str
    source_builds: tuple[str, ...]
    index_names: tuple[str, ...]
    platform: str
    as_of: str = ""
    like: str = ""
    shipped: tuple[tuple[str, str], ...] = ()

    @property
    def variant(self) -> str:
        """The variant: "cpu" or "gpu"."""
        return self.requirements.variant

    @property
    def python_minor(self) -> str:
        """The minor Python to resolve for."""
        return minor_version(self.requirements.python)


def make_plan(loaded: LoadedProfile, variant: str, *, gpus: tuple[Gpu, ...] = (), platform: str = "") -> Plan:
    """Plan one variant of a profile.

    Args:
        loaded: the profile.
        variant: "cpu" or "gpu".
        gpus: the GPUs that it must run on; empty if the profile is only locked.
        platform: see `Plan`.

    Raises:
        UnsatisfiableError: the frameworks cannot work on the profile's Python or on those GPUs, or did not exist on the
            profile's day.
        ProfileError: `like` and `as_of` contradict each other.
    """
    profile = loaded.profile
    time = PointInTime(profile.as_of or "", load_runtime(profile.like) if profile.like else None, variant)
    requirements = _requirements_at(time, loaded, gpus)
    return Plan(
        name=profile.name,
        requirements=requirements,
        google_colab=profile.kernel.google_colab,
        source_builds=tuple(dict.fromkeys((*profile.source_builds, *requirements.from_source))),
        index_names=tuple(index.name for index in profile.indexes),
        platform=platform,
        as_of=profile.as_of or "",
        like=profile.like or "",
        shipped=time.shipped,
    )


def choose_supported_variant(loaded: LoadedProfile, requested: str, host: str) -> str:
    """Choose the variant to build, like `choose_variant`, but cpu if the frameworks can use no GPU.

    Args:
        loaded: the profile. If it demands a GPU, the variant stays gpu, which `make_plan` refuses.
        requested: the value of `--variant`.
        host: the variant for this machine.

    Raises:
        UsageError: the option contradicts the profile.
        UnsatisfiableError, ProfileError: see `make_plan`.
    """
    stack, verify = loaded.profile.stack, loaded.profile.verify
    variant = choose_variant(stack.accelerator, requested, host)
    if variant == "cpu" or "gpu" in (stack.accelerator, requested) or verify.gpu == "required":
        return variant
    return "cpu" if make_plan(loaded, "cpu").requirements.cpu_only else "gpu"


def _requirements_at(time: PointInTime, loaded: LoadedProfile, gpus: tuple[Gpu, ...]) -> Requirements:
    stack = loaded.profile.stack
    named = {"tensorflow": stack.tensorflow, "keras": stack.keras, "torch": stack.torch, "jax": stack.jax}
    specifiers = {name: parse_specifier(text) if text else None for name, text in named.items()}
    apply_rules = functools.partial(
        derive_requirements,
        lines=loaded.requirement_lines,
        variant=time.variant,
        default_python=time.default_python(f"{sys.version_info.major}.{sys.version_info.minor}"),
        gpus=gpus,
        table=time.table(),
    )
    request = FrameworkRequest(loaded.profile.python, **specifiers, backend=stack.backend)
    return time.requirements(request, apply_rules)
