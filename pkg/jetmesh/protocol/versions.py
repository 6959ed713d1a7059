"""The version of an event, as a message says it: `Jetmesh-Event-Version: +2` (ADR-0026)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from jetmesh.protocol import headers as header

MARK: Final = f"{header.EVENT_VERSION}:".encode()
WHICHEVER: Final = 0
"""Not said, and whoever sent it may know any: the newest that decodes."""
_form = re.compile(r"\+(\d{1,9})", re.ASCII)


def said(version: int) -> dict[str, str]:
    """The header with which a message says its version: none for version 1.

    Its plus is what the message path looks for, one byte that hardly any other header has: so to
    notice another version costs nothing.
    """
    return {} if version == 1 else {header.EVENT_VERSION: f"+{version}"}


def version_in(headers: Mapping[str, str]) -> int | None:
    """The version that headers say, None when they say none.

    Raises:
        ValueError: it is none.
    """
    text = headers.get(header.EVENT_VERSION)
    if text is None:
        return None
    if (found := _form.fullmatch(text)) is None:
        raise ValueError(f"the header {header.EVENT_VERSION} is no version; write it as +2")
    return int(found[1])
