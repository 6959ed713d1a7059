"""What a process refuses: an event in a step that does not expect it, and a move nobody declared.

The mesh raises them itself, so `place` says what no traceback does: letters of different steps are
different faults.
"""

from __future__ import annotations

from jetmesh.declare.process import Step
from jetmesh.errors import ContractViolation, Reject


class Unexpected(Reject):
    """The process stands in a step that does not expect the event, and that is to be a letter."""

    def __init__(self, event: str, process: str, step: Step, handler: str) -> None:
        known = step is not None
        self.place = f"in the step {step!r}" if known else "while nothing is known of the key"
        super().__init__(
            f"{event} is not expected by the process {process} {self.place}; {handler} says "
            "otherwise='reject'"
        )


class UndeclaredMove(ContractViolation):
    """A handler moved a process where its declaration says that it does not."""

    def __init__(
        self, handler: str, process: str, before: Step, after: Step, allowed: tuple[Step, ...]
    ) -> None:
        self.place = f"from {before!r} to {after!r}"
        super().__init__(
            f"{handler} moved {process} {self.place}, and declares only "
            f"{', '.join(map(repr, allowed))}; correct the handler or its moves, and replay"
        )


MISSTEPS = (Unexpected, UndeclaredMove)
