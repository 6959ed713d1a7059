"""A simulated connection: what one process sees of the server (`seam.Transport`).

What it sends waits in a channel until the server reads it; answers, deliveries and looks wait in
others until they arrive. Its faults are methods: each takes something away that is on its way.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from datetime import datetime
from functools import partial

from jetmesh.testing.simulation.agenda import Line
from jetmesh.testing.simulation.clock import SECOND
from jetmesh.testing.simulation.frames import Publish, Verdict
from jetmesh.testing.simulation.inflow import SimulatedInflow
from jetmesh.testing.simulation.link import Link
from jetmesh.testing.simulation.looks import SimulatedLooks
from jetmesh.testing.simulation.server import Server
from jetmesh.testing.simulation.turns import EndlessTurns
from jetmesh.transport.publishes import SWEEP_SECONDS, Publishes, drop
from jetmesh.transport.seam import OnDelivery, Waiter
from jetmesh.transport.turns import Turns

_INBOX = b"_INBOX"
_WORKING = b"+WPI"


class Connection:
    """Implements `seam.Transport`, with what `transport.dataplane` has beside it."""

    def __init__(self, server: Server, name: str = "process") -> None:
        self.name = name
        self.turns: Turns = EndlessTurns()
        self.server = server
        self.reconnects = 0
        self.strays = 0
        self.on_connected: list[Callable[[], None]] = []
        """Called on each new connection, before anything is sent on it."""
        self.publishes = Publishes(_INBOX)
        """The mesh's own: it sends again what is refused for now, and what nobody answers."""
        self.publishes.max_payload = server.max_payload
        self._link = Link(server, name)
        self.sent, self.answers = self._link.sent, self._link.answers
        self.lookups = SimulatedLooks(self._link)
        self.inflows: list[SimulatedInflow] = []
        self.refused: set[tuple[str, str]] = set()
        """The durables, by their stream and name, on which the server takes no verdicts of ours."""
        self._unsent: deque[tuple[bytes, bytes]] = deque()
        """Verdicts that wait for the next connection."""
        self._swept_at = 0
        server.clock.watch(self)
        self.mend()

    @property
    def problem(self) -> str:
        """Why nothing can be sent, or stored, in words; empty when all is well."""
        return self._link.down or self.publishes.problem

    def now(self) -> datetime:
        return self.server.clock.time()

    @property
    def is_up(self) -> bool:
        return self._link.is_up

    # seam.Transport

    def inflow(
        self,
        stream: str,
        durable: str,
        *,
        limit: int,
        first: int = 0,
        on_delivery: OnDelivery,
        on_gone: Callable[[str], None] | None = None,
        on_muted: Callable[[], None] | None = None,
    ) -> SimulatedInflow:
        """Pull from a durable; `start()` it when everything is in place."""
        made = SimulatedInflow(
            self._link, stream, durable, limit=limit, first=first, on_delivery=on_delivery
        )
        made.on_gone = on_gone
        made.on_muted = on_muted or made.on_muted
        self.inflows.append(made)
        return made

    def publish(self, subject: bytes, headers: bytes, payload: bytes, waiter: Waiter) -> None:
        self.publishes.publish(subject, headers, payload, waiter)

    def ack(self, reply: bytes) -> None:
        self._settle(reply, b"+ACK")

    def retry(self, reply: bytes, delay: float) -> None:
        self._settle(reply, b'-NAK {"delay": %d}' % max(1, round(delay * SECOND)))

    def terminate(self, reply: bytes, reason: str) -> None:
        self._settle(reply, f"+TERM {reason}".encode())

    def progress(self, reply: bytes) -> None:
        if self.is_up:  # after an outage it would come too late
            self._settle(reply, _WORKING)

    def drop(self, inflow: SimulatedInflow) -> None:
        """Stop an inflow and forget it; what still arrives for it is dropped."""
        inflow.close()
        self.inflows.remove(inflow)

    # how

    def _settle(self, reply: bytes, verdict: bytes) -> None:
        if not self.is_up:
            self._unsent.append((reply, verdict))
            return
        self.sent.send(Verdict(self.server, reply, verdict, self._is_refused))

    def _send(self, frame: bytes) -> None:
        self.sent.send(Publish(self.server, frame, self._answer))

    def _answer(self, reply: bytes, status: bytes, answer: bytes) -> None:
        arrives = partial(self.publishes.on_answer, reply, b"", status, answer)
        self.answers.send(arrives)

    def _is_refused(self, stream: str, durable: str) -> bool:
        """Whether the server takes no verdicts on a durable; it says so, and its pull pauses."""
        is_refused = (stream, durable) in self.refused
        for inflow in self.inflows:
            if is_refused and inflow.durable == (stream, durable) and not inflow.muted:
                inflow.mute(f"verdicts on {durable} of {stream} are refused")
        return is_refused

    def due(self) -> int | None:
        """When to look whether publishes are to be sent again."""
        if not self.is_up or not (self.publishes or self.publishes.refusal):
            return None
        return self._swept_at + round(SWEEP_SECONDS * SECOND)

    def ring(self) -> None:
        self._swept_at = self.server.clock.now
        self.publishes.sweep()

    # faults

    def cut(self, reason: str = "cut") -> None:
        """Lose the connection with all that is on its way, in both directions."""
        self._link.down = f"connection to the broker lost: {reason}"
        self.publishes.send = drop
        self._link.lose_all()
        self.lookups.fail_all("the connection is lost")
        for inflow in self.inflows:
            inflow.cut()

    def mend(self) -> None:
        """Connect again: what waits for an answer is sent again, and so are unsent verdicts."""
        self.reconnects += bool(self._swept_at)
        self._link.down = ""
        self._swept_at = self.server.clock.now
        for tell in self.on_connected:
            tell()
        self.publishes.send = self._send
        self.publishes.resend_all()
        unsent, self._unsent = self._unsent, deque()
        for reply, verdict in unsent:
            self._settle(reply, verdict)
        for inflow in list(self.inflows):
            inflow.mend()

    def crash(self) -> None:
        """End the process: nothing arrives there any more, nothing more is sent.

        What it had without a verdict comes again to others once `ack_wait` is over.
        """
        self.cut("the process is dead")
        for inflow in list(self.inflows):
            self.drop(inflow)
        self._link.close()
        self.server.clock.forget(self)
        self._unsent = deque(maxlen=0)

    def refuse_verdicts(self, stream: str, durable: str) -> None:
        """Take no verdicts of this process on a durable, as without the permission for it."""
        self.refused.add((stream, durable))

    def take_verdicts(self, stream: str, durable: str) -> None:
        """Take them again."""
        self.refused.discard((stream, durable))
        for inflow in self.inflows:
            if inflow.durable == (stream, durable) and inflow.muted:
                inflow.mute("")

    @property
    def verdict_is_next(self) -> bool:
        """Whether the server reads a verdict next of what is on its way to it."""
        return bool(self.sent.waiting) and isinstance(self.sent.waiting[0], Verdict)

    def lose_verdict(self) -> bool:
        """Lose the first verdict on its way to the server; False: there is none."""
        return _lose(self.sent, Verdict)

    def lose_publish(self) -> bool:
        """Lose the first publish on its way to the server; it is sent again after a silence."""
        return _lose(self.sent, Publish)

    def lose_answer(self) -> bool:
        """Lose the first PubAck on its way here: what is stored is sent again after a silence."""
        return self.answers.lose()

    def delay_answer(self) -> bool:
        """Let the first PubAck on its way here arrive behind all others that are."""
        self.answers.waiting.rotate(-1)
        return len(self.answers.waiting) > 1


def _lose(line: Line, kind: type) -> bool:
    found = next((each for each in line.waiting if isinstance(each, kind)), None)
    if found is not None:
        line.waiting.remove(found)
    return found is not None
