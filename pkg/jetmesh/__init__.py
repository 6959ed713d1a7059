"""jetmesh: a reactive service mesh on NATS JetStream.

Declare events and services here; `jetmesh.run` runs a service, `jetmesh.testing` tests one.
"""

from jetmesh.declare import (
    Delivery,
    Duration,
    Policy,
    Record,
    Sandbox,
    Service,
    System,
    Topology,
    derive,
    event,
)
from jetmesh.errors import ContractViolation, JetmeshError, Reject, Retry, Unavailable

__version__ = "0.1.0"

__all__ = [
    "ContractViolation",
    "Delivery",
    "Duration",
    "JetmeshError",
    "Policy",
    "Record",
    "Reject",
    "Retry",
    "Sandbox",
    "Service",
    "System",
    "Topology",
    "Unavailable",
    "derive",
    "event",
]
