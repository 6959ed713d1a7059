"""Run a handler that remembers: its deliveries wait for their key, and change it in steps."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import chain
from typing import Any

import msgspec
from msgspec import Raw, Struct

from jetmesh.declare import Forget, Handler, Remembering, StateSpec, escape_key
from jetmesh.errors import ContractViolation
from jetmesh.protocol.steps import Floor, Following, Input
from jetmesh.runtime.message.delivered import Delivered
from jetmesh.runtime.message.known import KEPT
from jetmesh.runtime.message.outputs import several
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
        steps.follow(handler.outputs, self.outputs)

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
    ) -> tuple[Any, tuple[Following, ...]]:
        self._value = value
        try:
            result = self.call(delivered)
        finally:
            self._value = None
        state, events = self._parted(result)
        if isinstance(state, Struct):
            self._check_key(state, token)
        outputs = self.outputs.ordered(events)
        return state, tuple(self._following(each, delivered) for each in outputs)

    def failed(self, delivered: Delivered, error: BaseException) -> None:
        self._judge(delivered, error)

    def handled(self, delivered: Delivered) -> None:
        self._verdicts.acknowledge(delivered)

    def wait(self, delivered: Delivered, seconds: float) -> None:
        self._verdicts.give_back(delivered, seconds)

    # how

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

    def _following(self, event: Any, delivered: Delivered) -> Following:
        output = self.outputs.by_type[type(event)]
        subject, headers, payload = output.message(event, delivered.token)
        return Following(subject.decode(), output.id_in(headers), Raw(payload), output.version)

    def _token(self, delivered: Delivered) -> str:
        """The key of the state that a delivery is about, escaped."""
        return escape_key(self.remembering.key(delivered.event))

    def _note_first(self, delivered: Delivered, leave: Callable[[], None]) -> None:
        """Have the state know that an input comes again before it goes to the lane.

        It may be in there already: of a process that died, or of one that was quicker.
        """
        if delivered.noted or delivered.misread is not None:
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
