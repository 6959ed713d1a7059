"""jetmesh: a reactive service mesh on NATS JetStream.

Declare events and services, and `run` one; a `Publisher` publishes from any other program, and
`jetmesh.testing` tests a service.
"""

from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

from jetmesh.declare import (
    AsyncCall,
    Call,
    Cancel,
    Delivery,
    Duration,
    Forget,
    History,
    Later,
    Policy,
    Publishing,
    Recalled,
    Record,
    Rehearsed,
    Sandbox,
    Service,
    Stored,
    System,
    Topology,
    days,
    derive,
    event,
    hours,
    minutes,
    replaces,
    seconds,
    state,
    upcasts,
)
from jetmesh.errors import (
    AlreadyDecided,
    BrokerError,
    ContractViolation,
    JetmeshError,
    Reject,
    Retry,
    Unavailable,
)

if _TYPE_CHECKING:
    from jetmesh.runtime.publishing import Publisher

__version__ = "0.2.0"


def __getattr__(name: str) -> _Any:
    """Contracts import without a network, so what needs one is imported when it is asked for."""
    if name == "Publisher":
        from jetmesh.runtime.publishing import Publisher  # noqa: PLC0415 - as above

        return Publisher
    raise AttributeError(f"module 'jetmesh' has no attribute {name!r}")


def run(service: Service) -> None:
    """Run `service` until SIGTERM or SIGINT, then exit with 0.

    Settings come from `$JETMESH_SETTINGS` or ./jetmesh.toml and from the environment. A wrong
    setting, a server that is too old or a resource that cannot be opened ends with one sentence
    and exit code 1; a broker that is not there is waited for. A second signal ends at once.
    """
    from jetmesh.runtime import process  # noqa: PLC0415 - contracts import without a network

    process.run(service)


__all__ = [
    "AlreadyDecided",
    "AsyncCall",
    "BrokerError",
    "Call",
    "Cancel",
    "ContractViolation",
    "Delivery",
    "Duration",
    "Forget",
    "History",
    "JetmeshError",
    "Later",
    "Policy",
    "Publisher",
    "Publishing",
    "Recalled",
    "Record",
    "Rehearsed",
    "Reject",
    "Retry",
    "Sandbox",
    "Service",
    "Stored",
    "System",
    "Topology",
    "Unavailable",
    "days",
    "derive",
    "event",
    "hours",
    "minutes",
    "replaces",
    "run",
    "seconds",
    "state",
    "upcasts",
]
