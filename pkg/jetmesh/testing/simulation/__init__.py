"""An in-memory JetStream with a clock that only the test moves (`seam.Transport`).

    server = Server()
    server.add_stream({"name": "ORDERS", "subjects": ["orders.>"]})
    server.add_durable("ORDERS", {"durable_name": "charge", "filter_subject": "orders.accepted.*"})
    process = Connection(server)
    process.inflow("ORDERS", "charge", limit=10, on_delivery=…).start()
    process.publish(b"orders.accepted.p-1", b"", b"{}", waiter)
    server.run()                       # everything that is on its way arrives
    server.pass_time(30)               # what has no verdict comes again

It is deterministic: what happens, and in which order, is said by whoever calls `turn` and
`pass_time`. The same conformance suite passes here and on a real nats-server (`tests/conformance`),
so what is learned here holds there; what is not simulated, ADR-0034 lists.

Read in this order: `log`, `duplicates`, `schedules`, `stream` (what a stream takes and keeps),
`durable` (deliveries and verdicts), `server`, then `agenda`, `connection`, `inflow` (what is on
its way between server and process, and how it is lost).
"""

from __future__ import annotations

from jetmesh.testing.simulation.agenda import Agenda, Channel, Choose
from jetmesh.testing.simulation.clock import SECOND, Clock, Timed
from jetmesh.testing.simulation.connection import Connection
from jetmesh.testing.simulation.control import Control
from jetmesh.testing.simulation.durable import Durable
from jetmesh.testing.simulation.refused import Refused
from jetmesh.testing.simulation.server import Server
from jetmesh.testing.simulation.stream import Stream

__all__ = [
    "SECOND",
    "Agenda",
    "Channel",
    "Choose",
    "Clock",
    "Connection",
    "Control",
    "Durable",
    "Refused",
    "Server",
    "Stream",
    "Timed",
]
