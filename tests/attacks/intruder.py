"""Somebody who speaks to the broker without any code of ours, and notes what it answers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import nats
import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from jetmesh.settings import NatsSettings
from jetmesh.testing import eventually

NOBODY = "503"
"""The status of an answer: nobody listens there."""


@dataclass
class Intruder:
    """Logged in as somebody."""

    client: Client
    refusals: list[str] = field(default_factory=list)
    """What the server said about permissions, in its words and in lower case."""
    answers: dict[str, list[Msg]] = field(default_factory=dict)
    """By the last token of the inbox."""

    async def publishes(
        self,
        subject: str,
        payload: bytes = b"",
        *,
        reply: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Send it, whatever comes of it, and return when the server has read it."""
        given = dict(headers) if headers else None
        await self.client.publish(subject, payload, reply=reply, headers=given)
        await self.client.flush()

    async def refused(self, subjects: Iterable[str]) -> set[str]:
        """Which of the subjects the server does not let it publish on."""
        wanted = list(subjects)
        for subject in wanted:
            await self.client.publish(subject, b"{}", reply=f"{self.client.new_inbox()}")
        await self.settled()
        said = {_quoted(text) for text in self.refusals if "violation for publish" in text}
        return {each for each in wanted if each.lower() in said}

    async def unheard(self, subjects: Iterable[str]) -> set[str]:
        """On which of the subjects nobody at all listens, as far as it can see."""
        inbox = self.client.new_inbox()
        found: dict[str, str] = {}

        async def hear(message: Msg) -> None:
            number = message.subject.rpartition(".")[2]
            found[number] = (message.headers or {}).get("Status", "")

        await self.client.subscribe(f"{inbox}.*", cb=hear)
        wanted = list(subjects)
        for number, subject in enumerate(wanted):
            await self.client.publish(subject, b"{}", reply=f"{inbox}.{number}")
        await self.settled()
        return {each for number, each in enumerate(wanted) if found.get(str(number)) == NOBODY}

    async def deaf(self, subjects: Iterable[str]) -> set[str]:
        """To which of the subjects the server does not let it listen."""
        wanted = list(subjects)
        for subject in wanted:
            with contextlib.suppress(nats.errors.Error):
                await self.client.subscribe(subject)
        await self.settled()
        said = {_quoted(text) for text in self.refusals if "violation for subscription" in text}
        return {each for each in wanted if each.lower() in said}

    async def settled(self) -> None:
        """What was sent is read, and what the server said to it is here."""
        for _ in range(2):
            await self.client.flush(timeout=30)
            await asyncio.sleep(0)


@asynccontextmanager
async def intruding(settings: NatsSettings) -> AsyncIterator[Intruder]:
    """Log in with somebody's own secret."""
    refusals: list[str] = []

    async def hear(error: Exception) -> None:
        refusals.append(str(error).lower())

    options: dict[str, Any] = {"inbox_prefix": settings.inbox_prefix, "error_cb": hear}
    if settings.nkey_seed_file:
        options["nkeys_seed"] = settings.nkey_seed_file
    client = await nats.connect(settings.url, **options)
    intruder = Intruder(client, refusals)
    try:
        yield intruder
    finally:
        await client.close()


async def says(intruder: Intruder, text: str) -> None:
    """Wait until the server has complained with these words."""
    await eventually(lambda: any(text in each for each in intruder.refusals), what=text)


def _quoted(text: str) -> str:
    return text.partition('"')[2].partition('"')[0]
