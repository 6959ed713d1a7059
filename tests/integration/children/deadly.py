"""A process that may die between any two words to the broker."""

from __future__ import annotations

import os
import random
import signal
from typing import Any

from jetmesh import Service, run
from jetmesh.runtime import running
from jetmesh.runtime.message.runner import HandlerRunner
from jetmesh.runtime.tracing.parts import Parts
from jetmesh.transport.dataplane import DataPlane

DEADLINESS = float(os.environ.get("CHILD_DEADLINESS", "0"))


class Deadly(DataPlane):
    """Kills its process before or after anything that it sends."""

    def __init__(self, *about: Any, **more: Any) -> None:
        super().__init__(*about, **more)
        publish = self.publish

        def deadly(*message: Any) -> None:
            may_die()
            publish(*message)
            may_die()

        self.publish = deadly  # type: ignore[assignment] # it takes whatever publish takes

    def ack(self, reply: bytes) -> None:
        may_die()
        super().ack(reply)
        may_die()


def may_die() -> None:
    if random.random() < DEADLINESS:  # noqa: S311 - no secret
        os.kill(os.getpid(), signal.SIGKILL)


def run_deadly(service: Service) -> None:
    """Run it as production does, but for that."""
    if DEADLINESS:
        running.parts_for = lambda *_: Parts(Deadly, HandlerRunner)  # type: ignore[attr-defined] # for this process alone
    run(service)
