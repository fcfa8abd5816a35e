"""Errors for requests that `as_of` makes impossible. The resolver's output is that of uv 0.13.9."""

from __future__ import annotations

from colabenv.environment.as_of_errors import explain_as_of, find_too_new, find_without_wheels
from colabenv.environment.installer_errors import classify_error
from colabenv.errors import UnsatisfiableError

HEAD = "error: No solution found when resolving dependencies\n  cause: Because of this and that, no.\n\n"
CUTOFF = "was filtered by `exclude-newer` to only include packages uploaded before 2023-04-03T00:00:00Z. "
ADVICE = "Consider using `exclude-newer-package` to override the cutoff for this package.\n"


def classify_output(output: str) -> UnsatisfiableError:
    error = classify_error("resolving the profile", output)
    assert isinstance(error, UnsatisfiableError)
    return explain_as_of(error, output, "2023-04-02")


def test_requested_version_was_released_later() -> None:
    hint = f"hint: `pandas` {CUTOFF}The requested version, v2.2.0, was published at 2024-01-20T02:10:54.053Z. {ADVICE}"
    error = classify_output(HEAD + hint)
    assert error.message == "pandas 2.2.0 came out on 2024-01-20, after as_of: 2023-04-02."
    assert "set as_of to 2024-01-20" in error.hint
    assert "Because of this and that" in error.detail
    assert "exclude-newer" not in error.detail


def test_no_version_in_the_range_was_released_yet() -> None:
    hint = f"hint: `numpy` {CUTOFF}The latest version satisfying the requirement is v2.5.5, published at "
    error = classify_output(f"{HEAD}{hint}2026-11-15T21:30:10Z. {ADVICE}")
    assert error.message == "As of 2023-04-02, no version of numpy satisfied the requirements."
    assert "2026-11-15, when 2.5.5 came out" in error.hint


def test_package_had_no_wheel_yet() -> None:
    wheels = "hint: Wheels are required for `wrapt` because building from source is disabled for all\n packages\n\n"
    hint = f"hint: `wrapt` {CUTOFF}The latest version satisfying the requirement is v1.14.2, published at "
    error = classify_output(f"{HEAD}{wheels}{hint}2025-08-12T05:51:44Z. {ADVICE}")
    assert error.message.startswith("As of 2023-04-02, wrapt had no wheel")
    assert "source_builds: [wrapt]" in error.hint
    assert "older Python" in error.hint


def test_index_without_upload_times() -> None:
    error = classify_output(
        f"{HEAD}hint: `six` {CUTOFF}The latest version satisfying the requirement is v1.16.0. {ADVICE}"
    )
    assert error.message.startswith("The index of six does not report upload times")
    assert "PEP 700" in error.message


def test_uv_hint_after_a_long_explanation_is_found() -> None:
    hint = f"hint: `pandas` {CUTOFF}The requested version, v2.2.0, was published at 2024-01-20T02:10:54.053Z. {ADVICE}"
    assert "pandas 2.2.0" in classify_output(HEAD + "         And because.\n" * 60 + hint).message


def test_hint_of_other_conflicts_names_the_date() -> None:
    error = classify_output(HEAD)
    assert error.message.startswith("No versions satisfy the profile")
    assert "as_of: 2023-04-02" in error.hint


def test_packages_without_wheels_are_found_in_the_output() -> None:
    output = """\
  × No solution found when resolving dependencies:
  hint: Wheels are required for `termcolor` because building from source is disabled for all
  packages (i.e., with `--no-build`)
"""
    assert find_without_wheels(output) == ("termcolor",)
    assert find_without_wheels("nothing") == ()


def test_packages_whose_later_releases_would_do_are_found_in_the_output() -> None:
    output = (
        "hint: `pillow` was filtered by `exclude-newer` to only include packages uploaded before 2019-06-20. The "
        "latest version, v9.5.0, was published at 2023-04-01T00:00:00Z. Consider using it"
    )
    assert find_too_new(output) == ("pillow",)
    assert find_too_new(output.replace("latest", "requested")) == ()
