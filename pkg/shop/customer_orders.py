"""Which events are about an order, for every order: where they are, not what they say.

A story may be of any size, and there is one for each order. So what stays in memory of an order is
nine bytes for each of its events, and its story is read from the streams when somebody looks.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import AsyncIterator
from itertools import groupby
from typing import Final

from msgspec import Struct

from jetmesh import History, Recalled, Record
from jetmesh.declare import spec_of
from shop.customer_story import EVENTS, MOST_REPEATS, Story, fold
from shop_contracts import Fulfilment, PurchaseCreated

MOST_ORDERS: Final = 200_000
"""With keys of usual length about 60 MB; of the longest there may be, twice that."""
_kinds: Final[dict[type[Struct], tuple[str, str]]] = {
    event: (spec.stream, spec.decision or spec.subject)
    for event in EVENTS
    if (spec := spec_of(event))
}
"""What of its events one counts for, of each kind."""
_counting: Final = Counter(stream for stream, _ in {*_kinds.values()})
"""So many events of an order count, in each stream."""
_place: Final = struct.Struct(">BQ")  # sorts as its bytes do


class Orders:
    """The places of every order's events, the same in whatever order and however often they come.

    Of each stream the first event counts, first by sequence, and of purchases some repetitions; of
    what is remembered the newest.
    """

    def __init__(self) -> None:
        self._streams: list[str] = []
        self._places: dict[str, bytes] = {}

    def apply(self, event: Struct, record: Record) -> None:
        """Note where an event is; a repetition changes nothing."""
        key: str = event.purchase_id  # type: ignore[attr-defined] # every event of EVENTS has one
        if record.stream not in self._streams:
            self._streams.append(record.stream)
        stream = self._streams.index(record.stream)
        most = _counting[record.stream]
        most += MOST_REPEATS if isinstance(event, PurchaseCreated) else 0
        known = _unpacked(self._places.get(key, b""))
        others = [place for place in known if place[0] != stream]
        own = {sequence for at, sequence in known if at == stream} | {record.sequence}
        first = sorted(own)
        # of what is remembered there is the newest alone
        counting = first[-most:] if isinstance(event, Fulfilment) else first[:most]
        kept = others + [(stream, sequence) for sequence in counting]
        self._places[key] = b"".join(_place.pack(*place) for place in sorted(kept))

    def drop(self, key: str) -> None:
        """Forget an order, for others need the room; its story is found by its key."""
        self._places.pop(key, None)

    def version(self, key: str) -> bytes:
        """Differs whenever the story of the order does."""
        return self._places.get(key, b"")

    def places(self, key: str) -> dict[str, list[int]]:
        """The sequences of the order's events, by stream."""
        found = _unpacked(self._places.get(key, b""))
        return {
            self._streams[stream]: [sequence for _, sequence in places]
            for stream, places in groupby(found, key=lambda place: place[0])
        }

    async def story(self, key: str, history: History) -> Story | None:
        """The story of one order; None if nothing is stored of it (yet).

        Raises:
            BrokerError: the streams cannot be read.
        """
        events = [each async for each in self._events(key, history)]
        return fold(events) if events else None

    async def address(self, key: str, history: History) -> str:
        """The e-mail address that its first purchase names; empty if nothing is stored of it.

        Raises:
            BrokerError: the streams cannot be read.
        """
        async for event, _ in self._events(key, history):
            if isinstance(event, PurchaseCreated):
                return event.customer.email
        return ""

    async def _events(self, key: str, history: History) -> AsyncIterator[Recalled]:
        known = set[tuple[str, str]]()
        for stream, sequences in self.places(key).items():
            for sequence in sequences:
                if found := await history.at(stream, sequence):
                    known.add(_kinds[type(found[0])])
                    yield found
        for event in EVENTS:  # what is not known was dropped, or is not there yet
            if _kinds[event] not in known and (found := await history.first(event, key)):
                yield found


def _unpacked(places: bytes) -> list[tuple[int, int]]:
    return list(_place.iter_unpack(places))
