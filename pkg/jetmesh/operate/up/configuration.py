"""What the nats-server of `jetmesh up` lets whom do: derived anew at every start and reload."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from jetmesh.declare import Topology
from jetmesh.errors import UsageError
from jetmesh.operate.identities import OPERATOR, RESERVED, Nkeys, server_config
from jetmesh.operate.up.access import Access, seeds_of
from jetmesh.operate.up.certificates import make_certificates, tls_block
from jetmesh.operate.up.private import write_private

_HEAD: Final = """\
# Written by `jetmesh up` at every start, from what the services declare; changes are lost.
"""


def file_of(state: Path) -> Path:
    """Where the configuration is."""
    return state / "broker.conf"


def write(state: Path, topology: Topology, access: Access) -> dict[str, str]:
    """Write the keys that are missing, and the configuration that knows them.

    Each service and the outside client have an account of their own; the streams are in ACCOUNT.
    If `everybody` may do everything, who does not log in is the operator, in the same account: the
    streams stay where they are. Returns the identities by what the server calls them.

    Raises:
        UsageError: the directory cannot be written, or holds a key that is none.
        DeclarationError: a service has the name of another identity.
    """
    names = (*RESERVED, *(service.name for service in topology.services))
    keys = Nkeys.kept_in(seeds_of(state), names)
    config = server_config(
        topology,
        isolation="all",
        credentials=keys,
        no_auth_user=not access.everybody,
    )
    text = _HEAD + config.text
    if access.everybody:
        text += f'no_auth_user: "{keys.user(OPERATOR)}"\n'
    try:
        if access.ca:
            make_certificates(state)
            text += tls_block(state)
        write_private(file_of(state), text)
    except OSError as error:
        raise UsageError(
            f"The directory {state} cannot be written: {error.strerror}.",
            remedy="Make room or change its permissions.",
        ) from error
    return {keys.user(name): name for name in names}
