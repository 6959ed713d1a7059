"""Races on a real broker: the first one wins, the others lose without a word, and may react."""

from __future__ import annotations

from typing import Any

from msgspec import Struct
from structlog.testing import capture_logs

from jetmesh import Duration, Policy, Retry, Service, event
from jetmesh.operate.trace import trace
from jetmesh.operate.up.broker import Broker
from jetmesh.testing import Mesh, mesh
from tests.integration.one_handler import topology_of


class Auction:
    """Bids and calls for one lot: whoever comes first decides, the other one is told."""

    def __init__(self, domain: str) -> None:
        @event(f"{domain}-in.bid", key="lot")
        class Bid(Struct, frozen=True):
            lot: str

        @event(f"{domain}-in.called-off", key="lot")
        class CalledOff(Struct, frozen=True):
            lot: str

        @event(f"{domain}.verdict.sold", key="lot", decision=f"{domain}.verdict.*", race=True)
        class Sold(Struct, frozen=True):
            lot: str

        @event(f"{domain}.verdict.kept", key="lot", decision=f"{domain}.verdict.*", race=True)
        class Kept(Struct, frozen=True):
            lot: str

        @event(f"{domain}.money-returned", key="lot")
        class Returned(Struct, frozen=True):
            lot: str
            reserved: bool

        self.told: list[tuple[Any, Any, str]] = []
        self.failures = 0
        self.domain = domain
        self.bid, self.called_off = Bid, CalledOff
        self.sold, self.kept, self.returned = Sold, Kept, Returned
        self.service = service = Service(f"{domain}-auction")

        @service.on(Bid, policy=Policy(backoff=Duration(0.02)))
        async def reserve(bid: Bid) -> Sold:
            return Sold(bid.lot)

        @service.on(CalledOff)
        def keep(called: CalledOff) -> Kept:
            return Kept(called.lot)

        @service.lost(reserve)
        async def give_back(mine: Sold | None, stored: Sold | Kept, bid: Bid) -> Returned | None:
            self.told.append((mine, stored, bid.lot))
            if self.failures:
                self.failures -= 1
                raise Retry("the bank is closed")
            return Returned(bid.lot, reserved=mine is not None)

    def stats(self, m: Mesh) -> Any:
        bidding, calling = m.running[self.service.name].consumers
        return bidding.stats, calling.stats


async def test_of_many_races_each_has_one_winner_and_every_loser_reacts_once(
    broker: Broker, unique: str
) -> None:
    auction, lots = Auction(unique), [f"lot-{n}" for n in range(60)]
    with capture_logs() as said:
        async with mesh(auction.service, url=broker.url) as m:
            for lot in lots:
                await m.publish(auction.bid(lot))
                await m.publish(auction.called_off(lot))
            await m.settled()
            stream = unique.upper()
            verdicts = await m.stored(stream, f"{unique}.verdict.*.*")
            returned = await m.stored(stream, f"{unique}.money-returned.*")
            marks = await m.stored("REFUSALS", f"refusals.{auction.service.name}.>")
            bidding, calling = auction.stats(m)
    assert sorted(v.subject.rpartition(".")[2] for v in verdicts) == sorted(lots)
    kept = {v.subject.rpartition(".")[2] for v in verdicts if ".kept." in v.subject}
    assert sorted(r.subject.rpartition(".")[2] for r in returned) == sorted(kept)
    assert (bidding.lost, calling.lost) == (len(kept), len(lots) - len(kept))
    assert (bidding.refused, calling.refused, marks) == (0, 0, [])
    assert [each for each in said if each["log_level"] == "warning"] == []


async def test_who_finds_the_outcome_there_reacts_with_nothing_of_its_own(
    broker: Broker, unique: str
) -> None:
    """As after a crash between an effect and its outcome; a failed reaction is tried again."""
    auction = Auction(unique)
    auction.failures = 1
    async with mesh(auction.service, url=broker.url) as m:
        await m.publish(auction.kept("lot-1"))
        await m.publish(auction.bid("lot-1"))
        found = await m.expect(auction.returned, "lot-1")
        await m.settled()
    assert found == auction.returned("lot-1", reserved=False)
    assert auction.told == [(None, auction.kept("lot-1"), "lot-1")] * 2


async def test_a_trace_tells_of_a_lost_race_calmly(broker: Broker, unique: str) -> None:
    auction = Auction(unique)
    async with mesh(auction.service, url=broker.url) as m:
        await m.publish(auction.bid("lot-1"))
        await m.expect(auction.sold, "lot-1")
        await m.publish(auction.called_off("lot-1"))
        await m.settled()
        steps = await trace(m.control, topology_of(m), "lot-1")
    bid, sold, called_off = steps
    winner = f"{unique.upper()}:1"
    assert (bid.notes, bid.waits, sold.id, sold.cause) == ((), (), winner, bid.id)
    assert (called_off.kind, called_off.waits) == ("event", ())
    assert called_off.notes == (
        f"{auction.service.name}.keep left it at {winner}, which decided first",
    )
