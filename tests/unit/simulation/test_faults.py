"""Faults of the simulation: each takes away what is on its way, and the promises hold all the same.

What happens without them is compared with a nats-server in `tests/conformance`.
"""

from __future__ import annotations

import random
from typing import Any

import pytest

from jetmesh.testing.simulation import SECOND, Connection, Server
from tests.conformance.sides import Fate, Taker, send


@pytest.fixture
def server() -> Server:
    made = Server()
    made.add_stream({"name": "IN", "subjects": ["in.>"], "allow_direct": True})
    made.add_durable("IN", {"durable_name": "d", "ack_wait": 30 * SECOND})
    return made


@pytest.fixture
def process(server: Server) -> Connection:
    return Connection(server)


def test_nothing_happens_before_its_turn(server: Server, process: Connection) -> None:
    taker, fate = Taker(process, "IN", "d"), send(process, "in.a")
    assert (fate.told, taker.taken, len(server.stream("IN").log)) == ([], [], 0)
    server.turn()
    assert (fate.told, taker.taken, len(server.stream("IN").log)) == ([], [], 1)
    server.run()
    assert (fate.told, taker.sequences) == (["stored"], [1])
    assert not server.turn()


def test_no_time_passes_by_itself(server: Server, process: Connection) -> None:
    taker, before = Taker(process, "IN", "d", acks=False), server.clock.now
    send(process, "in.a")
    server.run()
    assert (server.clock.now, len(taker.taken)) == (before, 1)
    server.pass_time(29.9)
    assert len(taker.taken) == 1
    server.pass_time(0.1)
    assert len(taker.taken) == 2


def test_a_lost_puback_is_a_duplicate_after_three_seconds(
    server: Server, process: Connection
) -> None:
    fate = send(process, "in.a", id="1")
    server.turn()
    assert process.lose_answer()
    server.pass_time(2.5)
    assert fate.told == []
    server.pass_time(1.0)
    assert fate.told == ["duplicate of 1"]
    assert len(server.stream("IN").log) == 1


def test_a_lost_puback_of_what_was_guarded_is_decided(server: Server, process: Connection) -> None:
    fate = send(process, "in.a", last="0")
    server.turn()
    assert process.lose_answer()
    server.pass_time(4)
    assert fate.told == ["decided"]


def test_a_lost_publish_is_stored_when_it_is_sent_again(
    server: Server, process: Connection
) -> None:
    fate = send(process, "in.a")
    assert process.lose_publish()
    server.run()
    assert len(server.stream("IN").log) == 0
    server.pass_time(4)
    assert fate.told == ["stored"]


def test_pubacks_may_arrive_in_another_order(server: Server, process: Connection) -> None:
    told: list[str] = []

    class Named(Fate):
        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

        def on_stored(self, _: bytes) -> None:
            told.append(self.name)

    for name in ("a", "b", "c"):
        process.publish(f"in.{name}".encode(), b"", b"{}", Named(name))
    for _ in range(3):
        server.turn(lambda ready: ready[0])
    assert process.delay_answer()
    server.run()
    assert told == ["b", "c", "a"]


def test_what_lost_its_verdict_comes_again(server: Server, process: Connection) -> None:
    taker = Taker(process, "IN", "d")
    send(process, "in.a")
    while not process.lose_verdict():
        assert server.turn()
    server.pass_time(30)
    assert [each.times for each in taker.taken] == [1, 2]
    server.pass_time(60)
    assert len(taker.taken) == 2


def test_a_delivery_that_is_lost_comes_again_and_leaves_its_room(
    server: Server, process: Connection
) -> None:
    taker = Taker(process, "IN", "d", limit=1)
    send(process, "in.a")
    send(process, "in.b")
    while not taker.inflow.lose_delivery():  # type: ignore[union-attr] # it is simulated
        assert server.turn()
    server.run()
    assert taker.sequences == [2]
    server.pass_time(30)
    assert [(each.sequence, each.times) for each in taker.taken] == [(2, 1), (1, 2)]


def test_a_verdict_that_the_server_forgets_lets_a_message_come_as_if_it_were_new(
    server: Server, process: Connection
) -> None:
    taker = Taker(process, "IN", "d")
    send(process, "in.a")
    server.run()
    server.stream("IN").durable("d").forget_verdict(1)
    server.run()
    assert [(each.sequence, each.times) for each in taker.taken] == [(1, 1), (1, 1)]


async def test_a_follower_that_is_behind_knows_what_was_before(
    server: Server, process: Connection
) -> None:
    for name in ("in.a", "in.b", "in.a"):
        send(process, name)
    server.run()
    process.lookups.behind = 1
    asked = [process.lookups.last("IN", "in.a"), process.lookups.since("IN", "in.a", 2)]
    server.run()
    older, nothing = [await each for each in asked]
    assert older is not None
    assert (older.sequence, nothing) == (1, None)
    process.lookups.behind = 0
    newest = process.lookups.last("IN", "in.a")
    server.run()
    assert getattr(await newest, "sequence", None) == 3


def test_everything_without_a_verdict_can_come_again_at_once(
    server: Server, process: Connection
) -> None:
    taker = Taker(process, "IN", "d", acks=False)
    for name in "ab":
        send(process, f"in.{name}")
    server.run()
    server.stream("IN").durable("d").give_up_waiting()
    server.run()
    assert taker.sequences == [1, 2, 1, 2]


def test_several_servers_look_at_the_id_before_the_guard(process: Connection) -> None:
    process.server.add_stream({"name": "R3", "subjects": ["r3.>"], "num_replicas": 3})
    fates = [send(process, "r3.a", id="x", last="0") for _ in range(2)]
    process.server.run()
    assert [fate.told for fate in fates] == [["stored"], ["duplicate of 1"]]


def test_a_dead_process_sends_and_gets_nothing_more(server: Server, process: Connection) -> None:
    taker, fate = Taker(process, "IN", "d"), send(process, "in.a", b"1")
    process.crash()
    send(process, "in.a", b"2")
    server.pass_time(60)
    assert (taker.taken, fate.told, len(server.stream("IN").log)) == ([], [], 0)
    assert server.clock.next_due() is None


def test_what_never_ends_is_told(server: Server, process: Connection) -> None:
    def again(_: bytes, reply: bytes, __: bytes, ___: bytes) -> None:
        inflow.settled()
        server.stream("IN").durable("d").give_up_waiting()

    inflow = process.inflow("IN", "d", limit=1, on_delivery=again)
    inflow.start()
    send(process, "in.a")
    with pytest.raises(RuntimeError, match="still on its way"):
        server.run(most=1000)


def test_a_seed_is_an_order_and_the_same_one_each_time() -> None:
    orders = [story_of(seed) for seed in range(20)]
    assert orders == [story_of(seed) for seed in range(20)]
    assert len({tuple(order) for order in orders}) > 1


def story_of(seed: int) -> list[str]:
    """Two processes that race for a key, as it went."""
    choose = random.Random(seed).choice  # noqa: S311 - an order is no secret
    server = Server()
    server.add_stream({"name": "OUT", "subjects": ["out.>"]})
    told: list[str] = []
    fates = []
    for name in ("one", "two"):
        process = Connection(server, name)
        fates.append((name, send(process, "out.k", name.encode(), last="0")))
    while server.turn(lambda ready: said(choose(ready), told)):
        pass
    assert sorted(fate.told[0] for _, fate in fates) == ["decided", "stored"]
    return told


def said(channel: Any, told: list[str]) -> Any:
    told.append(channel.name)
    return channel
