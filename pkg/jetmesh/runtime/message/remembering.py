"""Run a handler that remembers: its deliveries wait for their key, and change it in steps."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import chain
from typing import Any

import msgspec
from msgspec import Raw, Struct

from jetmesh.declare import Cancel, Forget, Handler, Later, Remembering, StateSpec, escape_key
from jetmesh.errors import ContractViolation
from jetmesh.protocol.deadlines import Pending
from jetmesh.protocol.steps import Applied, Floor, Following, Input
from jetmesh.runtime.message.deadlines import deadline_named, due_of
from jetmesh.runtime.message.delivered import Delivered
from jetmesh.runtime.message.known import KEPT
from jetmesh.runtime.message.outputs import several
from jetmesh.runtime.message.ringing import Effect
from jetmesh.runtime.message.runner import HandlerRunner
from jetmesh.runtime.message.steps import Steps

_encode = msgspec.json.Encoder().encode


class StateRunner(HandlerRunner):
    """A `HandlerRunner` whose handler reads and replaces a state (`known.Rememberer`)."""

    def __init__(
        self, handler: Handler, *about: Any, remembering: Remembering, steps: Steps, **more: Any
    ) -> None:
        self._value: Any = None
        function = handler.function
        super().__init__(
            replace(handler, function=lambda event, **rest: function(event, self._value, **rest)),
            *about,
            **more,
        )
        self.remembering = remembering
        self.floor = Floor()
        self.wants_floor = asyncio.Event()
        self._steps = steps
        self.stats = self._verdicts.stats
        self._verdicts.leave = self._note_first
        steps.follow(handler.outputs, self.outputs, self._firing.outputs)
        steps.alarms.handlers[handler.name] = handler

    def _run_inline(self, delivered: Delivered) -> None:
        failure = self._read(delivered)
        if failure is None:
            try:
                token = self._token(delivered)
            except BaseException as error:  # noqa: BLE001 - a contract's own code may raise anything
                failure = error
            else:
                self._steps.take(self, delivered, token)
                return
        self._judge(delivered, failure)

    def given(self, delivered: Delivered) -> Input:
        origin = delivered.origin
        return Input(self.handler.input.subject, int(origin.sequence), origin.stored)

    def handle(
        self, delivered: Delivered, value: Any, token: str
    ) -> tuple[Any, tuple[Effect, ...]]:
        self._value = value
        try:
            result = self.call(delivered)
        finally:
            self._value = None
        state, events = self._parted(result)
        if isinstance(state, Struct):
            self._check_key(state, token)
        outputs = self.outputs.ordered(events)
        return state, tuple(self._effect(each, delivered) for each in outputs)

    def remarked(
        self, applied: Applied, _delivered: Delivered, _before: Any, _after: Any
    ) -> Applied:
        return applied

    def failed(self, delivered: Delivered, error: BaseException) -> None:
        self._judge(delivered, error)

    def handled(self, delivered: Delivered) -> None:
        self._verdicts.acknowledge(delivered)

    def wait(self, delivered: Delivered, seconds: float) -> None:
        self._verdicts.give_back(delivered, seconds)

    # how

    def _ring(self, delivered: Delivered) -> None:
        """The state knows whether its time has come; its alarm says which key's that is."""
        place = delivered.noted.rpartition(":")[0] or delivered.subject.decode()
        self._steps.take(self, delivered, place.rpartition(".")[2])

    def _parted(self, result: Any) -> tuple[Any, list[Any]]:
        kind = self.remembering.state.type
        state, events = KEPT, []
        for each in chain.from_iterable(map(several, several(result))):
            if type(each) is kind or isinstance(each, Forget):
                if state is not KEPT:
                    raise ContractViolation(f"the handler returned the state {kind.__name__} twice")
                state = None if isinstance(each, Forget) else each
            else:
                events.append(each)
        return state, events

    def _check_key(self, state: Struct, token: str) -> None:
        spec = self.remembering.state
        found = escape_key(getattr(state, spec.key or ""))
        if found != token:
            raise ContractViolation(
                f"the handler was given {spec.name} {token!r} and returned that of {found!r}"
            )

    def _effect(self, value: Any, delivered: Delivered) -> Effect:
        if isinstance(value, Cancel):
            return deadline_named(self.handler, value)[0]
        if isinstance(value, Later):
            return self._pending(value, delivered)
        output = self.outputs.by_type[type(value)]
        subject, headers, payload = output.message(value, delivered.token)
        return Following(subject.decode(), output.id_in(headers), Raw(payload), output.version)

    def _pending(self, value: Later[Any], delivered: Delivered) -> Pending:
        deadline, spec = deadline_named(self.handler, value)
        now = delivered.durable.now()
        due = due_of(value, now)
        self._check_kept(value, (value.due(now) - now).total_seconds())
        made = delivered.identity.id(deadline.effect)
        return Pending(*deadline, due, due, made, Raw(_encode(value.event)), spec.version)

    def _check_kept(self, value: Later[Any], seconds: float) -> None:
        if 0 < self._steps.kept_for < seconds:
            spec, event = self.remembering.state, type(value.event).__name__
            raise ContractViolation(
                f"Later({event}) is due in {seconds:.0f} s, and {spec.name} is kept for "
                f"{self._steps.kept_for:.0f} s; raise streams.{spec.stream}.max_age"
            )

    def _token(self, delivered: Delivered) -> str:
        """The key of the state that a delivery is about, escaped."""
        return escape_key(self.remembering.key(delivered.event))

    def _note_first(self, delivered: Delivered, leave: Callable[[], None]) -> None:
        """Have the state know that an input comes again before it goes to the lane.

        It may be in there already: of a process that died, or of one that was quicker.
        """
        if delivered.noted or delivered.misread is not None or delivered.deadline:
            leave()
            return
        try:
            if delivered.event is None:  # given up without a run
                delivered.event = self.reader.read(delivered.payload, delivered.headers)
            token = self._token(delivered)
        except BaseException:  # noqa: BLE001 - it has no key, so no state ever took it in
            leave()
            return
        self._steps.note(self, delivered, token, leave)


def states_of(handlers: Iterable[Handler]) -> list[StateSpec]:
    """Every state that these handlers remember, once."""
    found = (handler.remembers.state for handler in handlers if handler.remembers)
    return [*dict.fromkeys(found)]
