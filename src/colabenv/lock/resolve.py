"""Resolve a plan to a lock."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from colabenv.errors import InstallError, UnsatisfiableError
from colabenv.frameworks.companions import WITH_PKG_RESOURCES
from colabenv.frameworks.plan import Plan
from colabenv.lock import colab_versions, kernel_packages
from colabenv.lock.kernel_packages import KernelPackages
from colabenv.lock.lockfile import Header, Lock, Pin, compute_digest
from colabenv.lock.request import Resolver, ResolveRequest

_CUDA_PIN = re.compile(r"(nvidia-[a-z0-9-]+)==")
#: What builds a package from source. Old releases do not run on every Python.
_BUILD_TOOLS = (("setuptools", ""), ("wheel", ""))


def compute_plan_digest(plan: Plan) -> str:
    """The digest of a lock that fits a plan. Display names, variables and the check do not count."""
    times = {"as_of": plan.as_of, "like": plan.like}
    return compute_digest(
        {
            "requirements": sorted(plan.requirements.lines),
            "constraints": sorted(plan.requirements.constraints),
            "python": plan.python_minor,
            "variant": plan.variant,
            "google_colab": plan.google_colab,
            "source_builds": sorted(plan.source_builds),
            "indexes": list(plan.index_names),
            # Keys that a profile does not set do not change its digest, so that older locks still fit.
            **{name: value for name, value in times.items() if value},
        }
    )


def fits_plan(lock: Lock, plan: Plan) -> bool:
    """Whether a lock was made for this plan."""
    return lock.header.digest == compute_plan_digest(plan) and lock.header.variant == plan.variant


def find_exempt(plan: Plan) -> tuple[tuple[str, str], ...]:
    """The `ResolveRequest.exempt` of a plan; empty if it has no day.

    Exempt are the kernel's parts and the pinned CUDA wheels: TensorFlow before 2.14 has no CUDA extra, and the wheels
    that replace it were uploaded after those releases.
    """
    if not plan.as_of:
        return ()
    day = kernel_packages.find_day(plan.python_minor)
    kernel = [(name, day) for name in kernel_packages.KERNEL_PARTS] if plan.as_of < day else []
    pins = [match[1] for line in plan.requirements.lines if (match := _CUDA_PIN.match(line))]
    return tuple({**dict(kernel), **dict.fromkeys(pins, "")}.items())


def resolve_plan(
    plan: Plan,
    resolver: Resolver,
    interpreter: Path,
    indexes: tuple[tuple[str, str], ...],
    preferred: tuple[Pin, ...] = (),
) -> tuple[Lock, str]:
    """Resolve a plan together with what the kernel needs.

    Args:
        plan: what to resolve.
        resolver: the resolver to use.
        interpreter: an executable of the plan's Python.
        indexes: (name, URL) of the profile's indexes, with credentials.
        preferred: pins of an earlier lock, which are kept if they fit, so that a lock changes as little as possible.

    Returns:
        The lock, and why its kernel is a plain one although the profile does not request that, or "".

    Raises:
        UnsatisfiableError: no versions satisfy the profile with any kernel that it allows.
        NetworkError: the index could not be reached.
    """

    def resolve_with(kernel: KernelPackages) -> tuple[Pin, ...]:
        request = ResolveRequest(
            requirements=(*plan.requirements.lines, *kernel.requirements),
            constraints=(*plan.requirements.constraints, *kernel.constraints),
            python=plan.python_minor,
            interpreter=interpreter,
            platform=plan.platform,
            source_builds=plan.source_builds,
            indexes=indexes,
            preferred=preferred,
            as_of=plan.as_of,
            exempt=find_exempt(plan),
        )
        if plan.like:
            return colab_versions.resolve_like(
                request, plan.requirements.lines, plan.shipped, plan.like, resolver
            )
        try:
            return resolver.resolve(request)
        except (InstallError, UnsatisfiableError) as error:
            is_build = isinstance(error, InstallError) or "build-system.requires" in error.detail
            if not (is_build and plan.as_of and plan.source_builds):
                raise
        # A package could not be built with the tools of that day. The environment's own setuptools is then newer, too.
        constraints = (*request.constraints, WITH_PKG_RESOURCES)
        return resolver.resolve(
            replace(request, exempt=(*request.exempt, *_BUILD_TOOLS), constraints=constraints)
        )

    def make_lock(kernel: KernelPackages, pins: tuple[Pin, ...]) -> tuple[Lock, str]:
        header = Header(
            profile=plan.name,
            digest=compute_plan_digest(plan),
            python=plan.python_minor,
            variant=plan.variant,
            kernel=kernel.kernel,
            platform=plan.platform,
            as_of=plan.as_of,
            like=plan.like,
        )
        excluded = conflicts.get("colab") if kernel.kernel == "plain" else None
        return Lock(header, pins), excluded.detail or excluded.message if excluded else ""

    conflicts: dict[str, UnsatisfiableError] = {}
    *kernels, last = kernel_packages.list_kernels(plan.google_colab, plan.requirements.lines)
    fallback: tuple[Pin, ...] = ()
    for kernel in kernels:
        try:
            return make_lock(kernel, resolve_with(kernel))
        except UnsatisfiableError as conflict:
            conflicts[kernel.kernel] = conflict
        # The last kernel requires the least. If it conflicts too, the profile itself is the problem.
        fallback = fallback or resolve_with(last)
    return make_lock(last, fallback)
