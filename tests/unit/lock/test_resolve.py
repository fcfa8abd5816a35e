"""Resolving: with what google.colab needs first, with a plain kernel where that does not go, and why."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from colabenv.errors import NetworkError, UnsatisfiableError
from colabenv.frameworks.plan import Plan
from colabenv.frameworks.requirements import Requirements
from colabenv.lock.lockfile import Header, Lock, Pin
from colabenv.lock.resolve import (
    ALWAYS_INSTALLED,
    COLAB_KERNEL,
    COLAB_KERNEL_CONSTRAINTS,
    PLAIN_KERNEL,
    compute_plan_digest,
    find_exempt,
    fits_plan,
    resolve_plan,
)
from support.fake_installer import FakeInstaller

WANTED = Requirements("3.11.7", "gpu", ("tensorflow==2.15.1", "pandas"), ("setuptools<81",))
PLAN = Plan("demo", WANTED, "auto", ("cocotools",), ("team",), "x86_64-manylinux_2_35")
PINS = (Pin("pandas", "2.1.4", ("sha256:0a",)),)
OTHER = (Pin("pandas", "2.2.0", ("sha256:0b",)),)
TEAM = (("team", "https://bob:pw@host/simple"),)
CONFLICT = UnsatisfiableError("No set of versions.", hint="x", detail="Because ipykernel==6.17.1 …")


def ask(
    installer: FakeInstaller, google_colab: str = "auto", preferred: tuple[Pin, ...] = ()
) -> tuple[Lock, str]:
    plan = dataclasses.replace(PLAN, google_colab=google_colab)
    return resolve_plan(plan, installer, Path("/usr/bin/python3.11"), TEAM, preferred)


def test_colabs_kernel_is_tried_first_and_taken() -> None:
    installer = FakeInstaller([PINS])
    lock, why = ask(installer)
    assert lock == Lock(
        Header("demo", compute_plan_digest(PLAN), "3.11", "gpu", "colab", "x86_64-manylinux_2_35"), PINS
    )
    assert why == ""
    (question,) = installer.questions
    assert question.requirements == (*WANTED.lines, *COLAB_KERNEL, *ALWAYS_INSTALLED)
    assert question.constraints == ("setuptools<81", *COLAB_KERNEL_CONSTRAINTS)
    assert (question.python, question.interpreter) == ("3.11", Path("/usr/bin/python3.11"))
    assert (question.source_builds, question.indexes) == (("cocotools",), TEAM)
    assert question.platform == "x86_64-manylinux_2_35"


def test_plain_kernel_is_used_if_colabs_conflicts() -> None:
    installer = FakeInstaller([CONFLICT, PINS])
    lock, why = ask(installer)
    assert lock.header.kernel == "plain"
    assert lock.pins == PINS
    assert why == CONFLICT.detail
    assert installer.questions[1].requirements == (*WANTED.lines, *PLAIN_KERNEL, *ALWAYS_INSTALLED)
    assert installer.questions[1].constraints == ("setuptools<81",)


def test_conflict_without_details_has_a_reason() -> None:
    assert ask(FakeInstaller([UnsatisfiableError("No set."), PINS]))[1] == "No set."


def test_conflict_is_an_error_if_google_colab_is_on() -> None:
    installer = FakeInstaller([CONFLICT, PINS])
    with pytest.raises(UnsatisfiableError) as caught:
        ask(installer, "on")
    assert caught.value is CONFLICT
    assert len(installer.questions) == 1


def test_colabs_kernel_is_not_tried_if_google_colab_is_off() -> None:
    installer = FakeInstaller([PINS])
    lock, why = ask(installer, "off")
    assert (lock.header.kernel, why) == ("plain", "")
    assert [question.requirements for question in installer.questions] == [
        (*WANTED.lines, *PLAIN_KERNEL, *ALWAYS_INSTALLED)
    ]


def test_a_profile_that_cannot_be_satisfied_at_all_shows_its_own_conflict() -> None:
    own = UnsatisfiableError("No set.", detail="Because pandas …")
    with pytest.raises(UnsatisfiableError) as caught:
        ask(FakeInstaller([CONFLICT, own]))
    assert caught.value is own


def test_network_error_does_not_cause_a_plain_kernel() -> None:
    installer = FakeInstaller([NetworkError("No network."), PINS])
    with pytest.raises(NetworkError):
        ask(installer)
    assert len(installer.questions) == 1


def test_pins_of_an_earlier_lock_are_preferred_in_both_requests() -> None:
    installer = FakeInstaller([CONFLICT, PINS])
    ask(installer, preferred=OTHER)
    assert [question.preferred for question in installer.questions] == [OTHER, OTHER]


def changed(**fields: Any) -> str:
    inner = {name: fields.pop(name) for name in list(fields) if hasattr(WANTED, name)}
    plan = dataclasses.replace(PLAN, requirements=dataclasses.replace(WANTED, **inner), **fields)
    return compute_plan_digest(plan)


def test_lock_fits_an_unchanged_plan() -> None:
    lock, _ = ask(FakeInstaller([PINS]))
    assert fits_plan(lock, PLAN)
    assert not fits_plan(lock, dataclasses.replace(PLAN, google_colab="off"))
    others = [
        changed(lines=("tensorflow==2.15.0", "pandas")),
        changed(constraints=()),
        changed(python="3.10.1"),
        changed(variant="cpu"),
        changed(google_colab="on"),
        changed(source_builds=()),
        changed(index_names=()),
    ]
    assert len({compute_plan_digest(PLAN), *others}) == 8


def test_unrelated_changes_keep_the_digest() -> None:
    same = [
        changed(lines=("pandas", "tensorflow==2.15.1")),
        changed(python="3.11.9"),
        changed(name="renamed"),
        changed(platform=""),
        changed(notes=("because",)),
    ]
    assert {compute_plan_digest(PLAN)} == set(same)


def test_order_of_indexes_changes_the_digest() -> None:
    assert changed(index_names=("a", "b")) != changed(index_names=("b", "a"))


@pytest.mark.parametrize("text", [*COLAB_KERNEL, *COLAB_KERNEL_CONSTRAINTS, *PLAIN_KERNEL, *ALWAYS_INSTALLED])
def test_kernel_requirements_are_pep_508(text: str) -> None:
    Requirement(text)


def test_as_of_and_like_change_the_digest_and_the_header() -> None:
    plan = dataclasses.replace(PLAN, as_of="2025-08-01", like="colab-2025.07", shipped=(("pandas", "2.2.2"),))
    assert (
        len(
            {
                compute_plan_digest(PLAN),
                compute_plan_digest(plan),
                changed(as_of="2025-08-01"),
                changed(like="colab-2025.07"),
            }
        )
        == 4
    )
    installer = FakeInstaller([PINS])
    lock, _ = resolve_plan(plan, installer, Path("/usr/bin/python3.11"), TEAM)
    assert (lock.header.as_of, lock.header.like) == ("2025-08-01", "colab-2025.07")
    assert fits_plan(lock, plan)
    assert installer.questions[0].as_of == "2025-08-01"
    assert installer.questions[0].constraints == ("setuptools<81", *COLAB_KERNEL_CONSTRAINTS, "pandas==2.2.2")


def test_no_exemptions_without_as_of() -> None:
    assert find_exempt(PLAN) == ()


@pytest.mark.parametrize(
    ("python", "as_of", "day"),
    [
        ("3.10", "2022-01-01", "2023-01-31"),
        ("3.10", "2023-02-01", None),
        ("3.12.1", "2023-09-01", "2023-09-30"),
        ("3.13", "2024-10-08", "2024-10-31"),
        ("3.13", "2024-10-31", None),
    ],
)
def test_kernel_packages_are_exempt_from_as_of(python: str, as_of: str, day: str | None) -> None:
    wanted = dataclasses.replace(WANTED, python=python)
    found = dict(find_exempt(dataclasses.replace(PLAN, requirements=wanted, as_of=as_of)))
    assert found.get("ipykernel") == day
    assert found.get("pip") == day
    assert not {"numpy", "pillow", "requests", "pandas"} & set(found)


def test_only_pinned_cuda_wheels_are_exempt() -> None:
    lines = ("tensorflow==2.10.1", "nvidia-cudnn-cu11==8.6.0.163", "nvidia-ml-py>=12", "pandas==2.0.0")
    wanted = dataclasses.replace(WANTED, lines=lines)
    plan = dataclasses.replace(PLAN, requirements=wanted, as_of="2025-01-01")
    assert find_exempt(plan) == (("nvidia-cudnn-cu11", ""),)


def test_plain_kernel_is_used_with_like() -> None:
    plan = dataclasses.replace(PLAN, like="colab-2025.07", shipped=(("pandas", "2.2.2"),))
    installer = FakeInstaller([CONFLICT, CONFLICT, CONFLICT, PINS])
    lock, why = resolve_plan(plan, installer, Path("/usr/bin/python3.11"), TEAM)
    assert (lock.header.kernel, why) == ("plain", CONFLICT.detail)
    assert installer.questions[3].constraints == ("setuptools<81", "pandas==2.2.2")
