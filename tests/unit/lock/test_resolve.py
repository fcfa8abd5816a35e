"""Resolving a plan: first with Colab's kernel, then with a plain kernel, and the reason for that."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from colabenv.errors import ColabenvError, InstallError, NetworkError, UnsatisfiableError
from colabenv.frameworks.plan import Plan
from colabenv.frameworks.requirements import Requirements
from colabenv.lock.kernel_packages import KernelPackages, list_kernels
from colabenv.lock.lockfile import Header, Lock, Pin
from colabenv.lock.resolve import compute_plan_digest, find_exempt, fits_plan, resolve_plan
from support.fake_installer import FakeInstaller

REQUIREMENTS = Requirements("3.11.7", "gpu", ("tensorflow==2.15.1", "pandas"), ("setuptools<81",))
PLAN = Plan("demo", REQUIREMENTS, "auto", ("cocotools",), ("team",), "x86_64-manylinux_2_35")
PINS = (Pin("pandas", "2.1.4", ("sha256:0a",)),)
OTHER = (Pin("pandas", "2.2.0", ("sha256:0b",)),)
TEAM = (("team", "https://bob:pw@host/simple"),)
COLAB, COLAB_WITH_ANY_WIDGETS, PLAIN, *_, LAST = list_kernels("auto", ())
CONFLICT = UnsatisfiableError("No set of versions.", hint="x", detail="Because ipykernel==6.17.1 …")


def resolve(
    installer: FakeInstaller, google_colab: str = "auto", preferred: tuple[Pin, ...] = ()
) -> tuple[Lock, str]:
    plan = dataclasses.replace(PLAN, google_colab=google_colab)
    return resolve_plan(plan, installer, Path("/usr/bin/python3.11"), TEAM, preferred)


def assert_resolved(installer: FakeInstaller, *kernels: KernelPackages) -> None:
    """Assert that these kernels were resolved with the profile, in this order."""
    assert [request.requirements for request in installer.requests] == [
        (*REQUIREMENTS.lines, *kernel.requirements) for kernel in kernels
    ]
    assert [request.constraints for request in installer.requests] == [
        ("setuptools<81", *kernel.constraints) for kernel in kernels
    ]


def test_colabs_kernel_is_tried_first() -> None:
    installer = FakeInstaller([PINS])
    lock, reason = resolve(installer)
    assert lock == Lock(
        Header("demo", compute_plan_digest(PLAN), "3.11", "gpu", "colab", "x86_64-manylinux_2_35"), PINS
    )
    assert reason == ""
    assert_resolved(installer, COLAB)
    (request,) = installer.requests
    assert (request.python, request.interpreter) == ("3.11", Path("/usr/bin/python3.11"))
    assert (request.source_builds, request.indexes) == (("cocotools",), TEAM)
    assert request.platform == "x86_64-manylinux_2_35"


def test_plain_kernel_is_used_if_colabs_conflicts() -> None:
    with_limits = UnsatisfiableError("No set.", detail="Because ipywidgets<8 …")
    installer = FakeInstaller([with_limits, OTHER, CONFLICT, PINS])
    lock, reason = resolve(installer)
    assert lock.header.kernel == "plain"
    assert lock.pins == PINS
    assert reason == CONFLICT.detail
    assert_resolved(installer, COLAB, LAST, COLAB_WITH_ANY_WIDGETS, PLAIN)


@pytest.mark.parametrize(
    ("google_colab", "answers", "kernel"),
    [
        ("on", [CONFLICT, PINS], "colab"),
        ("auto", [CONFLICT, OTHER, PINS], "colab"),
        ("auto", [CONFLICT, OTHER, CONFLICT, CONFLICT, PINS], "plain"),
        ("auto", [CONFLICT, PINS, CONFLICT, CONFLICT, CONFLICT, CONFLICT], "plain"),
        ("off", [CONFLICT, PINS], "plain"),
    ],
)
def test_profile_may_exclude_the_versions_for_plots_and_widgets(
    google_colab: str, answers: list[tuple[Pin, ...] | UnsatisfiableError], kernel: str
) -> None:
    installer = FakeInstaller(answers)
    lock, _ = resolve(installer, google_colab)
    assert (lock.header.kernel, lock.pins) == (kernel, PINS)
    request = installer.requests[answers.index(PINS)]
    names = {Requirement(line).name for line in request.constraints}
    assert not names & {"matplotlib-inline", "ipywidgets"}


def test_message_is_the_reason_if_a_conflict_has_no_details() -> None:
    conflict = UnsatisfiableError("No set.")
    assert resolve(FakeInstaller([conflict, OTHER, conflict, PINS]))[1] == "No set."


def test_conflict_is_an_error_if_google_colab_is_on() -> None:
    installer = FakeInstaller([CONFLICT, CONFLICT, PINS])
    with pytest.raises(UnsatisfiableError) as caught:
        resolve(installer, "on")
    assert caught.value is CONFLICT
    assert len(installer.requests) == 2


def test_colabs_kernel_is_not_tried_if_google_colab_is_off() -> None:
    installer = FakeInstaller([PINS])
    lock, reason = resolve(installer, "off")
    assert (lock.header.kernel, reason) == ("plain", "")
    assert_resolved(installer, list_kernels("off", ())[0])


def test_conflict_with_the_last_kernel_is_an_error_immediately() -> None:
    last_conflict = UnsatisfiableError("No set.", detail="Because pandas …")
    installer = FakeInstaller([CONFLICT, last_conflict, PINS])
    with pytest.raises(UnsatisfiableError) as caught:
        resolve(installer)
    assert caught.value is last_conflict
    assert_resolved(installer, COLAB, LAST)


def test_network_error_does_not_cause_a_plain_kernel() -> None:
    installer = FakeInstaller([NetworkError("No network."), PINS])
    with pytest.raises(NetworkError):
        resolve(installer)
    assert len(installer.requests) == 1


def test_pins_of_an_earlier_lock_are_preferred_in_all_requests() -> None:
    installer = FakeInstaller([CONFLICT, PINS])
    resolve(installer, preferred=OTHER)
    assert [request.preferred for request in installer.requests] == [OTHER] * 3


def changed_digest(**fields: Any) -> str:
    requirement_fields = {name: fields.pop(name) for name in list(fields) if hasattr(REQUIREMENTS, name)}
    plan = dataclasses.replace(
        PLAN, requirements=dataclasses.replace(REQUIREMENTS, **requirement_fields), **fields
    )
    return compute_plan_digest(plan)


def test_lock_fits_only_the_unchanged_plan() -> None:
    lock, _ = resolve(FakeInstaller([PINS]))
    assert fits_plan(lock, PLAN)
    assert not fits_plan(lock, dataclasses.replace(PLAN, google_colab="off"))
    digests = [
        changed_digest(lines=("tensorflow==2.15.0", "pandas")),
        changed_digest(constraints=()),
        changed_digest(python="3.10.1"),
        changed_digest(variant="cpu"),
        changed_digest(google_colab="on"),
        changed_digest(source_builds=()),
        changed_digest(index_names=()),
    ]
    assert len({compute_plan_digest(PLAN), *digests}) == 8


def test_unrelated_changes_keep_the_digest() -> None:
    digests = [
        changed_digest(lines=("pandas", "tensorflow==2.15.1")),
        changed_digest(python="3.11.9"),
        changed_digest(name="renamed"),
        changed_digest(platform=""),
        changed_digest(notes=("because",)),
    ]
    assert {compute_plan_digest(PLAN)} == set(digests)


def test_order_of_indexes_changes_the_digest() -> None:
    assert changed_digest(index_names=("a", "b")) != changed_digest(index_names=("b", "a"))


def test_as_of_and_like_change_the_digest_and_the_header() -> None:
    plan = dataclasses.replace(PLAN, as_of="2025-08-01", like="colab-2025.07", shipped=(("pandas", "2.2.2"),))
    digests = {
        compute_plan_digest(PLAN),
        compute_plan_digest(plan),
        changed_digest(as_of="2025-08-01"),
        changed_digest(like="colab-2025.07"),
    }
    assert len(digests) == 4
    installer = FakeInstaller([PINS])
    lock, _ = resolve_plan(plan, installer, Path("/usr/bin/python3.11"), TEAM)
    assert (lock.header.as_of, lock.header.like) == ("2025-08-01", "colab-2025.07")
    assert fits_plan(lock, plan)
    assert installer.requests[0].as_of == "2025-08-01"
    assert installer.requests[0].constraints == ("setuptools<81", *COLAB.constraints, "pandas==2.2.2")


def test_no_exemptions_without_as_of() -> None:
    assert find_exempt(PLAN) == ()


@pytest.mark.parametrize(
    ("python", "as_of", "day"),
    [
        ("3.10", "2022-01-01", "2023-02-28"),
        ("3.10", "2023-03-01", None),
        ("3.12.1", "2023-09-01", "2023-09-30"),
        ("3.13", "2024-10-08", "2024-10-31"),
        ("3.13", "2024-10-31", None),
    ],
)
def test_kernel_packages_are_exempt_from_as_of(python: str, as_of: str, day: str | None) -> None:
    requirements = dataclasses.replace(REQUIREMENTS, python=python)
    exempt = dict(find_exempt(dataclasses.replace(PLAN, requirements=requirements, as_of=as_of)))
    assert exempt.get("ipykernel") == day
    assert exempt.get("pip") == day
    assert not {"numpy", "pillow", "requests", "pandas"} & set(exempt)


def test_only_pinned_cuda_wheels_are_exempt() -> None:
    lines = ("tensorflow==2.10.1", "nvidia-cudnn-cu11==8.6.0.163", "nvidia-ml-py>=12", "pandas==2.0.0")
    requirements = dataclasses.replace(REQUIREMENTS, lines=lines)
    plan = dataclasses.replace(PLAN, requirements=requirements, as_of="2025-01-01", source_builds=())
    assert find_exempt(plan) == (("nvidia-cudnn-cu11", ""),)


@pytest.mark.parametrize(
    "error",
    [
        InstallError("a build failed"),
        UnsatisfiableError("none", detail="requirements from `build-system.requires`"),
    ],
    ids=["build fails", "no build tools"],
)
def test_failed_source_build_is_repeated_with_newer_tools(error: ColabenvError) -> None:
    plan = dataclasses.replace(PLAN, as_of="2025-01-01", source_builds=("gym",))
    installer = FakeInstaller([error, PINS])
    resolve_plan(plan, installer, Path("/usr/bin/python3.11"), TEAM)
    first, second = installer.requests
    assert second.exempt == (*first.exempt, ("setuptools", ""), ("wheel", ""))
    assert second.constraints == (*first.constraints, "setuptools<82")
    with pytest.raises(type(error)):
        resolve_plan(
            dataclasses.replace(plan, as_of=""), FakeInstaller([error]), Path("/usr/bin/python3.11"), TEAM
        )


def test_plain_kernel_is_used_if_colabs_conflicts_with_like() -> None:
    plan = dataclasses.replace(PLAN, like="colab-2025.07", shipped=(("pandas", "2.2.2"),))
    installer = FakeInstaller([*[CONFLICT] * 3, OTHER, *[CONFLICT] * 3, PINS])
    lock, reason = resolve_plan(plan, installer, Path("/usr/bin/python3.11"), TEAM)
    assert (lock.header.kernel, reason) == ("plain", CONFLICT.detail)
    assert installer.requests[7].constraints == ("setuptools<81", *PLAIN.constraints, "pandas==2.2.2")
