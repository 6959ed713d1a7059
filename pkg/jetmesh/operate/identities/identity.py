"""One identity: a user of the broker, what it may do, and where it lives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from jetmesh.declare import Permissions
from jetmesh.errors import DeclarationError

Kind: TypeAlias = Literal["operator", "service", "client", "monitor"]

OPERATOR: Final = "operator"
"""Applies, repairs, reads everything: `jetmesh apply`, `doctor`, `deadletters`, `trace`."""
CLIENT: Final = "clients"
"""Whoever publishes what comes from outside."""
MONITOR: Final = "monitor"
"""Looks, and does nothing else."""
RESERVED: Final = (OPERATOR, CLIENT, MONITOR)


@dataclass(frozen=True, slots=True)
class Identity:
    """A user of the broker."""

    name: str
    """As the server calls the user: a service's own name, or one of `RESERVED`."""
    kind: Kind
    permissions: Permissions | None
    """None: everything in its account."""
    account: str = ""
    """Empty: the one that a server without accounts has."""

    @property
    def inbox_prefix(self) -> str:
        """Where answers to it arrive; nobody else may listen there."""
        return inbox_prefix(self.name)

    @property
    def answers(self) -> bool:
        """It answers requests: `nats micro` finds it."""
        return self.kind == "service"


def inbox_prefix(name: str) -> str:
    """`nats.inbox_prefix` of an identity; the outside client has that of any NATS client."""
    return "_INBOX" if name == CLIENT else f"_INBOX_{name}"


def check_name(service: str, where: str) -> None:
    """Refuse a service with the name of another identity.

    Raises:
        DeclarationError: it has one.
    """
    if service in RESERVED:
        raise DeclarationError(
            f"{where}: a service cannot be called {service!r}, an identity of the broker is.",
            remedy="Choose another name for the service.",
        )
