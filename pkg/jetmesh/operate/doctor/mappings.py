"""Subject mappings of the servers: asked with messages that are traced, and never stored.

A server that is told to trace a message alone (ADR-41 of NATS) says on which subject it would store
it, and does no more.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping
from time import monotonic
from typing import Final

import msgspec
import nats.errors
from msgspec import Struct

from jetmesh.protocol.content import UNDECODED
from jetmesh.protocol.headers import TRACE_ONLY, TRACE_TO
from jetmesh.transport.session import Session

_PATIENCE_SECONDS: Final = 1.0
_KEY: Final = "jetmesh-doctor"
"""A key of nobody."""


class _Event(Struct, frozen=True):
    type: str = ""
    subj: str = ""
    """Of what came in."""
    to: str = ""
    """Of a mapping."""


class _Trace(Struct, frozen=True):
    events: tuple[_Event, ...] = ()


async def mapped(session: Session, subjects: Collection[str]) -> Mapping[str, str]:
    """Under which other subject a server stores keyed events of `subjects`, where it does.

    Both ends in `.*`. What is not answered in a second, as where we may not publish, is left out.
    """
    found: dict[str, str] = {}
    inbox, subscription = await session.listen()
    headers = {TRACE_TO: inbox, TRACE_ONLY: "true"}
    for subject in subjects:
        await session.publish(f"{subject}.{_KEY}", b"", headers=headers)
    deadline, missing = monotonic() + _PATIENCE_SECONDS, len(subjects)
    try:
        while missing and (left := deadline - monotonic()) > 0:
            with contextlib.suppress(*UNDECODED):  # it speaks another language
                message = await subscription.next_msg(timeout=left)
                events = msgspec.json.decode(message.data, type=_Trace).events
                missing -= 1
                sent = next((each.subj for each in events if each.type == "in"), "")
                stored = next((each.to for each in events if each.type == "sm"), sent)
                if stored != sent:
                    found[_any(sent)] = _any(stored)
    except (nats.errors.Error, TimeoutError):
        pass  # what came so far is true
    finally:
        await subscription.unsubscribe()
    return found


def _any(subject: str) -> str:
    """The subject of every key."""
    return subject.replace(_KEY, "*")
