"""Every kind of finding as a table, for docs/doctor.md."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator

from jetmesh.operate.doctor.diagnosis import AREAS, Area

_word = re.compile(r"(?<!\{)\{(\w+)\}(?!\})")


def tables() -> str:
    """A heading and a table for each area, as Markdown."""
    return "\n".join(line for area in AREAS for line in _table(area))


def _table(area: Area) -> Iterator[str]:
    yield f"### {area.title}"
    yield ""
    yield "| finding | | what it says | when | remedy |"
    yield "|---|---|---|---|---|"
    for kind in area.kinds:
        texts = (_markdown(text) for text in (kind.sentence, kind.condition, kind.remedy))
        yield f"| `{kind.code}` | {kind.severity} | {' | '.join(texts)} |"
    yield ""


def _markdown(text: str) -> str:
    """Words that a finding fills in as variables, inside code as they are typed."""
    parts = text.split("`")
    parts[::2] = [_word.sub(r"*\1*", part) for part in parts[::2]]
    parts[1::2] = [_word.sub(lambda found: found[1].upper(), part) for part in parts[1::2]]
    return "`".join(parts).replace("{{", "{").replace("}}", "}").replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(tables())
