"""What was stored by code of before is handled by code of today, and waits where it is newer."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from msgspec import Struct

from jetmesh import Reject, Retry, Service, derive, event, upcasts
from jetmesh.declare import Record
from jetmesh.operate.deadletters.desk import Desk
from jetmesh.operate.deadletters.letter import Selector
from jetmesh.operate.deadletters.store import select
from jetmesh.operate.publish import check
from jetmesh.operate.trace import trace
from jetmesh.operate.up.broker import Broker
from jetmesh.protocol.streams import DEADLETTERS, lane_stream
from jetmesh.testing import Mesh, mesh
from jetmesh.testing import eventually as within_seconds
from jetmesh.transport.stored import StoredMessage

VERSION = "Jetmesh-Event-Version"
eventually = partial(within_seconds, within=60)


@dataclass
class Release:
    """Three services of one system, as they were in one of its releases."""

    deciding: Service
    paying: Service
    looking: Service
    placed: type[Struct]
    agreed: type[Struct]
    board: Callable[[], dict[str, str]]
    """What the newest read model shows."""
    paid: dict[str, str] = field(default_factory=dict)
    """What the handler got, by key."""
    fails: Callable[[str], None] = lambda _: None
    """Raises for what is not to be paid."""
    hesitates: Callable[[str], None] = lambda _: None
    """Raises for what is not to be decided."""

    @property
    def services(self) -> tuple[Service, Service, Service]:
        return self.deciding, self.paying, self.looking


def first(domain: str) -> Release:
    """`agreed` has the field `at`, and `remark` is called `note`."""

    @event(f"{domain}-in.placed", key="id")
    class Placed(Struct, frozen=True):
        id: str
        note: str = "none"

    @event(f"{domain}.agreed", key="id", decision=f"{domain}.*")
    class Agreed(Struct, frozen=True):
        id: str
        at: str
        note: str = "none"

    return release(domain, Placed, Agreed, lambda e: Agreed(e.id, "noon", e.note), ("at", "note"))


def second(domain: str) -> Release:
    """`at` became `agreed_at`, which old code misses; `note` became `remark`, which it does not."""

    @event(f"{domain}-in.placed", key="id", version=2)
    class Placed(Struct, frozen=True):
        id: str
        remark: str = "none"

    @event(f"{domain}.agreed", key="id", decision=f"{domain}.*", version=2)
    class Agreed(Struct, frozen=True):
        id: str
        agreed_at: str
        remark: str = "none"

    @upcasts(1, Placed)
    @upcasts(1, Agreed)
    def renamed(old: dict[str, Any]) -> dict[str, Any]:
        new = {"at": "agreed_at", "note": "remark"}
        return {new.get(name, name): value for name, value in old.items()}

    return release(
        domain, Placed, Agreed, lambda e: Agreed(e.id, "noon", e.remark), ("agreed_at", "remark")
    )


def release(
    domain: str,
    placed: Any,
    agreed: Any,
    decide: Callable[[Any], Any],
    names: tuple[str, str],
) -> Release:
    boards: list[dict[str, str]] = []

    def shown(it: Any) -> str:
        return f"{getattr(it, names[0])}, {getattr(it, names[1])}"

    @event(f"{domain}-paid.done", key="id")
    class Done(Struct, frozen=True):
        id: str

    class Board:
        def __init__(self) -> None:
            boards.append({})

        def apply(self, it: Any, _: Record) -> None:
            boards[-1][it.id] = shown(it)

    def settle(it: Any) -> Done:
        made.fails(it.id)
        made.paid[it.id] = shown(it)
        return Done(it.id)

    async def settle_later(it: Any) -> None:
        made.paid[f"later {it.id}"] = shown(it)

    def agree(it: Any) -> Any:
        made.hesitates(it.id)
        return decide(it)

    agree.__annotations__ |= {"it": placed, "return": agreed}
    settle.__annotations__ |= {"it": agreed, "return": Done}
    settle_later.__annotations__ |= {"it": agreed, "return": None}
    Board.apply.__annotations__["it"] = agreed
    deciding, paying, looking = (Service(f"{domain}-{n}") for n in ("decides", "pays", "looks"))
    deciding.on(placed)(agree)
    paying.on(agreed)(settle)
    paying.on(agreed)(settle_later)
    looking.read_model(Board, events=[agreed])
    made = Release(deciding, paying, looking, placed, agreed, lambda: boards[-1])
    return made


async def letters(m: Mesh, domain: str) -> list[StoredMessage]:
    return await m.stored(DEADLETTERS, f"deadletters.{domain}-pays.*.*")


async def outcomes(m: Mesh, domain: str) -> dict[str, StoredMessage]:
    stored = await m.stored(domain.upper())
    return {each.subject.rpartition(".")[2]: each for each in stored}


async def test_a_store_of_before_is_handled_whole_by_the_code_of_today(
    broker: Broker, unique: str
) -> None:
    """Waiting on durables, on a lane, as a letter and as history: all through one upcaster."""
    old, new = first(unique), second(unique)

    def fails(key: str) -> None:
        if key == "slow":
            raise Retry(after=3)
        if key == "odd":
            raise Reject("not today")

    old.fails = fails
    async with mesh(old.deciding, old.paying, url=broker.url) as m:
        for key in ("slow", "odd", "soon"):
            await m.publish(old.placed(key, f"mind {key}"))
        await eventually(lambda: m.stored(lane_stream(f"{unique}-pays")), what="a retry")
        await eventually(lambda: letters(m, unique), what="a letter")
        await eventually(lambda: len(old.paid) == 4, what="what was handled")
    async with mesh(old.deciding, url=broker.url) as m:
        await m.publish(old.placed("late", "mind late"))
        await eventually(lambda: m.control.last(unique.upper(), f"{unique}.agreed.late"))

    async with mesh(*new.services, url=broker.url) as m:
        await m.publish(new.placed("new", "mind new"))
        keys = {"slow", "odd", "soon", "late", "new"}
        await eventually(lambda: set(new.board()) == keys, what="the board")
        assert new.board() == {key: f"noon, mind {key}" for key in keys}
        await eventually(lambda: {"slow", "late", "new"} <= set(new.paid), what="what waited")
        (letter,) = await letters(m, unique)  # of before; none came
        desk = Desk(m.control, "ada", topology=derive(new.services))
        for sequence in (await select(m.control, Selector(service=f"{unique}-pays"))).sequences:
            await desk.send(await desk.prepare(await desk.open(sequence)))
        await eventually(lambda: "odd" in new.paid, what="the letter, replayed")
        await m.settled()
        assert {k: v for k, v in new.paid.items() if " " not in k} == {
            key: f"noon, mind {key}" for key in ("slow", "odd", "late", "new")
        }
        assert await letters(m, unique) == [letter]
        stored = await outcomes(m, unique)
        assert {key: stored[key].headers.get(VERSION) for key in keys} == {
            **dict.fromkeys(keys - {"new"}),
            "new": "+2",
        }
        steps = await trace(m.control, derive(new.services), "late")
        told = next(step for step in steps if step.subject == f"{unique}.agreed")
        assert (told.summary, told.notes) == ("agreed_at noon, remark mind late", ())


async def test_an_older_process_leaves_a_newer_version_to_those_who_can_read_it(
    broker: Broker, unique: str
) -> None:
    """In the middle of a rollout: neither lost, nor a letter, nor read as what it is not."""
    old, new = first(unique), second(unique)
    async with mesh(old.deciding, url=broker.url) as m:
        await m.publish(old.placed("before"))
        await eventually(lambda: m.control.last(unique.upper(), f"{unique}.agreed.before"))
    async with mesh(new.deciding, url=broker.url) as m:
        for key in ("one", "two", "three"):
            await m.publish(new.placed(key, f"mind {key}"))
        await eventually(lambda: m.control.last(unique.upper(), f"{unique}.agreed.three"))

    async with mesh(old.paying, url=broker.url) as m:
        (running,) = m.running.values()
        knows = f"version 2 of {unique}.agreed is stored, and this code knows 1"
        await eventually(lambda: any(knows in p for p in running.health.problems()), what="a word")
        await eventually(lambda: "before" in old.paid, what="what it can read")
        await eventually(lambda: all(c.stats.newer >= 3 for c in running.consumers), what="returns")
        assert "one" not in old.paid
        async with mesh(new.paying, url=broker.url) as m_new:
            keys = {"one", "two", "three"}
            await eventually(lambda: keys <= set(new.paid), what="a newer process")
            later = {f"later {key}" for key in keys}
            await eventually(lambda: later <= set(new.paid), what="the other handler")
            assert new.paid["one"] == "noon, mind one"
            await eventually(lambda: not running.health.problems(), what="nothing left to say")
            assert await letters(m_new, unique) == []
    assert keys.isdisjoint(old.paid)


async def test_what_an_older_process_holds_is_given_back_when_it_stops(
    broker: Broker, unique: str
) -> None:
    old, new = first(unique), second(unique)
    async with mesh(new.deciding, url=broker.url) as m:
        await m.publish(new.placed("one"))
        await eventually(lambda: m.control.last(unique.upper(), f"{unique}.agreed.one"))
    async with mesh(old.paying, url=broker.url) as m:
        (running,) = m.running.values()
        await eventually(lambda: all(c.stats.newer for c in running.consumers), what="a hold")
    async with mesh(new.paying, url=broker.url):
        await eventually(lambda: set(new.paid) == {"one", "later one"}, what="it came at once")


async def test_an_older_read_model_stands_still_before_a_newer_version(
    broker: Broker, unique: str
) -> None:
    old, new = first(unique), second(unique)
    async with mesh(old.deciding, old.looking, url=broker.url) as m:
        await m.publish(old.placed("before"))
        await eventually(lambda: "before" in old.board(), what="the board")
        async with mesh(new.deciding, url=broker.url) as newer:
            await newer.publish(new.placed("after"))
            running = m.running[old.looking.name]
            knows = f"version 2 of {unique}.agreed is stored, and this code knows 1"
            await eventually(
                lambda: any(knows in each for each in running.health.problems()), what="a word"
            )
        assert old.board() == {"before": "noon, none"}
        assert [each.skipped for each in running.projections] == [0]
    async with mesh(new.looking, url=broker.url):
        await eventually(lambda: set(new.board()) == {"before", "after"}, what="newer code")


async def test_an_outcome_of_a_newer_process_is_believed_by_an_older_one(
    broker: Broker, unique: str
) -> None:
    """The same input at both, as after a lost ack: the first one decided, and nothing is forged."""
    old, new = first(unique), second(unique)
    async with mesh(new.deciding, url=broker.url) as m:
        await m.publish(new.placed("one"))
        await m.settled()
        (consumer,) = m.running[new.deciding.name].consumers
        durable = f"{unique.upper()}_IN.{consumer.handler.durable}"
        await eventually(lambda: m.control.last(unique.upper(), f"{unique}.agreed.one"))
        await m.control.api(f"CONSUMER.DELETE.{durable}")
    async with mesh(old.deciding, url=broker.url) as m:
        (consumer,) = m.running[old.deciding.name].consumers
        # its input is newer as well, and from outside: that is tried again
        await eventually(lambda: consumer.stats.retried, what="the input")
        await m.publish(f"{unique}-in.placed.one", b'{"id": "one"}')
        await eventually(lambda: consumer.stats.refused, what="the look at the newer outcome")
        assert consumer.stats.forged == 0
        assert len(await m.stored(unique.upper())) == 1


async def test_whoever_types_an_event_need_not_know_its_version(
    broker: Broker, unique: str
) -> None:
    new = second(unique)

    def fails(key: str) -> None:
        if key.endswith("slow") and key not in tried:
            tried.add(key)
            raise Retry(after=2.5)

    tried: set[str] = set()
    new.hesitates = fails
    typed = {
        "old": {"id": "old", "note": "mine"},
        "new": {"id": "new", "remark": "mine"},
        # on the lane nobody could tell any more who made it
        "old-slow": {"id": "old-slow", "note": "none"},
        "new-slow": {"id": "new-slow", "remark": "mine"},
    }
    async with mesh(new.deciding, url=broker.url) as m:
        for body in typed.values():
            await m.publish(f"{unique}-in.placed", json.dumps(body))

        async def all_decided() -> bool:
            return set(await outcomes(m, unique)) == set(typed)

        await eventually(all_decided, what="every outcome")
        stored = await outcomes(m, unique)
        remarks = {key: json.loads(each.payload)["remark"] for key, each in stored.items()}
        assert remarks["new"] == remarks["new-slow"] == "mine"
        assert await m.stored(DEADLETTERS, f"deadletters.{unique}-decides.>") == []


async def test_an_upcaster_that_fails_makes_a_letter_that_names_it_and_can_be_replayed(
    broker: Broker, unique: str
) -> None:
    old, new = first(unique), second(unique)
    spec = new.deciding.handlers[0].returns[0]
    works = spec.upcasters[1]

    def broken(old: dict[str, Any]) -> dict[str, Any]:
        raise KeyError("when")

    async with mesh(old.deciding, url=broker.url) as m:
        await m.publish(old.placed("one"))
        await eventually(lambda: m.control.last(unique.upper(), f"{unique}.agreed.one"))
    del spec.upcasters[1]
    upcasts(1, new.agreed)(broken)
    async with mesh(new.paying, url=broker.url) as m:

        async def both() -> bool:
            return len(await letters(m, unique)) == 2

        await eventually(both, what="a letter of each handler")
        (letter, _) = await letters(m, unique)
        assert letter.headers["Jetmesh-Error"] == "ContractViolation"
        assert "upcaster broken raised KeyError" in letter.headers["Jetmesh-Message"]
        assert letter.headers["Jetmesh-Where"].endswith(" in broken")
        spec.upcasters[1] = works
        desk = Desk(m.control, "ada", topology=derive(new.services))
        for sequence in (await select(m.control, Selector(service=f"{unique}-pays"))).sequences:
            await desk.send(await desk.prepare(await desk.open(sequence)))
        await eventually(lambda: set(new.paid) == {"one", "later one"}, what="the replay")


async def test_a_correction_is_of_the_newest_version_whatever_the_letter_was(
    broker: Broker, unique: str
) -> None:
    old, new = first(unique), second(unique)

    def fails(_: str) -> None:
        raise Reject("not today")

    old.hesitates = fails
    async with mesh(old.deciding, url=broker.url) as m:
        await m.publish(old.placed("one"))
        found = Selector(service=f"{unique}-decides")

        async def there() -> bool:
            return len(await select(m.control, found)) == 1

        await eventually(there, what="a letter")
    async with mesh(new.deciding, url=broker.url) as m:
        desk = Desk(m.control, "ada", topology=derive(new.services))
        (sequence,) = (await select(m.control, found)).sequences
        corrected = b'{"id": "one", "remark": "corrected"}'
        replay = await desk.prepare(await desk.open(sequence), corrected=corrected)
        assert replay.headers[VERSION] == "+2"
        await desk.send(replay)
        agreed: Any = await m.expect(new.agreed, "one")
        assert agreed.remark == "corrected"


def test_what_is_published_by_hand_says_its_version() -> None:
    new, old = (each.deciding.handlers[0].input for each in (second("by-hand"), first("by-hand")))
    assert [each.headers for each in check(new, [b'{"id": "p"}'])] == [{VERSION: "+2"}]
    assert [each.headers for each in check(old, [b'{"id": "p"}'])] == [{}]
