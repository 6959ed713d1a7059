"""What nats-py's connection reads, split into frames by our own decoder.

nats-py's own parser ends the connection at a subject with a vertical tab or a form feed, which a
server stores like any other, and at whatever it does not expect.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, NoReturn

from nats.protocol import parser

from jetmesh import wire

OnMessage = Callable[[int, bytes, bytes, bytes, bytes], Awaitable[None]]
"""(sid, subject, reply, payload, headers)"""
OnControl = Callable[[bytes, bytes], Awaitable[None]]
"""(verb, argument)"""


class Parser(parser.Parser):
    """Takes the place of nats-py's: hands over every frame in order, one at a time."""

    def __init__(
        self, on_message: OnMessage, on_control: OnControl, on_broken: Callable[[str], NoReturn]
    ) -> None:
        self._on_message = on_message
        self._on_control = on_control
        self._on_broken = on_broken
        super().__init__()

    def reset(self) -> None:
        """Begin anew, on another connection: what was read and not handled is forgotten."""
        super().reset()
        self._frames: deque[Callable[[], Awaitable[None]]] = deque()
        self._decoder = wire.Decoder(_Routes(self._message), self._control)

    async def parse(self, data: bytes = b"") -> None:
        """Take the next bytes, and hand over what is whole; `on_broken` is called where they are
        no NATS protocol.
        """
        broken: wire.ProtocolError | None = None
        try:
            self._decoder.feed(data)
        except wire.ProtocolError as error:
            broken = error
        while self._frames:
            await self._frames.popleft()()
        if broken is not None:
            self._on_broken(f"the server does not speak NATS: {broken}")

    def _message(
        self, sid: bytes, subject: bytes, reply: bytes, headers: bytes, payload: bytes
    ) -> None:
        self._frames.append(partial(self._on_message, int(sid), subject, reply, payload, headers))

    def _control(self, verb: bytes, argument: bytes) -> None:
        self._frames.append(partial(self._on_control, verb, argument))


class _Routes(dict[bytes, wire.OnMessage]):
    """One for whatever subscription: nats-py knows which there are."""

    def __init__(self, take: Callable[[bytes, bytes, bytes, bytes, bytes], None]) -> None:
        super().__init__()
        self._take = take

    def get(self, sid: bytes, _: Any = None) -> wire.OnMessage:
        return partial(self._take, sid)
