"""A handler that remembers, on a real broker: what it knows, what fails, what comes again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from msgspec import Struct

from jetmesh import Forget, Policy, Record, Reject, Service, derive, event, state, upcasts
from jetmesh.declare import Duration
from jetmesh.errors import JetmeshError, UsageError
from jetmesh.operate import states
from jetmesh.operate.deadletters.desk import Desk
from jetmesh.operate.heal import suspect
from jetmesh.operate.trace import trace
from jetmesh.operate.up.broker import Broker
from jetmesh.protocol.headers import EVENT_VERSION, MESSAGE
from jetmesh.testing import Mesh, eventually, mesh
from jetmesh.transport.stored import StoredMessage

QUICK = Policy(attempts=3, backoff=Duration(0.01), backoff_cap=Duration(0.02))


class Shop:
    """Contracts in a domain of their own, and a service that remembers what a test wants."""

    def __init__(self, unique: str) -> None:
        @event(f"{unique}-in.captured", key="purchase_id")
        class Captured(Struct, frozen=True):
            purchase_id: str
            customer_id: str
            points: int = 1

        @event(f"{unique}-in.closed", key="customer_id")
        class Closed(Struct, frozen=True):
            customer_id: str

        @event(f"{unique}-tiers.reached", key="customer_id")
        class TierReached(Struct, frozen=True):
            customer_id: str
            tier: int

        @state(f"{unique}.accounts", key="customer_id", history=10)
        class Account(Struct, frozen=True):
            customer_id: str
            points: int = 0

        self.domain = unique
        self.captured, self.closed, self.reached = Captured, Closed, TierReached
        self.account: Any = Account
        self.service = Service(f"{unique}-loyalty")

    def award(self, before: Callable[[Any], None] = lambda _: None) -> None:
        captured, account, reached = self.captured, self.account, self.reached

        def award(event: Any, known: Any) -> Any:
            before(event)
            points = (known.points if known else 0) + event.points
            tier = reached(event.customer_id, points // 10)
            return account(event.customer_id, points), tier if points % 10 == 0 else None

        award.__annotations__ = {
            "event": captured,
            "known": account | None,
            "return": tuple[account, reached | None],  # type: ignore[valid-type] # made for one test
        }
        self.service.on(captured, policy=QUICK, state=account)(award)

    def close(self) -> None:
        closed, account = self.closed, self.account

        def close(event: Any, known: Any) -> Any:
            return Forget() if known else None

        close.__annotations__ = {
            "event": closed,
            "known": account | None,
            "return": Forget | None,
        }
        self.service.on(closed, policy=QUICK, state=account)(close)

    async def points(self, m: Mesh, customer: str) -> int | None:
        """What is stored of a customer; None for nothing."""
        subject = f"states.{self.domain}.accounts.{customer}"
        stored = await m.control.last(self.stream, subject)
        if stored is None or not stored.payload:
            return None
        return int(msgspec.json.decode(stored.payload)["points"])

    async def letters(self, m: Mesh) -> list[StoredMessage]:
        return await m.stored("DEADLETTERS", f"deadletters.{self.service.name}.>")

    @property
    def stream(self) -> str:
        return f"STATES_{self.domain.upper()}_ACCOUNTS"

    async def knows(self, m: Mesh, customer: str, points: int | None) -> None:
        async def as_wanted() -> bool:
            return await self.points(m, customer) == points

        await eventually(as_wanted, what=f"{points} points of {customer}")


@pytest.fixture
def shop(unique: str) -> Shop:
    return Shop(unique)


async def test_inputs_change_the_state_of_their_key_and_what_follows_is_published(
    shop: Shop, broker: Broker
) -> None:
    shop.award()
    async with mesh(shop.service, url=broker.url) as m:
        for number in range(25):
            await m.publish(shop.captured(f"p-{number}", f"c-{number % 2}"))
        await shop.knows(m, "c-0", 13)
        await shop.knows(m, "c-1", 12)
        for customer in ("c-0", "c-1"):
            assert (await m.expect(shop.reached, customer)).tier == 1
        versions = await m.control.subjects(shop.stream, f"states.{shop.domain}.accounts.*")
        assert all(1 <= count <= 10 for count in versions.values())


async def test_a_durable_that_is_made_again_changes_no_state(shop: Shop, broker: Broker) -> None:
    """Everything comes again, long after the window of duplicates."""
    shop.award()
    async with mesh(shop.service, url=broker.url) as m:
        for number in range(30):
            await m.publish(shop.captured(f"p-{number}", "c-1"))
        await shop.knows(m, "c-1", 30)
    async with mesh(shop.service, url=broker.url) as m:
        stream = f"{shop.domain.upper()}_IN"
        await m.control.api(f"CONSUMER.DELETE.{stream}.{shop.domain}-loyalty-award")
    async with mesh(shop.service, url=broker.url) as m:
        await m.publish(shop.captured("p-30", "c-1"))
        await shop.knows(m, "c-1", 31)
        found = await m.control.subjects(f"{shop.domain.upper()}_TIERS", f"{shop.domain}-tiers.>")
        assert found == {f"{shop.domain}-tiers.reached.c-1": 3}


async def test_what_fails_comes_again_from_the_lane_and_is_in_the_state_once(
    shop: Shop, broker: Broker
) -> None:
    failures = dict.fromkeys(("p-3", "p-7"), 2)

    def fail(event: Any) -> None:
        if failures.get(event.purchase_id):
            failures[event.purchase_id] -= 1
            raise ValueError("not this time")

    shop.award(fail)
    async with mesh(shop.service, url=broker.url) as m:
        for number in range(10):
            await m.publish(shop.captured(f"p-{number}", "c-1"))
        await shop.knows(m, "c-1", 10)
        assert await shop.letters(m) == []


async def test_a_letter_is_in_the_state_once_it_is_replayed_and_only_once(
    shop: Shop, broker: Broker
) -> None:
    broken = {"p-1"}

    def refuse(event: Any) -> None:
        if event.purchase_id in broken:
            raise Reject("not yet")

    shop.award(refuse)
    async with mesh(shop.service, url=broker.url) as m:
        for number in range(3):
            await m.publish(shop.captured(f"p-{number}", "c-1"))
        await shop.knows(m, "c-1", 2)
        await eventually(lambda: shop.letters(m), what="a letter")
        [letter] = await shop.letters(m)
        broken.clear()
        desk = Desk(m.control, by="test")
        for again in (False, True):
            opened = await desk.open(letter.sequence, again=again)
            await desk.send(await desk.prepare(opened, again=again))
            await shop.knows(m, "c-1", 3)
        await m.publish(shop.captured("p-9", "c-1"))
        await shop.knows(m, "c-1", 4)


async def test_a_payload_that_becomes_readable_is_in_the_state_once(
    shop: Shop, broker: Broker
) -> None:
    """It has no key while it is a letter, so no state could note it."""
    shop.award()
    async with mesh(shop.service, url=broker.url) as m:
        await m.publish(shop.captured("p-0", "c-1"))
        await m.control.publish(f"{shop.domain}-in.captured.p-1", b'{"purchase_id": "p-1"}')
        await eventually(lambda: shop.letters(m), what="a letter")
        [letter] = await shop.letters(m)
        desk = Desk(m.control, by="test")
        corrected = b'{"purchase_id": "p-1", "customer_id": "c-1"}'
        for again in (False, True):
            opened = await desk.open(letter.sequence, again=again)
            await desk.send(await desk.prepare(opened, corrected=corrected, again=again))
            await shop.knows(m, "c-1", 2)
        await m.publish(shop.captured("p-2", "c-1"))
        await shop.knows(m, "c-1", 3)


async def test_forget_ends_a_key_and_its_inputs_stay_known(shop: Shop, broker: Broker) -> None:
    shop.award()
    shop.close()
    async with mesh(shop.service, url=broker.url) as m:
        await m.publish(shop.captured("p-1", "c-1", 7))
        await shop.knows(m, "c-1", 7)
        await m.publish(shop.closed("c-1"))
        await shop.knows(m, "c-1", None)
        await m.publish(shop.captured("p-2", "c-1", 2))
        await shop.knows(m, "c-1", 2)


async def test_what_is_remembered_can_be_looked_at(shop: Shop, broker: Broker) -> None:
    shop.award()
    shop.close()
    topology = derive([shop.service])
    spec = states.state_named(topology, f"{shop.domain}.accounts")
    async with mesh(shop.service, url=broker.url) as m:
        for number in range(3):
            await m.publish(shop.captured(f"p-{number}", "c 1"))
            await shop.knows(m, "c%201", number + 1)
        await m.publish(shop.captured("p-9", "c-2"))
        await shop.knows(m, "c-2", 1)
        await m.publish(shop.closed("c-2"))
        await shop.knows(m, "c-2", None)
        assert await states.keys(m.control, spec) == ["c 1", "c-2"]
        now = await states.newest(m.control, spec, "c 1")
        assert now.state == '{"customer_id":"c 1","points":3}'
        assert now.cause == f"{shop.domain.upper()}_IN:3"
        kept = [each async for each in states.versions(m.control, spec, "c 1")]
        assert [msgspec.json.decode(each.state)["points"] for each in kept] == [1, 2, 3]
        assert (await states.newest(m.control, spec, "c-2")).state == ""
        with pytest.raises(JetmeshError, match="Nothing is stored of"):
            await states.newest(m.control, spec, "c-3")
        steps = await trace(m.control, topology, "c-2")
        assert steps[-1].summary == "nothing is remembered of it"
        assert steps[-1].by == f"{shop.domain}-loyalty.close"
        assert steps[-1].notes == ()
        with pytest.raises(JetmeshError, match="Nothing speaks against"):
            await suspect(m.control, topology, steps[-1].id)
    with pytest.raises(UsageError, match="There is no state 'nobody'"):
        states.state_named(topology, "nobody")


async def test_a_read_model_folds_states_and_forgets_with_them(shop: Shop, broker: Broker) -> None:
    shop.award()
    shop.close()
    held: dict[str, int] = {}

    class Board:
        def apply(self, event: Any, _: Record) -> None:
            held[event.customer_id] = event.points

        def forget(self, key: str, _: Record) -> None:
            held.pop(key, None)

    board = Service(f"{shop.domain}-board")
    board.read_model(Board, events=[shop.account])
    async with mesh(shop.service, board, url=broker.url) as m:
        await m.publish(shop.captured("p-1", "c-1"))
        await eventually(lambda: held == {"c-1": 1}, what="the state on the board")
        await m.publish(shop.closed("c-1"))
        await eventually(lambda: held == {}, what="nothing on the board")


async def test_versions_of_a_state_are_read_as_the_newest(unique: str, broker: Broker) -> None:
    """What old code remembered is what new code is given."""
    old = Shop(unique)
    old.award()
    async with mesh(old.service, url=broker.url) as m:
        await m.publish(old.captured("p-1", "c-1", 4))
        await old.knows(m, "c-1", 4)
    new = Shop(unique)

    @state(f"{unique}.accounts", key="customer_id", history=10, version=2)
    class Account(Struct, frozen=True):
        customer_id: str
        points: int
        since: int

    @upcasts(1, Account)
    def since(before: dict[str, Any]) -> dict[str, Any]:
        return before | {"since": 2025}

    captured = new.captured

    def award(event: Any, known: Any) -> Any:
        return Account(event.customer_id, known.points + event.points, known.since)

    award.__annotations__ = {"event": captured, "known": Account | None, "return": Account}
    new.service.on(captured, policy=QUICK, state=Account)(award)
    async with mesh(new.service, url=broker.url) as m:
        await m.publish(new.captured("p-2", "c-1", 3))
        await new.knows(m, "c-1", 7)
        stored = await m.control.last(new.stream, f"states.{unique}.accounts.c-1")
        assert stored is not None
        assert msgspec.json.decode(stored.payload)["since"] == 2025
        assert stored.headers[EVENT_VERSION] == "+2"
    again = Shop(unique)
    again.award()
    async with mesh(again.service, url=broker.url) as m:
        await m.publish(again.captured("p-3", "c-1"))
        health = m.running[again.service.name].health
        await eventually(lambda: "version 2" in " ".join(health.problems()), what="that it waits")
        assert await again.letters(m) == []


async def test_the_state_of_another_key_is_refused(shop: Shop, broker: Broker) -> None:
    captured, account = shop.captured, shop.account

    def award(event: Any, known: Any) -> Any:
        return account("c-2", 1)

    award.__annotations__ = {"event": captured, "known": account | None, "return": account}
    shop.service.on(captured, state=account)(award)
    async with mesh(shop.service, url=broker.url) as m:
        await m.publish(captured("p-1", "c-1"))
        await eventually(lambda: shop.letters(m), what="a letter")
        [letter] = await shop.letters(m)
        assert "was given Account 'c-1' and returned that of 'c-2'" in letter.headers[MESSAGE]
        assert await shop.points(m, "c-2") is None


async def test_a_state_that_is_too_large_is_a_letter_that_says_so(
    shop: Shop, broker: Broker
) -> None:
    shop.award()
    async with mesh(shop.service, url=broker.url) as m:
        info = await m.control.api(f"STREAM.INFO.{shop.stream}")
        small = info["config"] | {"max_msg_size": 300}
        await m.control.api(f"STREAM.UPDATE.{shop.stream}", small)
        await m.publish(shop.captured("p-1", "c-" + "1" * 190))
        await eventually(lambda: shop.letters(m), what="a letter")
        [letter] = await shop.letters(m)
        assert "the state cannot be stored" in letter.headers[MESSAGE]


async def test_a_state_that_cannot_be_read_is_told_and_kept(shop: Shop, broker: Broker) -> None:
    shop.award()
    subject = f"states.{shop.domain}.accounts.c-1"
    async with mesh(shop.service, url=broker.url) as m:
        await m.control.publish(subject, b'{"customer_id": 7}')
        await m.publish(shop.captured("p-1", "c-1"))
        await eventually(lambda: shop.letters(m), what="a letter")
        [letter] = await shop.letters(m)
        assert "the state 'c-1' cannot be read" in letter.headers[MESSAGE]
        stored = await m.control.last(shop.stream, subject)
        assert stored is not None
        assert stored.payload == b'{"customer_id": 7}'


async def test_a_key_of_which_nobody_can_tell_what_it_has_applied_waits_and_says_so(
    shop: Shop, broker: Broker
) -> None:
    shop.award()
    subject = f"states.{shop.domain}.accounts.c-1"
    async with mesh(shop.service, url=broker.url) as m:
        await m.control.publish(subject, b'{"customer_id": "c-1"}', {"Jetmesh-Applied": "nonsense"})
        await m.publish(shop.captured("p-1", "c-1"))
        health = m.running[shop.service.name].health
        await eventually(lambda: subject in " ".join(health.problems()), what="a word about it")
        await m.control.forget(shop.stream, subject)
        await shop.knows(m, "c-1", 1)
