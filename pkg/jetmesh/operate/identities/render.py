"""Identities as nats-server reads them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from jetmesh.declare import Topology
from jetmesh.errors import UsageError
from jetmesh.operate.identities.credentials import Credentials
from jetmesh.operate.identities.crossing import MANY_ANSWERS_SECONDS, exports, imports
from jetmesh.operate.identities.derived import Isolation, identities_of
from jetmesh.operate.identities.identity import CLIENT, Identity
from jetmesh.protocol.streams import AUDIT, JS_API
from jetmesh.protocol.subjects import audit_subject

ACCOUNT: Final = "MESH"
"""Where the streams are, unless something else is asked for."""
_HEAD: Final = {
    "users": """\
# A user for each identity, with what it needs where the operator applies (provision = "verify").
# One account for all: whoever may ask the server anything can have the answer sent to any subject,
# and a stream stores it. Accounts prevent that: --isolation pages, or all.""",
    "pages": """\
# The streams and the services that nobody from outside talks to in one account; the outside client
# and each service that shows pages in accounts of their own, with exactly what they need.""",
    "all": """\
# The streams in one account, every service and the outside client in accounts of their own, with
# exactly what they need.""",
}
_MANY: Final = f', response_type: stream, threshold: "{MANY_ANSWERS_SECONDS:g}s"'


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """What nats-server is told, and whom it then knows."""

    text: str
    """To include in its configuration."""
    identities: tuple[Identity, ...]
    credentials: Credentials

    def identity(self, name: str) -> Identity:
        """KeyError: there is none."""
        return {each.name: each for each in self.identities}[name]

    def settings(self, name: str) -> dict[str, str]:
        """Fields of [nats] of an identity; a password that is not known here is to be added."""
        prefix = self.identity(name).inbox_prefix
        return {**self.credentials.settings(name), "inbox_prefix": prefix}


def server_config(
    topology: Topology,
    *,
    isolation: Isolation,
    credentials: Credentials,
    account: str = ACCOUNT,
    system_account: str = "",
    no_auth_user: bool = False,
    js_api: str = JS_API,
) -> ServerConfig:
    """The part of nats-server's configuration that says who may do what.

    The same declarations give the same text. `system_account`: the server's own, where it is not to
    be called $SYS; with accounts only. `no_auth_user`: whoever does not log in is the outside
    client. `js_api`: how the subjects begin on which JetStream is asked; with `users` only.

    Raises:
        DeclarationError: a service has the name of another identity.
        UsageError: accounts need a name for that of the streams, or JetStream is elsewhere.
    """
    if isolation != "users":
        _check(account, js_api)
    identities = identities_of(topology, isolation=isolation, account=account, js_api=js_api)
    lines = [*_HEAD[isolation].splitlines(), *_settings(identities, credentials)]
    denied = _kept_from(identities, credentials, js_api)
    if account:
        lines += _accounts(identities, credentials, account, system_account, denied)
    else:
        lines += _authorization(identities, credentials, denied)
    if no_auth_user:
        lines.append(f'no_auth_user: "{credentials.user(CLIENT)}"')
    return ServerConfig("\n".join(lines) + "\n", identities, credentials)


def _check(account: str, js_api: str) -> None:
    if not account or account.startswith("$"):
        raise UsageError(
            "Accounts need a name for the one that holds the streams.",
            remedy=f"Name it, {ACCOUNT} for one; $G is the server's own, and cannot be configured.",
        )
    if js_api != JS_API:
        raise UsageError(
            f"JetStream is asked on {js_api}: it is elsewhere, and so are its accounts.",
            remedy="Use isolation users, or leave nats.js_domain and nats.js_api_prefix empty.",
        )


def _settings(identities: Sequence[Identity], credentials: Credentials) -> Iterator[str]:
    example = next((each for each in identities if each.answers), None)
    if example is None:
        return
    yield f"# In the [nats] settings of an identity, such as {example.name}:"
    fields = {**credentials.settings(example.name), "inbox_prefix": example.inbox_prefix}
    for name in ("user", "nkey_seed_file", "inbox_prefix"):
        if name in fields:
            yield f'#   {name} = "{fields[name].rpartition("/")[2]}"'


def _authorization(
    identities: Sequence[Identity], credentials: Credentials, denied: Sequence[str]
) -> Iterator[str]:
    yield "authorization {"
    yield "  users: ["
    yield from _users(identities, credentials, denied, "    ")
    yield "  ]"
    yield "}"


def _accounts(
    identities: Sequence[Identity],
    credentials: Credentials,
    home: str,
    system: str,
    denied: Sequence[str],
) -> Iterator[str]:
    yield "accounts {"
    ordered = sorted(identities, key=lambda each: (each.account != home, each.account))
    for account, several in groupby(ordered, key=lambda each: each.account):
        yield f'  "{account}": {{'
        if account == home:
            yield "    jetstream: enabled"
        yield "    users: ["
        yield from _users(several, credentials, denied, "      ")
        yield "    ]"
        yield from _exports(identities, account, home)
        yield from _imports(identities, account, home)
        yield "  }"
    if system:
        yield f'  "{system}": {{}}'
    yield "}"
    if system:
        yield f'system_account: "{system}"'


def _exports(identities: Sequence[Identity], account: str, home: str) -> Iterator[str]:
    found = sorted(exports(identities, account, home), key=lambda each: each.subject)
    if not found:
        return
    yield "    exports: ["
    for each in found:
        to = ", ".join(f'"{name}"' for name in each.accounts)
        many = _MANY if each.many else ""
        yield f'      {{ service: "{each.subject}", accounts: [{to}]{many} }}'
    yield "    ]"


def _imports(identities: Sequence[Identity], account: str, home: str) -> Iterator[str]:
    found = [*imports(identities, account, home)]
    if not found:
        return
    yield "    imports: ["
    for each in found:
        yield f'      {{ service: {{ account: "{each.account}", subject: "{each.subject}" }} }}'
    yield "    ]"


def _users(
    identities: Iterable[Identity], credentials: Credentials, denied: Sequence[str], indent: str
) -> Iterator[str]:
    for each in identities:
        if each.permissions is None:
            yield f"{indent}{{  # {each.name}: everything, but in no name of another"
            yield f"{indent}  {credentials.shown(each.name)}"
            yield f"{indent}  permissions: {{ publish: {{"
            yield from _allowed("deny", denied, indent)
            yield f"{indent}  }} }}"
            yield f"{indent}}}"
            continue
        yield f"{indent}{{  # {each.name}"
        yield f"{indent}  {credentials.shown(each.name)}"
        yield f"{indent}  permissions: {{"
        yield from _allowed("publish", each.permissions.publish, indent)
        yield from _allowed("subscribe", each.permissions.subscribe, indent)
        if each.answers:
            yield f"{indent}    allow_responses: true  # nats micro"
        yield f"{indent}  }}"
        yield f"{indent}}}"


def _kept_from(
    identities: Sequence[Identity], credentials: Credentials, js_api: str
) -> tuple[str, ...]:
    """What the operator may not: it would make the record of acts worth nothing (ADR-0025)."""
    names = (credentials.user(each.name) for each in identities if each.permissions)
    removing = (f"{js_api}.STREAM.{verb}.{AUDIT}" for verb in ("DELETE", "RESTORE"))
    return (*(audit_subject(name, ">") for name in names), *removing)


def _allowed(action: str, subjects: Sequence[str], indent: str) -> Iterator[str]:
    yield f"{indent}    {action}: ["
    yield from (f'{indent}      "{subject}"' for subject in subjects)
    yield f"{indent}    ]"
