"""Checks of the streams: are they there, as declared, led, followed, and with room?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from jetmesh.declare import Policy
from jetmesh.operate.asking.answers import Cluster, Replica, StreamInfo
from jetmesh.operate.doctor.checks.servers import usage
from jetmesh.operate.doctor.facts import Facts, Snapshot
from jetmesh.operate.doctor.finding import Finding, note, problem, warning
from jetmesh.operate.humanize import counted, listed, size, span

_SILENT_NS: Final = 10_000_000_000
"""A follower that was not heard of for so long is gone, whether or not it said so."""
_STEPS: Final = 64
"""After so many doublings every backoff has reached its cap."""

NOT_APPLIED = problem(
    "not-applied",
    "Nothing that this system declares is on the broker.",
    "none of its streams exists",
    "`jetmesh apply` makes it, or the services do when they start with provision = apply. Is it "
    "the right broker and account?",
)
STREAM_MISSING = problem(
    "stream-missing",
    "The stream {about} does not exist.",
    "`$JS.API.STREAM.INFO` answers 404",
    "`jetmesh apply` makes it. If it is new, such as after an upgrade, that is all; else somebody "
    "deleted it: what it held is lost, so find out who.",
)
DURABLE_MISSING = problem(
    "durable-missing",
    "The durable {about} does not exist.",
    "`$JS.API.CONSUMER.INFO` answers 404",
    "`jetmesh apply` makes it; a running service does so itself where it may (provision = apply, "
    "not under `jetmesh up`). Made by apply it delivers from where it is declared to begin, so "
    "what was handled already comes again.",
)
DRIFT = problem(
    "drift",
    "The {kind} {about} is not as declared.",
    "`jetmesh plan` shows a change",
    "`jetmesh apply` changes the server; or change the declaration or [streams], [services] in "
    "the settings.",
)
DRIFT_REFUSED = problem(
    "drift-refused",
    "The {kind} {about} is not as declared, and cannot be changed without a decision.",
    "`jetmesh plan` shows a change that it refuses",
    "Change the declaration back; or decide what is to be lost: `jetmesh plan` says what.",
)
ONE_REPLICA = note(
    "one-replica",
    "Every event is stored only once, on one server.",
    "streams have one replica on a server that stands alone",
    "Fine for development. In production run a cluster of three and set replicas = 3 in "
    "[streams.NAME] of the settings.",
)
ONE_REPLICA_CLUSTERED = warning(
    "one-replica-clustered",
    "Every event of {names} is kept once, though there is a cluster.",
    "streams have one replica and the server is clustered",
    "Set replicas = 3 in [streams.NAME] of the settings, then `jetmesh apply`: now the loss of "
    "one server stops the flow, and of one disk loses events.",
)
STREAM_SILENT = problem(
    "stream-silent",
    "The stream {about} does not answer.",
    "`$JS.API.STREAM.INFO` gets no answer",
    "Bring back the server that keeps it; with one replica there is no other.",
)
NO_LEADER = problem(
    "no-leader",
    "The stream {about} has no leader: nothing can be stored or delivered.",
    "the cluster part of `$JS.API.STREAM.INFO` names none",
    "Bring back servers until more than half of its replicas run.",
)
DURABLE_SILENT = problem(
    "durable-silent",
    "The durable {about} does not answer: nothing is delivered.",
    "it is in `missing` of `$JS.API.CONSUMER.LIST`",
    "Bring back the servers that keep it; `nats consumer info` says which.",
)
FOLLOWER_OFFLINE = warning(
    "follower-offline",
    "The server {about} is down: its replicas do not follow.",
    "it is offline, or was not heard of for 10 s",
    "Bring it back: until then the next failure stops the flow.",
)
FOLLOWER_BEHIND = warning(
    "follower-behind",
    "The replicas on the server {about} are behind.",
    "not `current`, in both looks",
    "Wait if it has just come back; else look at its disk and its network.",
)
STREAM_NEAR = warning(
    "stream-near",
    "The stream {about} is {share} full.",
    "80 % of its max_bytes",
    "Raise max_bytes in [streams.{about}] of the settings, or set max_age, then `jetmesh apply`.",
)
STREAM_FULL = problem(
    "stream-full",
    "The stream {about} is {share} full.",
    "95 % of its max_bytes",
    "Raise max_bytes in [streams.{about}] of the settings now, then `jetmesh apply`: a full "
    "stream refuses every event.",
)
WINDOW_SHORT = warning(
    "window-short",
    "The stream {about} forgets message ids before the last retry of {handlers}.",
    "its dedup window is shorter than all attempts and delays of a handler that publishes events "
    "into it which no decision guards",
    "Raise duplicate_window in [streams.{about}] above it, or lower attempts, timeout or "
    "backoff_cap of the handler; else such an event may be stored twice.",
)

LANE_LIMITED = problem(
    "lane-limited",
    "The stream {about} takes no message above {limit}: a larger retry that waits there never "
    "fires.",
    "its `max_msg_size` is set; nobody of ours sets it",
    "`nats stream edit {about} --max-msg-size=-1`, and restart the server that leads it: what is "
    "overdue there fires at its start, and not before.",
)
MAPPED = problem(
    "mapped",
    "A subject mapping in the servers' configuration makes {about} into {to}: its guard guards "
    "nothing, and a key may get two outcomes.",
    "a server that is asked to trace a message on it, and not to store it, tells of the mapping",
    "Remove the mapping from `mappings` of the servers or of the account, on every server alike, "
    "then restart the services that publish there. What it stored meanwhile has the other subject, "
    "where nobody handles it.",
)
UNDECLARED = warning(
    "undeclared",
    "{stream} stores {count} on {about}, which no service declares: nobody handles them.",
    "`$JS.API.STREAM.INFO` lists a subject that no event of this system has",
    "Correct whoever publishes there and publish these events again{where}; then "
    "`nats stream purge {stream} --subject '{about}'` removes them. Or declare the event.",
)


def presence(facts: Facts) -> Iterator[Finding]:
    """Is everything there?"""
    missing = [change for change in facts.changes if change.action == "create"]
    streams = [change.name for change in missing if change.kind == "stream"]
    durables = [change.name for change in missing if change.kind == "durable"]
    if len(streams) == len(facts.topology.streams):
        yield NOT_APPLIED.finding("streams", f"missing are {listed(streams)}")
        return
    for name in streams:
        gone = [durable for durable in durables if durable.startswith(f"{name}/")]
        yield STREAM_MISSING.finding(name, f"with it {listed(gone)}" if gone else "")
    for name in durables:
        if name.partition("/")[0] not in streams:
            yield DURABLE_MISSING.finding(name)


def drift(facts: Facts) -> Iterator[Finding]:
    """Is everything as declared?"""
    for change in facts.changes:
        if change.action != "create":
            kind = DRIFT_REFUSED if change.action == "refuse" else DRIFT
            moved = change.note if change.action == "move" else ""
            evidence = [*map(str, change.fields), change.reason, moved]
            yield kind.finding(change.name, *evidence, kind=change.kind)


def replicas(facts: Facts) -> Iterator[Finding]:
    """Does an event survive its server?"""
    single = sorted(n for n, info in facts.now.streams.items() if info.config.num_replicas == 1)
    seen = f"1 replica: {', '.join(single)}"
    if single and facts.server.cluster:
        yield ONE_REPLICA_CLUSTERED.finding("streams", seen, names=listed(single))
    elif single:
        yield ONE_REPLICA.finding("streams", seen)


def leaders(facts: Facts) -> Iterator[Finding]:
    """Is there somebody who decides?"""
    for name, why in sorted(facts.now.silent.items()):
        yield STREAM_SILENT.finding(name, why)
    leaderless = [name for name, info in facts.now.streams.items() if not info.cluster.leader]
    for name in sorted(leaderless):
        replicas = facts.now.streams[name].cluster.replicas
        yield NO_LEADER.finding(name, *(_heard(replica) for replica in replicas))
    for name in facts.now.without_leader:
        if name.partition("/")[0] not in {*leaderless, *facts.now.silent}:
            yield DURABLE_SILENT.finding(name)


def followers(facts: Facts) -> Iterator[Finding]:
    """Do the others keep up?"""
    before = _laggards(facts.before) if facts.before else None
    for server, lag in sorted(_laggards(facts.now).items()):
        if lag.away:
            yield FOLLOWER_OFFLINE.finding(server, *lag.evidence())
        elif before is None or server in before:
            entries = f"up to {lag.entries:,} entries behind" if lag.entries else ""
            yield FOLLOWER_BEHIND.finding(server, *lag.evidence(), entries)


def room(facts: Facts) -> Iterator[Finding]:
    """Has every stream room?"""
    for name, info in sorted(facts.now.streams.items()):
        used, limit = info.state.bytes, info.config.max_bytes
        evidence = f"{size(used)} of {size(limit)}", _full_in(facts, name, info)
        yield from usage((STREAM_NEAR, STREAM_FULL), name, used, limit, *evidence)


def lane_limits(facts: Facts) -> Iterator[Finding]:
    """Comes what waits on a lane?"""
    for spec in facts.topology.streams:
        info = facts.now.streams.get(spec.name)
        if spec.schedules and info and info.config.max_msg_size > 0:
            limit = info.config.max_msg_size
            waiting = f"{counted(info.state.messages, 'message')} there"
            yield LANE_LIMITED.finding(spec.name, waiting, limit=size(limit))


def subjects(facts: Facts) -> Iterator[Finding]:
    """Is everything that is stored somebody's event?"""
    for each in facts.now.undeclared:
        yield UNDECLARED.finding(
            each.subject,
            f"the newest is {span(facts.age(each.last))} old" if each.last else "",
            f"the declared subject that is nearest is {each.nearest}" if each.nearest else "",
            stream=each.stream,
            count=counted(each.messages, "message"),
            where=f" on {each.nearest}" if each.nearest else "",
        )


def mappings(facts: Facts) -> Iterator[Finding]:
    """Is an outcome stored where it is published?"""
    for subject, to in sorted(facts.now.mapped.items()):
        yield MAPPED.finding(subject, to=to)


def windows(facts: Facts) -> Iterator[Finding]:
    """Is a repeated output recognised as long as it may be repeated?"""
    for stream, handlers in sorted(_unguarded(facts).items()):
        info = facts.now.streams.get(stream)
        window = info.config.duplicate_window / 1e9 if info else 0.0
        late = {name: longest for name, longest in handlers.items() if longest > window}
        if info and late:
            seen = [f"{name} may try for {span(longest)}" for name, longest in late.items()]
            configured = f"duplicate_window is {span(window)}"
            yield WINDOW_SHORT.finding(stream, configured, *seen, handlers=listed(list(late)))


CHECKS: Final = (
    *(presence, drift, replicas, leaders, followers, room),
    *(lane_limits, subjects, mappings, windows),
)


def longest_retry(policy: Policy, run: float) -> float:
    """Seconds from the first attempt to the end of the last, when every delay is the longest and
    every attempt runs for `run` seconds.
    """
    pauses = policy.attempts - 1
    steps = min(pauses, _STEPS)
    delays = sum(policy.delay(attempt, 1.0) for attempt in range(1, steps + 1))
    delays += (pauses - steps) * policy.backoff_cap
    longest = policy.attempts * run + delays
    return min(longest, policy.max_age + run) if policy.max_age else longest


@dataclass(slots=True)
class _Lag:
    """What one server lacks."""

    away: bool = False
    active: int = 0
    entries: int = 0
    streams: list[str] = field(default_factory=list)
    durables: int = 0

    def add(self, replica: Replica) -> None:
        silent = not replica.current and replica.active > _SILENT_NS
        self.away = self.away or replica.offline or silent
        self.active = max(self.active, replica.active)
        self.entries = max(self.entries, replica.lag)

    def evidence(self) -> list[str]:
        noun = "streams" if len(self.streams) > 1 else "stream"
        parts = [f"{noun} {listed(self.streams)}"] if self.streams else []
        parts += [counted(self.durables, "durable")] if self.durables else []
        heard = f"last heard of {span(self.active / 1e9)} ago" if self.active else ""
        return [f"replicas of {' and '.join(parts)}", heard]


def _laggards(snapshot: Snapshot) -> Mapping[str, _Lag]:
    """Servers that lack something, by name; what has no leader says nothing about its followers."""
    found: defaultdict[str, _Lag] = defaultdict(_Lag)
    for name, stream in sorted(snapshot.streams.items()):
        for replica in _late(stream.cluster):
            found[replica.name].add(replica)
            found[replica.name].streams.append(name)
    for durable in snapshot.durables.values():
        for replica in _late(durable.cluster):
            found[replica.name].add(replica)
            found[replica.name].durables += 1
    return found


def _late(cluster: Cluster) -> list[Replica]:
    if not cluster.leader:
        return []
    return [each for each in cluster.replicas if each.offline or not each.current]


def _heard(replica: Replica) -> str:
    ago = f"heard of {span(replica.active / 1e9)} ago" if replica.active else "not heard of"
    return f"{replica.name}: {ago}"


def _full_in(facts: Facts, name: str, info: StreamInfo) -> str:
    """When it is full if it goes on like this."""
    before = facts.stream_before(name)
    grown = info.state.bytes - before.state.bytes if before else 0
    if grown <= 0 or not facts.elapsed:
        return ""
    left = max(info.config.max_bytes - info.state.bytes, 0)
    return f"full in about {span(left * facts.elapsed / grown)} at the present rate"


def _unguarded(facts: Facts) -> Mapping[str, dict[str, float]]:
    """By stream, who publishes into it what no decision guards, and how long it may retry."""
    found: defaultdict[str, dict[str, float]] = defaultdict(dict)
    for handler in facts.topology.handlers:
        for spec in handler.outputs:
            if not spec.decision:
                policy = facts.topology.durable_of(handler).policy
                run = 0.0 if handler.runs == "inline" else policy.timeout  # that kind ends at once
                found[spec.stream][handler.title] = longest_retry(policy, run)
    return found
