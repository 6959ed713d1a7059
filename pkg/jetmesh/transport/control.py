"""The control plane: streams, durables, look-ups and discovery, on a nats-py connection of its own.

It is separate so that health and look-ups never wait behind a flood of deliveries.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, Self

import msgspec
import nats.errors
from nats.aio.msg import Msg

from jetmesh.declare import Permissions
from jetmesh.errors import BrokerError
from jetmesh.protocol.streams import JS_API
from jetmesh.settings import NatsSettings
from jetmesh.transport.position import position_of
from jetmesh.transport.session import Session
from jetmesh.transport.stored import (
    NOT_ENABLED,
    NOT_FOUND,
    ApiError,
    PubAck,
    StoredMessage,
    TooOldError,
    accepted,
    message_in,
    read,
)

_PAGE: Final = 500
_EMPTY_READERS: Final = 3
"""So many readers in a row may deliver nothing: under load one may be asked before it is there."""
_NEXT_READER_SECONDS: Final = 0.2
_SILENCE_SECONDS: Final = 5.0
_NEEDED_API: Final = 4
"""`api.level` of nats-server 2.14: read models let their consumers begin where they need to."""
_USER_INFO: Final = "$SYS.REQ.USER.INFO"
"""Answered by the server itself, in every account."""
_UNNAMED: Final = "[REDACTED]"
"""What the server says of whoever logged in with a token, which has no name."""
_OTHER: Final = (
    "Start nats-server with -js and enable jetstream for the account; where the streams are in "
    "another domain or account, set nats.js_domain or nats.js_api_prefix."
)
_AS_SET: Final = (
    "Check nats.js_domain or nats.js_api_prefix, and that the leaf node is connected or the API "
    "imported."
)


class _User(msgspec.Struct):
    user: str = ""


class _UserInfo(msgspec.Struct):
    data: _User = msgspec.field(default_factory=_User)


class ControlPlane:
    """What people, deploys and start-up ask the broker."""

    def __init__(
        self, nats_settings: NatsSettings, name: str, needs: Permissions | None = None
    ) -> None:
        self._session = Session(nats_settings, name, needs)
        self._js_api = nats_settings.js_api

    @classmethod
    async def connect(
        cls,
        nats_settings: NatsSettings,
        *,
        name: str,
        patient: bool = False,
        needs: Permissions | None = None,
    ) -> ControlPlane:
        """Connect; `patient` waits for a broker that takes us as long as it takes.

        `needs` is what is told to be granted when the broker denies something.

        Raises:
            SettingsError: credentials or certificates cannot be read.
            BrokerUnreachable: no server answers within two seconds each, and not patient.
            BrokerError: the server refuses us, and not patient.
        """
        plane = cls(nats_settings, name, needs)
        await plane._session.connect(patient=patient)
        return plane

    @property
    def problem(self) -> str:
        """Why nothing can be asked, in words; empty while connected."""
        return self._session.problem

    @property
    def max_payload(self) -> int | None:
        """Bytes of headers and payload that our account may send in one message, if it was said."""
        return self._session.info.max_payload

    async def close(self) -> None:
        """End the connection."""
        await self._session.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def api(
        self, subject: str, body: Mapping[str, Any] | None = None, *, timeout: float = 5.0
    ) -> dict[str, Any]:
        """Ask `$JS.API.<subject>`, or the same of the domain or prefix that is set.

        Raises:
            ApiError: the server refused; `err_code` says why.
            BrokerError: no answer in `timeout` seconds, or one that cannot be read.
        """
        payload = await self._ask(subject, body, timeout)
        try:
            accepted(subject, read(payload))
        except ApiError as error:
            if error.err_code in NOT_ENABLED:
                error.remedy = self._elsewhere
            raise
        try:
            return msgspec.json.decode(payload, type=dict[str, Any])
        except (ValueError, RecursionError) as error:
            raise BrokerError(f"{subject}: the answer cannot be read.") from error

    async def user(self) -> str:
        """Whom the server takes us for: a user's name or public key, `token`, or empty for anybody.

        Raises:
            BrokerError: it does not say.
        """
        try:
            answer = await self._session.request(_USER_INFO, b"", 5.0)
            name = msgspec.json.decode(answer.data, type=_UserInfo).data.user
        except (nats.errors.Error, TimeoutError, OSError, msgspec.MsgspecError, ValueError) as e:
            raise BrokerError(
                "The server does not say whom it takes us for.",
                remedy=f"Grant publish on {_USER_INFO}, which every account has.",
            ) from e
        return "token" if name == _UNNAMED else name

    async def _ask(self, subject: str, body: Mapping[str, Any] | None, timeout: float) -> bytes:
        payload = json.dumps(body).encode() if body is not None else b""
        try:
            message = await self._session.request(f"{self._js_api}.{subject}", payload, timeout)
        except nats.errors.NoRespondersError as error:
            raise BrokerError(
                f"{subject}: JetStream does not answer on {self._js_api}.",
                remedy=self._elsewhere,
            ) from error
        except (nats.errors.Error, TimeoutError, OSError) as error:
            raise BrokerError(f"{subject}: no answer ({type(error).__name__}).") from error
        return message.data

    @property
    def _elsewhere(self) -> str:
        """What to do where there is no JetStream."""
        return _OTHER if self._js_api == JS_API else _AS_SET

    async def check_server(self) -> None:
        """Refuse a server that lacks what decisions need.

        Raises:
            TooOldError: nats-server is older than 2.14.
            BrokerError: JetStream is off.
        """
        account = await self.api("INFO")
        level = int(account.get("api", {}).get("level", 0))
        if level < _NEEDED_API:
            version = self._session.info.version
            raise TooOldError(
                f"nats-server {version} is too old: JetStream API level {level}, "
                f"jetmesh needs {_NEEDED_API}.",
                remedy="Run nats-server 2.14 or newer.",
            )

    async def publish(
        self, subject: str, payload: bytes, headers: dict[str, str] | None = None
    ) -> PubAck:
        """Store one message.

        Raises:
            ApiError: the stream refused it.
            BrokerError: no stream takes the subject, it is too large, or no answer.
        """
        try:
            message = await self._session.request(
                subject, payload, 5.0, dict(headers) if headers else None
            )
        except nats.errors.NoRespondersError as error:
            raise BrokerError(
                f"No stream takes {subject!r}.", remedy="Run jetmesh apply, or check the subject."
            ) from error
        except (nats.errors.Error, TimeoutError, OSError) as error:
            raise BrokerError(f"{subject}: no PubAck ({type(error).__name__}).") from error
        stored = accepted(subject, read(message.data))
        if not stored.stream:
            raise BrokerError(f"{subject}: the answer does not come from a stream.")
        return PubAck(stored.stream, stored.seq, stored.duplicate)

    async def last(self, stream: str, subject: str) -> StoredMessage | None:
        """The newest message whose subject matches, read from the stream's leader.

        None also where there is no such stream; who decides by the answer asks `LookUps`.
        """
        return await self._get(stream, {"last_by_subj": subject})

    async def forget(self, stream: str, subject: str, *, before: int = 0) -> None:
        """Remove what is stored on the subjects that match; nothing there is fine.

        With `before` only messages with a lower sequence.
        """
        numbers = {"seq": before} if before else {}
        await self.api(f"STREAM.PURGE.{stream}", {"filter": subject, **numbers})

    async def holders(self, subject: str) -> list[str]:
        """The names of the streams that take something of what `subject` matches.

        Raises:
            BrokerError: no answer.
        """
        pages = self._paged("STREAM.NAMES", {"subject": subject}, "streams")
        return [name async for page in pages for name in page]

    async def subjects(self, stream: str, matching: str) -> dict[str, int]:
        """On which subjects something is stored, with how many messages.

        Raises:
            ApiError: no such stream.
            BrokerError: no answer.
        """
        pages = self._paged(f"STREAM.INFO.{stream}", {"subjects_filter": matching}, "subjects")
        return {subject: page[subject] async for page in pages for subject in page}

    async def consumers(self, stream: str) -> list[dict[str, Any]]:
        """Everything that reads a stream, as the server describes it.

        Raises:
            ApiError: no such stream.
            BrokerError: no answer.
        """
        pages = self._paged(f"CONSUMER.LIST.{stream}", {}, "consumers")
        return [each async for page in pages for each in page]

    async def _paged(self, subject: str, body: dict[str, Any], listed: str) -> AsyncIterator[Any]:
        """Page by page what an answer lists under this name, until all of it is there."""
        known = 0
        while True:
            answer = await self.api(subject, {**body, "offset": known})
            page = answer.get("state", answer).get(listed) or ()
            known += len(page)
            yield page
            if not page or known >= answer.get("total", 0):
                return

    async def message(self, stream: str, sequence: int) -> StoredMessage | None:
        """One message by its sequence, None when it is not there (any more)."""
        return await self._get(stream, {"seq": sequence})

    async def first(self, stream: str, subject: str, *, since: int = 1) -> StoredMessage | None:
        """The first message on a subject, from `since` on; None when there is none (any more)."""
        return await self._get(stream, {"seq": since, "next_by_subj": subject})

    async def count(self, stream: str, subjects: Sequence[str], *, first: int = 1) -> int:
        """How many messages are stored now, from sequence `first` on, whose subjects match.

        Raises:
            ApiError: no such stream.
            BrokerError: no answer.
        """
        config = _reader(subjects, first, headers_only=True)
        body = {"stream_name": stream, "config": config}
        reader = await self.api(f"CONSUMER.CREATE.{stream}", body)
        with contextlib.suppress(BrokerError):  # else it ends by itself
            await self.api(f"CONSUMER.DELETE.{stream}.{reader['name']}")
        return int(reader["num_pending"])

    async def history(
        self, stream: str, subjects: Sequence[str], *, first: int = 1, headers_only: bool = False
    ) -> AsyncIterator[StoredMessage]:
        """Everything stored now that matches, from sequence `first` on, in order; then it ends.

        `headers_only` leaves the payloads at the server: what is read in masses costs no memory.

        Raises:
            ApiError: no such stream.
            BrokerError: no answer; a silent broker takes five seconds for each of three readers.
        """
        left: int | None = None
        empty = 0
        while left != 0:
            config = _reader(subjects, first, headers_only=headers_only)
            body = {"stream_name": stream, "config": config}
            created = await self.api(f"CONSUMER.CREATE.{stream}", body)
            pending = created["num_pending"]
            left = before = pending if left is None else min(left, pending)
            async with contextlib.aclosing(self._pages(stream, created["name"], left)) as pages:
                async for message in pages:
                    left, first = left - 1, message.sequence + 1
                    yield message
            # what was lost on its way is read once more, by a reader that begins behind the rest
            empty = empty + 1 if left == before else 0
            if left and empty == _EMPTY_READERS:
                raise BrokerError(f"{stream}: no answer.")
            await asyncio.sleep(_NEXT_READER_SECONDS * empty)

    async def _pages(
        self, stream: str, reader: str, count: int
    ) -> AsyncGenerator[StoredMessage, None]:
        """What a consumer delivers; it ends early when the consumer or a message is lost."""
        number = 0
        arrived: asyncio.Queue[Msg] = asyncio.Queue()
        inbox, subscription = await self._session.listen(arrived.put)
        try:
            while number < count:
                batch = min(count - number, _PAGE)
                body = json.dumps({"batch": batch, "no_wait": True}).encode()
                asked = f"{self._js_api}.CONSUMER.MSG.NEXT.{stream}.{reader}"
                await self._session.publish(asked, body, inbox)
                for _ in range(batch):
                    message = await _next(arrived)
                    number += 1
                    at = position_of(message.reply.encode()) if message.reply else None
                    if at is None or at.number != number:
                        return
                    headers = message.headers or {}
                    yield StoredMessage(
                        stream, at.sequence, message.subject, headers, message.data, at.nanoseconds
                    )
        except (nats.errors.Error, TimeoutError, OSError, ValueError):  # no position, for one
            return
        finally:
            with contextlib.suppress(nats.errors.Error):
                await subscription.unsubscribe()
            with contextlib.suppress(BrokerError):
                await self.api(f"CONSUMER.DELETE.{stream}.{reader}")

    async def subscribe(self, subject: str, answer: Callable[[str], Awaitable[bytes]]) -> None:
        """Answer every request on `subject`; the callback gets the subject."""

        async def respond(message: Msg) -> None:
            if message.reply:
                # not with `respond`, which sends the asker's headers along
                await self._session.publish(message.reply, await answer(message.subject))

        await self._session.subscribe(subject, respond)

    async def _get(self, stream: str, body: dict[str, Any]) -> StoredMessage | None:
        asked = f"STREAM.MSG.GET.{stream}"
        answer = read(await self._ask(asked, body, 5.0))
        if answer.error is not None and answer.error.code == NOT_FOUND:
            return None
        return message_in(asked, stream, answer)


def _reader(subjects: Sequence[str], first: int, *, headers_only: bool) -> dict[str, Any]:
    """An ephemeral consumer for one reading."""
    return {
        "ack_policy": "none",
        "deliver_policy": "by_start_sequence",
        "opt_start_seq": first,
        "filter_subjects": list(subjects),
        "headers_only": headers_only,
        "mem_storage": True,
        "inactive_threshold": 30_000_000_000,
        "num_replicas": 1,
    }


async def _next(arrived: asyncio.Queue[Msg]) -> Msg:
    if not arrived.empty():  # nearly always: there may be 100,000, and a timeout costs
        return arrived.get_nowait()
    async with asyncio.timeout(_SILENCE_SECONDS):
        return await arrived.get()
