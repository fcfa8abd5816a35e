"""pyproject.toml, environment.yml and requirements files."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from colabenv.errors import UsageError
from colabenv.importers.evidence import parse_requirements_file
from colabenv.importers.project_files import convert_poetry_version, read_conda_environment, read_pyproject

QUICK = settings(max_examples=150, deadline=None, database=None)


def test_pep_621_project() -> None:
    found = read_pyproject(
        '[project]\nname = "A"\nrequires-python = ">=3.9"\ndependencies = ["b>=1", "c @ git+https://x@h/c"]\n'
        '[project.optional-dependencies]\nplots = ["d"]\n[dependency-groups]\ntest = ["e", {include-group = "f"}]\n'
        '[[tool.uv.index]]\nurl = "https://host/simple"\n[tool.uv.sources]\nb = {git = "https://h/b"}\n',
        "pyproject.toml",
    )
    assert (found.name, [(one.kind, one.text) for one in found.targets]) == (
        "A",
        [("package", "b>=1"), ("address", "c @ git+https://***@h/c")],
    )
    assert [one.text for one in found.pythons] == [">=3.9"]
    assert found.indexes == ("https://host/simple",)
    assert found.remarks == (
        "Left out: the extra plots (d).",
        "Left out: the group test (e).",
        "b comes from the package index, not from where [tool.uv.sources] says.",
    )


def test_poetry_project() -> None:
    found = read_pyproject(
        '[tool.poetry]\nname = "a"\n[tool.poetry.dependencies]\npython = "^3.8"\nb = "^1.2"\n'
        'c = {version = "~2.1", extras = ["x"]}\nd = {git = "https://h/d"}\ne = {version = "*", optional = true}\n',
        "pyproject.toml",
    )
    assert [(one.kind, one.text) for one in found.targets] == [
        ("package", "b<2,>=1.2"),
        ("package", "c[x]<2.2,>=2.1"),
        ("address", "d from a URL or path"),
    ]
    assert [one.text for one in found.pythons] == [">=3.8,<4"]


@pytest.mark.parametrize(
    ("poetry", "pep440"),
    [
        ("^1.2.3", ">=1.2.3,<2"),
        ("^0.2.3", ">=0.2.3,<0.3"),
        ("^0.0.3", ">=0.0.3,<0.0.4"),
        ("^0", ">=0,<1"),
        ("~1.2", ">=1.2,<1.3"),
        ("~1", ">=1,<2"),
        ("1.2.*", "==1.2.*"),
        ("*", ""),
        (">=1.2, <3", ">=1.2,<3"),
    ],
)
def test_constraints_of_poetry(poetry: str, pep440: str) -> None:
    assert convert_poetry_version(poetry) == pep440


def test_dependencies_that_setuptools_reads() -> None:
    text = '[project]\nname="a"\ndynamic=["dependencies"]\n'
    file = '[tool.setuptools.dynamic]\ndependencies = {file = ["requirements.txt"]}'
    assert [(one.kind, one.text) for one in read_pyproject(text + file, "p").targets] == [
        ("file", "requirements.txt")
    ]
    assert "add them by hand" in read_pyproject(text, "p").remarks[0]


def test_conda_environment() -> None:
    found = read_conda_environment(
        "name: vision\nchannels: [pytorch, defaults]\ndependencies:\n- python=3.10\n- numpy=1.19.2=py38h54aff64_0\n"
        "- xz=5.2.5=h7b6447c_0\n- conda-forge::opencv\n- scipy>=1.5\n- h5py=2.10\n- pandas 1.2.*\n"
        "- pip:\n  - tqdm==4.62\n  - -e .\n",
        "environment.yml",
    )
    assert [(one.kind, one.text, one.tool) for one in found.targets] == [
        ("package", "numpy==1.19.2.*", "conda"),
        ("package", "xz==5.2.5.*", "conda-library"),
        ("package", "opencv", "conda"),
        ("package", "scipy>=1.5", "conda"),
        ("package", "h5py==2.10.*", "conda"),
        ("package", "pandas==1.2.*", "conda"),
        ("package", "tqdm==4.62", "pip"),
        ("folder", ".", "pip"),
    ]
    assert (found.name, [one.text for one in found.pythons]) == ("vision", ["3.10"])
    assert found.remarks == ("Packages come from the package index, not from conda's channels (pytorch).",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not a conda environment file"),
        ("dependencies: x", "not a conda environment file"),
        ("name: a\nstack: {tensorflow: 2.15}", "not a conda environment file"),
        ("a: [", "line 2: invalid YAML"),
        ("[" * 100_000, "too deeply nested"),
        ("a: &x 1\nb: *x", "has a YAML alias"),
        ("- a\n" * 60_000, "too large"),
    ],
)
def test_invalid_conda_environment(text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_conda_environment(text, "environment.yml")
    assert said in caught.value.message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no [project]"),
        ("[tool.black]", "has no [project]"),
        ("x = ", "is not valid TOML"),
        ("a=" + "[" * 9999, "is not valid TOML"),
    ],
)
def test_invalid_project_file(text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_pyproject(text, "pyproject.toml")
    assert said in caught.value.message


def test_a_requirements_file_with_everything() -> None:
    found = parse_requirements_file(
        "-r base.txt\n-c pins.txt\n--extra-index-url https://u:p@h/simple\n--no-binary=a,b\n# c\n"
        "a==1 \\\n  --hash=sha256:x\nb>=1 ; python_version < '3.9'  # why\n-e git+https://h/x#egg=x\n./wheels/x.whl\n"
        "d=>1\n"
    )
    assert [(one.kind, one.text, str(one.location)) for one in found.targets] == [
        ("file", "base.txt", "line 1"),
        ("constraints", "pins.txt", "line 2"),
        ("package", "a==1", "line 6"),
        ("package", 'b>=1; python_version < "3.9"', "line 8"),
        ("address", "git+https://h/x#egg=x", "line 9"),
        ("folder", "./wheels/x.whl", "line 10"),
        ("unreadable", "d=>1", "line 11"),
    ]
    assert (found.indexes, found.no_binary, found.hashes) == (["https://u:p@h/simple"], ["a", "b"], True)


@QUICK
@given(
    st.text(max_size=80)
    | st.lists(st.sampled_from(["-r", " ", "a", "==1", "\\\n", "\n", "'", ";", "-c", "--x="])).map("".join)
)
def test_any_text_can_be_a_requirements_file(text: str) -> None:
    assert all(one.requirement for one in parse_requirements_file(text).targets if one.kind == "package")


@QUICK
@given(
    st.recursive(
        st.sampled_from(["a", "a=1", "a=1=b", "pip", "::", "-e .", "x y z", "_"]),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["dependencies", "pip", "name", "channels"]), inner, max_size=3)
        ),
    )
)
def test_any_yaml_is_parsed_or_an_error(tree: object) -> None:
    import json

    try:
        read_conda_environment(json.dumps(tree), "e.yml")
    except UsageError as error:
        assert "e.yml" in error.message
