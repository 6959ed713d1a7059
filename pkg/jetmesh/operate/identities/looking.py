"""What whoever looks may ask: streams, consumers and services, but no message."""

from __future__ import annotations

from typing import Final

LOOKING: Final = (
    "$JS.API.INFO",
    "$JS.API.STREAM.NAMES",
    "$JS.API.STREAM.LIST",
    "$JS.API.STREAM.INFO.*",
    "$JS.API.CONSUMER.NAMES.*",
    "$JS.API.CONSUMER.LIST.*",
    "$JS.API.CONSUMER.INFO.*.*",
)
"""`nats stream report`, `nats consumer report`. The keys of events are in it, no payload is."""
DISCOVERING: Final = ("$SRV.>",)
"""`nats micro`."""
