"""Requirements files: the lines that a profile supports, and hints for those that it does not."""

from __future__ import annotations

from colabenv.profile.requirements import MAX_LINES, parse_requirements
from support.timeouts import limit_processor_time


def read(text: str) -> list[str]:
    """The requirements and included files of a text without problems."""
    entries, problems = parse_requirements(text, "r.txt")
    assert problems == [], text
    return [entry.requirement or f"-r {entry.include}" for entry in entries]


def test_supported_lines() -> None:
    for text, expected in (
        ("", []),
        ("# only a comment\n\n", []),
        ("a  # x #y\n  b  \n", ["a", "b"]),
        ("a==1 \\\n  --hash=sha256:0 \\\n  --hash=sha256:1\nb", ["a==1", "b"]),
        ("a==1 --hash sha256:0", ["a==1"]),
        ("a>=1, \\\n<2\n", ["a<2,>=1"]),
        ("a \\\n# c\nb", ["a", "b"]),
        ("a \\", ["a"]),
        ("-r b.txt\n-rb.txt\n--requirement b.txt\n--requirement=b.txt\n-r 'b.txt'", ["-r b.txt"] * 5),
        ("-r ../b.txt", ["-r ../b.txt"]),
        ("A_b\r\nc\r\n", ["a-b", "c"]),
        ("x ; python_version < '3.11'  # y", ['x ; python_version < "3.11"']),
    ):
        assert read(text) == expected, text


def test_comment_needs_a_space_before_it() -> None:
    assert len(parse_requirements("a # x\nb# not a comment", "r.txt")[1]) == 1


def test_unsupported_lines() -> None:
    for line, value, hint in (
        ("-e .", "-e", "Publish"),
        ("--editable=.", "--editable", "Publish"),
        ("--index-url https://u:secret@h/", "--index-url", "`indexes`"),
        ("--extra-index-url=https://h/", "--extra-index-url", "`indexes`"),
        ("-i https://h/", "-i", "`indexes`"),
        ("-f wheels", "-f", "file://"),
        ("-c constraints.txt", "-c", "`packages`"),
        ("--pre", "--pre", "pre-release"),
        ("--no-binary :all:", "--no-binary", "`source_builds`"),
        ("--something", "--something", "only packages"),
        ("--", "-", "only packages"),
        ("a --config-settings x=y", "--config-settings", "only packages"),
        ("git+https://u:secret@h/x", "git+https://u:secret@h/x", "`indexes`"),
        ("./wheels/x.whl", "./wheels/x.whl", "Publish"),
        ("a @ file:///x", "a @ file:///x", "`indexes`"),
        ("-r /etc/passwd", "/etc/passwd", "in the profile's folder"),
        ("-r https://h/r.txt", "https://h/r.txt", "Download"),
        ("-r", "", "in the profile's folder"),
        ("a=1", "a=1", 'Did you mean "a==1"?'),
        ("a b", "a b", "Write a name"),
    ):
        entries, problems = parse_requirements(f"ok\n\n{line}\nok2\n", "r.txt")
        assert [entry.requirement for entry in entries] == ["ok", "ok2"], line
        assert len(problems) == 1, line
        assert (problems[0].location.source, problems[0].location.line) == ("r.txt", 3), line
        assert problems[0].value == value, line
        assert hint in problems[0].hint, line


def test_parsing_stops_after_too_many_requirements() -> None:
    with limit_processor_time(15):
        _, problems = parse_requirements("a\n" * 500_000, "r.txt")
        assert problems[-1].message == f"the file has more than {MAX_LINES} requirements"
