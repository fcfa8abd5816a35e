"""What an environment contains for its kernel."""

from __future__ import annotations

import pytest
from packaging.requirements import Requirement

from colabenv.lock.kernel_packages import KERNEL_PARTS, list_kernels


def allows(line: str, lines: tuple[str, ...]) -> bool:
    """Whether a pin, "name==version", satisfies every line about that package."""
    pin = Requirement(line)
    (version,) = (specifier.version for specifier in pin.specifier)
    return all(
        requirement.specifier.contains(version)
        for requirement in map(Requirement, lines)
        if requirement.name == pin.name
    )


@pytest.mark.parametrize("google_colab", ["auto", "on", "off"])
def test_the_best_kernel_of_each_kind_comes_first(google_colab: str) -> None:
    kernels = list_kernels(google_colab, ())
    kinds = {"auto": ["colab"] * 2 + ["plain"] * 4, "on": ["colab"] * 2, "off": ["plain"] * 2}
    assert [kernel.kernel for kernel in kernels] == kinds[google_colab]
    for first in range(0, len(kernels), 2):
        preferred, relaxed = kernels[first : first + 2]
        assert preferred.requirements == relaxed.requirements
        assert set(preferred.constraints) > set(relaxed.constraints)


def test_kernels_fit_what_the_page_shows() -> None:
    # (pin, google_colab): whether the best kernel allows it, and whether any does
    cases = {
        ("matplotlib-inline==0.1.7", "auto"): (True, True),
        ("matplotlib-inline==0.2.2", "auto"): (False, True),
        ("matplotlib-inline==0.2.2", "off"): (False, True),
        ("ipython==9.15.0", "off"): (True, True),
        ("ipython==9.16.0", "off"): (False, True),
        ("ipywidgets==7.7.1", "auto"): (True, True),
        ("ipywidgets==8.1.9", "auto"): (False, True),
        ("ipywidgets==8.1.9", "off"): (True, True),
        ("ipykernel==6.16.2", "off"): (True, True),
        ("ipykernel==6.16.2", "on"): (False, False),
        ("ipykernel==5.5.6", "auto"): (False, False),
    }
    results = {}
    for pin, google_colab in cases:
        kernels = list_kernels(google_colab, ())
        allowed = [allows(pin, (*kernel.requirements, *kernel.constraints)) for kernel in kernels]
        results[pin, google_colab] = (allowed[0], any(allowed))
    assert results == cases


def test_only_what_the_profile_names_gives_way() -> None:
    pins = ("matplotlib-inline==0.2.2", "ipywidgets==8.1.9")
    for line, expected in {
        "Matplotlib_Inline>=0.2": [True, False],
        "ipywidgets": [False, True],
        "matplotlib": [True, True],
    }.items():
        relaxed = list_kernels("on", (line,))[-1]
        allowed = [allows(pin, (*relaxed.requirements, *relaxed.constraints)) for pin in pins]
        assert allowed == expected, line


def test_plot_and_widget_packages_are_parts_of_the_kernel() -> None:
    assert {"matplotlib-inline", "ipywidgets", "ipykernel", "pip"} <= set(KERNEL_PARTS)
