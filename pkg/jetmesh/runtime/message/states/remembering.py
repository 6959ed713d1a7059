"""Run a handler that remembers: its deliveries wait for their key, and change it in steps."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import replace
from itertools import chain
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from jetmesh.declare import Cancel, Forget, Handler, Later, Remembering, StateSpec, escape_key
from jetmesh.errors import ContractViolation
from jetmesh.protocol.deadlines import Pending
from jetmesh.protocol.ids import Cause
from jetmesh.protocol.steps import Applied, Floor, Following, Input
from jetmesh.runtime.message.asking import Asking
from jetmesh.runtime.message.belief import Belief
from jetmesh.runtime.message.delivered import Delivered
from jetmesh.runtime.message.outputs import several
from jetmesh.runtime.message.runner import HandlerRunner
from jetmesh.runtime.message.states.following import Outlet
from jetmesh.runtime.message.states.known import KEPT
from jetmesh.runtime.message.states.ringing import Effect
from jetmesh.runtime.message.states.steps import Steps
from jetmesh.runtime.message.timed.deadlines import deadline_named, due_of
from jetmesh.transport.seam import Inflow, Looks, Transport

_PLACE: Final = "{token}"
_POSTPONED_SECONDS: Final = 1.0
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
        self._type = remembering.state.type
        self._source = handler.input.subject
        cause = Cause(handler.service, handler.name, handler.input.stream, _PLACE)
        self._around_token = cause.id("").split(_PLACE)
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
        if delivered.on_lane:
            origin = delivered.origin
            return Input(self._source, int(origin.sequence), origin.stored)
        token = delivered.token.decode()
        sequence, _, stored = token.partition("-")
        return Input(self._source, int(sequence), int(stored), token)

    def cause(self, delivered: Delivered, subject: str) -> str:
        before, after = self._around_token
        return f"{before}{delivered.token.decode()}{after}{subject}"

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
        if not events:
            return state, ()
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

    def floor_is_known(self, floor: Floor) -> None:
        """Everything of its durable up to there has its verdict: keys may have room again."""
        self.floor = floor
        if self._quarantine.active:
            self.wants_floor.set()  # later: now one runs alone
        else:
            self._steps.floor_is_known()

    def waits_for_room(self, delivered: Delivered) -> None:
        """It runs once there is room: those that hold the floor may wait until it ran alone.

        They may not be here yet, either: so what waits keeps no others from being pulled.
        """
        durable = delivered.durable
        durable.inflow.settled()
        delivered.durable = replace(durable, inflow=_Settled(durable.inflow))

    def postpone(self, delivered: Delivered) -> None:
        self._verdicts.postpone(delivered, _POSTPONED_SECONDS)

    def _is_at_work(self, delivered: Delivered) -> bool:
        waits = isinstance(delivered.durable.inflow, _Settled)
        return not waits and super()._is_at_work(delivered)

    # how

    def _ring(self, delivered: Delivered) -> None:
        """The state knows whether its time has come; its alarm says which key's that is."""
        place = delivered.noted.rpartition(":")[0] or delivered.subject.decode()
        self._steps.take(self, delivered, place.rpartition(".")[2])

    def _parted(self, result: Any) -> tuple[Any, list[Any]]:
        kind = self._type
        if type(result) is kind:
            return result, []
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
        subject, _, payload = output.message(value, delivered.token)
        identity = output.identity(subject, delivered.token)
        return Following(subject.decode(), identity, Raw(payload), output.version)

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


class _Settled:
    """The inflow of a delivery for which room was made before its verdict (`seam.Inflow`)."""

    def __init__(self, inflow: Inflow) -> None:
        self._inflow = inflow

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inflow, name)

    def settled(self) -> None:
        """It was told before."""


def states_of(handlers: Iterable[Handler]) -> list[StateSpec]:
    """Every state that these handlers remember, once."""
    found = (handler.remembers.state for handler in handlers if handler.remembers)
    return [*dict.fromkeys(found)]


def steps_of(
    spec: StateSpec, transport: Transport, looks: Looks, kind: type[Steps] = Steps
) -> Steps:
    """The steps of one state in one process."""
    tasks: set[asyncio.Task[None]] = set()

    def spawn(work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    def stop() -> None:
        for task in list(tasks):
            task.cancel()

    asking = Asking(spec.title)
    belief = Belief(looks, transport.publish, asking)
    outlet = Outlet(transport, looks, belief, asking, spawn)
    return kind(spec, transport, outlet, stop)
