"""Run a handler of a process: only in steps that expect its event, and only along its moves."""

from __future__ import annotations

from typing import Any, cast

import msgspec

from jetmesh.declare.process import Moves, Process, Step, described
from jetmesh.protocol.steps import Applied
from jetmesh.runtime.message.delivered import Delivered
from jetmesh.runtime.message.states.known import KEPT
from jetmesh.runtime.message.states.missteps import UndeclaredMove, Unexpected
from jetmesh.runtime.message.states.remembering import StateRunner
from jetmesh.runtime.message.states.ringing import Effect


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
        raise Unexpected(event, process, step, self.handler.name)

    def _check(self, before: Step, after: Step, allowed: tuple[Step, ...]) -> None:
        if after == before or after in allowed:
            return
        title = self.remembering.state.title
        raise UndeclaredMove(self.handler.name, title, before, after, allowed)
