"""An event gives way to another one: both are published meanwhile, each once."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from jetmesh import Service, event, replaces
from jetmesh.operate.up.broker import Broker
from jetmesh.protocol.streams import DEADLETTERS
from jetmesh.testing import mesh


async def test_an_event_and_what_takes_its_place_are_both_published_for_all_of_history(
    broker: Broker, unique: str
) -> None:
    """The old one decides; its twin follows what is stored, once each."""

    def made() -> tuple[Any, Any, Any]:
        @event(f"{unique}-in.placed", key="id")
        class Placed(Struct, frozen=True):
            id: str
            number: int = 0

        @event(f"{unique}.agreed", key="id", decision=f"{unique}.*")
        class Agreed(Struct, frozen=True):
            id: str
            number: int

        def decide(it: Any) -> Any:
            return Agreed(it.id, it.number)

        def service() -> Service:
            found = Service(f"{unique}-decides")
            found.on(Placed)(decide)
            return found

        decide.__annotations__ |= {"it": Placed, "return": Agreed}
        return Placed, Agreed, service

    placed, agreed, service = made()
    async with mesh(service(), url=broker.url) as m:
        await m.publish(placed("before", 1))
        await m.expect(agreed, "before")
    placed, agreed, service = made()

    @event(f"{unique}-by.verdict.settled", key="id", decision=f"{unique}-by.verdict.*")
    class Settled(Struct, frozen=True):
        id: str
        numbers: list[int]

    def settled(old: Any) -> Settled:
        return Settled(old.id, [old.number])

    settled.__annotations__ |= {"old": agreed, "return": Settled}
    replaces(agreed, reason="there are several", until="2027-03-01")(settled)
    async with mesh(service(), url=broker.url) as m:
        await m.publish(placed("after", 2))
        await m.publish(placed("after", 3))  # decided already, so its twin says 2 as well
        twins = {key: (await m.expect(Settled, key)).numbers for key in ("before", "after")}
        await m.settled()
        assert twins == {"before": [1], "after": [2]}
        assert len(await m.stored(unique.upper())) == 2
        assert len(await m.stored(f"{unique.upper()}_BY")) == 2
        assert await m.stored(DEADLETTERS, f"deadletters.{unique}-decides.*.*") == []
