"""Answers of the NATS micro protocol (ADR-32): `nats micro ls|info|stats` lists every service."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from jetmesh.declare import Service
from jetmesh.runtime.message.consumer import Consumer
from jetmesh.runtime.projection import Projection
from jetmesh.runtime.unread import Unread
from jetmesh.transport.control import ControlPlane

_MOST_FORGED = 20
_TYPE = "io.nats.micro.v1.{}_response"


class Discovery:
    """What this process says of its service, with its handlers as endpoints."""

    def __init__(
        self,
        service: Service,
        identity: str,
        consumers: Sequence[Consumer],
        problems: Callable[[], Sequence[str]] = list,
        projections: Sequence[Projection] = (),
    ) -> None:
        self._service = service
        self._identity = identity
        self._consumers = consumers
        self._problems = problems
        self._projections = projections
        self._started = datetime.now(UTC).isoformat()

    async def serve(self, control: ControlPlane) -> None:
        """Answer PING, INFO and STATS, for all, for the service and for this process."""
        responses: dict[str, Callable[[], dict[str, Any]]] = {
            "PING": self._ping,
            "INFO": self._info,
            "STATS": self._stats,
        }
        for verb, body in responses.items():

            async def respond(_: str, verb: str = verb, body: Any = body) -> bytes:
                return json.dumps({**body(), "type": _TYPE.format(verb.lower())}).encode()

            name = self._service.name
            for subject in ("", f".{name}", f".{name}.{self._identity}"):
                await control.subscribe(f"$SRV.{verb}{subject}", respond)

    def _ping(self) -> dict[str, Any]:
        return {
            "name": self._service.name,
            "id": self._identity,
            "version": self._service.version,
            "metadata": {
                "library": "jetmesh",
                "host": socket.gethostname(),
                # what /readyz says, for those who cannot reach it: `nats micro info`, the doctor
                **({"problem": "; ".join(problems)} if (problems := self._problems()) else {}),
            },
        }

    def _info(self) -> dict[str, Any]:
        return {
            **self._ping(),
            "description": self._service.description,
            "endpoints": [self._endpoint(consumer) for consumer in self._consumers],
        }

    def _stats(self) -> dict[str, Any]:
        return {
            **self._ping(),
            "started": self._started,
            "endpoints": [
                {**self._endpoint(consumer), **_numbers(consumer)} for consumer in self._consumers
            ],
            # read models are no endpoints, and `nats micro` passes over what it does not know
            "read_models": [
                {
                    "stream": each.stream,
                    "folded": each.folded,
                    "slow": each.slow_folds,
                    "unread": _unread(each.unread),
                    "strange": _unread(each.strange),
                }
                for each in self._projections
            ],
        }

    def _endpoint(self, consumer: Consumer) -> dict[str, Any]:
        handler = consumer.handler
        return {
            "name": handler.name,
            "subject": handler.input.subject,
            "queue_group": handler.durable,
            "metadata": {
                "stream": handler.input.stream,
                "durable": handler.durable,
                "outputs": ", ".join(spec.subject for spec in handler.outputs),
            },
        }


def _unread(unread: Unread) -> dict[str, Any]:
    return {"count": unread.count, "first": unread.first, "why": unread.why}


def _numbers(consumer: Consumer) -> dict[str, Any]:
    stats = consumer.stats
    nanoseconds = round(stats.seconds * 1e9)
    return {
        "num_requests": stats.delivered,
        "num_errors": stats.failed,
        "last_error": stats.last_error,
        "processing_time": nanoseconds,
        "average_processing_time": nanoseconds // max(1, stats.delivered),
        "data": {
            "acked": stats.acked,
            "retried": stats.retried,
            "dead": stats.dead,
            "slow": stats.slow,
            "forged": consumer.verdicts.unstorable.forged[-_MOST_FORGED:],
            "squatted": stats.squatted,
            "unread": _unread(consumer.runner.unread),
        },
    }
