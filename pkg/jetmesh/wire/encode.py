"""Frames that a client sends: CONNECT, SUB, UNSUB, PUB, HPUB, PING, PONG.

The data plane writes its HPUB in `transport/publishes.py`: it is made for every message.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

PING: Final = b"PING\r\n"
PONG: Final = b"PONG\r\n"


def connect(options: Mapping[str, Any]) -> bytes:
    """CONNECT with its options as JSON."""
    return b"CONNECT %b\r\n" % json.dumps(options, separators=(",", ":")).encode()


def sub(subject: bytes, sid: bytes) -> bytes:
    """Subscribe to `subject` as `sid`."""
    return b"SUB %b %b\r\n" % (subject, sid)


def unsub(sid: bytes) -> bytes:
    """End the subscription `sid`."""
    return b"UNSUB %b\r\n" % sid


def pub(subject: bytes, payload: bytes, reply: bytes = b"") -> bytes:
    """A message without headers."""
    return b"PUB %b %b %d\r\n%b\r\n" % (subject, reply, len(payload), payload)


def hpub(subject: bytes, headers: bytes, payload: bytes, reply: bytes = b"") -> bytes:
    """A message with a block of headers."""
    sizes = b"%d %d" % (len(headers), len(headers) + len(payload))
    return b"HPUB %b %b %b\r\n%b%b\r\n" % (subject, reply, sizes, headers, payload)
