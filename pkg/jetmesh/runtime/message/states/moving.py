"""Run a handler of a process: only in steps that expect its event, and only along its moves."""

from __future__ import annotations

from typing import Any, cast

import msgspec

from jetmesh.declare.process import Moves, Process, Step, described
from jetmesh.errors import ContractViolation, Reject
from jetmesh.protocol.steps import Applied
from jetmesh.runtime.message.delivered import Delivered
from jetmesh.runtime.message.states.known import KEPT
from jetmesh.runtime.message.states.remembering import StateRunner
from jetmesh.runtime.message.states.ringing import Effect


class Unexpected(Reject):
    """The process stands in a step that does not expect the event, and that is to be a letter."""


class UndeclaredMove(ContractViolation):
    """A handler moved a process where its declaration says that it does not."""


class ProcessRunner(StateRunner):
    """A `StateRunner` of a state with steps."""

    def __init__(self, *about: Any, **more: Any) -> None:
        super().__init__(*about, **more)
        self._process = cast("Process", self.remembering.state.process)
        self._moves = cast("Moves", self.remembering.moves)

    def handle(
        self, delivered: Delivered, value: Any, token: str
    ) -> tuple[Any, tuple[Effect, ...]]:
        before = self._process.step_of(value)
        allowed = self._moves.of.get(before)
        if allowed is None:
            self._pass_over(before)
            return KEPT, ()
        state, following = super().handle(delivered, value, token)
        if state is not KEPT:
            self._check(before, self._process.step_of(state), allowed)
        return state, following

    def remarked(self, applied: Applied, delivered: Delivered, before: Any, after: Any) -> Applied:
        step = self._process.step_of(before)
        if step not in self._moves.of:
            return applied.ignored(self.given(delivered), described(step))
        if after is KEPT or self._process.step_of(after) == step:
            return applied
        since = int(delivered.durable.now().timestamp() * 1e9) if after else 0
        return msgspec.structs.replace(applied, since=since)

    def _pass_over(self, step: Step) -> None:
        """What becomes of an event in a step for which nobody declared it: nothing runs."""
        if self._moves.otherwise == "ignore":
            self.stats.ignored += 1
            return
        event, process = self.handler.input.name, self.remembering.state.title
        raise Unexpected(
            f"{event} is not expected by the process {process} in the step {described(step)!r}; "
            f"{self.handler.name} says otherwise='reject'"
        )

    def _check(self, before: Step, after: Step, allowed: tuple[Step, ...]) -> None:
        if after == before or after in allowed:
            return
        places = ", ".join(repr(described(each)) for each in allowed)
        raise UndeclaredMove(
            f"{self.handler.name} moved {self.remembering.state.title} from {described(before)!r} "
            f"to {described(after)!r}, and declares only {places}; correct the handler or its "
            "moves, and replay"
        )
