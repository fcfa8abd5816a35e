"""Frameworks that cannot be in one environment, and a Keras that does not run on its backend: what to say. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

from packaging.version import Version

from colabenv.errors import UnsatisfiableError
from colabenv.frameworks import combinations
from colabenv.frameworks.combinations import Clash, FrameworkRelease
from colabenv.frameworks.facts import TITLES, Table, TorchOrJaxRelease
from colabenv.frameworks.refusals import format_lines, format_span

_Wanted = Mapping[str, tuple[FrameworkRelease, ...]]


def explain_conflict(wanted: _Wanted, variant: str, python: str | None, table: Table) -> UnsatisfiableError:
    """No releases of the frameworks that the profile admits agree.

    Args:
        wanted: framework to its candidates, the one to prefer first.
        variant: "cpu" or "gpu".
        python: the profile's minor, or None.
        table: the facts.
    """
    one, other = _culprits(wanted, python)
    why = combinations.find_clash(one, other, python) or Clash()
    return UnsatisfiableError(_reason(one, other, why, variant), hint=_hint(one, other, variant, table))


def _culprits(wanted: _Wanted, python: str | None) -> tuple[FrameworkRelease, FrameworkRelease]:
    """The newest of two frameworks of which no candidates agree.

    Where it takes all of them to disagree, the first two whose newest do.
    """
    pairs = list(itertools.combinations(wanted.values(), 2))
    for ones, others in pairs:
        if all(combinations.find_clash(one, other, python) for one in ones for other in others):
            return ones[0], others[0]
    newest = [(ones[0], others[0]) for ones, others in pairs]
    return next((pair for pair in newest if combinations.find_clash(*pair, python)), newest[0])


def _reason(one: FrameworkRelease, other: FrameworkRelease, why: Clash, variant: str) -> str:
    if not why.one:
        return (
            f"{one.title} has wheels for Python {format_span(one.pythons)}, and {other.title} for "
            f"{format_span(other.pythons)}: no Python has both."
        )
    where = " on a GPU" if variant == "gpu" else ""
    return (
        f"{one.title} and {other.title} do not go together{where}: {one.title} needs {why.one}, and {other.title} "
        f"needs {why.other}."
    )


def _hint(one: FrameworkRelease, other: FrameworkRelease, variant: str, table: Table) -> str:
    said = []
    for kept, changed in ((one, other), (other, one)):
        fitting = combinations.find_compatible(kept, variant, changed.framework, table)
        if fitting:
            said.append(f"{kept.title} goes with {TITLES[changed.framework]} {format_lines(fitting)}.")
    if not said:
        nearest = _nearest(one, other, variant, table)
        said += (
            [f"The nearest that go together: {nearest[0].title} with {nearest[1].title}."] if nearest else []
        )
    if variant == "gpu" and _agree_on_cpu(one, other, table):
        said.append("Without the GPU these two go together: accelerator: cpu.")
    return " ".join(said) or "Give each an environment of its own: a profile each."


def _nearest(
    one: FrameworkRelease, other: FrameworkRelease, variant: str, table: Table
) -> tuple[FrameworkRelease, FrameworkRelease] | None:
    """The pair that agrees and is the fewest minor lines away."""
    pools = [
        _last_of_lines(combinations.list_all(member.framework, variant, table)) for member in (one, other)
    ]
    places = [
        sum(Version(found.line) < Version(member.line) for found in pool)
        for pool, member in zip(pools, (one, other), strict=True)
    ]
    pairs = sorted(
        itertools.product(*(range(len(pool)) for pool in pools)),
        key=lambda at: (abs(at[0] - places[0]) + abs(at[1] - places[1]), -at[0], -at[1]),
    )
    for first, second in pairs:
        if combinations.find_clash(pools[0][first], pools[1][second]) is None:
            return pools[0][first], pools[1][second]
    return None


def _last_of_lines(members: list[FrameworkRelease]) -> list[FrameworkRelease]:
    """One release of each minor line, the newest, as it is preferably installed."""
    return list({member.line: member for member in reversed(members)}.values())[::-1]


def _agree_on_cpu(one: FrameworkRelease, other: FrameworkRelease, table: Table) -> bool:
    on_cpu = [
        [
            found
            for found in combinations.list_all(member.framework, "cpu", table)
            if found.version == member.version
        ]
        for member in (one, other)
    ]
    return all(on_cpu) and combinations.find_clash(on_cpu[0][0], on_cpu[1][0]) is None


def explain_missing_gpu_wheels(release: TorchOrJaxRelease, table: Table) -> UnsatisfiableError:
    """A release has no wheels for a GPU on the package index."""
    title = TITLES[release.framework]
    having = [other for other in table.others(release.framework) if other.cuda]
    return UnsatisfiableError(
        f"{title} {release.version} has no wheels for a GPU on the package index.",
        hint=f'Set {release.framework}: ">={having[0].version}", or work without the GPU: accelerator: cpu.',
    )


def explain_keras_alone(keras: str) -> UnsatisfiableError:
    """Keras is asked for, and nothing that it runs on."""
    return UnsatisfiableError(
        f"keras{keras} needs a framework to run on, and the profile has none.",
        hint="Add tensorflow, torch or jax to the stack; or backend: jax, and the JAX that fits comes along.",
    )


def explain_ambiguous_backend(keras: str) -> UnsatisfiableError:
    """Keras stands beside two frameworks, and nothing says on which it runs."""
    return UnsatisfiableError(
        f"The profile asks for keras{keras}, PyTorch and JAX, and does not say which of the two Keras runs on.",
        hint="Add backend: torch or backend: jax to the stack.",
    )


def explain_keras_2_backend(keras: str, backend: str) -> UnsatisfiableError:
    """Keras 2 is asked for with a backend."""
    return UnsatisfiableError(
        f"keras{keras} is Keras 2, which runs on TensorFlow alone, and the profile asks for the backend {backend}.",
        hint='Set keras: "3" or a release of it, or take backend out of the stack.',
    )


def explain_tensorflow_keras_2(line: str, backend: str) -> UnsatisfiableError:
    """A TensorFlow with Keras 2 is asked for with a backend."""
    return UnsatisfiableError(
        f"TensorFlow {line} brings Keras 2, which runs on TensorFlow alone, and the profile asks for the backend "
        f"{backend}.",
        hint="Take backend out of the stack, or set a TensorFlow from 2.16 on, which brings Keras 3.",
    )


def explain_backend_mismatch(
    keras: str, release: TorchOrJaxRelease, wanted: str, reasons: list[str]
) -> UnsatisfiableError:
    """Keras does not run on the release of its backend that the profile asks for.

    Args:
        keras: the release of Keras.
        release: the newest that the profile admits.
        wanted: the specifier of releases on which that Keras runs.
        reasons: what happens on others, where that was measured.
    """
    title = TITLES[release.framework]
    because = f" ({reasons[0]})" if reasons else ""
    return UnsatisfiableError(
        f"Keras {keras} does not run on {title} {release.version}{because}.",
        hint=f"It runs on {release.framework}{wanted}: change {release.framework} in the stack, or take another Keras.",
    )
