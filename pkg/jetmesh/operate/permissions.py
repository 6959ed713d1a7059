"""Least privilege as nats-server reads it: a user for each service, with what it needs."""

from __future__ import annotations

from collections.abc import Iterator

from jetmesh.declare import Permissions, Topology, permissions_of
from jetmesh.protocol.streams import JS_API

CLIENTS = "clients"
"""Whoever publishes what comes from outside."""

_HEAD = """\
# A user for each service, with what it needs where somebody else applies (provision = "verify").
# Passwords come from variables of nats-server's own environment. In a service's settings:
#   [nats]
#   user = "payments"
#   inbox_prefix = "_INBOX_payments"
authorization {
  users: ["""
_TAIL = """\
  ]
}"""


def authorization(topology: Topology, js_api: str = JS_API) -> str:
    """The `authorization` block for a configuration of nats-server.

    `js_api` is how the subjects begin on which JetStream is asked.
    """
    lines = [_HEAD, "    # jetmesh apply, doctor, deadletters", f"    {_credentials('admin')} }}"]
    for service in sorted(topology.services, key=lambda each: each.name):
        prefix = inbox_prefix(service.name)
        needed = permissions_of(service, inbox_prefix=prefix, js_api=js_api)
        lines += _user(service.name, needed, responds=True)
    publish = [text for spec in topology.from_outside for text in spec.filters]
    subscribe = (f"{inbox_prefix(CLIENTS)}.>",)
    lines += _user(CLIENTS, Permissions(tuple(publish), subscribe), responds=False)
    return "\n".join([*lines, _TAIL])


def inbox_prefix(user: str) -> str:
    """Where the answers to one user arrive; no other may listen there."""
    return f"_INBOX_{user}"


def password_variable(user: str) -> str:
    """The variable of nats-server that holds a user's password."""
    return f"NATS_{user.upper().replace('-', '_')}_PASSWORD"


def _user(name: str, permissions: Permissions, *, responds: bool) -> Iterator[str]:
    yield f"    {_credentials(name)}"
    yield "      permissions: {"
    yield from _allowed("publish", permissions.publish)
    yield from _allowed("subscribe", permissions.subscribe)
    if responds:
        yield "        allow_responses: true  # nats micro"
    yield "      }"
    yield "    }"


def _allowed(action: str, subjects: tuple[str, ...]) -> Iterator[str]:
    yield f"        {action}: ["
    yield from (f'          "{subject}"' for subject in subjects)
    yield "        ]"


def _credentials(name: str) -> str:
    return f'{{ user: "{name}", password: ${password_variable(name)}'
