"""What a handler did, as plain counters that a collector reads: a message costs one method call."""

from __future__ import annotations

BUCKETS = 48
"""Bucket i counts durations below 2**i microseconds; the last ends after four years."""


class HandlerStats:
    """Counters of one handler in this process, since it started."""

    __slots__ = (
        "acked",
        "buckets",
        "dead",
        "delivered",
        "failed",
        "lag",
        "last_error",
        "lost",
        "markers",
        "published",
        "refused",
        "repeated",
        "retried",
        "seconds",
        "slow",
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
        self.markers = 0
        """Deliveries with which the server told that others are gone; they are acked."""
        self.slow = 0
        """Calls that kept the event loop for more than 100 ms."""
        self.lag = 0
        """Messages waiting on the server, as of the last look."""
        self.last_error = ""
        self.seconds = 0.0
        """From delivery to verdict, all deliveries together."""
        self.buckets = [0] * BUCKETS

    def took(self, seconds: float) -> None:
        """Count one verdict's time since its delivery."""
        self.seconds += seconds
        self.buckets[int(seconds * 1e6).bit_length()] += 1
