"""Asking every process of every service at once (ADR-32 of NATS)."""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from time import monotonic
from typing import Final

import msgspec
import nats.errors

from jetmesh.operate.asking.answers import Instance
from jetmesh.protocol.content import UNDECODED
from jetmesh.settings import NatsSettings
from jetmesh.transport.session import Session

_SUBJECT: Final = "$SRV.STATS"
_PATIENCE_SECONDS: Final = 1.5
"""A process that handles thousands of messages at once answers between two chunks of them."""
_SILENCE_SECONDS: Final = 0.3
"""Once everyone who is expected has answered, only a second instance can be missing."""
_LONGEST_SECONDS: Final = 10.0
"""Answers are taken no longer than this, even while they keep coming."""


async def instances(session: Session, expected: Collection[str]) -> tuple[Instance, ...]:
    """Every process that answers; it is worth waiting for the services in `expected`.

    Raises:
        BrokerError: we lack the permission to ask.
    """
    try:
        # an answer to a request tells what a subscription cannot: that nobody listens, or that
        # we may not ask
        await session.request(_SUBJECT, b"", _PATIENCE_SECONDS)
    except nats.errors.NoRespondersError:
        return ()
    except (nats.errors.Error, TimeoutError, OSError):
        pass  # who is asked again may still answer
    return await _all(session, set(expected))


async def running(nats: NatsSettings, expected: Collection[str]) -> tuple[Instance, ...]:
    """The same on a connection of its own.

    Raises:
        BrokerError: the broker does not answer, or we lack the permission to ask.
    """
    session = Session(nats, "jetmesh-cli services")
    await session.connect(patient=False)
    try:
        return await instances(session, expected)
    finally:
        await session.close()


async def _all(session: Session, missing: set[str]) -> tuple[Instance, ...]:
    found: dict[str, Instance] = {}
    inbox, subscription = await session.listen()
    await session.publish(_SUBJECT, b"", inbox)
    began = monotonic()
    try:
        while (now := monotonic()) < began + _LONGEST_SECONDS:
            # a thousand answer in more time than one, and not all before the patience is over
            silence = _PATIENCE_SECONDS - (now - began) if missing else 0.0
            try:
                message = await subscription.next_msg(timeout=max(silence, _SILENCE_SECONDS))
            except (nats.errors.Error, TimeoutError):
                break
            with contextlib.suppress(*UNDECODED):  # it speaks another language
                instance = msgspec.json.decode(message.data, type=Instance)
                found[instance.id] = instance
                missing.discard(instance.name)
    finally:
        await subscription.unsubscribe()
    return tuple(found[key] for key in sorted(found))
