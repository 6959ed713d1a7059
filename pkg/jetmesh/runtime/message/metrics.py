"""What a handler did, as plain counters that a collector reads: a message costs one method call."""

from __future__ import annotations

from time import time, time_ns
from typing import Final, NamedTuple

BUCKETS: Final = 48
"""Bucket i counts durations below 2**i microseconds; the last ends after four years."""
MEASURE_SECONDS: Final = 0.001
"""Between two measures: below a thousand messages a second every one is measured."""


class Exemplar(NamedTuple):
    """One delivery for the many of its bucket."""

    trace_id: str
    span_id: str
    seconds: float
    at: float
    """In seconds since 1970."""


class HandlerStats:
    """Counters of one handler in this process, since it started."""

    __slots__ = (
        "acked",
        "buckets",
        "dead",
        "delivered",
        "exemplars",
        "failed",
        "forged",
        "ignored",
        "lag",
        "last_error",
        "lost",
        "markers",
        "newer",
        "published",
        "queue",
        "refused",
        "repeated",
        "retried",
        "seconds",
        "slow",
        "squatted",
        "state_races",
        "state_waits",
        "unreadable",
    )

    def __init__(self) -> None:
        self.delivered = 0
        """Deliveries received."""
        self.acked = 0
        """Verdicts: handled."""
        self.retried = 0
        """Verdicts: again later."""
        self.dead = 0
        """Verdicts: dead-lettered."""
        self.unreadable = 0
        """Deliveries whose event broke its contract."""
        self.failed = 0
        """Attempts that raised; each ends as retried or dead."""
        self.published = 0
        """Outputs stored."""
        self.repeated = 0
        """Outcomes found stored already by the same cause, in an attempt before."""
        self.lost = 0
        """Deliveries that lost a race: another cause had decided the key, as it may."""
        self.refused = 0
        """Outcomes refused because another cause had decided the key."""
        self.forged = 0
        """Inputs that waited because something forged stood where their output belongs."""
        self.squatted = 0
        """Messages stored under another id, because somebody had taken theirs."""
        self.markers = 0
        """Deliveries with which the server told that others are gone; they are acked."""
        self.newer = 0
        """Deliveries given back because only newer code can read them."""
        self.ignored = 0
        """Deliveries that the step of their process did not expect, and that changed nothing."""
        self.state_races = 0
        """Inputs handled again, as another replica had changed the state of their key first."""
        self.state_waits = 0
        """Inputs that waited, because their key had no room to remember one more."""
        self.slow = 0
        """Calls that kept the event loop for more than 100 ms."""
        self.lag = 0
        """Messages waiting on the server, as of the last look."""
        self.last_error = ""
        self.seconds = 0.0
        """From delivery to verdict, all deliveries together."""
        self.buckets = [0] * BUCKETS
        self.queue = QueueTimes()
        self.exemplars: dict[int, Exemplar] = {}
        """The newest traced delivery of each bucket; none while nothing is traced."""

    def took(self, seconds: float) -> None:
        """Count one verdict's time since its delivery."""
        self.seconds += seconds
        self.buckets[int(seconds * 1e6).bit_length()] += 1

    def exemplify(self, seconds: float, trace_id: str, span_id: str) -> None:
        """Remember whose verdict took so long."""
        bucket = int(seconds * 1e6).bit_length()
        self.exemplars[bucket] = Exemplar(trace_id, span_id, seconds, time())


class QueueTimes:
    """How long messages had waited in their stream when they were delivered first.

    Reading that costs more than handling a small message may, so only so many are measured.
    """

    __slots__ = ("buckets", "due", "seconds")

    def __init__(self) -> None:
        self.due = 0.0
        """When the next one is measured, on the clock of `perf_counter`."""
        self.seconds = 0.0
        self.buckets = [0] * BUCKETS

    def measure(self, stored_ns: int, now: float) -> None:
        """Count one that was stored at this time, in nanoseconds since 1970."""
        self.due = now + MEASURE_SECONDS
        seconds = max(0.0, (time_ns() - stored_ns) / 1e9)  # the server's clock may be ahead
        self.seconds += seconds
        self.buckets[int(seconds * 1e6).bit_length()] += 1
