"""The data plane: the connection on which only deliveries, outputs, PubAcks and verdicts travel."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable
from time import monotonic
from typing import Any, Final, Self

import structlog

from jetmesh import wire
from jetmesh.errors import BrokerError, BrokerUnreachable, SettingsError
from jetmesh.settings import NatsSettings
from jetmesh.transport.link import Link
from jetmesh.transport.publishes import SWEEP_SECONDS, Publishes, drop
from jetmesh.transport.pull import Pull
from jetmesh.transport.seam import OnDelivery
from jetmesh.transport.servers import Servers, delays

_SILENT_SWEEPS: Final = 8
"""After two silent seconds the server is asked for a sign of life, after four given up."""

log = structlog.get_logger()


class DataPlane:
    """Implements `seam.Transport`; reconnects for ever, and sends again what waits for an answer.

    `async with DataPlane(nats, name=…) as plane:` returns once the first connection stands.
    """

    def __init__(self, nats: NatsSettings, *, name: str) -> None:
        self.problem = "not connected to the broker yet"
        """Why nothing can be sent, in words; empty while connected."""
        self.reconnects = 0
        self._nats = nats
        self._name = name
        self._servers = Servers(nats.url)
        self._inbox = b"_INBOX." + secrets.token_hex(11).encode()
        self._routes: dict[bytes, wire.OnMessage] = {}
        self._subjects: dict[bytes, bytes] = {}
        self._pulls: list[Pull] = []
        self._link: Link | None = None
        self._up = False
        self._sids = 0
        self._silent = 0
        self._unsent: list[bytes] = []
        self._connecting: asyncio.Task[None] | None = None
        self._sweeping: asyncio.Task[None] | None = None
        self._closing = False
        self._send: Callable[[bytes], None] = self._unsent.append
        """Send, or keep it for the next connection: verdicts are worth it."""
        self._send_if_up: Callable[[bytes], None] = drop
        """Send, or drop it: a new connection subscribes, pulls and publishes anew."""
        self.publishes = Publishes(self._inbox + b".p")
        self.publish = self.publishes.publish
        self._subscribe(b"0", self.publishes.subject, self.publishes.on_answer)

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def connect(self) -> None:
        """Return once connected, however long that takes.

        Raises:
            SettingsError: credentials or certificates cannot be read.
        """
        self._connecting = asyncio.create_task(self._connect_until_up())
        await self._connecting
        self._sweeping = asyncio.create_task(self._sweep())

    async def flush(self) -> None:
        """Return once the server has read everything sent so far."""
        if self._link is not None and self._up:
            with contextlib.suppress(BrokerError):
                await self._link.flush()

    async def close(self) -> None:
        """End the connection; what waits for an answer is forgotten."""
        self._closing = True
        for task in (self._sweeping, self._connecting):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, SettingsError):
                    await task
        if self._link is not None:
            self._link.close()

    # seam.Transport

    def inflow(
        self,
        stream: str,
        durable: str,
        *,
        limit: int,
        on_delivery: OnDelivery,
        on_gone: Callable[[str], None] | None = None,
    ) -> Pull:
        """Pull from a durable; `start()` it when everything is in place."""
        self._sids += 1
        sid = b"%d" % self._sids
        pull = Pull(
            stream,
            durable,
            sid=sid,
            inbox=self._inbox + b"." + sid,
            limit=limit,
            on_delivery=on_delivery,
            send=lambda frame: self._send_if_up(frame),
            clock=monotonic,
            ready=self._can_pull,
            on_gone=on_gone,
        )
        self._pulls.append(pull)
        self._subscribe(sid, pull.subject, pull.on_message)
        return pull

    def drop(self, pull: Pull) -> None:
        """Stop `pull` and forget it; what still arrives for it is dropped."""
        pull.stop()
        if pull in self._pulls:
            self._pulls.remove(pull)
            del self._routes[pull.sid], self._subjects[pull.sid]

    def ack(self, reply: bytes) -> None:
        self._send(b"PUB %b 4\r\n+ACK\r\n" % reply)

    def retry(self, reply: bytes, delay: float) -> None:
        # without a delay a NAK is lost when the consumer's leader moves
        body = b'-NAK {"delay": %d}' % max(1, round(delay * 1e9))
        self._send(wire.pub(reply, body))

    def terminate(self, reply: bytes, reason: str) -> None:
        self._send(wire.pub(reply, f"+TERM {reason}".encode()))

    def progress(self, reply: bytes) -> None:
        self._send(wire.pub(reply, b"+WPI"))

    @property
    def server_version(self) -> str:
        return str(self._link.info.get("version", "")) if self._link else ""

    def _subscribe(self, sid: bytes, subject: bytes, callback: wire.OnMessage) -> None:
        self._routes[sid] = callback
        self._subjects[sid] = subject
        self._send_if_up(wire.sub(subject, sid))

    def _can_pull(self) -> bool:
        return self._up and self._link is not None and not self._link.congested

    # connection

    async def _connect_until_up(self) -> None:
        waits = delays()
        while not self._closing:
            for server in self._servers:
                try:
                    link = self._new_link()
                    await link.handshake(server, self._nats, self._name)
                except (OSError, TimeoutError, BrokerError) as error:
                    link.close()
                    self._on_refused(BrokerUnreachable(f"{server}: {str(error) or 'no answer'}"))
                else:
                    self._on_up(link)
                    return
            await asyncio.sleep(next(waits))

    def _new_link(self) -> Link:
        return Link(
            self._routes,
            on_lost=self._on_lost,
            on_info=self._on_info,
            on_error=self._on_error,
            on_writable=self._refill,
        )

    def _on_up(self, link: Link) -> None:
        self._link = link
        self._up = True
        self._silent = 0
        self.problem = ""
        self._send = self._send_if_up = self.publishes.send = link.send
        self.publishes.max_payload = int(link.info["max_payload"])
        self._servers.learn(link.info.get("connect_urls", ()))
        for sid, subject in self._subjects.items():
            link.send(wire.sub(subject, sid))
        self.publishes.resend_all()
        for frame in self._unsent:
            link.send(frame)
        self._unsent.clear()
        for pull in self._pulls:
            if pull.pulling:
                pull.start()
        log.info("connected", server=link.info.get("server_name"), version=self.server_version)

    def _on_refused(self, error: BrokerUnreachable) -> None:
        problem = f"no broker: {error}"
        if problem != self.problem:
            log.warning("waiting for the broker", tried=str(error))
        self.problem = problem

    def _on_lost(self, reason: str) -> None:
        self._up = False
        self._send = self._unsent.append
        self._send_if_up = self.publishes.send = drop
        self.problem = f"connection to the broker lost: {reason}"
        if not self._closing:
            self.reconnects += 1
            log.warning("connection to the broker lost", reason=reason)
            self._connecting = asyncio.create_task(self._connect_until_up())

    def _on_info(self, info: dict[str, Any]) -> None:
        self._servers.learn(info.get("connect_urls", ()))
        if info.get("ldm") and self._link is not None:
            # lame duck mode: this server goes away, the others are in the list
            self._link.abort("the server is shutting down (lame duck mode)")

    def _on_error(self, text: str) -> None:
        log.error("the broker refused", error=text)

    def _refill(self) -> None:
        for pull in self._pulls:
            pull.refill()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            if self._up and self._link is not None:
                self._notice_silence(self._link)
                self.publishes.sweep()
                for pull in list(self._pulls):
                    pull.sweep()

    def _notice_silence(self, link: Link) -> None:
        self._silent = 0 if link.heard else self._silent + 1
        link.heard = False
        if self._silent == _SILENT_SWEEPS:
            link.ping()
        elif self._silent >= 2 * _SILENT_SWEEPS:
            link.abort("the server is silent")
