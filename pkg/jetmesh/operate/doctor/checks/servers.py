"""Checks of the servers: do they answer, have they room, do they keep what they acknowledge?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from jetmesh.operate.doctor.facts import Facts, ServerStatus
from jetmesh.operate.doctor.finding import Finding, Kind
from jetmesh.operate.humanize import listed, size, span

NEAR: Final = 0.8
"""Of a limit: there is still time to do something."""
FULL: Final = 0.95
"""Of a limit: soon it refuses."""
_CLOCK_SECONDS: Final = 2.0
_SHORT_SYNC_NS: Final = 10_000_000_000
_USUAL_PAYLOAD: Final = range(1 << 20, (8 << 20) + 1)
"""Below, events and letters may not fit; above, the server itself advises against it."""

ABSENT = Kind(
    "broker-absent",
    "problem",
    "No broker answers at {about}.",
    "nobody accepts the connection",
    "Start it (`jetmesh up` on one machine), or correct --nats-url, NATS_URL or nats.url.",
)
REFUSES = Kind(
    "broker-refuses",
    "problem",
    "The broker at {about} refuses us.",
    "it answers and closes the connection, or forbids `$JS.API.INFO`",
    "Correct the user, the credentials or the TLS files under nats in the settings, or grant the "
    "permission.",
)
OLD = Kind(
    "broker-old",
    "problem",
    "The broker at {about} is too old.",
    "its JetStream API level is below that of nats-server 2.12",
    "Run nats-server 2.12 or newer: decisions are not safe on an older one.",
)
NO_JETSTREAM = Kind(
    "jetstream-off",
    "problem",
    "The broker at {about} has no JetStream for us.",
    "JetStream is off, or not enabled for the account",
    "Start nats-server with -js, or enable jetstream in the account; after a full disk, free "
    "space and restart the server.",
)
NO_QUORUM = Kind(
    "no-quorum",
    "problem",
    "JetStream has lost its leader.",
    "`$JS.API.INFO` answers 503 (10008) or nothing",
    "Bring back servers until more than half of the cluster runs; `nats server report jetstream` "
    "names the missing ones.",
)
DENIED = Kind(
    "not-permitted",
    "warning",
    "We may not look at everything.",
    "a permission is missing",
    "Run the doctor as a user with the permissions that docs/doctor.md lists: what it may not see "
    "it does not judge.",
)
UNSEEN = Kind(
    "unseen",
    "warning",
    "Not everything answers that was asked.",
    "no answer, or none that is understood",
    "Look at what does not answer, then ask again.",
)
UNHEALTHY = Kind(
    "server-unhealthy",
    "problem",
    "The server {about} says that it is not well.",
    "/healthz of a --monitoring url is not ok",
    "Read its log. After a full disk JetStream stays off until the server is restarted.",
)
SYNC_LATE = Kind(
    "sync-late",
    "warning",
    "The server {about} may forget up to {interval} of acknowledged messages when power fails.",
    "production, and `sync_interval` in /varz is 10 s or more",
    'Set `jetstream {{ sync_interval: "always" }}` (a third of the publish rate is left), or keep '
    "the replicas where they do not lose power together.",
)
SYNC_SHORT = Kind(
    "sync-short",
    "note",
    "The server {about} may forget up to {interval} of acknowledged messages when power fails.",
    "production, and `sync_interval` in /varz is below 10 s, but not `always`",
    'Only `sync_interval: "always"` loses nothing when all replicas lose power at once.',
)
SYNC_UNSEEN = Kind(
    "sync-unseen",
    "note",
    "How often the servers write to disk cannot be seen from here.",
    "production, and no --monitoring url was given: clients are not told `sync_interval`",
    "Give --monitoring http://HOST:8222 for each server, or look for sync_interval in "
    "`nats server request jetstream` as the system account: the default is 2 minutes.",
)
STORAGE_NEAR = Kind(
    "storage-near",
    "warning",
    "The server {about} has used {share} of its JetStream storage.",
    "80 % of `max_file` in /varz, of all accounts together",
    "Give it a larger disk and `max_file`, or let streams forget earlier (max_age, max_bytes).",
)
STORAGE_FULL = Kind(
    "storage-full",
    "problem",
    "The server {about} has used {share} of its JetStream storage.",
    "95 % of `max_file` in /varz, of all accounts together",
    "Make room now: a full server refuses every event, and publishers have to wait.",
)
ACCOUNT_NEAR = Kind(
    "account-near",
    "warning",
    "Our account has used {share} of its {what}.",
    "80 % of a limit in `$JS.API.INFO`",
    "Raise the limit of the account, or let streams forget earlier (max_age, max_bytes).",
)
ACCOUNT_FULL = Kind(
    "account-full",
    "problem",
    "Our account has used {share} of its {what}.",
    "95 % of a limit in `$JS.API.INFO`",
    "Raise the limit of the account now: above it every event is refused.",
)
PAYLOAD = Kind(
    "max-payload",
    "note",
    "The server {about} takes messages of up to {size}.",
    "`max_payload` is below 1 MiB or above 8 MiB",
    "Below 1 MiB dead letters may have to leave their payload in its stream; above 8 MiB the "
    "server slows down. The default is 1 MiB.",
)
TLS_UNASKED = Kind(
    "tls-unasked",
    "warning",
    "The broker at {about} wants TLS, the settings do not ask for it.",
    "the connection is encrypted only because the server's first word, in the clear, says so",
    "Write tls:// in nats.url, or name nats.tls_ca_file: else somebody on the path can say that "
    "there is no TLS, and read the password.",
)
CLOCK = Kind(
    "clock",
    "warning",
    "The clock of the server {about} is {span} {way} the clock of this machine.",
    "2 s apart, after the time that the answer took",
    "Let both follow the same time server (NTP): retries are due at a time that the service's "
    "machine computes and the server's clock decides.",
)

KINDS: Final = (
    *(ABSENT, REFUSES, OLD, NO_JETSTREAM, NO_QUORUM, DENIED, UNSEEN, UNHEALTHY),
    *(SYNC_LATE, SYNC_SHORT, SYNC_UNSEEN),
    *(STORAGE_NEAR, STORAGE_FULL, ACCOUNT_NEAR, ACCOUNT_FULL, PAYLOAD, TLS_UNASKED, CLOCK),
)
_BROKER_PROBLEMS: Final = {
    "absent": ABSENT,
    "refuses": REFUSES,
    "old": OLD,
    "no JetStream": NO_JETSTREAM,
}


def broker(facts: Facts) -> Iterator[Finding]:
    """Is there a broker that takes us?"""
    if facts.broker_problem is not None:
        yield _BROKER_PROBLEMS[facts.broker_problem.kind].finding(
            facts.server.url, facts.broker_problem.why
        )


def quorum(facts: Facts) -> Iterator[Finding]:
    """Can JetStream decide anything?"""
    if facts.broker_problem is None and (facts.now.account is None or facts.now.headless):
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
    if not facts.production or facts.broker_problem:
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
        config = each.varz.jetstream.config
        if config is not None:
            yield from _storage(each, config.max_storage)


def account(facts: Facts) -> Iterator[Finding]:
    """Has our account room?"""
    parts = facts.now.account.parts() if facts.now.account else {}
    for tier, part in parts.items():
        of, limits = f" of {tier}" if tier else "", part.limits
        yield from _limit(f"storage{of}", part.storage, limits.max_storage, size)
        yield from _limit(f"streams{of}", part.streams, limits.max_streams, str)
        yield from _limit(f"consumers{of}", part.consumers, limits.max_consumers, str)


def payload(facts: Facts) -> Iterator[Finding]:
    """Do usual messages fit?"""
    largest = facts.server.max_payload
    if not facts.broker_problem and largest not in _USUAL_PAYLOAD:
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


CHECKS: Final = (
    broker,
    quorum,
    queries,
    health,
    sync,
    storage,
    account,
    payload,
    encryption,
    clocks,
)


def _limit(what: str, count: int, limit: int, text: Callable[[int], str]) -> Iterator[Finding]:
    share = count / limit if limit > 0 else 0.0
    if share >= NEAR:
        kind = ACCOUNT_FULL if share >= FULL else ACCOUNT_NEAR
        seen = f"{text(count)} of {text(limit)}"
        yield kind.finding("account", seen, share=f"{share:.0%}", what=what)


def _storage(each: ServerStatus, limit: int) -> Iterator[Finding]:
    used = each.varz.jetstream.stats.storage
    share = used / limit if limit > 0 else 0.0
    if share >= NEAR:
        kind = STORAGE_FULL if share >= FULL else STORAGE_NEAR
        seen = f"{size(used)} of {size(limit)}, seen at {each.url}"
        yield kind.finding(each.varz.server_name, seen, share=f"{share:.0%}")
