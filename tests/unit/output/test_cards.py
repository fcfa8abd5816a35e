"""Cards as text and HTML, and where the console shows them."""

from __future__ import annotations

import io

from colabenv.output.cards import card_html, card_lines
from colabenv.output.console import Console
from colabenv.system.progress import Card

CARD = Card(
    "lesson.yaml",
    (("frameworks", "TensorFlow 2.4"), ("packages", "six, " * 40), ("note", "a"), ("note", "<b>")),
)


def test_card_as_text() -> None:
    lines = card_lines(CARD)
    assert lines[:2] == ["lesson.yaml", "  frameworks  TensorFlow 2.4"]
    assert all(len(line) <= 110 for line in lines)
    assert lines[-2:] == ["  note        a", "              <b>"]
    assert card_lines(Card("empty", ())) == ["empty"]


def test_card_as_html_escapes_text() -> None:
    page = card_html(CARD)
    assert "&lt;b&gt;" in page
    assert page.count("note") == 1


def test_notebook_shows_html_and_a_terminal_text() -> None:
    bundles: list[dict[str, str]] = []
    out = io.StringIO()
    Console(out, out, display=bundles.append).card(CARD)
    assert (set(bundles[0]), out.getvalue()) == ({"text/plain", "text/html"}, "")
    for console in (Console(out, out), Console(out, out, as_json=True, display=bundles.append)):
        console.card(CARD)
    assert len(bundles) == 1
    assert out.getvalue().count("TensorFlow 2.4") == 2
