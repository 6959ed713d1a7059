"""What a terminal gets to see of other processes' lines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetmesh.operate.up.lines import RESET, clean


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("plain text", "plain text"),
        ("tab\tstays", "tab\tstays"),
        ("\x1b[31mred\x1b[0m", f"\x1b[31mred\x1b[0m{RESET}"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("\x1b[2Jgone", r"\x1b[2Jgone"),
        ("a\rb\r", r"a\rb"),
        ("\u202ereversed", r"\u202ereversed"),
        ("\x9b31m", r"\x9b31m"),
    ],
)
def test_colours_pass_and_nothing_else_does(line: str, shown: str) -> None:
    assert clean(line, colours=True) == shown


def test_colours_go_where_none_are_wanted() -> None:
    assert clean("\x1b[31mred\x1b[0m \x1b[2J", colours=False) == r"red \x1b[2J"


@given(st.text())
def test_nothing_that_a_terminal_obeys_is_left(text: str) -> None:
    assert clean(text, colours=False).replace("\t", "").isprintable()
