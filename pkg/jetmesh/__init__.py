"""jetmesh: a reactive service mesh on NATS JetStream.

Declare events and services, and `run` one; `jetmesh.testing` tests one.
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


def run(service: Service) -> None:
    """Run `service` until SIGTERM or SIGINT, then exit with 0.

    Settings come from `$JETMESH_SETTINGS` or ./jetmesh.toml and from the environment. A wrong
    setting, a server that is too old or a resource that cannot be opened ends with one sentence
    and exit code 1; a broker that is not there is waited for. A second signal ends at once.
    """
    from jetmesh.runtime import process  # noqa: PLC0415 - contracts import without a network

    process.run(service)


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
    "run",
]
