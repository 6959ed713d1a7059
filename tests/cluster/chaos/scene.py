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

from jetmesh.errors import JetmeshError
from jetmesh.protocol.streams import lane_stream
from jetmesh.settings import NatsSettings
from jetmesh.transport.dataplane import DataPlane
from tests.cluster.chaos import fulfilments, tracks
from tests.cluster.chaos.accounts import TIERS, Accounts
from tests.cluster.chaos.fulfilments import Fulfilments
from tests.cluster.chaos.ledger import STREAMS, Ledger, fact_of
from tests.cluster.chaos.load import RATE, Load
from tests.cluster.chaos.moves import Moves
from tests.cluster.chaos.nodes import Cluster
from tests.cluster.chaos.parcels import Parcels
from tests.cluster.chaos.provisioned import provision, write_settings
from tests.cluster.chaos.reader import Lines, Post, Reader, connect
from tests.cluster.chaos.shop import Shop
from tests.cluster.chaos.timeline import Timeline

SERVICES: Final = (
    *("order-validation", "payments", "fulfilment", "notifications", "loyalty"),
    *("packing", "tracking"),
)
_WHOLE: Final = (*STREAMS, TIERS, *fulfilments.STREAMS, *tracks.STREAMS)
"""Streams that must hold whatever they ever stored."""
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
                problems = await self._lacking(wanted)
            except (JetmeshError, nats.errors.Error, TimeoutError, OSError) as error:
                problems = [f"the cluster does not answer: {error!r}"]
            if problems:
                await asyncio.sleep(_AGAIN_SECONDS)
        self._forget(wanted)
        return [*_shortened(problems), *self._wrong()]

    async def _lacking(self, wanted: set[str]) -> list[str]:
        """What is not at its end yet, at this look."""
        await self.read()
        mails = list(self._post.new())
        self.ledger.post(mails)
        self.fulfilments.post(filter(None, map(fact_of, mails)))
        problems = [*self._unfinished(wanted), *await self.parcels.problems()]
        if problems:
            return problems
        # nothing is on its way but what follows from a payment, or from its absence
        await self.accounts.read()
        await self.fulfilments.read()
        return [*self.accounts.problems(), *self.fulfilments.problems()]

    async def holes(self) -> list[str]:
        """Streams that do not hold every message that they ever stored."""
        found = []
        for stream in _WHOLE:
            state = await self._reader.state(stream)
            if state["messages"] and state["first_seq"] != 1:
                found.append(f"{stream} begins at {state['first_seq']}")
            if missing := state["last_seq"] - state["messages"]:
                found.append(f"{stream} lacks {missing} of {state['last_seq']} messages")
        return found

    async def read_again(self) -> list[str]:
        """Read every stream from its first message: is what was seen before still there?"""
        ledger = Ledger(self.load.poisons, self.load.pending)
        await self.read(ledger, Reader(self._client))
        mails = list(Post(self.shop.mails).new())
        ledger.post(mails)
        keys = [key for key, _ in self.load.acknowledged if not key.startswith("garbage")]
        problems = [problem for key in set(keys) if (problem := ledger.unfinished(key))]
        accounts = Accounts(Reader(self._client))
        await accounts.read()
        problems += accounts.problems()
        orders = Fulfilments(Reader(self._client), Lines(self.shop.charges))
        orders.post(filter(None, map(fact_of, mails)))
        await orders.read()
        problems += orders.problems()
        problems += await self.parcels.read_again(Reader(self._client))
        return [*_shortened(problems), *_shortened(ledger.violations)]

    async def lanes_left(self) -> list[str]:
        """What still waits on lanes: retries, deadlines, marks of suspects; at the end nothing."""
        deadline = time.monotonic() + _ANSWER_SECONDS
        while left := await self._on_lanes():
            if time.monotonic() > deadline:
                told = [f"{subject} is left on its lane" for subject in left]
                return _shortened(told)
            await asyncio.sleep(_AGAIN_SECONDS)
        return []

    async def _on_lanes(self) -> list[str]:
        found = []
        for each in SERVICES:
            # the newest cancellation stays, until the next one takes its place
            idle = f"lanes.{each}.cancelled"
            found += [s for s in await self._reader.subjects(lane_stream(each)) if s != idle]
        return found

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
        self.fulfilments.forget()
        self.parcels.forget()

    def _wrong(self) -> list[str]:
        """What can never heal and was not told before."""
        ledger = self.ledger
        invented = ledger.stories.keys() - self.load.sent
        found = [
            *ledger.violations,
            *ledger.contradictions(),
            *self.parcels.tracks.violations,
            *self.load.refused,
            *self.moves.refused,
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
        self.moves = Moves(plane, Random(self.options.seed))  # noqa: S311 - as above
        self.ledger = Ledger(self.load.poisons, self.load.pending)
        self._client: Client = await connect(self.cluster.url)
        self._stack.push_async_callback(self._client.close)
        self._reader = Reader(self._client)
        self.accounts = Accounts(Reader(self._client))
        self.fulfilments = Fulfilments(Reader(self._client), Lines(self.shop.charges))
        self.parcels = Parcels(Reader(self._client), self.folder, self.moves, self.cluster.url)
        self._post = Post(self.shop.mails)


def _shortened(problems: Sequence[str]) -> list[str]:
    more = len(problems) - _TOLD
    return [*problems[:_TOLD], *([f"… and {more} more"] if more > 0 else [])]
