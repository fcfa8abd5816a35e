"""Resolving so that what a Colab runtime shipped has the version it shipped."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from colabenv.errors import UnsatisfiableError
from colabenv.lock.lockfile import Pin, is_same_version
from colabenv.lock.request import Resolver, ResolveRequest

Shipped = tuple[tuple[str, str], ...]


def resolve_like(
    question: ResolveRequest, own: tuple[str, ...], shipped: Shipped, like: str, resolver: Resolver
) -> tuple[Pin, ...]:
    """Answer a question with the runtime's versions as constraints.

    What the question itself asks for wins over the runtime. Where its dependencies do as well, because a TensorFlow of
    another line needs another protobuf, the constraints that stand in the way are found and left out: first those that
    the profile's lines with a version rule out, then those that all lines do.

    Args:
        question: what to resolve.
        own: those of its requirements that are the profile's; the others are the kernel's.
        shipped: (name, version) of the runtime.
        like: its name, for errors.
        resolver: does it.

    Returns:
        The pins; `find_differences` says which are not the runtime's.

    Raises:
        UnsatisfiableError: no versions satisfy it.
        NetworkError: the index could not be reached.
    """
    held = find_compatible(shipped, (*question.requirements, *question.constraints))
    try:
        return resolver.resolve(_holding(question, held))
    except UnsatisfiableError as conflict:
        first = conflict
    versioned = tuple(line for line in own if Requirement(line).specifier)
    for lines in (versioned, question.requirements):
        asked = dataclasses.replace(question, requirements=lines, preferred=tuple(_pins(shipped)))
        try:
            moved = {name for name, _, _ in find_differences(resolver.resolve(asked), shipped)}
            held = tuple((name, version) for name, version in held if name not in moved)
            return resolver.resolve(_holding(question, held))
        except UnsatisfiableError:
            continue
    hint = f"{first.hint} What {like} shipped is held to: to have another version of a package, name it in `packages`."
    raise UnsatisfiableError(first.message, hint=hint.strip(), detail=first.detail)


def find_compatible(shipped: Shipped, lines: Iterable[str]) -> Shipped:
    """What a runtime shipped, without those whose version the lines rule out by themselves."""
    ruled: dict[str, list[Requirement]] = {}
    for line in map(Requirement, lines):
        ruled.setdefault(canonicalize_name(line.name), []).append(line)
    return tuple(
        (name, version)
        for name, version in shipped
        if all(line.specifier.contains(version, prereleases=True) for line in ruled.get(name, ()))
    )


def find_differences(pins: Iterable[Pin], shipped: Shipped) -> tuple[tuple[str, str, str], ...]:
    """(name, version, version shipped) of the pins that the runtime had at another version; local labels aside."""
    had = dict(shipped)
    return tuple(
        (pin.name, pin.version, had[pin.name])
        for pin in pins
        if pin.name in had and not is_same_version(pin.version.partition("+")[0], had[pin.name])
    )


def _holding(question: ResolveRequest, held: Shipped) -> ResolveRequest:
    limits = (*question.constraints, *(f"{name}=={version}" for name, version in held))
    return dataclasses.replace(question, constraints=limits)


def _pins(shipped: Shipped) -> Iterable[Pin]:
    return (Pin(name, version, ()) for name, version in shipped)
