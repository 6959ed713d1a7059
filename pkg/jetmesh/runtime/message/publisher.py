"""From a handler's result to its verdict: publish the outputs, and ack once they are stored."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from jetmesh.errors import Reject
from jetmesh.runtime.cancelled import is_cancelled
from jetmesh.runtime.message.belief import Decided, Forged, Impossible, Place
from jetmesh.runtime.message.decisions import Decisions
from jetmesh.runtime.message.delivered import Delivered
from jetmesh.runtime.message.outputs import Outputs
from jetmesh.runtime.message.verdicts import Verdicts
from jetmesh.transport.seam import Message


class Publisher:
    """Publishes the outputs of one handler (`delivered.Outcome`)."""

    def __init__(
        self,
        outputs: Outputs,
        decisions: Decisions,
        verdicts: Verdicts,
        *,
        judge: Callable[[Delivered, BaseException], None],
        spawn: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        self._outputs = outputs
        for output in outputs.by_type.values():
            output.publish = verdicts.publish
        self._output_of = outputs.by_type.get
        self._decisions = decisions
        self._verdicts = verdicts
        self._judge = judge
        self._spawn = spawn

    def conclude(
        self, delivered: Delivered, result: Any, failure: BaseException | None = None
    ) -> None:
        """Publish what the handler returned, or judge what it raised."""
        if failure is None:
            try:
                output = self._output_of(type(result))
                if output is not None:
                    delivered.published = result
                    delivered.pending = 1
                    subject, headers, payload = output.message(result, delivered.token)
                    output.publish(subject, headers, payload, delivered)
                else:
                    self._publish_all(delivered, self._outputs.ordered(result))
            except BaseException as error:  # noqa: BLE001 - it cannot be published: its handler's fault
                failure = error
        if failure is not None:
            self._judge(delivered, failure)

    def _publish_all(self, delivered: Delivered, values: list[Any]) -> None:
        """Publish a decision alone and the rest after it, or all that is no decision at once."""
        if not values:
            self._verdicts.acknowledge(delivered)
            return
        by_type = self._outputs.by_type
        decides = by_type[type(values[0])].decision is not None
        now, later = (values[:1], values[1:]) if decides else (values, None)
        made = [by_type[type(value)] for value in now]
        messages = [o.message(value, delivered.token) for o, value in zip(made, now, strict=True)]
        delivered.rest = later
        delivered.published = values[0]
        delivered.pending = len(messages)
        for output, message in zip(made, messages, strict=True):
            output.publish(*message, delivered)

    # delivered.Outcome

    def on_stored(self, delivered: Delivered) -> None:
        """Every output on its way has its PubAck."""
        if not delivered.rest:
            self._verdicts.acknowledge(delivered)
            return
        try:
            self._publish_all(delivered, delivered.rest)
        except BaseException as error:  # noqa: BLE001 - it cannot be encoded: its handler's fault
            self._judge(delivered, error)

    def on_duplicate(self, delivered: Delivered, message: Message, sequence: int) -> None:
        """An output was sent before, or somebody else took its id: look which."""
        confirm = partial(self._confirm, delivered, message, sequence)
        self._spawn(self._judged(delivered, confirm))

    def on_decided(self, delivered: Delivered) -> None:
        """The server refused a second outcome: look whose the first one is."""
        settle = partial(self._decisions.settle_refused, delivered)
        self._spawn(self._judged(delivered, settle))

    def on_impossible(self, delivered: Delivered, reason: str) -> None:
        """An output can never be stored, so the delivery failed, whatever becomes of the others."""
        if delivered.pending > 0:
            delivered.pending = 0
            self._judge(delivered, Reject(f"the output cannot be stored: {reason}"))

    # how

    async def _confirm(self, delivered: Delivered, message: Message, sequence: int) -> None:
        output = self._outputs.on(message[0])
        confirm = partial(
            self._verdicts.storing.belief.confirm,
            output.stream,
            message,
            doubt=output.doubt,
            about=delivered.cause,
            publish=output.publish,
        )
        match fate := await confirm(sequence=sequence):
            case Forged() if self._verdicts.may_run_again:
                self._verdicts.keep(delivered, fate)
            case Forged():  # it had its effect
                pause = self._verdicts.hold_on(delivered, fate)
                again = partial(self._look_again, delivered, message, sequence)
                asyncio.get_running_loop().call_later(pause, again)
            case Place(squatted=squatted):
                stats = self._verdicts.stats
                stats.squatted += squatted
                stats.repeated += not squatted
                delivered.on_stored()
            case Decided():
                delivered.on_decided()
            case Impossible(reason):
                delivered.on_impossible(reason)

    def _look_again(self, delivered: Delivered, message: Message, sequence: int) -> None:
        if delivered.held:
            self.on_duplicate(delivered, message, sequence)

    async def _judged(
        self, delivered: Delivered, settle: Callable[[], Coroutine[Any, Any, None]]
    ) -> None:
        try:
            await settle()
        except BaseException as error:  # noqa: BLE001 - whatever a reaction raises ends in a verdict
            if is_cancelled():
                return  # what a stop cuts short is given back
            self._judge(delivered, error)
