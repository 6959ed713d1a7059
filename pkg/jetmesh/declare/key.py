"""Keys: what an event is about, as one legal token of its subject.

A key is escaped reversibly: what NATS reserves (`.`, `*`, `>`, white space), control
characters, `%` and everything beyond ASCII become `%XX` of their UTF-8 bytes, so that two
different keys never share a subject.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote

from jetmesh.errors import ContractViolation

MAX_KEY_BYTES: Final = 200

_reserved = re.compile(r"[^!-$&-)+\-/0-=?-~]")  # ASCII 33..126 without % * , . >
_is_reserved = _reserved.search


def escape_key(key: str) -> str:
    """One token for `key`.

    Raises:
        ContractViolation: the key is empty or longer than 200 bytes of UTF-8.
    """
    if _is_reserved(key) is None and 0 < len(key) <= MAX_KEY_BYTES:
        return key
    try:
        length = len(key.encode())
    except UnicodeEncodeError:
        raise ContractViolation("the key is not valid Unicode text") from None
    if not 0 < length <= MAX_KEY_BYTES:
        raise ContractViolation(f"the key has {length} bytes; it must have 1 to {MAX_KEY_BYTES}")
    return _reserved.sub(_percent, key)


def unescape_key(token: str) -> str:
    """The key of which `token` is the escaped form."""
    return unquote(token)


def _percent(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in match.group().encode())
