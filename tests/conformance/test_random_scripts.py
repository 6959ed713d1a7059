"""Random scripts of publishes, verdicts and purges: both sides tell the same story of each.

The simulation goes first, so it is known how many deliveries to wait for at the real server.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from dataclasses import dataclass
from typing import Any, TypeAlias

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from jetmesh.operate.up.broker import Broker
from jetmesh.settings import NatsSettings
from jetmesh.testing.simulation.subjects import matches
from jetmesh.transport.control import ControlPlane
from tests.conformance.sides import (
    Plane,
    Real,
    Side,
    Simulated,
    Taken,
    Taker,
    make_durable,
    make_stream,
    publish,
    stored,
)
from tests.examples import examples

_numbers = itertools.count(1)
SUBJECTS = ("k.a", "k.b", "j.a")


@dataclass(frozen=True)
class Publish:
    subject: str
    id: str
    guard: tuple[str, int] | None
    """The filter, empty for the subject itself, and how far its last message is from the truth."""
    size: int


@dataclass(frozen=True)
class Settle:
    which: int
    """Of what has no verdict, counted around."""
    verdict: str


@dataclass(frozen=True)
class Purge:
    pattern: str
    before: int


Act: TypeAlias = Publish | Settle | Purge
publishes = st.builds(
    Publish,
    st.sampled_from(SUBJECTS),
    st.sampled_from(["", "1", "2", "3"]),
    st.none() | st.tuples(st.sampled_from(["", "*.a", "k.*"]), st.sampled_from([0, 0, 0, -1, 1])),
    st.sampled_from([0, 0, 0, 200]),
)
settles = st.builds(
    Settle, st.integers(0, 5), st.sampled_from(["ack", "ack", "retry", "terminate", "progress"])
)
purges = st.builds(Purge, st.sampled_from([*SUBJECTS, "*.a", ">"]), st.integers(0, 8))
acts = st.lists(st.one_of(publishes, publishes, settles, settles, purges), max_size=25)
# one that is full and refuses would wait for room
streams: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "max_msgs_per_subject": st.sampled_from([-1, 1, 2]),
        "max_msg_size": st.sampled_from([-1, 200]),
        "discard": st.sampled_from(["old", "new"]),
    }
) | st.just({"max_msgs": 3, "discard": "old"})
durables = st.fixed_dictionaries(
    {
        "filters": st.sampled_from([(">",), ("k.*",), ("k.a", "j.a")]),
        "most": st.sampled_from([1, 2, 9]),
    }
)


class Told:
    """What happened at one side."""

    def __init__(self, side: Side, plane: Plane, stream: str) -> None:
        self.side, self.plane, self.stream = side, plane, stream
        self.taker = Taker(plane, stream, "d", acks=False)
        self.fates: list[str] = []
        self.open: list[Taken] = []
        self.counts: list[int] = []
        """Deliveries so far, after each act."""
        self._seen = 0

    async def play(self, script: list[Act], counts: list[int] | None = None) -> None:
        """Act by act, each when nothing is on its way any more."""
        for number, act in enumerate([None, *script]):
            if act is not None:
                await self._do(act)
            await self._wait(counts[number] if counts else None)
            self.counts.append(len(self.taker.taken))

    async def _do(self, act: Act) -> None:
        match act:
            case Publish():
                await self._publish(act)
            case Settle() if self.open:
                await self._settle(act)
            case Purge():
                pattern = f"{self.side.name}.{act.pattern}"
                await self.side.control.forget(self.stream, pattern, before=act.before)

    async def _publish(self, act: Publish) -> None:
        headers: dict[str, Any] = {"id": act.id} if act.id else {}
        subject = f"{self.side.name}.{act.subject}"
        if act.guard:
            pattern, error = act.guard
            on = f"{self.side.name}.{pattern}" if pattern else subject
            last = await self.side.control.last(self.stream, on)
            headers["last"] = str(max(0, (last.sequence if last else 0) + error))
            headers |= {"on": on} if pattern else {}
        self.fates.append(await publish(self.side, self.plane, subject, b"x" * act.size, **headers))

    async def _settle(self, act: Settle) -> None:
        taken = self.open[act.which % len(self.open)]
        if act.verdict == "progress":
            taken.progress()
            return
        self.open.remove(taken)
        {"ack": taken.ack, "retry": lambda: taken.retry(0.02), "terminate": taken.terminate}[
            act.verdict
        ]()
        if act.verdict == "retry" and isinstance(self.side, Simulated):
            await self.side.pass_time(1)

    async def _wait(self, count: int | None) -> None:
        if count is None:
            await self.side.pass_time(0)
        else:
            await self.side.eventually(lambda: len(self.taker.taken) >= count)
        for taken in self.taker.taken[self._seen :]:
            self.open = [each for each in self.open if each.sequence != taken.sequence]
            self.open.append(taken)
        self._seen = len(self.taker.taken)

    async def ending(self) -> dict[str, Any]:
        info = await self.side.control.api(f"CONSUMER.INFO.{self.stream}.d")
        state = (await self.side.control.api(f"STREAM.INFO.{self.stream}"))["state"]
        name = f"{self.side.name}."
        kept = await stored(self.side, self.stream)
        # how far the floor goes beyond them over messages of others, chance decides
        matching = [
            each.sequence
            for each in kept
            if any(matches(pattern, each.subject) for pattern in info["config"]["filter_subjects"])
        ]
        return {
            "fates": self.fates,
            "deliveries": [(each.sequence, each.times, each.number) for each in self.taker.taken],
            "stored": [
                (each.sequence, each.subject.removeprefix(name), each.message_id, each.payload)
                for each in kept
            ],
            "durable": {
                each: info[each] for each in ("num_pending", "num_ack_pending", "num_redelivered")
            },
            "delivered": info["delivered"]["consumer_seq"],
            "above the floor": [n for n in matching if n > info["ack_floor"]["stream_seq"]],
            "state": [state[each] for each in ("messages", "first_seq", "last_seq")],
        }


# nothing is shrunk: to see that two sides differ takes seconds, each time
@settings(max_examples=examples(40), phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(acts, streams, durables)
def test_both_sides_tell_the_same_story(
    broker: Broker, script: list[Act], stream: dict[str, Any], durable: dict[str, Any]
) -> None:
    asyncio.run(compare(broker, script, stream, durable))


async def compare(
    broker: Broker, script: list[Act], stream: dict[str, Any], durable: dict[str, Any]
) -> None:
    name = f"r{next(_numbers)}"
    simulated = await begun(Simulated(name), stream, durable)
    await simulated.play(script)
    expected = await simulated.ending()
    async with await ControlPlane.connect(NatsSettings(url=broker.url), name="test") as control:
        real = Real(name, broker, control)
        async with real.stack:
            played = await begun(real, stream, durable)
            await played.play(script, simulated.counts)
            found: dict[str, Any] = {}

            async def is_the_same() -> bool:
                found.update(await played.ending())
                return found == expected

            with contextlib.suppress(AssertionError):  # what differs is told below
                await real.eventually(is_the_same, within=10)
            await control.api(f"STREAM.DELETE.{played.stream}")
            assert found == expected


async def begun(side: Side, stream: dict[str, Any], durable: dict[str, Any]) -> Told:
    name = await make_stream(side, "S", ">", **stream)
    filters, most = durable["filters"], durable["most"]
    await make_durable(side, name, "d", *filters, max_ack_pending=most)
    return Told(side, await side.connect(), name)
