"""How an output becomes a message: its subject, its id, and the guard of its decision."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from jetmesh import wire
from jetmesh.declare import Cancel, EventSpec, Handler, Later, escape_key, matches
from jetmesh.protocol import headers as header
from jetmesh.protocol.ids import Cause
from jetmesh.protocol.versions import said
from jetmesh.runtime.message.returned import ConflictingOutputs, UndeclaredOutput, described
from jetmesh.runtime.message.timed.deadlines import DeadlineOutput
from jetmesh.transport.outcomes import unreadable_as
from jetmesh.transport.seam import Message, Waiter
from jetmesh.transport.stored import StoredMessage

_encode = msgspec.json.Encoder().encode
_TOKEN, _KEY = "{token}", "{key}"
"""Stand in headers that are made beforehand; no name has a brace."""


class Output:
    """One output type of one handler, with everything that can be made beforehand.

    The message id names the cause and the outcome, so causality can be read from the streams
    alone, and an R3 stream does not take one outcome for a repetition of another (ADR-0002).
    """

    __slots__ = (
        "_around_key",
        "_before_token",
        "_id_around_token",
        "_spec",
        "_subject",
        "decision",
        "key",
        "publish",
        "race",
        "stream",
        "version",
    )

    publish: Callable[[bytes, bytes, bytes, Waiter], None]
    """Set by whoever publishes it."""

    def __init__(self, handler: Handler, spec: EventSpec, effect: str = "") -> None:
        self._spec = spec
        self.version = spec.version
        self.stream = spec.stream
        self.decision = spec.decision
        self.race = spec.race
        self.key = spec.key
        subject = f"{spec.subject}." if spec.key else spec.subject
        cause = Cause(handler.service, handler.name, handler.input.stream, _TOKEN)
        identity = cause.id(effect + subject + _KEY)
        self._id_around_token = cause.id(effect).split(_TOKEN)
        headers = {**said(spec.version), header.MESSAGE_ID: identity}
        if spec.decision:
            # one canonical filter per decision: the server compares it literally
            headers[header.EXPECTED_SEQUENCE] = "0"
            headers[header.EXPECTED_ON] = f"{spec.decision}.{_KEY}"
        self._before_token, _, rest = wire.block(headers).partition(_TOKEN.encode())
        self._around_key = rest.split(_KEY.encode())
        """What stands before, between and after the keys of message id and guard."""
        self._subject = subject.encode()

    def message(self, value: Any, token: bytes) -> Message:
        """The message of `value`, caused by the input with this `Origin.token`.

        Raises:
            ContractViolation: the key is empty or longer than 200 bytes.
        """
        key = b"" if self.key is None else escape_key(getattr(value, self.key)).encode()
        headers = self._before_token + token + key.join(self._around_key)
        return self._subject + key, headers, _encode(value)

    def identity(self, subject: bytes, token: bytes) -> str:
        """The message id in what `message` made for this token and with this subject."""
        before, after = self._id_around_token
        return f"{before}{token.decode()}{after}{subject.decode()}"

    def slot(self, value: Any) -> str:
        """What only one output of a delivery may have: its decision's filter, or its subject.

        Raises:
            ContractViolation: the key is empty or longer than 200 bytes.
        """
        if self.key is None:
            return self._subject.decode()
        token = escape_key(getattr(value, self.key))
        if self.decision:
            return self.decision_filter(token)
        return self._subject.decode() + token

    def doubt(self, stored: StoredMessage) -> str:
        """Why a message on our subject with our id cannot be ours, in words; empty when it can."""
        return unreadable_as(self._spec, stored)

    def decision_filter(self, token: str) -> str:
        """The subjects of which the escaped key `token` may have only one."""
        return f"{self.decision}.{token}"


class Outputs:
    """Every output of one function, by type: of a handler, or of what it does when it loses."""

    def __init__(
        self,
        handler: Handler,
        specs: Iterable[EventSpec] | None = None,
        *,
        name: str = "",
        effect: str = "",
    ) -> None:
        self._specs = handler.returns if specs is None else tuple(specs)
        self.by_type: dict[type, Any] = {
            spec.type: Output(handler, spec, effect) for spec in self._specs
        }
        self.deadlines = DeadlineOutput(handler)
        """What comes later, or is cancelled."""
        if specs is None and (handler.deadlines.later or handler.deadlines.cancels):
            self.by_type |= {Later: self.deadlines, Cancel: self.deadlines}
        decisions = {o.decision: o for o in self.by_type.values() if o.decision}
        self.deciding = tuple(decisions.values())
        """One output of each decision that the handler may make."""
        self.has_more = len(decisions) > 1 or any(o.decision is None for o in self.by_type.values())
        """Something may follow a decision, and a service may have died in between."""
        self._handler = name or handler.title

    def on(self, subject: bytes) -> Output:
        """The output that is published on `subject`; it is one of ours."""
        text = subject.decode()
        found: Output = next(
            self.by_type[spec.type] for spec in self._specs if matches(spec.filters[-1], text)
        )
        return found

    def ordered(self, result: Any) -> list[Any]:
        """What a handler returned as a list, decisions first: the rest follows only from them.

        None in it is nothing, as it is when returned alone.

        Raises:
            UndeclaredOutput: one of it is not in the return annotation.
            ConflictingOutputs: two of it have one message id, or decide one key.
            ContractViolation: a key is empty or longer than 200 bytes.
        """
        values = [value for value in several(result) if value is not None]
        seen: set[str] = set()
        for value in values:
            output = self.by_type.get(type(value))
            if output is None:
                raise UndeclaredOutput(f"{self._handler} returned {described(value)}")
            if output.slot(value) in seen:
                raise ConflictingOutputs(
                    f"{self._handler} returned {type(value).__name__} with another event that "
                    "the server would take for the same one: give each its own key, or return one"
                )
            seen.add(output.slot(value))
        return sorted(values, key=lambda value: self.by_type[type(value)].decision is None)


def several(result: Any) -> Iterable[Any]:
    """What a handler returned, one by one."""
    if isinstance(result, Iterable) and not isinstance(result, str | bytes | Mapping):
        return result
    return (result,)
