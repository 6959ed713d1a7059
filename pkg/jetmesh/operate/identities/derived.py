"""The identities of a topology."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal, TypeAlias

from jetmesh.declare import Permissions, Service, Topology, permissions_of
from jetmesh.declare.permissions import asked_on
from jetmesh.operate.identities.identity import (
    CLIENT,
    MONITOR,
    OPERATOR,
    Identity,
    check_name,
    inbox_prefix,
)
from jetmesh.operate.identities.looking import DISCOVERING, LOOKING
from jetmesh.protocol.streams import JS_API

Isolation: TypeAlias = Literal["users", "pages", "all"]
CLIENTS_ACCOUNT: Final = "CLIENTS"
"""In capitals: a service, which gives its account its own name, has none."""


def identities_of(
    topology: Topology, *, isolation: Isolation, account: str, js_api: str = JS_API
) -> tuple[Identity, ...]:
    """Everybody: the operator, each service by name, the outside client, the monitor.

    Raises:
        DeclarationError: a service has the name of another identity.
    """
    found = [Identity(OPERATOR, "operator", None, account)]
    for service in sorted(topology.services, key=lambda each: each.name):
        check_name(service.name, service.where)
        needed = permissions_of(service, inbox_prefix=inbox_prefix(service.name), js_api=js_api)
        home = service.name if _is_apart(service, isolation) else account
        found.append(Identity(service.name, "service", needed, home))
    home = account if isolation == "users" else CLIENTS_ACCOUNT
    publishes = (*_from_outside(topology), *LOOKING, *DISCOVERING)
    found.append(Identity(CLIENT, "client", _asking(CLIENT, publishes, js_api), home))
    looks = _asking(MONITOR, (*LOOKING, *DISCOVERING), js_api)
    found.append(Identity(MONITOR, "monitor", looks, account))
    return tuple(found)


def _is_apart(service: Service, isolation: Isolation) -> bool:
    """Whether it has an account of its own: pages are what people from outside talk to."""
    return isolation == "all" or (isolation == "pages" and bool(service.pages))


def _from_outside(topology: Topology) -> Iterator[str]:
    for spec in topology.from_outside:
        yield from spec.filters  # and may not look at what others published


def _asking(name: str, subjects: tuple[str, ...], js_api: str) -> Permissions:
    publish = tuple(dict.fromkeys(asked_on(js_api, each) for each in subjects))
    return Permissions(publish=publish, subscribe=(f"{inbox_prefix(name)}.>",))
