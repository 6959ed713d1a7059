"""A nats-py connection that comes back, whatever ended it, and says why it is not there.

nats-py leaves gaps, all of which were run: an error callback that raises kills its read loop,
expired credentials close it for good, a denied permission only times out, lame duck mode is only
told, and a first connection that may reconnect hides why it is refused.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from typing import Any, Final

import nats.errors
import structlog
from nats.aio.client import Client
from nats.aio.client import Server as PoolServer
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from jetmesh import wire
from jetmesh.declare import Permissions
from jetmesh.declare.permissions import Action, denial
from jetmesh.errors import BrokerError, BrokerUnreachable
from jetmesh.settings import NatsSettings
from jetmesh.transport.auth import check_files
from jetmesh.transport.client import ControlClient
from jetmesh.transport.handshake import Connection, NoServerError, connect_any
from jetmesh.transport.info import Info
from jetmesh.transport.publishes import too_large
from jetmesh.transport.servers import Server, Servers, delays, in_words
from jetmesh.transport.stream import Stream

_CONNECT_SECONDS: Final = 2.0
_CLOSE_SECONDS: Final = 1.0
_PING_SECONDS: Final = 2
"""After two of them without an answer a silent connection is given up, as by the data plane."""
_DEAF_SECONDS: Final = 2.0
_LONGEST_PAUSE: Final = 1.0
_DENIED: Final = "permissions violation for "

OnMessage = Callable[[Msg], Awaitable[None]]

log = structlog.get_logger()


class Session:
    """Requests and subscriptions on a connection that is rebuilt when nats-py gives it up."""

    def __init__(self, settings: NatsSettings, name: str, needs: Permissions | None = None) -> None:
        self._settings = settings
        self._name = name
        self._needs = needs or Permissions(subscribe=(f"{settings.inbox_prefix}.>",))
        self._servers = Servers(settings)
        self._client = Client()
        self._stream: Stream | None = None
        self._closing = False
        self._rebuilding: asyncio.Task[None] | None = None
        self._deaf: asyncio.Task[None] | None = None
        self._subscriptions: list[tuple[str, OnMessage]] = []
        self._requests: dict[str, set[asyncio.Future[None]]] = {}
        """Requests without an answer by their subject in lower case, as nats-py tells denials."""
        self._refusal = self._logged = ""
        self._unheard = ""

    @property
    def problem(self) -> str:
        """Why nothing can be asked, in words; empty while connected."""
        if self._unheard:
            return self._unheard
        if self._client.is_connected:
            return ""
        return f"control connection lost: {self._refusal or self._ending or 'connecting again'}"

    @property
    def _ending(self) -> str:
        return self._stream.ending if self._stream else ""

    @property
    def info(self) -> Info:
        """The newest that the server said of itself."""
        return self._stream.info if self._stream else Info()

    @property
    def encrypted(self) -> bool:
        """Whether it was connected with TLS."""
        return self._stream is not None and self._stream.connection.server.tls

    async def connect(self, *, patient: bool) -> None:
        """Connect; `patient` waits for a broker that takes us as long as it takes.

        Raises:
            SettingsError: credentials or certificates cannot be read.
            BrokerUnreachable: no server answers within two seconds each, and not patient.
            BrokerError: the server refuses us, and not patient.
        """
        check_files(self._settings)  # they are an error now, and only now
        for wait in delays():
            try:
                await self._connect()
            except BrokerError as error:
                if not patient:
                    raise
                self._on_refused(error)
            else:
                return
            await asyncio.sleep(wait)

    async def close(self) -> None:
        """End the connection."""
        self._closing = True
        for task in (self._rebuilding, self._deaf):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        await _close(self._client)

    async def request(
        self, subject: str, payload: bytes, timeout: float, headers: dict[str, str] | None = None
    ) -> Msg:
        """Ask, and return the answer.

        Raises:
            BrokerError: a permission is missing, it says which; or it is too large.
            nats.errors.Error, TimeoutError, OSError: no answer.
        """
        self._check_size(subject, payload, headers)
        denied: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        key = subject.lower()
        self._requests.setdefault(key, set()).add(denied)
        asking = asyncio.ensure_future(
            self._client.request(subject, payload, timeout=timeout, headers=headers)
        )
        try:
            either: set[asyncio.Future[Any]] = {asking, denied}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not asking.done():
                if not self._unheard:
                    raise self._lacking("publish", subject)
                raise BrokerError(self._unheard)
            answer = asking.result()
            self._unheard = ""  # who hears an answer may hear
            return answer  # noqa: TRY300 - an else would have to repeat what finally does
        except TimeoutError:
            if self._unheard:
                raise BrokerError(self._unheard) from None
            raise
        finally:
            asking.cancel()
            self._requests[key].discard(denied)
            if not self._requests[key]:
                del self._requests[key]

    async def publish(
        self, subject: str, payload: bytes, reply: str = "", headers: dict[str, str] | None = None
    ) -> None:
        """Send, perhaps a request whose answers arrive on `reply`.

        Raises:
            BrokerError: it is too large.
            nats.errors.Error: it cannot be sent.
        """
        self._check_size(subject, payload, headers)
        await self._client.publish(subject, payload, reply=reply, headers=headers)

    async def listen(self, take: OnMessage | None = None) -> tuple[str, Subscription]:
        """An inbox of its own, for as long as this connection lasts; `take` gets what arrives."""
        inbox = self._client.new_inbox()
        return inbox, await self._client.subscribe(inbox, cb=take)

    async def subscribe(self, subject: str, respond: OnMessage) -> None:
        """Call `respond` for every message, on later connections too."""
        self._subscriptions.append((subject, respond))
        await self._client.subscribe(subject, cb=respond)

    def _check_size(
        self, subject: str, payload: bytes, headers: dict[str, str] | None = None
    ) -> None:
        """Refuse what would make the server hang up."""
        size, limit = _size(payload, headers), self.info.max_payload
        if limit is not None and size > limit:
            raise BrokerError(
                f"{subject}: {too_large(size, limit)}.",
                remedy="Raise max_payload of the server or of our account, or send less.",
            )

    # connection

    async def _connect(self) -> None:
        """Try every server once."""
        try:
            connection = await self._open()
        except NoServerError as error:
            if error.refused:
                raise self._refused(error) from error
            raise BrokerUnreachable(
                f"No broker answers at {self._servers} ({error}).",
                remedy="Start one with `jetmesh up`, or set NATS_URL.",
            ) from error
        stream = Stream(connection, self._open_again, self._on_info)
        client = ControlClient(stream)
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                await client.connect(**self._options(connection.server))
                for subject, respond in self._subscriptions:
                    await client.subscribe(subject, cb=respond)
                if self._unheard:
                    await self._try_to_hear(client)
            if not client.is_connected:
                raise nats.errors.ConnectionClosedError  # noqa: TRY301 - it ends like the others
        except Exception as error:
            await _close(client)
            raise self._refused(error) from error
        except BaseException:
            await _close(client)
            raise
        # only now: a first connection that may reconnect tries for ever and never says why
        client.options["allow_reconnect"] = True
        client.on_closing = self._on_closing
        self._client, self._stream = client, stream
        self._refusal = self._logged = ""

    async def _try_to_hear(self, client: Client) -> None:
        """Listen once: that it is still denied is told before the flush is answered."""
        self._unheard = ""
        inbox = await client.subscribe(client.new_inbox())
        await client.flush()
        await inbox.unsubscribe()

    def _refused(self, error: Exception) -> BrokerError:
        return BrokerError(
            f"The broker refuses {self._name!r}: {in_words(error)}.",
            remedy="Check the user, the credentials and the TLS files in nats.*.",
        )

    async def _open(self) -> Connection:
        connection = await connect_any(
            self._servers, self._settings, self._name, patience=_CONNECT_SECONDS
        )
        self._servers.learn(connection.info.connect_urls, connection.server)
        return connection

    async def _open_again(self) -> Connection:
        """For nats-py, which goes on trying after an OSError and ends after everything else."""
        try:
            return await self._open()
        except NoServerError as error:
            raise ConnectionError(str(error)) from error

    def _options(self, first: Server) -> dict[str, Any]:
        return {
            "servers": [f"nats://{first}"],
            "name": self._name,
            "inbox_prefix": self._settings.inbox_prefix,
            "allow_reconnect": False,
            "dont_randomize": True,
            "max_reconnect_attempts": -1,
            "connect_timeout": int(_CONNECT_SECONDS),
            "ping_interval": _PING_SECONDS,
            "max_outstanding_pings": 1,
            "error_cb": self._on_error,
            "reconnected_cb": self._on_reconnected,
            "lame_duck_mode_cb": self._on_lame_duck,
            "reconnect_to_server_handler": self._on_reconnecting,
        }

    def _on_info(self, info: Info, server: Server) -> None:
        """What a server says later, such as which others there are now."""
        self._servers.learn(info.connect_urls, server)

    def _on_reconnecting(
        self, servers: list[PoolServer], _: dict[str, Any]
    ) -> tuple[PoolServer | None, float]:
        """How long to wait before `Stream.connect`, which tries every server.

        nats-py's list has one, the server that it began with.
        """
        pause = min(0.05 * 2 ** min(servers[0].reconnects, 10), _LONGEST_PAUSE)
        return servers[0], pause * (0.5 + random.random() / 2)  # noqa: S311 - jitter is no secret

    async def _on_error(self, error: Exception) -> None:
        """Never raises: nats-py's read loop would die of it."""
        text = str(error).removeprefix("nats: ")
        if not text.startswith(_DENIED):
            self._refusal = text or type(error).__name__
            return
        what, _, quoted = text.removeprefix(_DENIED).partition(" to ")
        subject = quoted.partition('"')[2].partition('"')[0]
        waiting = [*self._requests.get(subject, ())]  # they say it
        if what == "subscription":
            lacking = str(self._lacking("subscribe", subject))
            log.error("permission denied", reason=lacking)
            if subject.startswith(f"{self._settings.inbox_prefix.lower()}."):
                self._unheard = lacking
                waiting = [denied for each in self._requests.values() for denied in each]
                if self._deaf is None or self._deaf.done():
                    self._deaf = asyncio.create_task(self._listen_anew())
        for denied in waiting:
            if not denied.done():
                denied.set_result(None)

    async def _listen_anew(self) -> None:
        """nats-py subscribes to its inbox once: a permission given later needs another client."""
        await asyncio.sleep(_DEAF_SECONDS)
        await _close(self._client)  # and `_on_closing` has one built

    def _lacking(self, action: Action, subject: str) -> BrokerError:
        return BrokerError(
            f"The {denial(action, subject)}.",
            remedy=f"Grant {self._needs.line_for(action, subject)} in the server's configuration.",
        )

    async def _on_reconnected(self) -> None:
        self._refusal = self._logged = ""

    async def _on_lame_duck(self) -> None:
        await self._client.force_reconnect()

    def _on_closing(self) -> None:
        """nats-py gives up for good on expired credentials: begin anew, they are read again."""
        if not self._closing and (self._rebuilding is None or self._rebuilding.done()):
            self._refusal = self._why_closed()
            log.warning("control connection closed", reason=self._refusal)
            self._rebuilding = asyncio.create_task(self._rebuild())

    def _why_closed(self) -> str:
        """What the server said, or else what nats-py made of it."""
        if said := self._ending or self._refusal:
            return said
        error = self._client.last_error
        return in_words(error) if error else "nats-py closed it without a reason"

    async def _rebuild(self) -> None:
        for wait in delays():
            await asyncio.sleep(wait)
            try:
                await self._connect()
            except BrokerError as error:
                self._on_refused(error)
            else:
                return

    def _on_refused(self, error: BrokerError) -> None:
        if error.message != self._logged:
            log.warning("waiting for the broker", tried=error.message)
        self._refusal = self._logged = error.message


def _size(payload: bytes, headers: dict[str, str] | None) -> int:
    """Bytes of a message as the server counts them, with its headers."""
    return len(payload) + (len(wire.block(headers)) if headers else 0)


async def _close(client: Client) -> None:
    with contextlib.suppress(Exception):  # nats-py asserts that it was connected, among others
        async with asyncio.timeout(_CLOSE_SECONDS):
            await client.close()
    if isinstance(client, ControlClient):
        client.stream.abort()  # nats-py forgets it when it fails to close it
