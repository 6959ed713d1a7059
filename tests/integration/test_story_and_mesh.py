"""A story ends as the same services do on a real broker."""

from __future__ import annotations

from typing import Any, Final

import pytest
from msgspec import Struct

from jetmesh import Reject
from jetmesh.declare import declared_spec
from jetmesh.protocol import headers as header
from jetmesh.protocol.streams import DEADLETTERS
from jetmesh.testing import Mesh, Story, eventually, mesh
from jetmesh.transport.reader import reader_of
from tests.unit.story import desk as d

_TYPES: Final = (d.Paid, d.Refused, d.TierReached)
_GIVEN: Final = [
    d.Placed("o-1"),
    d.Placed("o-2", amount=2000),
    d.Placed("o-3", "c-2", 250),
    d.Placed("o-1", amount=1),
    d.Placed("o-4", amount=70),
]


class Sometimes(d.Gateway):
    """It fails once for one order, and refuses to hear of another."""

    def __init__(self) -> None:
        self.failed: set[str] = set()

    async def charge(self, order_id: str, amount: int) -> bool:
        if order_id == "o-3":
            raise Reject("never")
        if order_id == "o-4" and order_id not in self.failed:
            self.failed.add(order_id)
            raise ValueError("once")
        return amount < 1000


async def stored(m: Mesh, event_type: type[Struct]) -> list[Any]:
    spec = declared_spec(event_type)
    reader = reader_of(spec)
    found = await m.stored(spec.stream, f"{spec.subject}.*")
    return [reader.read_stored(each.payload, each.headers) for each in found]


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also on the broker: what a real gateway would answer."""
    monkeypatch.setattr(d.Gateway, "charge", Sometimes.charge)
    monkeypatch.setattr(d.Gateway, "failed", set(), raising=False)


async def test_both_have_the_same_events_states_and_letters(gateway: None) -> None:
    del gateway
    story = Story(d.billing, d.desk, gateway=Sometimes())
    story.given(*_GIVEN)
    story.advance(60)
    async with mesh(d.billing, d.desk) as m:
        for each in _GIVEN:
            await m.publish(each)
        await eventually(lambda: _is_done(m), within=30, what="all ends")
        for event_type in _TYPES:
            assert _sorted(await stored(m, event_type)) == _sorted(story.events(event_type))
        for key in ("c-1", "c-2"):
            assert (await stored_state(m, key)) == story.state(d.Account, key)
        letters = await m.stored(DEADLETTERS, "deadletters.story-billing.>")
        found = [(x.headers[header.ERROR], x.headers[header.ATTEMPTS]) for x in letters]
        assert found == [(x.error, str(x.attempts)) for x in story.letters()]


async def stored_state(m: Mesh, key: str) -> Any:
    spec = declared_spec(d.Account)
    found = await m.stored(spec.stream, f"{spec.subject}.{key}")
    return reader_of(spec).read_stored(found[-1].payload, found[-1].headers) if found else None


async def _is_done(m: Mesh) -> bool:
    decided = [*await stored(m, d.Paid), *await stored(m, d.Refused)]
    tiers = await stored(m, d.TierReached)
    letters = await m.stored(DEADLETTERS, "deadletters.story-billing.>")
    return (len(decided), len(tiers), len(letters)) == (3, 1, 1)


def _sorted(events: list[Any]) -> list[str]:
    return sorted(map(repr, events))
