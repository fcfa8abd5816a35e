"""Requirements that uv cannot parse are repaired as closely as possible."""

from __future__ import annotations

from email.message import Message

from colabenv._compat import tomllib
from colabenv.environment.installers.invalid_metadata import (
    RepairedMetadata,
    find_unparsable,
    format_uv_configuration,
    repair_metadata,
    repair_requirement,
)

OUTPUT = """
  hint: Metadata for `pandas` (v0.24.2) could not be parsed:
    after parsing `2011`, found `k`, which is not part of a valid version
    pytz (>=2011k)
          ^^^^^^^
  hint: Metadata for
  `ipykernel` (v6.0.0) could not be parsed:
  hint: Metadata for `pandas` (v0.24.2) could not be parsed:
"""


def test_requirements_are_repaired() -> None:
    cases = {
        "numpy (>=1.12.0)": "numpy>=1.12.0",
        "pytz (>=2011k)": "pytz>=2011",
        "pytz >= 2011k, != 2012c; python_version < '3'": 'pytz!=2012,>=2011; python_version < "3"',
        "matplotlib-inline (<0.2.0appnope,>=0.1.0) ; platform_system == 'Darwin'": (
            'matplotlib-inline<0.2.0,>=0.1.0; platform_system == "Darwin"'
        ),
        "torch[cuda] (>=1.*)": "torch[cuda]>=1",
        "name (latest)": "name",
        "name[extra] ~> 1": "name[extra]",
        "???": "",
    }
    assert {line: repair_requirement(line) for line in cases} == cases


def test_unparsable_releases_are_found_once() -> None:
    assert find_unparsable(OUTPUT) == (("pandas", "0.24.2"), ("ipykernel", "6.0.0"))
    assert find_unparsable("error: No solution found") == ()


def test_metadata_is_repaired_and_described() -> None:
    metadata = Message()
    metadata["Requires-Dist"] = "numpy (>=1.12.0)"
    metadata["Requires-Dist"] = "pytz (>=2011k)"
    metadata["Requires-Python"] = ">=2.7, !=3.0.*"
    repaired = repair_metadata("pandas", "0.24.2", metadata)
    assert repaired == RepairedMetadata(
        "pandas",
        "0.24.2",
        ("numpy>=1.12.0", "pytz>=2011"),
        ">=2.7, !=3.0.*",
        (("pytz (>=2011k)", "pytz>=2011"),),
    )
    assert repaired.describe() == (
        "pandas 0.24.2 declares requirements in an invalid format; colabenv uses pytz>=2011 for pytz (>=2011k)."
    )
    metadata.replace_header("Requires-Python", ">=3.x")
    assert repair_metadata("pandas", "0.24.2", metadata).requires_python == ""


def test_configuration_for_uv_is_toml() -> None:
    releases = [
        RepairedMetadata("pandas", "0.24.2", ("pytz>=2011", 'six; extra == "x"', ""), ">=3", ()),
        RepairedMetadata("six", "1", (), "", ()),
    ]
    assert tomllib.loads(format_uv_configuration(releases))["dependency-metadata"] == [
        {
            "name": "pandas",
            "version": "0.24.2",
            "requires-dist": ["pytz>=2011", 'six; extra == "x"'],
            "requires-python": ">=3",
        },
        {"name": "six", "version": "1", "requires-dist": []},
    ]
