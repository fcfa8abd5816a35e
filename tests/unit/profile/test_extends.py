"""`extends`: merging profiles, where they come from, and errors with their locations."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from colabenv.errors import NetworkError, ProfileError
from colabenv.profile.extends import ProfileSources
from colabenv.profile.load import LoadedProfile, load
from colabenv.profile.model import Index

Write = Callable[[dict[str, str]], Path]
FULL = """\
name: common
python: "3.10"
stack: {tensorflow: "2.15", accelerator: cpu}
packages: [pandas==2.1.4, "ray[tune]>=2.9", scipy]
requirements: [base.txt]
indexes: [{name: a, url: "https://a.test"}, {name: b, url: "https://b.test"}]
source_builds: [one]
store: gs://team/store
env: {A: "1", B: "1"}
kernel: {display_name: Base, google_colab: off}
verify: {imports: [pandas], code: "1", gpu: required}
"""
CHILD = """\
name: child
extends: [base/base.yaml]
stack: {tensorflow: "2.16"}
packages: [Pandas==2.2, attrs]
requirements: [child.txt]
indexes: [{name: a, url: "https://c.test"}, {name: d, url: "https://d.test"}]
source_builds: [two, one]
env: {B: "2", C: "2"}
verify: {imports: [attrs, pandas], code: "2"}
"""


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write files by path, and return the path of `p.yaml`."""

    def write(files: dict[str, str]) -> Path:
        for name, text in files.items():
            path = tmp_path / "in" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path / "in" / "p.yaml"

    return write


@pytest.fixture
def merged(write: Write) -> LoadedProfile:
    return load(
        write(
            {
                "p.yaml": CHILD,
                "base/base.yaml": FULL,
                "base/base.txt": "numpy<2\nsix\n",
                "child.txt": "numpy==1.26.4\n",
            }
        )
    )


def load_error(path: str | Path, sources: ProfileSources | None = None) -> ProfileError:
    with pytest.raises(ProfileError) as caught:
        load(path, sources)
    return caught.value


def named_profiles(*names: str) -> dict[str, str]:
    """Profiles that set the variable WHO, and a variable that only they set."""
    return {f"{name}.yaml": f"env: {{WHO: {name}, {name.upper()}: x}}\n" for name in names}


def test_single_values_are_replaced_or_inherited(merged: LoadedProfile) -> None:
    profile = merged.profile
    assert (profile.python, profile.stack.tensorflow, profile.stack.accelerator) == ("3.10", "2.16", "cpu")
    assert (profile.verify.code, profile.verify.gpu, profile.kernel.google_colab) == ("2", "required", "off")


def test_name_and_display_name_are_not_inherited(merged: LoadedProfile) -> None:
    assert (merged.profile.name, merged.profile.kernel.display_name) == ("child", None)


def test_variables_are_merged_by_name(merged: LoadedProfile) -> None:
    assert merged.profile.env == {"A": "1", "B": "2", "C": "2"}


def test_indexes_are_merged_by_name_and_keep_their_order(merged: LoadedProfile) -> None:
    urls = {"a": "https://c.test", "b": "https://b.test", "d": "https://d.test"}
    assert merged.profile.indexes == tuple(Index(name=name, url=url) for name, url in urls.items())


def test_store_is_inherited(merged: LoadedProfile) -> None:
    assert merged.profile.store == "gs://team/store"


def test_lists_of_names_are_joined_without_duplicates(merged: LoadedProfile) -> None:
    assert merged.profile.source_builds == ("one", "two")
    assert merged.profile.verify.imports == ("pandas", "attrs")


def test_later_requirement_replaces_the_earlier_one(merged: LoadedProfile) -> None:
    assert merged.profile.packages == ("ray[tune]>=2.9", "scipy", "pandas==2.2", "attrs")
    assert merged.requirement_lines == (
        "ray[tune]>=2.9",
        "scipy",
        "six",
        "pandas==2.2",
        "attrs",
        "numpy==1.26.4",
    )


def test_requirements_with_different_markers_in_one_profile_are_kept(write: Write) -> None:
    both = "name: x\nextends: [b.yaml]\npackages: [\"a<1; python_version < '3.9'\", \"a>1; python_version >= '3.9'\"]"
    lines = load(write({"p.yaml": both, "b.yaml": "packages: [a, a-b]"})).requirement_lines
    assert lines == ("a-b", 'a<1 ; python_version < "3.9"', 'a>1 ; python_version >= "3.9"')


def test_inputs_are_all_files_starting_with_the_profile(merged: LoadedProfile) -> None:
    folder = merged.path.parent
    names = [str(path.relative_to(folder)) for path, _ in merged.inputs]
    assert names[0] == "p.yaml"
    assert sorted(names[1:]) == ["base/base.txt", "base/base.yaml", "child.txt"]
    for path, digest in merged.inputs:
        assert digest == hashlib.sha256(path.read_bytes()).hexdigest()


def test_later_extended_profile_takes_precedence(write: Write) -> None:
    files = {**named_profiles("b", "c"), "p.yaml": "name: x\nextends: [b.yaml, c.yaml]\nenv: {X: x}"}
    assert load(write(files)).profile.env == {"WHO": "c", "B": "x", "C": "x", "X": "x"}
    files["p.yaml"] += "\npython: '3.9'\n"
    files["c.yaml"] = "python: '3.10'\n"
    loaded = load(write(files)).profile
    assert (loaded.python, loaded.env["WHO"]) == ("3.9", "b")


def test_profile_extended_twice_counts_once(write: Write) -> None:
    files = named_profiles("d") | {
        "b.yaml": "extends: [d.yaml]\nenv: {D: b}\n",
        "c.yaml": "extends: [d.yaml]\nenv: {C: c}\n",
        "p.yaml": "name: x\nextends: [b.yaml, c.yaml]\n",
    }
    assert load(write(files)).profile.env == {"WHO": "d", "D": "b", "C": "c"}


def test_extended_file_may_extend_a_parent_folder(write: Write) -> None:
    files = {
        "p.yaml": "name: x\nextends: [sub/s.yaml]",
        "sub/s.yaml": "extends: [../b.yaml]",
        **named_profiles("b"),
    }
    assert load(write(files)).profile.env["WHO"] == "b"


@pytest.mark.parametrize("extended", ["../common.yaml", "../../in/common.yaml", "sub/../../common.yaml"])
def test_profile_may_extend_a_file_in_a_parent_folder(write: Write, extended: str) -> None:
    write(
        {
            "common.yaml": "extends: [../all.yml]\npackages: [pandas]\nrequirements: [course.txt]\n",
            "course.txt": "scipy\n",
            "../all.yml": "python: '3.10'\n",
            "week/p.yaml": f"name: week\nextends: [{extended}]\npackages: [attrs]\n",
        }
    )
    folder = write({}).parent
    loaded = load(folder / "week" / "p.yaml")
    assert loaded.requirement_lines == ("pandas", "scipy", "attrs")
    assert loaded.profile.python == "3.10"
    assert {path.name for path, _ in loaded.inputs} == {"p.yaml", "common.yaml", "course.txt", "all.yml"}


def test_only_yaml_files_are_read_outside_the_folder(write: Write) -> None:
    files = {
        "common.yaml": "requirements: [../above.txt]\n",
        "../above.txt": "hidden\n",
        "../key": "zzz: hidden\n",
    }
    write({**files, "week/p.yaml": "name: x\nextends: [../../key]\n"})
    path = write({}).parent / "week" / "p.yaml"
    error = load_error(path)
    assert "only .yaml and .yml files are read" in error.message
    assert "hidden" not in str(error.as_dict())
    assert (error.line, error.column) == (2, 11)
    # A link with the name of a YAML file does not help.
    (path.parent / "link.yaml").symlink_to(path.parent.parent.parent / "key")
    path.write_text("name: x\nextends: [link.yaml]\n")
    assert "only .yaml and .yml files are read" in load_error(path).message
    # A profile in the parent folder may use requirements files in its own folder only.
    path.write_text("name: x\nextends: [../common.yaml]\n")
    error = load_error(path)
    assert "outside the profile's folder" in error.message
    assert error.source == str(path.parent.parent / "common.yaml")


def test_builtin_profile_cannot_extend_outside_its_folder(write: Write) -> None:
    path = write({"p.yaml": "name: p\nextends: [../b.yaml]\n", "../b.yaml": "python: '3.10'\n"})
    with pytest.raises(ProfileError, match="cannot use files outside its folder"):
        load("builtin:p", ProfileSources(builtin=path.parent))


def test_error_names_its_file_line_and_column(write: Write) -> None:
    path = write(
        {
            "p.yaml": "name: x\nextends: [sub/b.yaml]\npackges: []\n",
            "sub/b.yaml": "python: '3.11'\nstack:\n  tensorflov: 2\n",
        }
    )
    error = load_error(path)
    assert (error.source, error.line, error.value) == (str(path), 3, "packges")
    path.write_text("name: x\nextends: [sub/b.yaml]\n")
    error = load_error(path)
    assert (error.source, error.line, error.column) == (str(path.parent / "sub" / "b.yaml"), 3, 3)
    assert "Did you mean 'tensorflow'?" in error.hint


def test_overridden_values_must_be_valid(write: Write) -> None:
    path = write({"p.yaml": "name: x\npython: '3.9'\nextends: [b.yaml]", "b.yaml": "python: '9.9'"})
    assert load_error(path).source == str(path.with_name("b.yaml"))


def test_syntax_error_names_its_file(write: Write) -> None:
    path = write({"p.yaml": "name: x\nextends: [b.yaml]", "b.yaml": "a: [\n"})
    assert load_error(path).source == str(path.with_name("b.yaml"))


def test_missing_requirements_file_is_reported_where_it_is_named(write: Write) -> None:
    path = write({"p.yaml": "name: x\nextends: [s/b.yaml]", "s/b.yaml": "requirements: [none.txt]"})
    error = load_error(path)
    assert (error.source, error.line, error.value) == (str(path.parent / "s" / "b.yaml"), 1, "none.txt")


def test_missing_extended_file_is_reported_where_it_is_named(write: Write) -> None:
    path = write({"p.yaml": "name: x\nextends: [bse.yaml]", "base.yaml": ""})
    error = load_error(path)
    assert (error.source, error.line, error.column) == (str(path), 2, 11)
    assert "file not found" in error.message
    assert "base.yaml" in error.hint


def test_circular_extends_is_refused(write: Write) -> None:
    extends_b = "name: x\nextends: [b.yaml]"
    for files in (
        {"p.yaml": "name: x\nextends: [p.yaml]"},
        {"p.yaml": extends_b, "b.yaml": "extends: [p.yaml]"},
        {"p.yaml": extends_b, "b.yaml": "extends: [c.yaml]", "c.yaml": "extends: [b.yaml]"},
    ):
        error = load_error(write(files))
        assert "extend each other in a circle" in error.message, files
        assert error.line is not None, files


def test_long_chain_of_extends_is_refused(write: Write) -> None:
    files = {f"b{n}.yaml": f"extends: [b{n + 1}.yaml]" for n in range(80)}
    error = load_error(write({"p.yaml": "name: x\nextends: [b0.yaml]", **files}))
    assert "more than 50 profiles" in error.message


UNCHECKED = f"#sha256={'0' * 64}"


@pytest.mark.parametrize(
    ("entry", "message", "hint"),
    [
        ("https://h.test/b.yaml", "needs its SHA-256", "sha256sum"),
        ("https://h.test/b.yaml#sha256=12", "needs its SHA-256", "sha256sum"),
        ("gh:o/r/b.yaml@main", "needs its SHA-256", "sha256sum"),
        (f"gh:o/r/b.yaml{UNCHECKED}", "invalid GitHub reference", "gh:owner/repo/path@ref"),
        (f"gh:o/r/../../x@main{UNCHECKED}", "invalid GitHub reference", "gh:owner/repo/path@ref"),
        (f"ftp://h.test/b{UNCHECKED}", "must be http, https or file", ""),
        (f"file:///etc/passwd{UNCHECKED}", "must be http or https", ""),
        (f"https://bob:pw@h.test/b{UNCHECKED}", "without a user", ""),
        ("/etc/passwd", "absolute paths", "in the profile's folder"),
        ("builtin:../x", "invalid name", ""),
        ("builtin:none", "unknown built-in profile", "Built-in profiles: one."),
    ],
)
def test_invalid_entry_is_refused(
    *, write: Write, tmp_path: Path, entry: str, message: str, hint: str
) -> None:
    builtin = tmp_path / "builtin"
    builtin.mkdir()
    (builtin / "one.yaml").write_text("name: one")
    error = load_error(write({"p.yaml": f'name: x\nextends: ["{entry}"]'}), ProfileSources(builtin))
    assert message in error.message
    assert hint in error.hint
    assert (error.line, error.column) == (2, 11)
    assert "pw" not in str(error.as_dict()).replace("passwd", "")


def test_builtin_profile_is_extended_with_its_files(write: Write, tmp_path: Path) -> None:
    builtin = tmp_path / "builtin"
    builtin.mkdir()
    (builtin / "one.yaml").write_text("name: one\nextends: [two.yaml]\nrequirements: [r.txt]\n")
    (builtin / "two.yaml").write_text("env: {TWO: '2'}")
    (builtin / "r.txt").write_text("six")
    loaded = load(write({"p.yaml": "name: x\nextends: ['builtin:one']"}), ProfileSources(builtin))
    assert (loaded.profile.name, loaded.profile.env) == ("x", {"TWO": "2"})
    assert loaded.requirement_lines == ("six",)
    assert [path.name for path, _ in loaded.inputs] == ["p.yaml", "two.yaml", "one.yaml", "r.txt"]
    one = load("builtin:one", ProfileSources(builtin))
    assert (one.profile.name, one.path) == ("one", (builtin / "one.yaml").resolve())
    assert load_error("builtin:none", ProfileSources(builtin)).hint == "Built-in profiles: one, two."


class FakeWeb:
    """Files by URL. Records the URLs that were fetched."""

    def __init__(self, **files: str) -> None:
        self.files = {f"https://h.test/{name}.yaml": text.encode() for name, text in files.items()}
        self.fetched: list[str] = []

    def __call__(self, url: str, _digest: str) -> bytes:
        self.fetched.append(url)
        if url not in self.files:
            raise NetworkError(f"{url} could not be downloaded: no.", hint="Try again.")
        return self.files[url]

    def entry(self, name: str) -> str:
        """URL and digest of a file, as an entry of `extends`."""
        url = f"https://h.test/{name}.yaml"
        return f"{url}#sha256={hashlib.sha256(self.files[url]).hexdigest()}"


def test_profile_from_the_web_is_checked_against_its_digest(write: Write) -> None:
    web = FakeWeb(b="packages: [six]\nenv: {B: b}\n")
    loaded = load(write({"p.yaml": f'name: x\nextends: ["{web.entry("b")}"]'}), ProfileSources(fetch=web))
    assert (loaded.requirement_lines, loaded.profile.env) == (("six",), {"B": "b"})
    assert [path.name for path, _ in loaded.inputs] == ["p.yaml"]


def test_profile_from_the_web_cannot_set_the_store(write: Write) -> None:
    web = FakeWeb(b="store: gs://somebody/store\n", c="store: none\n")
    error = load_error(
        write({"p.yaml": f'name: x\nextends: ["{web.entry("b")}"]'}), ProfileSources(fetch=web)
    )
    assert "a profile from the web cannot set 'store'" in error.message
    assert "in your own profile" in error.hint
    loaded = load(
        write({"p.yaml": f'name: x\nextends: ["{web.entry("c")}"]\nstore: /own'}), ProfileSources(fetch=web)
    )
    assert loaded.profile.store == "/own"


def test_profile_with_another_digest_is_refused(write: Write) -> None:
    web = FakeWeb(b="env: {B: b}\n")
    path = write({"p.yaml": f'name: x\nextends: ["{web.entry("b")}"]'})
    web.files["https://h.test/b.yaml"] = b"env: {B: evil}\n"
    error = load_error(path, ProfileSources(fetch=web))
    assert "SHA-256 of this file does not match" in error.message
    assert hashlib.sha256(b"env: {B: evil}\n").hexdigest() in error.hint
    assert (error.line, error.column) == (2, 11)


def test_error_in_a_profile_from_the_web_names_its_url(write: Write) -> None:
    web = FakeWeb(b="name: b\npackges: []\n")
    error = load_error(
        write({"p.yaml": f'name: x\nextends: ["{web.entry("b")}"]'}), ProfileSources(fetch=web)
    )
    assert (error.source, error.line) == ("https://h.test/b.yaml", 2)


@pytest.mark.parametrize(
    "text", ["extends: [other.yaml]", "extends: [../in/other.yaml]", "requirements: [r.txt]"]
)
def test_profile_from_the_web_cannot_use_local_files(write: Write, text: str) -> None:
    web = FakeWeb(b=f"name: b\n{text}\n")
    path = write({"p.yaml": f'name: x\nextends: ["{web.entry("b")}"]', "other.yaml": "", "r.txt": "six"})
    error = load_error(path, ProfileSources(fetch=web))
    assert "a profile from the web cannot" in error.message
    assert (error.source, error.line) == ("https://h.test/b.yaml", 2)


def test_profile_from_the_web_may_extend_another(write: Write) -> None:
    web = FakeWeb(c="env: {C: c}")
    web.files["https://h.test/b.yaml"] = f'extends: ["{web.entry("c")}"]\nenv: {{B: b}}'.encode()
    loaded = load(write({"p.yaml": f'name: x\nextends: ["{web.entry("b")}"]'}), ProfileSources(fetch=web))
    assert loaded.profile.env == {"C": "c", "B": "b"}


def test_github_reference_is_fetched_from_its_raw_url(write: Write) -> None:
    web = FakeWeb()
    url = "https://raw.githubusercontent.com/o/r/v1.0/dir/b.yaml"
    web.files[url] = b"env: {B: b}"
    digest = hashlib.sha256(web.files[url]).hexdigest()
    path = write({"p.yaml": f'name: x\nextends: ["gh:o/r/dir/b.yaml@v1.0#sha256={digest}"]'})
    assert load(path, ProfileSources(fetch=web)).profile.env == {"B": "b"}
    assert web.fetched == [url]


def test_profiles_from_the_web_are_refused_without_fetch(write: Write) -> None:
    path = write({"p.yaml": f'name: x\nextends: ["https://h.test/b#sha256={"0" * 64}"]'})
    assert "cannot be read here" in load_error(path).message
    with pytest.raises(NetworkError):
        load(path, ProfileSources(fetch=FakeWeb()))


def test_typed_address_needs_no_digest_and_gets_one() -> None:
    web = FakeWeb(
        b="name: web\npackages: [six]\n",
        c="name: web\nrequirements: [x.txt]\nextends: [y.yaml]\n",
        d="packages: [six]\n",
    )
    loaded = load("https://h.test/b.yaml", ProfileSources(fetch=web))
    assert loaded.requirement_lines == ("six",)
    assert loaded.path == (Path.cwd() / "web.yaml").resolve()
    assert loaded.inputs == ()
    assert loaded.reference == web.entry("b")
    assert load(loaded.reference, ProfileSources(fetch=web)) == loaded
    error = load_error("https://h.test/c.yaml", ProfileSources(fetch=web))
    assert "cannot" in error.message
    assert "local file" in f"{error.message}{error.detail}"
    assert "name" in load_error("https://h.test/d.yaml", ProfileSources(fetch=web)).message
