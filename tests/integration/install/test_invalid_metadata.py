"""Releases whose requirements uv cannot parse are locked and installed."""

from __future__ import annotations

from support.index_server import Index
from support.packages import wheel
from support.user_machine import UserMachine


def test_release_with_an_invalid_requirement_is_installed(machine: UserMachine, index: Index) -> None:
    index.add(*wheel("older", "0.24.2", requires=["tiny (>=1.0k)"]))
    index.add(*wheel("newer", "2.0", requires=["older"]))
    machine.profile.write_text(
        "name: tiny\nkernel: {google_colab: off}\npackages: [newer]\nverify: {imports: [older, tiny]}\n"
    )
    output = machine.up().expect(0).text
    assert "older 0.24.2 declares requirements in an invalid format" in output
    assert "colabenv uses tiny>=1.0 for tiny (>=1.0k)" in output
    assert "older==0.24.2 \\" in machine.lock.read_text()
    machine.assert_kernel_works()
    index.add(*wheel("six", "1.0", requires=["missing (>=1.0k)"]))
    machine.profile.write_text("name: tiny\nkernel: {google_colab: off}\npackages: [six]\n")
    assert "missing was not found" in machine.up().expect(4).text
