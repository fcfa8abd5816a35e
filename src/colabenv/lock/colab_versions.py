"""Resolve with the package versions of a Colab runtime, where the profile allows them."""

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
    request: ResolveRequest, profile_lines: tuple[str, ...], shipped: Shipped, like: str, resolver: Resolver
) -> tuple[Pin, ...]:
    """Resolve with the runtime's versions as constraints.

    The requirements take precedence over the runtime, and so do their dependencies: a TensorFlow of another line may
    need another protobuf. If the constraints conflict with them, some are left out: first those that the profile's
    requirements with a version exclude, then those that all requirements exclude.

    Args:
        request: what to resolve.
        profile_lines: the requirements of the profile; the others in the request are the kernel's.
        shipped: (name, version) of the runtime's packages.
        like: the runtime's name, for errors.
        resolver: the resolver to use.

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
    pinned_lines = tuple(line for line in profile_lines if Requirement(line).specifier)
    for lines in (pinned_lines, request.requirements):
        unconstrained = dataclasses.replace(request, requirements=lines, preferred=preferred)
        try:
            pins = resolver.resolve(unconstrained)
            excluded = {name for name, _, _ in find_differences(pins, shipped)}
            constraints = tuple((name, version) for name, version in constraints if name not in excluded)
            return resolve_with(constraints)
        except UnsatisfiableError:
            continue
    hint = (
        f"{conflict.hint} The profile keeps the versions of {like}. To use another version of a package, list it under "
        "`packages`."
    )
    raise UnsatisfiableError(conflict.message, hint=hint.strip(), detail=conflict.detail)


def find_compatible(shipped: Shipped, lines: Iterable[str]) -> Shipped:
    """The runtime's versions, without those that a requirement for the same package excludes."""
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
    """(name, version, the runtime's version) of the pins that differ from the runtime, without local versions."""
    versions = dict(shipped)
    return tuple(
        (pin.name, pin.version, versions[pin.name])
        for pin in pins
        if pin.name in versions and not is_same_version(pin.version.partition("+")[0], versions[pin.name])
    )
