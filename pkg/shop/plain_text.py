"""Text of strangers made harmless for a line of plain text: a mail, a header, a terminal."""

from __future__ import annotations

from typing import Final

_REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"


def plain(text: str, limit: int = 80) -> str:
    """One line of `text`, at most `limit` characters.

    Line breaks and tabs become spaces. Whatever does not print becomes U+FFFD: terminal escapes,
    marks that reverse the reading direction, characters without width.
    """
    # Cut before replacing: nobody may make us work through a megabyte of name.
    cut = text if len(text) <= limit else text[: limit - 1] + "…"
    if cut.isprintable():
        return cut
    return "".join(_printable(character) for character in cut)


def _printable(character: str) -> str:
    if character.isprintable():
        return character
    return " " if character.isspace() else _REPLACEMENT
