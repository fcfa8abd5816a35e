"""`extends` on the command line: URLs with a hash are downloaded once, and changes of files are noticed."""

from __future__ import annotations

import hashlib

from support.bench import TINY, Bench
from support.index_server import Index

SHARED = b"env: {SHARED: 'yes'}\n"


def test_extended_url_is_fetched_once(bench: Bench, index: Index) -> None:
    index.other["/shared.yaml"] = SHARED
    url = f"{index.site}/shared.yaml"
    bench.profile.write_text(f'{TINY}extends: ["{url}"]\n')
    assert "sha256sum" in bench.run("check", "tiny.yaml").expect(2).text
    assert index.asked == []

    bench.profile.write_text(f'{TINY}extends: ["{url}#sha256={"0" * 64}"]\n')
    digest = hashlib.sha256(SHARED).hexdigest()
    assert f"#sha256={digest}" in bench.run("check", "tiny.yaml").expect(2).text

    bench.profile.write_text(f'{TINY}extends: ["{url}#sha256={digest}"]\n')
    bench.run("check", "tiny.yaml").expect(0)
    index.asked.clear()
    index.other.clear()
    bench.run("check", "tiny.yaml").expect(0)
    assert index.asked == []


def test_unreachable_url_is_a_network_error(bench: Bench) -> None:
    bench.profile.write_text(f'{TINY}extends: ["http://127.0.0.1:9/x.yaml#sha256={"0" * 64}"]\n')
    assert "could not be downloaded" in bench.run("check", "tiny.yaml").expect(3).text


def test_change_of_an_extended_file_is_noticed(bench: Bench) -> None:
    bench.profile.write_text(f"{TINY}extends: [shared.yaml]\n")
    shared = bench.project / "shared.yaml"
    shared.write_bytes(SHARED)
    bench.up().expect(0)
    assert bench.cell("import os; print(os.environ['SHARED'])") == "yes"
    assert "nothing has changed" in bench.up().expect(0).text
    shared.write_bytes(SHARED.replace(b"yes", b"again"))
    assert "nothing has changed" not in bench.up().expect(0).text
    assert bench.cell("import os; print(os.environ['SHARED'])") == "again"
