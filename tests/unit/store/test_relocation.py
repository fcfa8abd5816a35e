"""Replacing the prefix of an environment in its files."""

from __future__ import annotations

import subprocess

import pytest

from colabenv.store.chunk_format import PREFIX_MARKER
from colabenv.store.relocation import fill_prefix, hash_for_record, mark_prefix, update_record

OLD, NEW = "/content/.colabenv/envs/a/1", "/root/.local/share/colabenv/envs/b/2"
BODY = b"# -*- coding: utf-8 -*-\nimport sys\n"


def test_script_gets_the_new_prefix() -> None:
    script = b"#!" + OLD.encode() + b"/bin/python\n" + BODY
    marked = mark_prefix(script, OLD)
    assert marked is not None
    assert OLD.encode() not in marked
    assert fill_prefix(marked, NEW) == b"#!" + NEW.encode() + b"/bin/python\n" + BODY
    assert fill_prefix(marked, OLD) == script
    assert mark_prefix(script, "/elsewhere") is None
    with pytest.raises(ValueError, match="marker"):
        mark_prefix(script + PREFIX_MARKER, OLD)


@pytest.mark.parametrize("folder", [f"/{'x' * 130}", "/with blank"], ids=["long", "with a space"])
def test_prefix_that_does_not_fit_into_the_shebang_line_uses_the_shell(folder: str) -> None:
    """uv 0.13.9 writes the same lines."""
    marked = mark_prefix(b"#!" + OLD.encode() + b"/bin/python\n" + BODY, OLD)
    assert marked is not None
    script = fill_prefix(marked, folder)
    python = folder.encode() + b"/bin/python"
    assert script == b"#!/bin/sh\n'''exec' '" + python + b"' \"$0\" \"$@\"\n' '''\n" + BODY
    # The prefix is found again, also with the quotes that pip writes.
    for quote in (b"'", b'"', b""):
        assert mark_prefix(script.replace(b"'" + python + b"'", quote + python + quote), folder) == marked


def test_quote_in_the_prefix_is_escaped() -> None:
    script = fill_prefix(b"#!" + PREFIX_MARKER + b"/bin/python\n", "/it's a folder")
    done = subprocess.run(["sh", "-n"], input=script, check=False, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert b"'/it'\"'\"'s a folder/bin/python'" in script


def test_shebang_line_may_have_127_bytes() -> None:
    marked = PREFIX_MARKER.join([b"#!", b"/bin/python\n"])
    longest = "/" + "x" * (127 - len("#!//bin/python\n"))
    assert fill_prefix(marked, longest).startswith(b"#!/xxx")
    assert fill_prefix(marked, longest + "x").startswith(b"#!/bin/sh\n")


def test_update_record_changes_hashes_and_sizes() -> None:
    f2py = b"../../../bin/f2py,sha256=abc,12\r\n"
    record = f2py + b'"a,b.py",sha256=def,3\r\n' + f2py + b"x/RECORD,,\r\n"
    updated = update_record(record, {"../../../bin/f2py": b"new!", "x/RECORD": b""})
    line = f"../../../bin/f2py,{hash_for_record(b'new!')},4\r\n".encode()
    assert updated == line + b'"a,b.py",sha256=def,3\r\n' + line + b"x/RECORD,,\r\n"
    assert update_record(record, {}) is record


def test_update_record_keeps_paths_with_line_breaks() -> None:
    other = '"a\nb.py",sha256=x,1\nc\u2028d.py,sha256=y,2\n'.encode()
    script = b"../../../bin/demo,"
    updated = update_record(other + script + b"sha256=abc,12\n", {"../../../bin/demo": b"new!"})
    assert updated == other + script + f"{hash_for_record(b'new!')},4\n".encode()
