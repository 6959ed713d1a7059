"""Trace ids: of a message that brings none, its own name is one, the same for whoever reads it.

So every handler, every attempt and every replica adds to one trace, and a sampler that looks at
the id decides the same everywhere, without a word between them.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Final

from jetmesh.protocol.lanes import Origin

TRACEPARENT: Final = "traceparent"
"""The header of W3C Trace Context: `00-<trace id>-<span id>-<flags>`, in any casing."""

_BYTES: Final = 16
_PARTS: Final = 4


def trace_id_of(origin: Origin) -> int:
    """The trace that begins with a message from outside: 128 bits, never 0."""
    name = f"{origin.stream}:{origin.token}".encode()
    return int.from_bytes(blake2b(name, digest_size=_BYTES).digest()) or 1


def trace_id_in(headers: Mapping[str, str]) -> str:
    """The 32 hexadecimal digits of the trace that a message names; empty when it names none."""
    for name, value in headers.items():
        if name.lower() == TRACEPARENT:
            parts = value.strip().lower().split("-")
            if len(parts) >= _PARTS and _is_id(parts[1]):
                return parts[1]
    return ""


def _is_id(text: str) -> bool:
    return (
        len(text) == 2 * _BYTES
        and not set(text) - set("0123456789abcdef")
        and any(digit != "0" for digit in text)
    )
