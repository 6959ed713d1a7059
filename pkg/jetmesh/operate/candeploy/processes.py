"""Live processes in front of new code: in which steps they stand, and which of these it lacks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from msgspec import Struct

from jetmesh import wire
from jetmesh.declare import StateSpec
from jetmesh.declare.process import Process
from jetmesh.operate.candeploy.tally import Meeting, Tally
from jetmesh.operate.evolution.released import Release
from jetmesh.operate.humanize import counted
from jetmesh.operate.processes.standing import raw_step
from jetmesh.protocol.headers import APPLIED
from jetmesh.transport.reader import Removed


class Processes(Struct):
    """The live processes of one state."""

    process: str
    steps: dict[str, int]
    """How many stand where."""
    stuck: dict[str, int]
    """Of these: in steps that the new code lacks, so that nothing would move them."""

    def sentences(self) -> Iterator[str]:
        """What is wrong with them, each with its remedy."""
        for step, count in self.stuck.items():
            stand = "stands" if count == 1 else "stand"
            yield (
                f"{counted(count, 'process')} {stand} in the step {step!r}, which this version "
                f"lacks: keep it, with former=({step!r},) once nothing leads there, until they "
                "have left it; or raise the version, and say with @upcasts in which step they go on"
            )


class ProcessTally(Tally):
    """A `Tally` of a state with steps."""

    def __init__(
        self,
        spec: StateSpec,
        process: Process,
        stream: str,
        meetings: Sequence[Meeting],
        releases: Sequence[Release],
    ) -> None:
        super().__init__(spec, stream, meetings, releases)
        self._process = process
        self._title = spec.title
        self._steps = Counter[str]()
        self._stuck = Counter[str]()
        self._plainly, self._read = self._read, self._read_step

    def processes(self) -> Processes:
        """What was counted of them."""
        return Processes(self._title, dict(self._steps), dict(self._stuck))

    def _read_step(self, payload: bytes, headers: bytes) -> Any:
        try:
            state = self._plainly(payload, headers)
        except Removed:
            raise
        except BaseException:
            self._count_raw(payload, headers)
            raise
        self._steps[self._process.step_of(state) or ""] += 1
        return state

    def _count_raw(self, payload: bytes, headers: bytes) -> None:
        if APPLIED not in wire.parse(headers).values:
            return  # somebody typed it: no process stands there
        step = raw_step(self._process, self.spec.type, payload)
        self._steps[step] += 1
        if step not in self._process.steps:
            self._stuck[step] += 1
