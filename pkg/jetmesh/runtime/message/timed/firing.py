"""The time of a deadline has come: its event is published, once, for the message that asked for it.

It is an output of that message's handler that comes later: with its id, its guard and its trace. A
key that was decided in time keeps its outcome, which is what such a deadline is for.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

from jetmesh.declare import Handler
from jetmesh.errors import Reject
from jetmesh.runtime.message.decisions import Decisions
from jetmesh.runtime.message.delivered import Delivered
from jetmesh.runtime.message.letters import unreadable
from jetmesh.runtime.message.outputs import Outputs
from jetmesh.runtime.message.publisher import Publisher
from jetmesh.runtime.message.verdicts import Verdicts
from jetmesh.transport.reader import NewerVersion, event_in, reader_of


class Firing:
    """Publishes what comes later, of one handler without a state."""

    def __init__(
        self,
        handler: Handler,
        decisions: Decisions,
        verdicts: Verdicts,
        *,
        judge: Callable[[Delivered, BaseException], None],
        spawn: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        self.outputs = outputs = Outputs(handler, handler.deadlines.later)
        for output in outputs.by_type.values():
            output.race = True
        self._handler = handler
        self._judge = judge
        self._publisher = Publisher(
            outputs, decisions.of(outputs), verdicts, judge=judge, spawn=spawn
        )

    def fire(self, delivered: Delivered) -> None:
        """Publish the event of an alarm, and acknowledge it."""
        # from here on its fate is that of the event
        delivered.durable = replace(delivered.durable, outcome=self._publisher)
        if delivered.deadline is not None:  # of one cause several may have one subject
            delivered.token = f"{delivered.origin.token}:{delivered.deadline.mark}".encode()
        try:
            delivered.event = self._event(delivered)
        except Exception as error:  # noqa: BLE001 - a contract's own code may raise anything
            self._judge(delivered, error)
        else:
            self._publisher.conclude(delivered, delivered.event)

    def _event(self, delivered: Delivered) -> Any:
        """The event that was to come.

        Raises:
            Reject: nobody declares any more that it comes later.
            NewerVersion: other code reads it.
            ContractViolation: it does not keep its contract any more.
        """
        deadline, handler = delivered.deadline, self._handler
        for spec in handler.deadlines.later:
            if deadline is not None and spec.subject == deadline.event:
                try:
                    return reader_of(spec).read(delivered.payload, delivered.headers)
                except NewerVersion:
                    raise
                except Exception as error:
                    payload = event_in(delivered.payload, delivered.headers)
                    raise unreadable(spec, payload, error) from error
        name = deadline.event if deadline else "nothing"
        raise Reject(
            f"a deadline of {name} is over, and {handler.name} names no Later of it any more"
        )
