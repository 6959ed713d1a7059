"""nats-py's client, on our own connections, with our own reading and writing of frames."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nats.aio.client import Client
from nats.aio.msg import Msg

from jetmesh import wire
from jetmesh.transport.parser import Parser
from jetmesh.transport.stream import Stream


class ControlClient(Client):
    """Lives on our own connections, reads whatever was published, and tells its end.

    nats-py does not call `closed_cb` when it is refused for good while it connects again, and its
    read loop ends at a block of headers that it cannot read, or a subject that is no UTF-8 or
    holds a blank. So all that arrives is read by ours (`wire`).
    Headers that we hand on are written as they were read.
    """

    def __init__(self, stream: Stream) -> None:
        super().__init__()
        self.stream = self._transport = stream
        self._ps = Parser(self._process_msg, self._on_control, stream.fail)
        self.on_closing: Callable[[], None] = lambda: None

    async def _on_control(self, verb: bytes, argument: bytes) -> None:
        """What the server says beside messages.

        nats-py keeps every address in an INFO and compares each with each: it is told only that
        the server goes away.
        """
        if verb == b"PING":
            await self._process_ping()
        elif verb == b"PONG":
            await self._process_pong()
        elif verb == b"-ERR":
            await self._process_err(self.stream.on_error(argument).lower())
        elif verb == b"INFO" and self.stream.on_info(argument):
            await self._process_info({"ldm": True})

    async def _process_headers(self, headers: bytes | None) -> Any:
        return headers or b""  # nats-py hands it on as it is

    def _build_message(
        self, _: int, subject: bytes, reply: bytes, data: bytes, headers: Any
    ) -> Msg:
        status, _why, values = wire.parse(headers, exact=True)
        if status and not reply:  # the server's word; what is delivered may begin with one, too
            values["Status"] = str(status)
        where, answer_to = subject.decode(errors="replace"), reply.decode(errors="replace")
        return Msg(self, where, answer_to, data, values)

    async def _send_publish(
        self, subject: str, reply: str, payload: bytes, size: int, headers: Any
    ) -> None:
        """nats-py refuses names that others may write, and values that are no UTF-8."""
        if not headers:
            await super()._send_publish(subject, reply, payload, size, None)
            return
        block = wire.block(headers)
        await self._send_command(wire.hpub(subject.encode(), block, payload, reply.encode()))
        await self._flush_pending()

    async def _close(self, status: int, do_cbs: bool = True) -> None:  # noqa: FBT001, FBT002 - nats-py's
        if status == Client.CLOSED and not self.is_closed:
            self.on_closing()
        await super()._close(status, do_cbs)
