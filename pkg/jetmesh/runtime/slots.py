"""Which consumer a process reads the history of one stream with.

They are made with the streams, a few for each read model: whoever may make a consumer may have it
deliver onto any subject, also where the durables of others are reset (ADR-0023). A process looks
for one that nobody pulls from, and lets it begin where it needs to. Two that take the same one at
the same moment both miss what the other gets, notice, and look again.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from jetmesh.declare import SlotSpec
from jetmesh.errors import BrokerError
from jetmesh.transport.provision import durable_change, make
from jetmesh.transport.seam import Control
from jetmesh.transport.stored import NO_DURABLE, ApiError, time_of

_BUSY_SECONDS: Final = 2.0


class Taken(NamedTuple):
    """A slot that is ours until somebody else pulls from it."""

    name: str
    pending: int
    """Messages that it has to deliver."""


class Slots:
    """The slots of one read model on one stream; `applies`: make those that are missing."""

    def __init__(
        self, specs: Sequence[SlotSpec], control: Control, *, applies: bool = False
    ) -> None:
        self._specs = specs
        self._control = control
        self._applies = applies

    async def take(self, first: int) -> Taken:
        """One that delivers everything from sequence `first` on, as message number 1, 2, 3…

        Raises:
            BrokerError: all are taken or missing, or the broker does not answer.
        """
        missing = 0
        # at random: those that start together shall not want the same one
        for spec in random.sample(self._specs, len(self._specs)):
            found = await self.look(spec.name) or await self._make(spec)
            if found is None:
                missing += 1
            elif _is_free(found):
                reset = await self._ask("RESET", spec.name, {"seq": first})
                return Taken(spec.name, reset["num_pending"])
        raise _none(self._specs[0], missing, len(self._specs))

    async def look(self, name: str) -> dict[str, Any] | None:
        """What the server says of a slot; None when it is not there.

        Raises:
            BrokerError: no answer, or there is no such stream.
        """
        try:
            return await self._ask("INFO", name)
        except ApiError as error:
            if error.err_code == NO_DURABLE:
                return None
            raise

    async def _make(self, spec: SlotSpec) -> dict[str, Any] | None:
        change = durable_change(spec, None) if self._applies else None
        if change is None:
            return None
        await make(self._control, change)
        return await self.look(spec.name)

    async def _ask(
        self, verb: str, name: str, body: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        return await self._control.api(f"CONSUMER.{verb}.{self._specs[0].stream}.{name}", body)


def _is_free(found: dict[str, Any]) -> bool:
    """Whoever is busy with what it got may ask for more only in a moment."""
    last = found["delivered"].get("last_active")
    idle = not last or (time_of(found["ts"]) - time_of(last)).total_seconds() > _BUSY_SECONDS
    return idle and not found["num_waiting"]


def _none(spec: SlotSpec, missing: int, count: int) -> BrokerError:
    what = f"all {count} slots of {spec.reader}"
    if missing == count:
        return BrokerError(f"{what} are missing.", remedy="Run jetmesh apply.")
    return BrokerError(
        f"{what} are taken{f' or missing ({missing})' if missing else ''}.",
        remedy="Run fewer instances, or declare more with read_model(…, instances=…) and run "
        "jetmesh apply.",
    )
