"""Lines of other processes on our terminal: colours pass, nothing else that a terminal obeys."""

from __future__ import annotations

import re
from typing import Final

from jetmesh.privacy.mask import printable

RESET: Final = "\x1b[0m"

_colour = re.compile(r"(\x1b\[[0-9;]{0,20}m)")


def clean(line: str, *, colours: bool) -> str:
    """`line` with every control character written out, except tabs and (on demand) colours."""
    line = line.rstrip("\r")
    if line.isprintable():
        return line
    parts = _colour.split(line)
    kept = parts[1::2] if colours else [""] * (len(parts) // 2)
    texts = [printable(text, keep="\t") for text in parts[::2]]
    joined = "".join(text + colour for text, colour in zip(texts, [*kept, ""], strict=True))
    return joined + RESET if any(kept) else joined
