"""`extends` on the command line: URLs with a hash are downloaded once, and changes of files are noticed."""

from __future__ import annotations

import hashlib

from support.index_server import Index
from support.user_machine import TINY, UserMachine

SHARED = b"env: {SHARED: 'yes'}\n"


def test_extended_url_is_fetched_once(machine: UserMachine, index: Index) -> None:
    index.extra_files["/shared.yaml"] = SHARED
    url = f"{index.site}/shared.yaml"
    machine.profile.write_text(f'{TINY}extends: ["{url}"]\n')
    assert "sha256sum" in machine.run("check", "tiny.yaml").expect(2).text
    assert index.requests == []

    machine.profile.write_text(f'{TINY}extends: ["{url}#sha256={"0" * 64}"]\n')
    digest = hashlib.sha256(SHARED).hexdigest()
    assert f"#sha256={digest}" in machine.run("check", "tiny.yaml").expect(2).text

    machine.profile.write_text(f'{TINY}extends: ["{url}#sha256={digest}"]\n')
    machine.run("check", "tiny.yaml").expect(0)
    index.requests.clear()
    index.extra_files.clear()
    machine.run("check", "tiny.yaml").expect(0)
    assert index.requests == []


def test_unreachable_url_is_a_network_error(machine: UserMachine) -> None:
    machine.profile.write_text(f'{TINY}extends: ["http://127.0.0.1:9/x.yaml#sha256={"0" * 64}"]\n')
    assert "could not be downloaded" in machine.run("check", "tiny.yaml").expect(3).text


def test_change_of_an_extended_file_is_noticed(machine: UserMachine) -> None:
    machine.profile.write_text(f"{TINY}extends: [shared.yaml]\n")
    shared = machine.project / "shared.yaml"
    shared.write_bytes(SHARED)
    machine.up().expect(0)
    assert machine.cell("import os; print(os.environ['SHARED'])") == "yes"
    assert "nothing has changed" in machine.up().expect(0).text
    shared.write_bytes(SHARED.replace(b"yes", b"again"))
    assert "nothing has changed" not in machine.up().expect(0).text
    assert machine.cell("import os; print(os.environ['SHARED'])") == "again"
