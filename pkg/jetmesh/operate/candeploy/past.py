"""What released versions of an event can read, by the very decoders that old code has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import msgspec

from jetmesh.declare import EventSpec
from jetmesh.operate.candeploy.tally import Knew
from jetmesh.operate.evolution.released import Release, Released

Past: TypeAlias = Callable[[EventSpec], Knew | None]
"""Who could read an event before; None where nothing of it was released."""


def past_of(released: Released) -> Past:
    """What was released, asked by event."""

    def knew(spec: EventSpec) -> Knew | None:
        releases = released.of_event(spec.subject)
        return _knew(releases) if releases else None

    return knew


def decoder_of(release: Release) -> Callable[[bytes], Any]:
    """Reads as code of that release does."""
    return msgspec.json.Decoder(release.type).decode


def _knew(releases: Sequence[Release]) -> Knew:
    decoders = [(str(each.name), decoder_of(each)) for each in releases]

    def knew(found: bytes) -> list[str]:
        return [name for name, decode in decoders if _reads(decode, found)]

    return knew


def _reads(decode: Callable[[bytes], Any], found: bytes) -> bool:
    try:
        decode(found)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return False
    return True
