"""Everything that runs: the cluster, the shop on it, the load, and who watches them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Final, Self

import nats.errors
from nats.aio.client import Client

from jetmesh.protocol.streams import lane_stream
from jetmesh.settings import NatsSettings
from jetmesh.transport.dataplane import DataPlane
from tests.cluster.chaos.accounts import TIERS, Accounts
from tests.cluster.chaos.ledger import STREAMS, Ledger
from tests.cluster.chaos.load import RATE, Load
from tests.cluster.chaos.nodes import Cluster
from tests.cluster.chaos.provisioned import provision, write_settings
from tests.cluster.chaos.reader import Post, Reader, connect
from tests.cluster.chaos.shop import Shop
from tests.cluster.chaos.timeline import Timeline

SERVICES: Final = ("order-validation", "payments", "notifications", "loyalty", "packing")
DASHBOARDS: Final = ("business-dashboard", "customer-dashboard")
_ANSWER_SECONDS: Final = 30.0
_AGAIN_SECONDS: Final = 0.5
_TOLD: Final = 5
"""Violations named in a message; the others are counted."""


@dataclass(frozen=True, slots=True)
class Options:
    """How to set the scene."""

    seed: int = 1
    rate: int = RATE
    dashboards: bool = False


class Scene:
    """`async with Scene(folder, options) as scene:`; afterwards nothing of it is left."""

    def __init__(self, folder: Path, options: Options) -> None:
        self.folder = folder
        self.options = options
        self.cluster = Cluster(folder)
        self._stack = contextlib.AsyncExitStack()
        self._told: set[str] = set()
        """Violations that were reported already."""

    async def __aenter__(self) -> Self:
        try:
            await self._set()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    # what happened

    async def read(self, ledger: Ledger | None = None, reader: Reader | None = None) -> None:
        """Take over into the ledger whatever is new.

        Raises:
            nats.errors.Error, TimeoutError: the cluster does not answer.
        """
        ledger, reader = ledger or self.ledger, reader or self._reader
        for stream in STREAMS:
            ledger.fold(stream, await reader.new(stream))
        self.timeline.dead = sum(ledger.letters.values())

    async def settled(self, *, within: float) -> list[str]:
        """Wait until everything acknowledged so far has come to its end.

        Returns what is wrong: what still lacks its end after `within` seconds, and what can
        never heal.
        """
        if self._watching.done():
            self._watching.result()  # raises what ended it: without samples nothing can be said
        wanted = set(self.load.open)
        deadline = time.monotonic() + within
        problems = ["nothing was read"]
        while problems and time.monotonic() < deadline:
            try:
                await self.read()
                self.ledger.post(self._post.new())
                problems = self._unfinished(wanted)
                if not problems:  # nothing is on its way but what follows from a payment
                    await self.accounts.read()
                    problems = self.accounts.problems()
            except (nats.errors.Error, TimeoutError, OSError) as error:
                problems = [f"the cluster does not answer: {error!r}"]
            if problems:
                await asyncio.sleep(_AGAIN_SECONDS)
        self._forget(wanted)
        return [*_shortened(problems), *self._wrong()]

    async def holes(self) -> list[str]:
        """Streams that do not hold every message that they ever stored."""
        found = []
        for stream in (*STREAMS, TIERS):
            state = await self._reader.state(stream)
            if state["messages"] and state["first_seq"] != 1:
                found.append(f"{stream} begins at {state['first_seq']}")
            if missing := state["last_seq"] - state["messages"]:
                found.append(f"{stream} lacks {missing} of {state['last_seq']} messages")
        return found

    async def read_again(self) -> list[str]:
        """Read every stream from its first message: is what was seen before still there?"""
        ledger = Ledger(self.load.poisons)
        await self.read(ledger, Reader(self._client))
        ledger.post(Post(self.shop.mails).new())
        keys = [key for key, _ in self.load.acknowledged if not key.startswith("garbage")]
        problems = [problem for key in set(keys) if (problem := ledger.unfinished(key))]
        accounts = Accounts(Reader(self._client))
        await accounts.read()
        problems += accounts.problems()
        return [*_shortened(problems), *_shortened(ledger.violations)]

    async def lanes_left(self) -> list[str]:
        """What the lanes still hold: a retry, a mark of a suspect; nothing once all has its end."""
        deadline = time.monotonic() + _ANSWER_SECONDS
        while left := await self._on_lanes():
            if time.monotonic() > deadline:
                return [f"lanes hold {left} messages, though everything has come to its end"]
            await asyncio.sleep(_AGAIN_SECONDS)
        return []

    async def _on_lanes(self) -> int:
        states = [await self._reader.state(lane_stream(each)) for each in SERVICES]
        return sum(state["messages"] for state in states)

    def _unfinished(self, wanted: set[str]) -> list[str]:
        problems = []
        for key in list(wanted):
            if problem := self.ledger.unfinished(key):
                problems.append(problem)
            else:
                wanted.discard(key)
                self.load.open.discard(key)
        garbage = map(self.ledger.unfinished_garbage, self.load.garbage_stored)
        return problems + [problem for problem in garbage if problem]

    def _forget(self, wanted: set[str]) -> None:
        """What has no end by now is told once: the next fault is not to blame for it."""
        self.load.open -= wanted
        self.load.garbage_stored.clear()

    def _wrong(self) -> list[str]:
        """What can never heal and was not told before."""
        ledger = self.ledger
        invented = ledger.stories.keys() - self.load.sent
        found = [
            *ledger.violations,
            *ledger.contradictions(),
            *self.load.refused,
            *(f"{key} was never published" for key in invented),
        ]
        new = [problem for problem in dict.fromkeys(found) if problem not in self._told]
        self._told.update(new)
        return _shortened(new)

    # setting the scene

    async def _set(self) -> None:
        self._stack.callback(self.cluster.remove)
        self.cluster.make()
        await self.cluster.healthy()
        settings = self.folder / "jetmesh.toml"
        names = [*SERVICES, *(DASHBOARDS if self.options.dashboards else ())]
        self.shop = Shop(self.folder, settings, names)
        self._stack.callback(self.shop.stop)
        await provision(self.cluster.url, write_settings(settings, self.cluster.url, self.shop))
        await self.shop.start()
        await self._connect()
        self.timeline = Timeline(self.load, self.shop)
        self._watching = asyncio.create_task(self.timeline.watch())
        self._stack.callback(self._watching.cancel)

    async def _connect(self) -> None:
        plane = DataPlane(NatsSettings(url=self.cluster.url), name="chaos load")
        await self._stack.enter_async_context(plane)
        self.load = Load(plane, Random(self.options.seed), rate=self.options.rate)  # noqa: S311 - repeatable, not secret
        self.ledger = Ledger(self.load.poisons)
        self._client: Client = await connect(self.cluster.url)
        self._stack.push_async_callback(self._client.close)
        self._reader = Reader(self._client)
        self.accounts = Accounts(Reader(self._client))
        self._post = Post(self.shop.mails)


def _shortened(problems: Sequence[str]) -> list[str]:
    more = len(problems) - _TOLD
    return [*problems[:_TOLD], *([f"… and {more} more"] if more > 0 else [])]
