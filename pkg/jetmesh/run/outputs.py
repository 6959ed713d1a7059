"""How an output becomes a message: its subject, its id, and the guard of its decision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import msgspec

from jetmesh.declare import EventSpec, Handler, escape_key

_encode = msgspec.json.Encoder().encode


Message: TypeAlias = tuple[bytes, bytes, bytes]
"""Subject, headers, payload: a plain tuple, because one is made for every message."""


class Output:
    """One output type of one handler, with everything that can be made beforehand.

    The message id names the cause and the outcome, so causality can be read from the streams
    alone, and an R3 stream does not take one outcome for a repetition of another (ADR-0002).
    """

    __slots__ = ("_headers", "_keys", "_subject", "decision", "key", "stream")

    def __init__(self, handler: Handler, spec: EventSpec) -> None:
        self.stream = spec.stream
        self.decision = spec.decision
        self.key = spec.key
        identity = f"{handler.service}:{handler.name}:{handler.input.stream}"
        headers = f"NATS/1.0\r\nNats-Msg-Id: {identity}:%b:{spec.subject}"
        headers += ".%b" if spec.key else ""
        if spec.decision:
            # one canonical filter per decision: the server compares it literally
            headers += (
                "\r\nNats-Expected-Last-Subject-Sequence: 0"
                f"\r\nNats-Expected-Last-Subject-Sequence-Subject: {spec.decision}.%b"
            )
        self._headers = f"{headers}\r\n\r\n".encode()
        self._subject = f"{spec.subject}.%b".encode() if spec.key else spec.subject.encode()
        self._keys = headers.count("%b") - 1

    def message(self, value: Any, sequence: bytes) -> Message:
        """The message of `value`, caused by the input with this stream sequence.

        Raises:
            ContractViolation: the key is empty or longer than 200 bytes.
        """
        if self.key is None:
            return self._subject, self._headers % sequence, _encode(value)
        key = escape_key(getattr(value, self.key)).encode()
        if self._keys == 2:  # noqa: PLR2004 - in the message id and in the guard
            headers = self._headers % (sequence, key, key)
        else:
            headers = self._headers % (sequence, key)
        return self._subject % key, headers, _encode(value)

    def decision_filter(self, token: str) -> str:
        """The subjects of which the escaped key `token` may have only one."""
        return f"{self.decision}.{token}"


class UndeclaredOutput(TypeError):  # noqa: N818 - it ends in a dead letter under this name
    """A handler returned something that its annotation does not name."""


class Outputs:
    """Every output of one handler, by type."""

    def __init__(self, handler: Handler) -> None:
        self.by_type = {spec.type: Output(handler, spec) for spec in handler.outputs}
        self.deciding = next((o for o in self.by_type.values() if o.decision), None)
        self._handler = f"{handler.service}.{handler.name}"

    def ordered(self, result: Any) -> list[Any]:
        """What a handler returned as a list, decisions first: the rest follows only from them.

        Raises:
            UndeclaredOutput: one of it is not in the return annotation.
        """
        values = list(result) if _is_several(result) else [result]
        for value in values:
            if type(value) not in self.by_type:
                raise UndeclaredOutput(
                    f"{self._handler} returned {type(value).__name__}, which its annotation does "
                    "not name"
                )
        return sorted(values, key=lambda value: self.by_type[type(value)].decision is None)


def _is_several(result: Any) -> bool:
    return isinstance(result, Sequence) and not isinstance(result, str | bytes)
