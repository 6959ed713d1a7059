"""Checks of the servers: do they answer, have they room, do they keep what they acknowledge?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from jetmesh.operate.doctor.facts import BrokerProblem, Facts, Server
from jetmesh.operate.doctor.finding import Finding, Kind, note, problem, warning
from jetmesh.operate.humanize import listed, size, span

_NEAR: Final = 0.8
"""Of a limit: there is still time to do something."""
_FULL: Final = 0.95
"""Of a limit: soon it refuses."""
_CLOCK_SECONDS: Final = 2.0
_SHORT_SYNC_NS: Final = 10_000_000_000
_USUAL_PAYLOAD: Final = range(1 << 20, (8 << 20) + 1)
"""Below, events and letters may not fit; above, the server itself advises against it."""

ABSENT = problem(
    "broker-absent",
    "No broker answers at {about}.",
    "nobody accepts the connection",
    "Start it (`jetmesh up` on one machine), or correct --nats-url, NATS_URL or nats.url.",
)
REFUSES = problem(
    "broker-refuses",
    "The broker at {about} refuses the connection.",
    "it answers and closes the connection, or forbids `$JS.API.INFO`",
    "Correct the user, the credentials or the TLS files under nats in the settings, or grant the "
    "permission.",
)
OLD = problem(
    "broker-old",
    "The broker at {about} is too old.",
    "its JetStream API level is below that of nats-server 2.14",
    "Run nats-server 2.14 or newer: decisions and read models need it.",
)
NO_JETSTREAM = problem(
    "jetstream-off",
    "The broker at {about} has no JetStream for us.",
    "JetStream is off, not enabled for the account, or in another domain or account",
    "Start nats-server with -js, or enable jetstream in the account; after a full disk, free "
    "space and restart the server. If the streams are in another domain or account, correct "
    "nats.js_domain or nats.js_api_prefix.",
)
NO_QUORUM = problem(
    "no-quorum",
    "JetStream has lost its leader.",
    "`$JS.API.INFO` answers 503 (10008) or nothing",
    "Bring back servers until more than half of the cluster runs; `nats server report jetstream` "
    "names the missing ones.",
)
DENIED = warning(
    "not-permitted",
    "Permissions are missing to see everything.",
    "a permission is missing",
    "Run the doctor as a user with the permissions that docs/doctor.md lists: what it may not see "
    "it does not judge.",
)
UNSEEN = warning(
    "unseen",
    "Some of what was asked did not answer.",
    "no answer, or none that is understood",
    "Look at what does not answer, then ask again.",
)
UNHEALTHY = problem(
    "server-unhealthy",
    "The server {about} reports that it is unhealthy.",
    "/healthz of a --monitoring url is not ok",
    "Read its log. After a full disk JetStream stays off until the server is restarted.",
)
SYNC_LATE = warning(
    "sync-late",
    "The server {about} may forget up to {interval} of acknowledged messages when power fails.",
    "production, and `sync_interval` in /varz is 10 s or more",
    'Set `jetstream {{ sync_interval: "always" }}` (a third of the publish rate is left), or keep '
    "the replicas where they do not lose power together.",
)
SYNC_SHORT = note(
    "sync-short",
    "The server {about} may forget up to {interval} of acknowledged messages when power fails.",
    "production, and `sync_interval` in /varz is below 10 s, but not `always`",
    'Only `sync_interval: "always"` loses nothing when all replicas lose power at once.',
)
SYNC_UNSEEN = note(
    "sync-unseen",
    "How often the servers write to disk cannot be seen from here.",
    "production, and no --monitoring url was given: clients are not told `sync_interval`",
    "Give --monitoring http://HOST:8222 for each server, or look for sync_interval in "
    "`nats server request jetstream` as the system account: the default is 2 minutes.",
)
STORAGE_NEAR = warning(
    "storage-near",
    "The server {about} has used {share} of its JetStream storage.",
    "80 % of `max_file` in /varz, of all accounts together",
    "Give it a larger disk and `max_file`, or let streams forget earlier (max_age, max_bytes).",
)
STORAGE_FULL = problem(
    "storage-full",
    "The server {about} has used {share} of its JetStream storage.",
    "95 % of `max_file` in /varz, of all accounts together",
    "Make room now: a full server refuses every event, and publishers have to wait.",
)
ACCOUNT_NEAR = warning(
    "account-near",
    "Our account has used {share} of its {what}.",
    "80 % of a limit in `$JS.API.INFO`",
    "Raise the limit of the account, or let streams forget earlier (max_age, max_bytes).",
)
ACCOUNT_FULL = problem(
    "account-full",
    "Our account has used {share} of its {what}.",
    "95 % of a limit in `$JS.API.INFO`",
    "Raise the limit of the account now: above it every event is refused.",
)
PAYLOAD = note(
    "max-payload",
    "The server {about} takes messages of up to {size}.",
    "`max_payload` is below 1 MiB or above 8 MiB",
    "Below 1 MiB dead letters may have to leave their payload in its stream; above 8 MiB the "
    "server slows down. The default is 1 MiB.",
)
TLS_UNASKED = warning(
    "tls-unasked",
    "The broker at {about} requires TLS, but the settings do not ask for it.",
    "the connection is encrypted only because the server's first, unencrypted message says so",
    "Write tls:// in nats.url, or name nats.tls_ca_file: else somebody on the path can say that "
    "there is no TLS, and read the password.",
)
CLOCK = warning(
    "clock",
    "The clock of the server {about} is {span} {way} the clock of this machine.",
    "2 s apart, after the time that the answer took",
    "Sync both with the same time server (NTP): a retry is due at a time that the service's "
    "machine computes and the server's clock decides.",
)

_BROKER_PROBLEMS: Final = {
    "absent": ABSENT,
    "refuses": REFUSES,
    "old": OLD,
    "no JetStream": NO_JETSTREAM,
}


def broker(server: Server, found: BrokerProblem) -> Finding:
    """Why nothing else can be asked."""
    return _BROKER_PROBLEMS[found.kind].finding(server.url, found.why, server.elsewhere)


def quorum(facts: Facts) -> Iterator[Finding]:
    """Can JetStream decide anything?"""
    if facts.now.account is None or facts.now.headless:
        names = listed(facts.now.headless)
        yield NO_QUORUM.finding("JetStream", f"no answer about {names}" if names else "")


def queries(facts: Facts) -> Iterator[Finding]:
    """Could everything be seen that was asked for?"""
    for kind, denied in ((DENIED, True), (UNSEEN, False)):
        several = [each for each in facts.now.failed_queries if each.denied == denied]
        if several:
            evidence = dict.fromkeys(f"{each.what}: {each.why}" for each in several)
            yield kind.finding("what was asked", *evidence)


def health(facts: Facts) -> Iterator[Finding]:
    """Do servers feel well?"""
    for each in facts.now.server_statuses:
        if each.unhealthy:
            yield UNHEALTHY.finding(each.varz.server_name, each.unhealthy, each.url)


def sync(facts: Facts) -> Iterator[Finding]:
    """Is what was acknowledged on a disk?"""
    if not facts.production:
        return
    if not facts.now.server_statuses:
        yield SYNC_UNSEEN.finding("sync_interval")
    for each in facts.now.server_statuses:
        config = each.varz.jetstream.config
        if config is not None and not config.sync_always:
            kind = SYNC_SHORT if config.sync_interval < _SHORT_SYNC_NS else SYNC_LATE
            interval = span(config.sync_interval / 1e9)
            seen = f"sync_interval is {interval}, seen at {each.url}"
            yield kind.finding(each.varz.server_name, seen, interval=interval)


def storage(facts: Facts) -> Iterator[Finding]:
    """Have the servers room?"""
    for each in facts.now.server_statuses:
        config, used = each.varz.jetstream.config, each.varz.jetstream.stats.storage
        if config is not None:
            seen = f"{size(used)} of {size(config.max_storage)}, seen at {each.url}"
            kinds = (STORAGE_NEAR, STORAGE_FULL)
            yield from usage(kinds, each.varz.server_name, used, config.max_storage, seen)


def account(facts: Facts) -> Iterator[Finding]:
    """Has our account room?"""
    whole, kinds = facts.now.account, (ACCOUNT_NEAR, ACCOUNT_FULL)
    for tier, part in (whole.tiers or {"": whole}).items() if whole else ():
        of, limits = f" of {tier}" if tier else "", part.limits
        for what, used, limit, text in (
            ("storage", part.storage, limits.max_storage, size),
            ("streams", part.streams, limits.max_streams, str),
            ("consumers", part.consumers, limits.max_consumers, str),
        ):
            seen = f"{text(used)} of {text(limit)}"
            yield from usage(kinds, "account", used, limit, seen, what=f"{what}{of}")


def payload(facts: Facts) -> Iterator[Finding]:
    """Do usual messages fit?"""
    largest = facts.server.max_payload
    if largest not in _USUAL_PAYLOAD:
        yield PAYLOAD.finding(facts.server.name, f"max_payload is {largest}", size=size(largest))


def encryption(facts: Facts) -> Iterator[Finding]:
    """Would we notice if TLS were switched off?"""
    if facts.server.tls_unasked:
        yield TLS_UNASKED.finding(facts.server.url, "")


def clocks(facts: Facts) -> Iterator[Finding]:
    """Do we agree on what time it is?"""
    for server, ahead in sorted(facts.now.clocks.items()):
        if abs(ahead) > _CLOCK_SECONDS:
            way = "ahead of" if ahead > 0 else "behind"
            yield CLOCK.finding(server, "", span=span(abs(ahead)), way=way)


CHECKS: Final = (quorum, queries, health, sync, storage, account, payload, encryption, clocks)


def usage(
    kinds: tuple[Kind, Kind], about: str, used: int, limit: int, *evidence: str, **values: str
) -> Iterator[Finding]:
    """The first of `kinds` when `limit` is near, the second when it is reached or nearly so."""
    share = used / limit if limit > 0 else 0.0
    if share >= _NEAR:
        yield kinds[share >= _FULL].finding(about, *evidence, share=f"{share:.0%}", **values)
