"""Somebody with one identity of the mesh, who tries more than it is for."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import nats
import nats.errors
from nats.aio.client import Client

from jetmesh.operate.identities import inbox_prefix
from jetmesh.testing import eventually

ANSWER_SECONDS = 1.0


class Attacker:
    """A plain client, for which nothing of the mesh's own code decides."""

    def __init__(self, client: Client, denied: list[str]) -> None:
        self._client = client
        self._denied = denied

    async def tries(
        self, subject: str, payload: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> dict[str, Any] | None:
        """What the broker answers; None when nobody does."""
        given = dict(headers) if headers else None
        try:
            answer = await self._client.request(subject, payload, ANSWER_SECONDS, headers=given)
        except (nats.errors.TimeoutError, nats.errors.NoRespondersError):
            return None
        found: dict[str, Any] = json.loads(answer.data) if answer.data else {}
        return found

    async def denied(
        self, subject: str, payload: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> None:
        """The broker refuses it for want of a permission: nobody ever hears of it."""
        given = dict(headers) if headers else None
        await self._client.publish(subject, payload, reply=self._client.new_inbox(), headers=given)
        said = f'"{subject}"'.lower()
        await eventually(
            lambda: any(said in each.lower() for each in self._denied), what=f"denied: {subject}"
        )

    async def refused(self, subject: str, payload: bytes, headers: Mapping[str, str]) -> str:
        """The broker takes the question, and says no; why."""
        answer = await self.tries(subject, payload, headers)
        assert answer is not None, f"nobody answers to {subject}"
        assert "error" in answer, f"{subject} was stored: {answer}"
        return str(answer["error"]["description"])


@asynccontextmanager
async def attacking(url: str, user: str, password: str) -> AsyncIterator[Attacker]:
    """Log in as a service whose secret somebody has."""
    denied: list[str] = []

    async def hear(error: Exception) -> None:
        denied.append(str(error))

    client = await nats.connect(
        url, user=user, password=password, inbox_prefix=inbox_prefix(user), error_cb=hear
    )
    try:
        yield Attacker(client, denied)
    finally:
        await client.close()
