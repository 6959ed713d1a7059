"""What handlers that remember are given: the state of each key as it was before each message.

A state's stream holds the newest version of a key, and not what it was. So it is folded once more,
from the first message of the key on, by the handler that is rehearsed. Where that cannot be, the
handler gets the state as it is today, and what it makes of it is compared with nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Final

import msgspec
from msgspec import Struct

from jetmesh import wire
from jetmesh.declare import Forget, Handler, Remembering, Topology, escape_key
from jetmesh.errors import ContractViolation
from jetmesh.protocol import headers as header
from jetmesh.protocol.ids import token_of
from jetmesh.protocol.steps import Applied, Input, applied_of
from jetmesh.runtime.message.outputs import several
from jetmesh.runtime.rehearsing.stored import read
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.stored import StoredMessage, if_exists

_AT_ONCE: Final = 64


@dataclass(slots=True)
class Remembered:
    """What is stored about the keys of the messages that are rehearsed."""

    handler: Handler
    remembering: Remembering
    now: dict[str, StoredMessage] = field(default_factory=dict)
    """The newest version of each key, by its token."""
    earlier: list[StoredMessage] = field(default_factory=list)
    """What came before, about the same keys."""
    moved: set[str] = field(default_factory=set)
    """Keys about which more was stored while this was read: their state may be ahead of it."""
    why_not: str = ""
    """Why the state cannot be folded, in words; empty when it can."""

    def token(self, message: StoredMessage) -> str:
        """The key of the state that a message is about, escaped; empty when it has none."""
        try:
            return escape_key(self.remembering.key(read(self.handler.input, message)))
        except Exception:  # noqa: BLE001 - a contract's own code may raise anything
            return ""

    def applied(self, token: str) -> Applied:
        """Which inputs are in the newest version of a key."""
        return applied_in(self.now.get(token))

    def is_in(self, message: StoredMessage) -> bool:
        """Whether the stored state has taken a message in."""
        applied = self.applied(self.token(message))
        given = Input(self.handler.input.subject, message.sequence, message.stored_ns)
        return applied.has(given) and not applied.is_waiting(given)


async def remembered(
    control: ControlPlane, topology: Topology, handler: Handler, messages: Iterable[StoredMessage]
) -> Remembered | None:
    """What is to be known of these messages' states; None of a handler without one.

    Raises:
        BrokerError: the broker does not answer.
    """
    if handler.remembers is None:
        return None
    found = Remembered(handler, handler.remembers)
    wanted = list(messages)
    tokens = {found.token(message) for message in wanted} - {""}
    found.now = await _newest(control, found.remembering, sorted(tokens))
    if not wanted:
        return found
    found.why_not = await _why_not(control, topology, handler)
    if not found.why_not:
        sequences = [message.sequence for message in wanted]
        before = _before(control, handler, min(sequences))
        found.earlier = [each async for each in before if found.token(each) in tokens]
        stream, filters = handler.input.stream, handler.input.filters
        after = control.history(stream, filters, first=max(sequences) + 1)
        found.moved = {found.token(each) async for each in after}
    return found


async def _newest(
    control: ControlPlane, remembering: Remembering, tokens: Sequence[str]
) -> dict[str, StoredMessage]:
    spec = remembering.state
    found: dict[str, StoredMessage] = {}
    for start in range(0, len(tokens), _AT_ONCE):
        part = tokens[start : start + _AT_ONCE]
        asked = (if_exists(control.last(spec.stream, f"{spec.subject}.{each}")) for each in part)
        answers = await asyncio.gather(*asked)
        found |= {token: each for token, each in zip(part, answers, strict=True) if each}
    return found


async def _why_not(control: ControlPlane, topology: Topology, handler: Handler) -> str:
    assert handler.remembers is not None  # noqa: S101 - who asks knows
    state = handler.remembers.state
    sharing = [h.name for h in topology.handlers if h.remembers and h.remembers.state == state]
    if len(sharing) > 1:
        return f"{' and '.join(sharing)} change {state.title}"
    if handler.start != "all":
        return f"{handler.name} began with what was new then"
    first = (await control.api(f"STREAM.INFO.{handler.input.stream}"))["state"]["first_seq"]
    return f"{handler.input.stream} begins at {first}" if first > 1 else ""


async def _before(
    control: ControlPlane, handler: Handler, until: int
) -> AsyncIterator[StoredMessage]:
    async for message in control.history(handler.input.stream, handler.input.filters):
        if message.sequence >= until:
            return
        yield message


def applied_in(stored: StoredMessage | None) -> Applied:
    """What a stored version says that it has taken in; nothing, where it cannot be read."""
    if stored is None:
        return Applied()
    try:
        return applied_of(wire.legible(stored.headers.get(header.APPLIED, "")))
    except msgspec.DecodeError:
        return Applied()


class States:
    """Gives the handler what it knows, and keeps what it makes of that."""

    def __init__(self, found: Remembered) -> None:
        self._found = found
        self._spec = found.remembering.state
        self.values: dict[str, Any] = {}
        if found.why_not:
            self.values = {key: read(self._spec, each) for key, each in found.now.items()}
        self._kept = {
            token_of(each.sequence, each.stored_ns) for each in found.earlier if found.is_in(each)
        }

    def keep(self, messages: Iterable[StoredMessage]) -> None:
        """Fold what the stored state has taken in; what it has not changes nothing here, too."""
        self._kept |= {
            token_of(each.sequence, each.stored_ns) for each in messages if self._found.is_in(each)
        }

    def call(self, function: Callable[..., Any], event: Struct, token: str, more: Any) -> Any:
        """Call the handler; the events that it returns.

        Raises:
            BaseException: what it raises.
            ContractViolation: it returned the state of another key.
        """
        key = escape_key(self._found.remembering.key(event))
        value, events = self.values.get(key), []
        for each in chain.from_iterable(map(several, several(function(event, value, **more)))):
            if isinstance(each, Forget):
                value = None
            elif type(each) is self._spec.type:
                value = self._checked(each, key)
            else:
                events.append(each)
        if token in self._kept and not self._found.why_not:
            self.values[key] = value
        return events

    def _checked(self, state: Struct, key: str) -> Struct:
        if escape_key(getattr(state, self._spec.key or "")) != key:
            raise ContractViolation(f"the handler returned the state of another key than {key!r}")
        return state
