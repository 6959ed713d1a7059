"""The `Delivery` that a running handler asks for; nothing of it is computed before it is read."""

from __future__ import annotations

from datetime import datetime, timedelta
from time import perf_counter

import structlog
from structlog.typing import FilteringBoundLogger

from jetmesh import wire
from jetmesh.runtime.logs import About
from jetmesh.runtime.message.delivered import Delivered


class LiveDelivery:
    """What `jetmesh.Delivery` promises, of a delivery in flight."""

    __slots__ = ("_delivered", "_now")

    def __init__(self, delivered: Delivered) -> None:
        self._delivered = delivered
        self._now: datetime | None = None

    @property
    def handler(self) -> str:
        return self._delivered.durable.handler.title

    @property
    def attempt(self) -> int:
        return self._delivered.attempt

    @property
    def key(self) -> str:
        return self._delivered.key

    @property
    def cause(self) -> str:
        return f"{self._delivered.origin.stream}:{self._delivered.origin.token}"

    @property
    def correlation(self) -> str:
        given = wire.parse(self._delivered.headers).values.get("Correlation-Id", "")
        return given or self.key

    @property
    def stored_at(self) -> datetime:
        return self._delivered.origin.stored_at

    @property
    def now(self) -> datetime:
        if self._now is None:
            self._now = self._delivered.durable.now()
        return self._now

    @property
    def deadline(self) -> datetime:
        passed = perf_counter() - self._delivered.began
        left = self._delivered.durable.policy.timeout - passed
        return self._delivered.durable.now() + timedelta(seconds=left)

    @property
    def log(self) -> FilteringBoundLogger:
        logger: FilteringBoundLogger = structlog.get_logger().bind(
            handler=self._delivered.durable.handler.name,
            key=self.key,
            cause=self._delivered.cause,
            attempt=self.attempt,
            about=About(self._delivered.event),
        )
        return logger
