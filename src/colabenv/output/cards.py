"""Cards as text and as HTML."""

from __future__ import annotations

import textwrap

from colabenv.system.progress import Card

_WIDTH = 110  #: columns of a line of text


def card_lines(card: Card) -> list[str]:
    """A card as text: the title, and below it one or more lines a row."""
    column = max((len(label) for label, _ in card.rows), default=0) + 4
    lines = [card.title]
    previous = ""
    for label, text in card.rows:
        shown = "" if label == previous else label
        lines += textwrap.wrap(
            text,
            _WIDTH,
            initial_indent=f"  {shown:<{column - 2}}",
            subsequent_indent=" " * column,
            break_long_words=False,
            break_on_hyphens=False,
        )
        previous = label
    return lines


def card_html(card: Card) -> str:
    """A card as an HTML table, which leaves colors and fonts to the page."""
    import html  # noqa: PLC0415 - only a notebook shows it

    rows, previous = [], ""
    for label, text in card.rows:
        shown = "" if label == previous else html.escape(label)
        rows.append(
            f'<tr><th style="text-align:left;vertical-align:top">{shown}</th>'
            f'<td style="text-align:left">{html.escape(text)}</td></tr>'
        )
        previous = label
    title = html.escape(card.title)
    return f"<div><strong>{title}</strong><table>{''.join(rows)}</table></div>"
