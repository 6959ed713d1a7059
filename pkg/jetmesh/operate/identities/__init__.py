"""Who may do what on the broker, derived from a topology (ADR-0023), and written for nats-server.

    config = server_config(topology, isolation="pages", credentials=Nkeys.kept_in(directory, names))
    config.text                         what nats-server includes: accounts, users, permissions
    config.identities                   everybody, with kind, account and permissions
    config.settings("payments")         what the service `payments` has in its [nats] settings

`isolation`: `users` is one account for all; `pages` gives the outside client and each service that
shows pages an account of its own, `all` every service. The streams are in `account` in any case;
with `users` and an empty `account` they are where a server without accounts has them.

`credentials`: `Variables()` for passwords in variables of nats-server's environment,
`Passwords({…})` for passwords or their bcrypt hashes, `Nkeys({…})` for public keys; `Nkeys.kept_in`
makes the seeds, in files that only their owner can read.

`no_auth_user`: whoever does not log in is the outside client.
"""

from jetmesh.operate.identities.credentials import (
    Credentials,
    Nkeys,
    Passwords,
    Variables,
    password_variable,
)
from jetmesh.operate.identities.derived import Isolation, identities_of
from jetmesh.operate.identities.identity import (
    CLIENT,
    MONITOR,
    OPERATOR,
    RESERVED,
    Identity,
    inbox_prefix,
)
from jetmesh.operate.identities.listing import listing
from jetmesh.operate.identities.render import ACCOUNT, ServerConfig, server_config

__all__ = [
    "ACCOUNT",
    "CLIENT",
    "MONITOR",
    "OPERATOR",
    "RESERVED",
    "Credentials",
    "Identity",
    "Isolation",
    "Nkeys",
    "Passwords",
    "ServerConfig",
    "Variables",
    "identities_of",
    "inbox_prefix",
    "listing",
    "password_variable",
    "server_config",
]
