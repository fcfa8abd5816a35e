"""Every draft is written as a valid profile with the same content."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from colabenv.frameworks.facts import load_table
from colabenv.importers.cells import CellLocation
from colabenv.importers.draft import Draft, DraftValue, clean_comment, quote_yaml, render_starter_profile
from colabenv.importers.evidence import Evidence, PythonEvidence, read_notebook_evidence
from colabenv.importers.inference import infer_profile
from colabenv.importers.install_commands import InstallTarget, classify_target
from colabenv.importers.notebook import Cell, Notebook
from colabenv.importers.outputs import RunDay, SeenVersion
from colabenv.profile import diagnostics, document
from colabenv.profile.model import Profile

QUICK = settings(max_examples=60, deadline=None, database=None)
#: Text that a file can contain: no lone surrogates, which YAML and JSON do not allow, and no NUL.
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
NAMES = st.sampled_from(
    [
        "numpy",
        "pandas",
        "tensorflow",
        "keras",
        "torch",
        "opencv",
        "sklearn",
        "x",
        "pip",
        "wget",
        "tf-nightly",
        "jax",
    ]
)
VERSIONS = st.sampled_from(
    ["", "==1.0", "==2.15", "==2.4.1", ">=2,<3", "~=1.2", "==1.19.5", "!=2", "<2", "==2.99"]
)
MARKERS = st.sampled_from(
    ["", "; python_version < '3.9'", '; extra == "\\""', "[a,b]", " @ file:///x", " @ git+https://h/x"]
)
TARGETS = st.builds(
    lambda text, tool, cell: InstallTarget(*classify_target(text, tool), CellLocation(cell, 1), tool),
    st.builds("".join, st.tuples(NAMES, VERSIONS, MARKERS)) | TEXT,
    st.sampled_from(["pip", "conda", "conda-library", "uv"]),
    st.integers(0, 3),
)
EVIDENCE = st.builds(
    Evidence,
    source=TEXT,
    name=TEXT,
    targets=st.lists(TARGETS, max_size=6).map(tuple),
    constraints=st.lists(TARGETS.filter(lambda target: target.kind == "package"), max_size=2).map(tuple),
    seen=st.lists(
        st.builds(
            SeenVersion,
            NAMES,
            st.sampled_from(["2.15.0", "1.19.5", "1.15", "2.1.0"]),
            st.just(CellLocation(1, 1)),
            st.just("installed"),
        ),
        max_size=3,
    ).map(tuple),
    pythons=st.lists(
        st.builds(PythonEvidence, st.sampled_from(["3.7.1", "3.10", ">=3.9,<3.11", "x"]) | TEXT, TEXT),
        max_size=2,
    ).map(tuple),
    day=st.none() | st.builds(RunDay, st.sampled_from(["2019-01-01", "2021-03-04", "2031-01-01"]), TEXT),
    indexes=st.lists(
        st.sampled_from(
            [
                "https://u:p@h/s",
                "https://t@h.org/s",
                "file:///x",
                "ftp://x",
                "https://[",
                "./x",
                "https://h/x",
            ]
        )
        | TEXT,
        max_size=2,
    ).map(tuple),
    no_binary=st.lists(st.sampled_from(["x", "six", ":all:", "a b"]), max_size=2).map(tuple),
    remarks=st.lists(TEXT, max_size=2).map(tuple),
    code=TEXT,
)


def read_profile(text: str) -> Profile:
    top, problems = document.parse_document(text, "p.yaml")
    profile, more = diagnostics.validate_document(top)
    assert (problems, more) == ([], [])
    assert profile is not None
    return profile


@QUICK
@given(EVIDENCE, TEXT)
def test_any_evidence_becomes_a_valid_profile(evidence: Evidence, name: str) -> None:
    draft = infer_profile(evidence, name, load_table(), today="2026-11-22")
    profile = read_profile(draft.text())
    assert profile.name == draft.name
    assert len(profile.packages) == len(draft.packages)
    assert {key: getattr(profile.stack, key) for key in draft.stack} == {
        key: line.text for key, line in draft.stack.items()
    }
    assert [index.url for index in profile.indexes] == [line.text for _, line in draft.indexes]


@QUICK
@given(st.lists(TEXT, max_size=3), TEXT)
def test_any_cell_becomes_a_valid_profile(sources: list[str], output: str) -> None:
    cells = tuple(
        Cell(number, "code", f"!pip install {source}\nimport {source}", output)
        for number, source in enumerate(sources, 1)
    )
    read_profile(
        infer_profile(
            read_notebook_evidence(Notebook("n", cells)), "n", load_table(), today="2026-11-22"
        ).text()
    )


@QUICK
@given(TEXT, TEXT)
def test_texts_and_comments_round_trip(value: str, why: str) -> None:
    top, problems = document.parse_document(f"key: {quote_yaml(value)}  # {clean_comment(why)}\n", "p.yaml")
    node = top.entries["key"][1]
    assert isinstance(node, document.Scalar)
    assert (node.text, node.null, problems) == (value, False, [])


def test_special_scalars_are_quoted() -> None:
    for text in ("3.10", "on", "null", "~", "a: b", "#", "x\ny", '"', "\\", "é", "😀", "\x85", "\ufeff"):
        top, _ = document.parse_document(f"key: {quote_yaml(text)}\n", "p.yaml")
        node = top.entries["key"][1]
        assert isinstance(node, document.Scalar), text
        assert node.text == text


def test_long_comments_are_wrapped_and_omitted_packages_are_comments() -> None:
    draft = Draft(
        "a", "x", packages=[DraftValue("six", "w " * 80)], left_out=[DraftValue("git+https://h/x", "why")]
    )
    lines = draft.text().splitlines()
    assert "  - six" in lines
    assert all(len(line) <= 130 for line in lines)
    assert '  # - "git+https://h/x"  # why' in lines
    assert read_profile(draft.text()).packages == ("six",)
    assert read_profile(Draft("a", "x", left_out=[DraftValue("y", "why")]).text()).packages == ()


def test_starter_profile_is_valid() -> None:
    assert read_profile(render_starter_profile("my-environment")).stack.tensorflow == "2.15"
