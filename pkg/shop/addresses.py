"""Whether a mail can reach an address at all."""

from __future__ import annotations

import re
from typing import Final

_LONGEST: Final = 254  # RFC 5321, 4.5.3.1.3: a path has 256 octets with its brackets

_ATOM: Final = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
PATTERN: Final = rf"^{_ATOM}(?:\.{_ATOM})*@(?:{_LABEL}\.)+{_LABEL}$"
"""All but the lengths, as a JSON Schema can say it."""
_matches = re.compile(rf"(?=[^@]{{1,64}}@)(?:{PATTERN[1:-1]})").fullmatch


def is_plausible(address: str) -> bool:
    """Whether `address` looks like one that any mail server can deliver to.

    ASCII only: other addresses need every server on the way to speak SMTPUTF8. Quoted local
    parts are legal and in no real use, so they are refused too.
    """
    return len(address) <= _LONGEST and _matches(address) is not None
