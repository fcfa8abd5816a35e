"""Resolving with the versions that a Colab runtime shipped, where the profile leaves room for them."""

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
    request: ResolveRequest, own: tuple[str, ...], shipped: Shipped, like: str, resolver: Resolver
) -> tuple[Pin, ...]:
    """Resolve with the runtime's versions as constraints.

    The requirements themselves win over the runtime. Where their dependencies do as well, because a TensorFlow of
    another line needs another protobuf, the constraints that stand in the way are left out: first those that the
    profile's lines with a version exclude, then those that all lines exclude.

    Args:
        request: what to resolve.
        own: those of its requirements that are the profile's; the others are the kernel's.
        shipped: (name, version) of the runtime.
        like: its name, for errors.
        resolver: resolves.

    Raises:
        UnsatisfiableError: no versions satisfy it.
        NetworkError: the index could not be reached.
    """

    def resolve_with(constraints: Shipped) -> tuple[Pin, ...]:
        limits = (*request.constraints, *(f"{name}=={version}" for name, version in constraints))
        return resolver.resolve(dataclasses.replace(request, constraints=limits))

    constraints = find_compatible(shipped, (*request.requirements, *request.constraints))
    try:
        return resolve_with(constraints)
    except UnsatisfiableError as error:
        conflict = error
    preferred = tuple(Pin(name, version, ()) for name, version in shipped)
    for lines in (tuple(line for line in own if Requirement(line).specifier), request.requirements):
        loose = dataclasses.replace(request, requirements=lines, preferred=preferred)
        try:
            excluded = {name for name, _, _ in find_differences(resolver.resolve(loose), shipped)}
            constraints = tuple(item for item in constraints if item[0] not in excluded)
            return resolve_with(constraints)
        except UnsatisfiableError:
            continue
    hint = (
        f"{conflict.hint} The profile keeps the versions of {like}: to use another version of a package, name it in "
        "`packages`."
    )
    raise UnsatisfiableError(conflict.message, hint=hint.strip(), detail=conflict.detail)


def find_compatible(shipped: Shipped, lines: Iterable[str]) -> Shipped:
    """What a runtime shipped, without the versions that the lines exclude by themselves."""
    ranges: dict[str, list[Requirement]] = {}
    for requirement in map(Requirement, lines):
        ranges.setdefault(canonicalize_name(requirement.name), []).append(requirement)
    return tuple(
        (name, version)
        for name, version in shipped
        if all(
            requirement.specifier.contains(version, prereleases=True) for requirement in ranges.get(name, ())
        )
    )


def find_differences(pins: Iterable[Pin], shipped: Shipped) -> tuple[tuple[str, str, str], ...]:
    """(name, version, version shipped) of the pins that differ from the runtime's, local labels aside."""
    versions = dict(shipped)
    return tuple(
        (pin.name, pin.version, versions[pin.name])
        for pin in pins
        if pin.name in versions and not is_same_version(pin.version.partition("+")[0], versions[pin.name])
    )
