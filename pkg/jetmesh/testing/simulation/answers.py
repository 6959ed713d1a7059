"""What the server answers to a publish, as the bytes that it sends."""

from __future__ import annotations

import msgspec

from jetmesh.testing.simulation.refused import Refused


def puback(stream: str, sequence: int, is_duplicate: bool) -> bytes:  # noqa: FBT001 - as the server's field
    """Where a message is stored, or where the first one of its id is."""
    if is_duplicate:
        return b'{"stream":"%b", "seq":%d,"duplicate": true}' % (stream.encode(), sequence)
    return b'{"stream":"%b", "seq":%d}' % (stream.encode(), sequence)


def refusal(stream: str, refused: Refused) -> bytes:
    """Why a message is not stored."""
    return msgspec.json.encode({"error": refused.reason, "stream": stream, "seq": 0})
