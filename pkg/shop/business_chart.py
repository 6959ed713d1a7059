"""Purchases over time, in buckets of several widths: the last ten minutes up to everything."""

from __future__ import annotations

from typing import Any, Final

SECOND: Final = 1
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR

_most_bars = 120


class Series:
    """Counts per bucket and kind, of the newest `keep` buckets (0: of all).

    What falls out of the window is dropped for good. The window ends at the latest time seen and
    so only ever moves on: the result does not depend on the order of the events.
    """

    def __init__(self, width: int, keep: int, kinds: int) -> None:
        self.width = width
        self._keep = keep
        self._kinds = kinds
        self._buckets: dict[int, list[int]] = {}
        self._lowest = 0

    def advance(self, latest: int) -> None:
        """Let the window end at the second `latest`."""
        lowest = latest // self.width - self._keep + 1
        if self._keep and lowest > self._lowest:
            self._lowest = lowest
            for number in [n for n in self._buckets if n < lowest]:
                del self._buckets[number]

    def add(self, at: int, kind: int, by: int) -> None:
        """Count `by` more of `kind` at the second `at`."""
        number = at // self.width
        bucket = self._buckets.get(number)
        if bucket is None:
            if number < self._lowest:
                return
            bucket = self._buckets[number] = [0] * self._kinds
        bucket[kind] += by

    def bars(self, merge: int = 1) -> list[list[int]]:
        """`[start in seconds, count of each kind…]` per bucket with any, oldest first."""
        merged: dict[int, list[int]] = {}
        for number, counts in sorted(self._buckets.items()):
            if any(counts):
                bar = merged.setdefault(number // merge, [0] * self._kinds)
                for kind, count in enumerate(counts):
                    bar[kind] += count
        return [[number * merge * self.width, *counts] for number, counts in merged.items()]


class Chart:
    """The same purchases in every width at once, so that a page may choose."""

    def __init__(self, kinds: int) -> None:
        self._tens = Series(10 * SECOND, 64, kinds)
        self._minutes = Series(MINUTE, 64, kinds)
        self._quarters = Series(15 * MINUTE, 100, kinds)
        self._hours = Series(HOUR, 14 * 24, kinds)
        self._days = Series(DAY, 0, kinds)
        self._all = (self._tens, self._minutes, self._quarters, self._hours, self._days)
        self._latest = 0

    def advance(self, at: int) -> None:
        """Take notice of the second `at`: the latest one seen is where the windows end."""
        if at > self._latest:
            self._latest = at
            for series in self._all:
                series.advance(at)

    def add(self, at: int, kind: int, by: int) -> None:
        """Count `by` more purchases of `kind` that began at the second `at`."""
        for series in self._all:
            series.add(at, kind, by)

    def ranges(self) -> list[dict[str, Any]]:
        """What a page may show: name, width of a bar and of the whole in seconds, and the bars."""
        return [
            _range("10 minutes", self._tens, 10 * MINUTE),
            _range("1 hour", self._minutes, HOUR),
            _range("1 day", self._quarters, DAY),
            self._everything(),
        ]

    def _everything(self) -> dict[str, Any]:
        days = self._days.bars()
        span = days[-1][0] - days[0][0] + DAY if days else 0
        if span <= 4 * DAY:
            return _range("all", self._hours, 0)
        weeks = -(-span // DAY // _most_bars)
        return _range("all", self._days, 0, merge=weeks)


def _range(name: str, series: Series, span: int, merge: int = 1) -> dict[str, Any]:
    return {"name": name, "width": series.width * merge, "span": span, "bars": series.bars(merge)}
