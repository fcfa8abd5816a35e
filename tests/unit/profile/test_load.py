"""Loading profiles from files: valid profiles, problems with their locations, and unreadable files."""

from __future__ import annotations

import hashlib
import os
import re
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from colabenv.errors import ProfileError
from colabenv.profile.load import LoadedProfile, load
from colabenv.profile.model import Profile
from support.timeouts import limit_processor_time

REPOSITORY = Path(__file__).resolve().parents[3]
Write = Callable[..., Path]

FULL = """\
name: vision-2023
python: 3.10
stack:
  tensorflow: 2.15.1
  keras: "2.15"
  accelerator: gpu
packages: [Pandas == 2.1.4, "opencv-python-headless"]
requirements: [requirements.txt]
indexes: [{name: team, url: "https://user:${TEAM_TOKEN}@host/simple"}]
source_builds: [Py_CocoTools]
env: {TF_CPP_MIN_LOG_LEVEL: 2, FLAG: yes, EMPTY: ""}
kernel: {display_name: Vision 2023, google_colab: off}
verify:
  imports: [tensorflow.keras.applications, cv2]
  code: |
    import cv2
  gpu: required
"""


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write `profile.yaml` and files beside it, and return the path of the profile."""

    def write(text: str | bytes, **files: str | bytes) -> Path:
        for name, content in {"profile.yaml": text, **files}.items():
            path = tmp_path / name.replace("__", "/")
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return tmp_path / "profile.yaml"

    return write


def load_error(path: str | Path, case: str | bytes = "") -> ProfileError:
    """The error for an invalid profile; `case` names it if it loads."""
    try:
        load(path)
    except ProfileError as error:
        assert error.exit_code == 2
        return error
    pytest.fail(f"{case or path!r} is not refused")


def test_full_profile(write: Write) -> None:
    path = write(FULL, **{"requirements.txt": "scipy\npandas==2.1.4\n"})
    loaded = load(path)
    assert loaded.profile == Profile.model_validate(
        {
            "name": "vision-2023",
            "python": "3.10",
            "stack": {"tensorflow": "2.15.1", "keras": "2.15", "accelerator": "gpu"},
            "packages": ["pandas==2.1.4", "opencv-python-headless"],
            "requirements": ["requirements.txt"],
            "indexes": [{"name": "team", "url": "https://user:${TEAM_TOKEN}@host/simple"}],
            "source_builds": ["py-cocotools"],
            "env": {"TF_CPP_MIN_LOG_LEVEL": "2", "FLAG": "yes", "EMPTY": ""},
            "kernel": {"display_name": "Vision 2023", "google_colab": "off"},
            "verify": {
                "imports": ["tensorflow.keras.applications", "cv2"],
                "code": "import cv2\n",
                "gpu": "required",
            },
        }
    )
    assert loaded.requirement_lines == ("pandas==2.1.4", "opencv-python-headless", "scipy")
    files = [path.resolve(), path.resolve().parent / "requirements.txt"]
    assert loaded.inputs == tuple((file, hashlib.sha256(file.read_bytes()).hexdigest()) for file in files)
    assert loaded.path == files[0]


def test_minimal_profile_has_defaults(write: Write) -> None:
    profile = load(write("name: x")).profile
    assert (profile.python, profile.packages, profile.env) == (None, (), {})
    assert (profile.stack.tensorflow, profile.stack.accelerator) == (None, "auto")
    assert (profile.kernel.google_colab, profile.verify.gpu, profile.verify.code) == ("auto", "auto", None)


def test_profile_is_frozen(write: Write) -> None:
    profile = load(write("name: x")).profile
    with pytest.raises(ValueError, match="frozen"):
        profile.name = "y"


def test_byte_order_mark_and_crlf_are_accepted(write: Write) -> None:
    assert load(write(b"\xef\xbb\xbfname: x\r\npackages:\r\n- a\r\n")).requirement_lines == ("a",)


def test_builtin_profile_loads() -> None:
    loaded = load(REPOSITORY / "profiles" / "quickstart.yaml")
    assert loaded.profile.name == "quickstart"
    assert loaded.profile.stack.tensorflow == "2.15.1"
    assert loaded.profile.verify.code is None


#: Profiles with one problem each: text; line, column and value of the problem; parts of the message and the hint.
Problem = tuple[str, int | None, int | None, str | None, str, str]
UNKNOWN_KEYS: list[Problem] = [
    ("name: x\npackges: [a]", 2, 1, "packges", "unknown key", "Did you mean 'packages'?"),
    ("name: x\nzzz: 1", 2, 1, "zzz", "unknown key", "Valid keys: name, python, stack"),
    ("name: x\ndependencies: [a]", 2, 1, "dependencies", "unknown key", "Did you mean 'packages'?"),
    ("name: x\ntensorflow: 2.15", 2, 1, "tensorflow", "unknown key", "belongs under 'stack'"),
    ("name: x\nstack: {python: 3.10}", 2, 9, "python", "in `stack`", "top-level key"),
    ("name: x\nstack: {acelerator: gpu}", 2, 9, "acelerator", "in `stack`", "'accelerator'"),
    ("name: x\nindexes: [{nam: y, url: 'http://h'}]", 2, 12, "nam", "in `indexes`", "'name'"),
    ("name: x\n<<: {a: b}", 2, 1, "<<", "unknown key", "merge keys"),
]
INVALID_VALUES: list[Problem] = [
    ("name: X", 1, 7, "X", "name: ", "Did you mean 'x'?"),
    ("name: ../../x", 1, 7, "../../x", "name: ", "Did you mean 'x'?"),
    ("name: x\npython: 3.1", 2, 9, "3.1", "python: ", "3.10, 3.11"),
    ("name: x\nstack: {accelerator: GPU}", 2, 22, "GPU", "invalid value", "Did you mean 'gpu'?"),
    ("name: x\nkernel: {google_colab: false}", 2, 24, "false", "invalid value", "Did you mean 'off'?"),
    ("name: x\nkernel: {google_colab: maybe}", 2, 24, "maybe", "invalid value", "auto, on or off"),
    ("name: x\nenv: {PATH: /x}", 2, 7, "PATH", "cannot set 'PATH'", "Remove this line"),
    ("name: x\nindexes: [{name: a, url: 'https://u:pw@h'}]", 2, 26, None, "password", "${TEAM_TOKEN}"),
    (
        "name: x\nindexes: [{name: a, url: 'http://h'}, {name: a, url: 'http://i'}]",
        2,
        10,
        None,
        "duplicate index",
        "own",
    ),
    ("name: x\npackages: [a, 'b @ http://h/x']", 2, 15, "b @ http://h/x", "from URLs", "`indexes`"),
]
WRONG_TYPES: list[Problem] = [
    ("name: x\nverify: {gpu: [required]}", 2, 15, None, "single word", "auto or required"),
    ("name: x\npackages: pandas", 2, 11, "pandas", "expected a list", 'packages: ["pandas"]'),
    ("name: x\nverify: {imports: cv2}", 2, 19, "cv2", "expected a list", 'imports: ["cv2"]'),
    ("name: x\nindexes: {name: a}", 2, 10, None, "expected a list", "indexes: [{name"),
    ("name: x\npackages: [a: b]", 2, 12, None, "expected text", "double quotes"),
    ("name: [x]", 1, 7, None, "expected text", "without brackets"),
    ("name: x\nstack: 2.15", 2, 8, "2.15", "expected keys with values", 'stack: {tensorflow: "2.15.1"}'),
    ("name: x\nenv: [A=1]", 2, 6, None, "keys with values", "env: {TF_CPP"),
    ("name: x\nenv: {A: [1]}", 2, 10, None, "expected text", "without brackets"),
]
MISSING_VALUES: list[Problem] = [
    ("name: x\nenv: {A: }", 2, 7, "A", "has no value", '""'),
    ("name: x\npackages:", 2, 1, "packages", "has no value", "packages: []"),
    ("name:\npython: 3.10", 1, 1, "name", "has no value", "after the colon"),
    ("name: x\npackages:\n  - a\n  -", 4, 4, None, "is empty", "Remove the line"),
    ("python: 3.10", None, None, None, "has no name", "name: vision-2023"),
    ("name: x\nindexes: [{name: a}]", 2, 11, None, "missing key 'url'", "Add `url"),
]
REQUIREMENTS_FILES: list[Problem] = [
    (
        "name: x\nrequirements: [/etc/passwd]",
        2,
        16,
        "/etc/passwd",
        "absolute paths",
        "in the profile's folder",
    ),
    (
        "name: x\nrequirements: [../x]",
        2,
        16,
        "../x",
        "outside the profile's folder",
        "in the profile's folder",
    ),
    (
        "name: x\nrequirements: [none.txt]",
        2,
        16,
        "none.txt",
        "file not found",
        "Profiles in this folder: profile.yaml",
    ),
    ("name: x\nrequirements: [.]", 2, 16, ".", "a folder", "text file"),
    ("name: x\nrequirements: [profile.yaml]", 2, 16, "profile.yaml", "its own requirements file", "Remove"),
]


def check_problems(write: Write, problems: list[Problem]) -> None:
    """Load each profile, and check that its error has the expected location, value, message and hint."""
    for text, line, column, value, message, hint in problems:
        path = write(text)
        error = load_error(path, text)
        assert message in error.message, text
        assert "more problem" not in error.message, text
        assert (error.source, error.line, error.column, error.value) == (str(path), line, column, value), text
        assert hint in error.hint, text
        assert "pw" not in str(error.as_dict()).replace(str(path), ""), text


def test_unknown_keys_are_refused(write: Write) -> None:
    check_problems(write, UNKNOWN_KEYS)


def test_invalid_values_are_refused(write: Write) -> None:
    check_problems(write, INVALID_VALUES)


def test_values_of_the_wrong_type_are_refused(write: Write) -> None:
    check_problems(write, WRONG_TYPES)


def test_missing_values_are_refused(write: Write) -> None:
    check_problems(write, MISSING_VALUES)


def test_unusable_requirements_files_are_refused(write: Write) -> None:
    check_problems(write, REQUIREMENTS_FILES)


def test_preload_accepts_only_module_names(write: Write) -> None:
    loaded = load(str(write("name: x\nkernel: {preload: [tensorflow, numpy.linalg]}\n")))
    assert loaded.profile.kernel.preload == ("tensorflow", "numpy.linalg")
    error = load_error(write('name: x\nkernel: {preload: ["numpy; import os"]}\n'))
    assert "kernel.preload: invalid module name" in error.message


def test_one_error_has_all_problems(write: Write) -> None:
    error = load_error(write("name: X\npython: 4\npackges: []\nstack: {acelerator: !x y}\npackages: *a\n"))
    assert error.message.endswith("(and 5 more problems)")
    assert error.line == 1
    lines = error.detail.splitlines()
    assert [int(line.split("line ")[1].split(",")[0]) for line in lines] == [2, 3, 4, 4, 5]


def test_list_of_a_thousand_problems_is_truncated(write: Write) -> None:
    error = load_error(write("name: x\n" + "".join(f"k{n}: 1\n" for n in range(1000))))
    assert "(and 999 more problems)" in error.message
    assert len(error.detail.splitlines()) == 21
    assert len(error.detail) < 10_000


def test_misspelled_key_is_not_reported_as_missing(write: Write) -> None:
    assert "more problem" not in load_error(write("nmae: x")).message


@pytest.mark.parametrize(
    "text",
    ["".join(f"packg{n}: 1\n" for n in range(4990)), "indexes: [" + "{nam: x}, " * 3300 + "]"],
    ids=["keys", "items"],
)
def test_validation_stops_after_many_problems(write: Write, text: str) -> None:
    with limit_processor_time(15):
        assert re.search(r"\(and \d+ more problems\)$", load_error(write("name: x\n" + text)).message)


def test_long_and_unprintable_values_are_shown_safely(write: Write) -> None:
    error = load_error(write('name: "\\e[31m' + "x" * 100_000 + '"'))
    assert len(error.message) < 1000
    assert "\x1b" not in str(error.as_dict())
    assert "\\x1b[31m" in error.message


def test_invalid_bytes_are_refused(write: Write) -> None:
    for data, message, line in (
        (b"name: x\nenv: {A: '\xff'}", "not UTF-8 text (byte 'ff')", 2),
        (b"\xef\xbb\xbfname: \xc3", "not UTF-8", 1),
        ("name: x".encode("utf-16"), "not UTF-8", 1),
        (b"name: x\n\n# \0", "NUL byte", 3),
        (b"name: \x1bx", "invisible character 'U+001B'", 1),
        ("name: x\n\ufeff".encode(), "invisible character 'U+FEFF'", 2),
        (b"#" * (1024 * 1024 + 1), "larger than 1 MiB", None),
        (b"", "empty", None),
    ):
        error = load_error(write(data), data[:100] or "empty file")
        assert message in error.message, data[:100]
        assert error.line == line, data[:100]


def test_file_of_a_hundred_megabytes_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "big.yaml"
    with path.open("wb") as file:
        file.truncate(100 * 1024 * 1024)
    assert "larger than 1 MiB" in load_error(path).message


def test_special_files_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as server:
        # The path of a socket may have 107 bytes at most, so a relative path is used.
        server.bind(os.path.relpath(tmp_path / "s"))
        assert "a socket" in load_error(tmp_path / "s").message
    assert "a pipe" in load_error(tmp_path / "fifo").message
    assert "a folder" in load_error(tmp_path).message
    assert "a device" in load_error("/dev/zero").message
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert "cannot read the file" in load_error(tmp_path / "loop").message
    assert "cannot read the file" in load_error(tmp_path / ("x" * 5000)).message
    assert "invalid file path" in load_error("a\0b").message


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux has /proc/self/mem")
def test_read_error_is_reported() -> None:
    assert "cannot read the file (Input/output error)" in load_error("/proc/self/mem").message


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_file_without_read_permission_is_refused(write: Write) -> None:
    path = write("name: x")
    path.chmod(0)
    assert "permission denied" in load_error(path).message


def test_missing_profile_suggests_the_closest_name(write: Write) -> None:
    path = write("name: x")
    error = load_error(path.with_name("profle.yaml"))
    assert "file not found" in error.message
    assert error.hint == f"Did you mean '{path}'?"
    assert "Profiles in this folder: profile.yaml." in load_error(path.with_name("zzzzzz")).hint
    assert "does not exist" in load_error(path.parent / "zzz" / "x.yaml").hint
    assert "Download the profile" in load_error("https://host/x.yaml").hint


def test_nested_requirements_are_read_in_order_and_once(write: Write) -> None:
    path = write(
        "name: x\npackages: [a]\nrequirements: [r.txt, sub/s.txt, r.txt]",
        **{"r.txt": "b\n-r sub/s.txt\nd", "sub__s.txt": "c\n-r ../t.txt\na", "t.txt": "e"},
    )
    loaded = load(path)
    assert loaded.requirement_lines == ("a", "b", "c", "e", "d")
    assert [file.name for file, _ in loaded.inputs] == ["profile.yaml", "r.txt", "s.txt", "t.txt"]


def test_circular_requirements_files_are_refused(write: Write) -> None:
    path = write("name: x\nrequirements: [r.txt]", **{"r.txt": "a\n-r s.txt", "s.txt": "\n-r r.txt"})
    error = load_error(path)
    assert "circle" in error.message
    assert (error.source, error.line, error.value) == (str(path.with_name("s.txt")), 2, "r.txt")


def test_requirements_outside_the_folder_are_not_read(
    write: Write, tmp_path_factory: pytest.TempPathFactory
) -> None:
    secret = tmp_path_factory.mktemp("elsewhere") / "secret.txt"
    secret.write_text("do not show")
    path = write("name: x\nrequirements: [link.txt]", **{"r.txt": f"-r ../{secret.parent.name}/secret.txt"})
    path.with_name("link.txt").symlink_to(secret)
    error = load_error(path)
    assert "outside the profile's folder" in error.message
    assert "do not show" not in str(error.as_dict())
    path.write_text("name: x\nrequirements: [r.txt]")
    assert "outside the profile's folder" in load_error(path).message


def test_files_of_a_linked_profile_are_beside_its_target(write: Write, tmp_path_factory: Any) -> None:
    path = write("name: x\nrequirements: [r.txt]", **{"r.txt": "a"})
    link = tmp_path_factory.mktemp("links") / "p.yaml"
    link.symlink_to(path)
    loaded: LoadedProfile = load(link)
    assert loaded.requirement_lines == ("a",)
    assert loaded.path == path.resolve()


def test_long_chain_of_requirements_files_is_refused(write: Write) -> None:
    files: dict[str, str | bytes] = {f"r{n}.txt": f"-r r{n + 1}.txt" for n in range(200)}
    assert (
        "too many requirements files, or they are too long"
        in load_error(write("name: x\nrequirements: [r0.txt]", **files)).message
    )


def test_error_in_a_requirements_file_names_file_and_line(write: Write) -> None:
    for data, message in (
        (b"a\n\xff", "not UTF-8"),
        (b"a\n\0", "NUL byte"),
        (b"a\n-e .", "option '-e' is not supported"),
    ):
        path = write("name: x\nrequirements: [sub/r.txt]", **{"sub__r.txt": data})
        error = load_error(path, data)
        assert message in error.message
        assert (error.source, error.line) == (str(path.parent / "sub" / "r.txt"), 2), message


def test_loading_writes_no_files(write: Write) -> None:
    path = write(FULL, **{"requirements.txt": "scipy", "bad.yaml": "name: ../../x\n"})

    def state() -> list[tuple[str, int, int]]:
        return [(str(p), p.stat().st_size, p.stat().st_mtime_ns) for p in sorted(path.parent.rglob("*"))]

    before = state()
    path.parent.chmod(0o500)
    try:
        load(path)
        load_error(path.with_name("bad.yaml"))
    finally:
        path.parent.chmod(0o700)
    assert state() == before
