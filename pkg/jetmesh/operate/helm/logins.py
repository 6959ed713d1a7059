"""Whom the bundled NATS knows: everybody's permissions, and where each password is kept."""

from __future__ import annotations

from typing import Final, get_args

from jetmesh.declare.topology import Topology
from jetmesh.errors import UsageError
from jetmesh.operate.helm.kinds import Password
from jetmesh.operate.helm.text import NOTE
from jetmesh.operate.helm.tree import Group, Value, schema_of
from jetmesh.operate.identities import (
    Isolation,
    Variables,
    identities_of,
    password_variable,
    server_config,
)

_ACCOUNT: Final = "{{ .Values.nats.account }}"
"""The template fills it in; JetStream's messages are in the account that had them before."""
_SYSTEM: Final = "SYS"
"""As before: nodes of a cluster that call it differently do not find one another in a rollout."""
_ROUTES: Final = "routes"
_TEXT: Final = "Password of this service's pods, and of nobody else."


def configurations(topology: Topology) -> dict[str, str]:
    """The permissions of everybody for nats-server, by the name of the chart's file."""
    return {
        f"files/nats/{isolation}.conf": NOTE
        + server_config(
            topology,
            isolation=isolation,
            credentials=Variables(),
            account=_ACCOUNT,
            system_account=_SYSTEM,
        ).text
        for isolation in get_args(Isolation)
    }


def identities(topology: Topology) -> dict[str, dict[str, str]]:
    """By name: the server's variable of the password, and where answers to it arrive."""
    return {
        each.name: {"variable": password_variable(each.name), "inboxPrefix": each.inbox_prefix}
        for each in identities_of(topology, isolation="users", account=_ACCOUNT)
    }


def password_values(topology: Topology) -> Group:
    """One value for each service.

    Raises:
        UsageError: a service has the name of another key in the Secret.
    """
    if _ROUTES in {service.name for service in topology.services}:
        raise UsageError(
            f"A service cannot be called {_ROUTES!r}: the chart keeps the password of the nodes of "
            "NATS under this name.",
            remedy="Choose another name for the service.",
        )
    schema = schema_of(Password)
    return Group({service.name: Value("", dict(schema), _TEXT) for service in topology.services})
