"""What a mesh has to carry, and on what: expected by people, or seen on the broker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

DAY = 86_400.0
YEAR = 365 * DAY


@dataclass(frozen=True, slots=True)
class StreamLoad:
    """What one stream gets and holds."""

    rate: float = 0.0
    """Events stored in a second."""
    keys: int = 0
    """Subjects that it holds now."""
    keys_rate: float = 0.0
    """New ones in a second."""
    bytes: int = 0
    """Those that it holds now."""
    bytes_rate: float = 0.0
    """By so many they grow in a second."""


@dataclass(frozen=True, slots=True)
class Load:
    """All of it; what is not known is left out."""

    streams: Mapping[str, StreamLoad] = field(default_factory=dict)
    handlers: Mapping[str, float] = field(default_factory=dict)
    """Deliveries in a second, by `service.handler`."""
    latencies: Mapping[str, float] = field(default_factory=dict)
    """Seconds that one call takes, by `service.handler`."""
    pods: Mapping[str, int] = field(default_factory=dict)
    """Processes of each service."""
    said: str = "as expected"
    """Whose figures these are, as a sentence ends: `at today's rate`."""


@dataclass(frozen=True, slots=True)
class Place:
    """The servers."""

    servers: int = 1
    memory: int = 0
    """Bytes that each may use; 0 where that is not known."""
    memory_from: str = ""
    """Who says so: `nats.resources.limits.memory`."""
    volume: int = 0
    """Bytes of the disk of each; 0 where that is not known."""
    volume_from: str = ""
    syncs_always: bool = False
    """Each stored message is on the disk before it is acknowledged."""
    within: float = YEAR
    """A ceiling that is reached in so many seconds counts as passed."""
