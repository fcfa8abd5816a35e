"""Resolve a plan to a lock."""

from __future__ import annotations

import re
from pathlib import Path

from colabenv.errors import UnsatisfiableError
from colabenv.frameworks.plan import Plan
from colabenv.lock import colab_versions
from colabenv.lock.lockfile import Header, Lock, Pin, compute_digest
from colabenv.lock.request import Resolver, ResolveRequest

#: What a kernel of class `google.colab._kernel.Kernel` needs, in the versions that it works with. ipywidgets 7 is the
#: generation that Colab's page can render.
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
#: ipywidgets 7 needs a notebook server; 6.4 is its last line without JupyterLab. jupyter_client 7 is what Colab
#: installs with that ipykernel.
COLAB_KERNEL_CONSTRAINTS = ("notebook<6.5", "jupyter-client<8")
PLAIN_KERNEL = ("ipykernel>=6.17",)
#: In every environment, so that `!pip` uses it.
ALWAYS_INSTALLED = ("pip",)
#: What the kernel needs and no notebook requests. With `as_of`, these may be newer than the day, up to `KERNEL_DAYS`:
#: ipykernel 6.17.1, for example, was released in November 2022.
KERNEL_PARTS = (
    *("ipykernel", "ipython", "ipython-genutils", "jedi", "traitlets", "matplotlib-inline"),
    *("comm", "debugpy", "jupyter-client", "jupyter-core", "pyzmq", "tornado", "nest-asyncio"),
    *("psutil", "portpicker", "pip", "ipywidgets", "widgetsnbextension", "jupyterlab-widgets"),
    *("anywidget", "psygnal", "notebook", "nbformat", "nbconvert", "nbclient", "terminado"),
    *("prometheus-client", "argon2-cffi", "argon2-cffi-bindings"),
)
#: Minor Python to the first day on which all of these have wheels for it, Colab's kernel included: tried month by
#: month against the package index in November 2026.
KERNEL_DAYS = {"3.12": "2023-09-30", "3.13": "2024-10-31"}
KERNEL_DAY = "2023-01-31"
_CUDA_PIN = re.compile(r"(nvidia-[a-z0-9-]+)==")


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
    day = KERNEL_DAYS.get(plan.python_minor, KERNEL_DAY)
    kernel = [(name, day) for name in KERNEL_PARTS] if plan.as_of < day else []
    pins = [match[1] for line in plan.requirements.lines if (match := _CUDA_PIN.match(line))]
    return (*kernel, *((name, "") for name in pins))


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

    def resolve_with(kernel: tuple[str, ...], constraints: tuple[str, ...]) -> tuple[Pin, ...]:
        request = ResolveRequest(
            requirements=(*plan.requirements.lines, *kernel, *ALWAYS_INSTALLED),
            constraints=(*plan.requirements.constraints, *constraints),
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
        return resolver.resolve(request)

    def make_lock(kernel: str, pins: tuple[Pin, ...]) -> Lock:
        header = Header(
            profile=plan.name,
            digest=compute_plan_digest(plan),
            python=plan.python_minor,
            variant=plan.variant,
            kernel=kernel,
            platform=plan.platform,
            as_of=plan.as_of,
            like=plan.like,
        )
        return Lock(header, pins)

    if plan.google_colab == "off":
        return make_lock("plain", resolve_with(PLAIN_KERNEL, ())), ""
    try:
        return make_lock("colab", resolve_with(COLAB_KERNEL, COLAB_KERNEL_CONSTRAINTS)), ""
    except UnsatisfiableError as conflict:
        if plan.google_colab == "on":
            raise
        # If this fails too, the profile itself is the problem, and its error is shown.
        pins = resolve_with(PLAIN_KERNEL, ())
        return make_lock("plain", pins), conflict.detail or conflict.message
