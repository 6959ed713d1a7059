"""The data plane: the connection on which only deliveries, outputs, PubAcks and verdicts travel."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import secrets
from collections import deque
from collections.abc import Callable, Iterator
from time import monotonic
from typing import Final, Self

import structlog

from jetmesh import wire
from jetmesh.declare import Permissions
from jetmesh.declare.permissions import Action, denial
from jetmesh.errors import BrokerError
from jetmesh.protocol.acks import ACK, durable_of
from jetmesh.settings import NatsSettings
from jetmesh.transport.auth import check_files, wants_tls
from jetmesh.transport.handshake import Connection, NoServerError, connect_any
from jetmesh.transport.info import Info
from jetmesh.transport.link import Link
from jetmesh.transport.lookups import LookUps
from jetmesh.transport.publishes import SWEEP_SECONDS, Publishes, drop
from jetmesh.transport.pull import Pull
from jetmesh.transport.seam import OnDelivery, utc_now
from jetmesh.transport.servers import Server, Servers, delays
from jetmesh.transport.silence import Silence
from jetmesh.transport.turns import Turns

_REST_SECONDS: Final = 1.0
"""Between two sweeps while nothing is on its way."""
_STEADY_SECONDS: Final = 2.0
"""A connection that was lost sooner is no reason to try again at once."""
_PATIENCES: Final = (1.0, 1.0, 1.0, 5.0)
"""Seconds for a server's first word, round by round: short ones notice soon that a cut network is
whole again, the long one gives a busy server its chance."""
_LEAVE_SECONDS: Final = 2.0
_ASK_SWEEPS: Final = 4
"""A second between two questions whether verdicts are taken: servers log each that they refuse."""
_MOST_UNSENT: Final = 65_536
"""Verdicts kept for the next connection; a delivery whose verdict is lost comes again."""
_PUBACK_SID: Final = b"0"
"""The subscription on which PubAcks arrive."""
_LOOKUP_SID: Final = b"1"
"""The subscription on which look-ups are answered."""
_ASK_FOR_TLS: Final = "Write tls:// in nats.url, or somebody on the path can switch TLS off."

log = structlog.get_logger()


class DataPlane:
    """Implements `seam.Transport`; reconnects for ever, and sends again what waits for an answer.

    `async with DataPlane(nats, name=…) as plane:` returns once the first connection stands.
    """

    def __init__(self, nats: NatsSettings, *, name: str, needs: Permissions | None = None) -> None:
        self.reconnects = 0
        self.on_connected: list[Callable[[], None]] = []
        """Called on each new connection, before anything is sent on it."""
        self._strays = 0
        """Of pulls that are no more."""
        self.turns = Turns()
        self.now = utc_now
        self._nats = nats
        self._name = name
        self._needs = needs or Permissions(subscribe=(f"{nats.inbox_prefix}.>",))
        """What is told to be granted when the broker denies something."""
        self._servers = Servers(nats)
        self._inbox = f"{nats.inbox_prefix}.{secrets.token_hex(11)}".encode()
        self._routes: dict[bytes, wire.OnMessage] = {}
        self._pulls: list[Pull] = []
        self._link: Link | None = None
        self._server: Server | None = None
        self._up = False
        self._up_at = 0.0
        self._down = "not connected to the broker yet"
        self._unheard = ""
        """What this connection may not subscribe to; it is as good as none then."""
        self._asked: asyncio.Future[None] | None = None
        """Done when the server has read the question whether verdicts are taken again."""
        self._ask_in = 0
        """Sweeps until it is asked again."""
        self._refused = ""
        self._sids = int(_LOOKUP_SID)
        self._silence = Silence()
        self._unsent: deque[bytes] = deque(maxlen=_MOST_UNSENT)
        self._waits: Iterator[float] = delays()
        self._connecting: asyncio.Task[None] | None = None
        self._sweeping: asyncio.Task[None] | None = None
        self._leaving: asyncio.Task[None] | None = None
        self._closing = False
        self._send_verdict: Callable[[bytes], None] = self._unsent.append
        """Send, or keep it for the next connection: verdicts are worth it."""
        self._send_if_up: Callable[[bytes], None] = drop
        """Send, or drop it: a new connection subscribes, pulls and publishes anew."""
        self.publishes = Publishes(self._inbox + b".p")
        self.publish = self.publishes.publish
        self._routes[_PUBACK_SID] = self.publishes.on_answer
        self.lookups = LookUps(self._inbox + b".l", nats.js_api)
        self._routes[_LOOKUP_SID] = self.lookups.on_answer

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def problem(self) -> str:
        """Why nothing can be sent, or stored, in words; empty when all is well."""
        return self._down or self.publishes.problem

    @property
    def strays(self) -> int:
        """Messages on our inboxes that no durable delivered."""
        return self._strays + sum(pull.strays for pull in self._pulls)

    async def connect(self) -> None:
        """Return once connected, however long that takes.

        Raises:
            SettingsError: credentials or certificates cannot be read.
        """
        check_files(self._nats)
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
        tasks = [t for t in (self._sweeping, self._connecting, self._leaving) if t is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._link is not None:
            await self._link.close()

    # seam.Transport

    def inflow(
        self,
        stream: str,
        durable: str,
        *,
        limit: int,
        first: int = 0,
        on_delivery: OnDelivery,
        on_gone: Callable[[str], None] | None = None,
        on_muted: Callable[[], None] | None = None,
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
            first=first,
            on_delivery=on_delivery,
            send=lambda frame: self._send_if_up(frame),  # noqa: PLW0108 - it changes with the connection
            clock=monotonic,
            ready=self._can_pull,
            on_gone=on_gone,
            js_api=self._nats.js_api,
            on_muted=on_muted,
        )
        self._pulls.append(pull)
        self._routes[sid] = pull.on_message
        return pull

    def drop(self, pull: Pull) -> None:
        """Stop `pull` and forget it; what still arrives for it is dropped."""
        pull.stop()
        if pull in self._pulls:
            self._pulls.remove(pull)
            self._strays += pull.strays
            del self._routes[pull.sid]

    def ack(self, reply: bytes) -> None:
        self._send_verdict(b"PUB %b 4\r\n+ACK\r\n" % reply)

    def retry(self, reply: bytes, delay: float) -> None:
        # without a delay a NAK is lost when the consumer's leader moves
        body = b'-NAK {"delay": %d}' % max(1, round(delay * 1e9))
        self._send_verdict(wire.pub(reply, body))

    def terminate(self, reply: bytes, reason: str) -> None:
        self._send_verdict(wire.pub(reply, f"+TERM {reason}".encode()))

    def progress(self, reply: bytes) -> None:
        self._send_if_up(wire.pub(reply, b"+WPI"))  # after an outage it would come too late

    def _can_pull(self) -> bool:
        leaving = self._leaving is not None
        return self._up and not leaving and self._link is not None and not self._link.congested

    # connection

    async def _connect_until_up(self, pause: float = 0.0) -> None:
        for patience in itertools.cycle(_PATIENCES):
            if pause:
                await asyncio.sleep(pause)
            try:
                connection = await connect_any(
                    self._servers, self._nats, self._name, patience=patience
                )
                self._on_up(connection)
            except (NoServerError, BrokerError) as error:
                if (problem := f"no broker: {error}") != self._down:
                    log.warning("waiting for the broker", tried=str(error))
                self._down = problem
            else:
                return
            pause = next(self._waits)

    def _on_up(self, connection: Connection) -> None:
        """Raises BrokerError: the connection is lost again already."""
        link = Link(
            connection.info,
            self._routes,
            turns=self.turns,
            on_lost=self._on_lost,
            on_info=self._on_info,
            on_denied=self._on_denied,
            on_writable=self._refill,
        )
        connection.hand_to(link)
        self._link = link
        self._up = True
        self._up_at = monotonic()
        self._silence.end()
        self._down = self._unheard = ""
        self._leaving = self._asked = None
        self._server = connection.server
        self._send_verdict = link.send_later
        self._send_if_up = self.publishes.send = link.send
        self.lookups.send = link.send
        self._on_info(link.info)
        for tell in self.on_connected:
            tell()
        link.send(wire.sub(self.publishes.subject, _PUBACK_SID))
        link.send(wire.sub(self.lookups.subject, _LOOKUP_SID))
        self.publishes.resend_all()
        for frame in self._unsent:
            link.send(frame)
        self._unsent.clear()
        for pull in list(self._pulls):
            if pull.pulling:
                pull.reconnected()
        log.info("connected", server=link.info.server_name, version=link.info.version)
        if connection.server.tls and not wants_tls(self._nats):
            log.warning("TLS is used only because the server requires it", remedy=_ASK_FOR_TLS)

    def _on_lost(self, reason: str) -> None:
        self._up = False
        if self._link is not None:
            self._unsent += filter(_is_verdict, self._link.take_unsent())
        self._send_verdict = self._unsent.append
        self._send_if_up = self.publishes.send = self.lookups.send = drop
        self.lookups.fail_all("the connection is lost")
        self._down = f"connection to the broker lost: {self._unheard or reason}"
        if self._closing:
            return
        self.reconnects += 1
        log.warning("connection to the broker lost", reason=self._unheard or reason)
        pause = 0.0
        if monotonic() - self._up_at > _STEADY_SECONDS:
            self._waits = delays()
        else:
            pause = next(self._waits)
        self._connecting = asyncio.create_task(self._connect_until_up(pause))

    def _on_info(self, info: Info) -> None:
        if not self._up or self._link is None or self._server is None:
            return  # the newest one counts, once it is up
        self._servers.learn(info.connect_urls, self._server)
        if info.max_payload is not None:
            self.publishes.max_payload = info.max_payload
        if info.ldm and self._leaving is None:
            self._leaving = asyncio.create_task(self._leave(self._link))

    async def _leave(self, link: Link) -> None:
        """Lame duck mode: this server goes away, the others are in the list.

        What it sent is read first: the rest would come again only after ack_wait.
        """
        for pull in self._pulls:
            if pull.pulling:
                pull.withdraw()
        with contextlib.suppress(BrokerError, TimeoutError):
            async with asyncio.timeout(_LEAVE_SECONDS):
                await link.flush()
        link.end("the server is shutting down (lame duck mode)")

    def _on_denied(self, action: Action, subject: str) -> None:
        """A permission is missing; what is asked for is asked again, it can be given later."""
        lacking = f"the {denial(action, subject)}; grant {self._needs.line_for(action, subject)}"
        if action == "publish" and subject.startswith(ACK):
            self._on_refused_verdict(subject, lacking)
            return
        log.error("permission denied", reason=lacking)
        if action == "subscribe":
            self._unheard = lacking
            if self._link is not None:
                self._link.abort(lacking)
            return
        if subject.startswith((self.lookups.asks_on, self.lookups.asks_leader_on)):
            self.lookups.denied(lacking)
            return
        for pull in self._pulls:
            if pull.asks_on == subject:
                pull.denied(lacking)
                return
        self.publishes.denied(lacking)

    def _on_refused_verdict(self, subject: str, lacking: str) -> None:
        """Its durable pauses: what cannot be settled would be delivered again and again."""
        durable = durable_of(subject)
        pulls = [pull for pull in self._pulls if pull.durable == durable]
        if not any(pull.muted for pull in pulls):  # else it was said, and is asked each second
            log.error("permission denied", reason=lacking)
        for pull in pulls:
            pull.mute(lacking, subject.encode())

    def _ask_for_verdicts(self, link: Link) -> None:
        """A permission may have been given: ask with a verdict that changes nothing.

        A refusal comes before the answer to the PING that follows it.
        """
        if self._asked is not None and self._asked.done():
            self._asked = None
            for pull in list(self._pulls):
                if pull.unmute():
                    log.info("verdicts are taken again", durable=" ".join(pull.durable))
        self._ask_in -= 1
        muted = [pull for pull in self._pulls if pull.muted]
        if not muted or self._asked is not None or self._ask_in > 0:
            return
        self._ask_in = _ASK_SWEEPS
        for pull in muted:
            pull.ask_for_verdicts()
        self._asked = link.ping()

    def _refill(self) -> None:
        for pull in self._pulls:
            pull.refill()

    @property
    def _rests(self) -> bool:
        """Whether nothing waits for an answer, and all durables are at rest."""
        waits = self.publishes or self.lookups or self._refused or self._asked
        return not waits and all(pull.rests for pull in self._pulls)

    async def _sweep(self) -> None:
        while True:
            pause = _REST_SECONDS if self._rests else SWEEP_SECONDS
            await asyncio.sleep(pause)
            if self._up and self._link is not None:
                self._silence.notice(self._link, pause)
                if not self._link.congested:  # or it would only be sent twice
                    self.publishes.sweep()
                    self._tell_refusal()
                    self._ask_for_verdicts(self._link)
                self.lookups.sweep()
                for pull in list(self._pulls):
                    pull.sweep()

    def _tell_refusal(self) -> None:
        """Say once that outputs wait, and once that they do no more."""
        problem = self.publishes.problem
        if problem and not self._refused:
            log.warning("outputs are refused", reason=problem)
        elif self._refused and not problem:
            log.info("outputs are stored again")
        self._refused = problem


def _is_verdict(frame: bytes) -> bool:
    """Everything else is asked for or published anew; `+WPI` would come too late."""
    return frame.startswith(b"PUB $JS.ACK.") and not frame.endswith(b"+WPI\r\n")
