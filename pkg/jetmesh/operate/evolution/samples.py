"""Payloads of an event as they may be stored: its example, and what else its type allows."""

from __future__ import annotations

from random import Random
from typing import Any, Final

import msgspec

from jetmesh.errors import JetmeshError
from jetmesh.operate.evolution.descriptor import Contract
from jetmesh.operate.evolution.generate import Values
from jetmesh.operate.evolution.leaves import Impossible
from jetmesh.operate.evolution.rebuild import rebuild

_MANY: Final = 12
_SEED: Final = 20_261_130


def samples(contract: Contract, *examples: Any) -> tuple[bytes, ...]:
    """Payloads that the type reads, always the same ones.

    Raises:
        JetmeshError: none is known, because of a pattern for instance.
    """
    decoder = msgspec.json.Decoder(rebuild(contract.type))
    values = Values(contract.type, Random(_SEED))  # noqa: S311 - not for secrets
    found: dict[bytes, None] = {}
    for each in examples:
        found[msgspec.json.encode(each)] = None
    for _ in range(_MANY * 5):
        try:
            written = msgspec.json.encode(values.one())
            decoder.decode(written)
        except (Impossible, msgspec.ValidationError):
            continue
        found[written] = None
        if len(found) == _MANY:
            break
    if not found:
        raise JetmeshError(
            f"No sample of {contract.subject} is known.",
            remedy="Declare examples: Annotated[…, Meta(examples=[…])].",
        )
    return tuple(found)
