"""Reads what the streams hold and what the mail sandbox took, each message once.

nats-py on purpose, and none of the mesh's own reading: who is judged does not keep the accounts.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

_ASK_SECONDS: Final = 3.0
_QUIET_SECONDS: Final = 5.0
_SHORT: Final = 9
"""Tokens of an ack subject without domain and account."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A message of a stream."""

    sequence: int
    nanoseconds: int
    """When the broker stored it."""
    subject: str
    headers: dict[str, str]
    payload: bytes = b""
    """Only of what was read whole."""

    @property
    def message_id(self) -> str:
        return self.headers.get("Nats-Msg-Id", "")


class Reader:
    """Goes on in each stream where it stopped the last time."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._read: dict[str, int] = {}
        """The last sequence read, by stream."""

    async def new(self, stream: str, *, whole: bool = False) -> list[Stored]:
        """What was stored since the last time; without payloads, unless it is read whole.

        Raises:
            nats.errors.Error, TimeoutError: the cluster does not answer; nothing is skipped then.
        """
        inbox = self._client.new_inbox()
        queue: asyncio.Queue[Msg] = asyncio.Queue()
        subscription = await self._client.subscribe(inbox, cb=queue.put)
        try:
            left = await self._consume(stream, inbox, whole=whole)
            found = [_stored(await _next(queue)) for _ in range(left)]
        finally:
            await subscription.unsubscribe()
        if found:
            self._read[stream] = found[-1].sequence
        return found

    async def state(self, stream: str) -> dict[str, Any]:
        """What the stream's leader says that it holds."""
        answer = await self._ask(f"STREAM.INFO.{stream}", {})
        state: dict[str, Any] = answer["state"]
        return state

    async def subjects(self, stream: str) -> list[str]:
        """The subjects of what the stream holds."""
        answer = await self._ask(f"STREAM.INFO.{stream}", {"subjects_filter": ">"})
        return list(answer["state"].get("subjects") or ())

    async def _consume(self, stream: str, inbox: str, *, whole: bool) -> int:
        """A consumer that pushes everything new; how much that is."""
        answer = await self._ask(
            f"CONSUMER.CREATE.{stream}",
            {
                "stream_name": stream,
                "config": {
                    "deliver_subject": inbox,
                    "deliver_policy": "by_start_sequence",
                    "opt_start_seq": self._read.get(stream, 0) + 1,
                    "ack_policy": "none",
                    "headers_only": not whole,
                    "mem_storage": True,
                    "num_replicas": 1,
                    "inactive_threshold": 10_000_000_000,
                },
            },
        )
        return int(answer["num_pending"]) + int(answer["delivered"]["consumer_seq"])

    async def _ask(self, subject: str, body: dict[str, Any]) -> dict[str, Any]:
        message = await self._client.request(
            f"$JS.API.{subject}", json.dumps(body).encode(), timeout=_ASK_SECONDS
        )
        answer: dict[str, Any] = json.loads(message.data)
        if "error" in answer:
            raise nats.errors.Error(f"{subject}: {answer['error']}")
        return answer


class Lines:
    """Reads a file to which others append, each whole line once."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._place = 0

    def new(self) -> Iterator[str]:
        """What was appended since the last time, without empty lines."""
        if not self._file.exists():
            return
        with self._file.open("rb") as file:
            file.seek(self._place)
            for line in file:
                if not line.endswith(b"\n"):
                    return  # it is being written
                self._place += len(line)
                if line.strip():
                    yield line.decode().strip()


class Post:
    """Reads the journal of the mail sandbox, each mail once."""

    def __init__(self, journal: Path) -> None:
        self._lines = Lines(journal)

    def new(self) -> Iterator[str]:
        """The Message-ID of each mail that was taken since the last time."""
        for line in self._lines.new():
            yield str(json.loads(line)["message_id"])


class _Client(Client):
    """nats-py forgets the socket of an attempt that came to nothing."""

    async def _connect_to_server(self, s: Any) -> None:
        writer = getattr(self._transport, "_io_writer", None)
        if writer is not None:
            writer.transport.abort()
        await super()._connect_to_server(s)


async def connect(url: str) -> Client:
    """A client that reconnects for ever, and is silent about it."""

    async def ignore(_: Exception) -> None:
        """What fails is seen where it is asked for."""

    client = _Client()
    await client.connect(
        url.split(","),
        name="chaos accounts",
        max_reconnect_attempts=-1,
        reconnect_time_wait=0.2,  # type: ignore[arg-type]  # it only sleeps so long
        ping_interval=2,
        max_outstanding_pings=2,
        error_cb=ignore,
    )
    return client


async def _next(queue: asyncio.Queue[Msg]) -> Msg:
    async with asyncio.timeout(_QUIET_SECONDS):
        return await queue.get()


def _stored(message: Msg) -> Stored:
    # $JS.ACK.<stream>.<consumer>.<delivered>.<stream sequence>.<consumer sequence>.<time>.<pending>
    # and newer servers put domain and account before the stream
    tokens = message.reply.split(".")
    numbers = tokens[4:] if len(tokens) == _SHORT else tokens[6:]
    headers = dict(message.headers or {})
    return Stored(int(numbers[1]), int(numbers[3]), message.subject, headers, message.data)
