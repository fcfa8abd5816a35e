"""Files that contain the prefix of an environment."""

from __future__ import annotations

import subprocess

import pytest

from colabenv.store.chunk_format import PREFIX_MARKER
from colabenv.store.relocation import fill_prefix, hash_for_record, mark_prefix, update_record

OLD, NEW = "/content/.colabenv/envs/a/1", "/root/.local/share/colabenv/envs/b/2"
BODY = b"# -*- coding: utf-8 -*-\nimport sys\n"


def test_a_script_gets_the_new_prefix() -> None:
    script = b"#!" + OLD.encode() + b"/bin/python\n" + BODY
    marked = mark_prefix(script, OLD)
    assert marked is not None
    assert OLD.encode() not in marked
    assert fill_prefix(marked, NEW) == b"#!" + NEW.encode() + b"/bin/python\n" + BODY
    assert fill_prefix(marked, OLD) == script
    assert mark_prefix(script, "/elsewhere") is None
    with pytest.raises(ValueError, match="marker"):
        mark_prefix(script + PREFIX_MARKER, OLD)


@pytest.mark.parametrize("folder", [f"/{'x' * 130}", "/with blank"])
def test_a_long_first_line_gets_the_shell_form(folder: str) -> None:
    """uv writes such a script with a shell line: seen with uv 0.13.9."""
    marked = mark_prefix(b"#!" + OLD.encode() + b"/bin/python\n" + BODY, OLD)
    assert marked is not None
    made = fill_prefix(marked, folder)
    python = folder.encode() + b"/bin/python"
    assert made == b"#!/bin/sh\n'''exec' '" + python + b"' \"$0\" \"$@\"\n' '''\n" + BODY
    # And back to the short form: pip writes it without or with other quotes.
    for quote in (b"'", b'"', b""):
        assert mark_prefix(made.replace(b"'" + python + b"'", quote + python + quote), folder) == marked


def test_a_quote_in_the_prefix_is_escaped() -> None:
    made = fill_prefix(b"#!" + PREFIX_MARKER + b"/bin/python\n", "/it's a folder")
    done = subprocess.run(["sh", "-n"], input=made, check=False, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert b"'/it'\"'\"'s a folder/bin/python'" in made


def test_the_longest_first_line() -> None:
    marked = PREFIX_MARKER.join([b"#!", b"/bin/python\n"])
    fits = "/" + "x" * (127 - len("#!//bin/python\n"))
    assert fill_prefix(marked, fits).startswith(b"#!/xxx")
    assert fill_prefix(marked, fits + "x").startswith(b"#!/bin/sh\n")


def test_update_record() -> None:
    f2py = b"../../../bin/f2py,sha256=abc,12\r\n"
    record = f2py + b'"a,b.py",sha256=def,3\r\n' + f2py + b"x/RECORD,,\r\n"
    made = update_record(record, {"../../../bin/f2py": b"new!", "x/RECORD": b""})
    line = f"../../../bin/f2py,{hash_for_record(b'new!')},4\r\n".encode()
    assert made == line + b'"a,b.py",sha256=def,3\r\n' + line + b"x/RECORD,,\r\n"
    assert update_record(record, {}) is record


def test_record_paths_with_line_ends_stay_as_they_are() -> None:
    other = '"a\nb.py",sha256=x,1\nc\u2028d.py,sha256=y,2\n'.encode()
    script = b"../../../bin/demo,"
    made = update_record(other + script + b"sha256=abc,12\n", {"../../../bin/demo": b"new!"})
    assert made == other + script + f"{hash_for_record(b'new!')},4\n".encode()
