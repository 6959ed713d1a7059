"""What one server, one stream and one key can take, as it was measured; docs/scale.md has the rest.

Measured with nats-server 2.15.1 on two cores, which the servers shared with the client: a machine
of your own may do more. Where another's word is all there is, that is said.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MEASURED: Final = "measured, docs/scale.md"
MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Figure:
    """A limit, and how it is known."""

    value: float
    source: str = MEASURED


STORES: Final = {
    (False, False): Figure(100_000),
    (False, True): Figure(5_200, "measured with 0.16 ms for an fsync, docs/scale.md"),
    (True, False): Figure(45_000),
    (True, True): Figure(24_000),
}
"""Guarded events that one leader stores in a second, by: with copies, with `sync_interval: always`.
With copies the servers sync in groups, alone a server syncs each message."""
DELIVERS: Final = {False: Figure(217_000), True: Figure(97_000)}
"""Deliveries with acks of one stream in a second, all durables together, by: with copies."""
KEY_BYTES: Final = 277
"""Memory of one key of a stream on each server that keeps it."""
ID_BYTES: Final = 313
"""What a message id takes beside it, for as long as the dedup window lasts."""
BASE_BYTES: Final = 100 * MIB
"""About what a server needs without a key."""
KEYS: Final = Figure(6_000_000, "more were not measured, docs/scale.md")
START_SECONDS: Final = 2e-6
"""For each key, until a server that was killed has read a stream again."""
ASSETS: Final = Figure(2_000, "a recommendation of the server's maintainers, nats-server #8350")
ASSETS_WARNED: Final = Figure(1_000, "monitoring of the field warns there, nats-server #8350")
"""Streams and durables with copies on one server."""
ASSET_CORES: Final = 0.00027
ASSET_BYTES: Final = MIB // 2
"""What one of them takes while nothing happens."""
MESSAGE_BYTES: Final = 600
"""What a stored event is taken for where nobody says."""
REQUESTS: Final = {"inline": 2, "async": 4, "threads": 4}
"""Pull requests that one process may have open on one durable."""
