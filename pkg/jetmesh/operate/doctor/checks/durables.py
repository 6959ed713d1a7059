"""Checks of the durables: does somebody pull, does it move, does it keep up?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from jetmesh.operate.asking.answers import DurableInfo
from jetmesh.operate.doctor.facts import DurableStatus, Facts
from jetmesh.operate.doctor.finding import Finding, folded, problem, warning
from jetmesh.operate.humanize import counted, messages_wait, span

_LAG_SECONDS: Final = 10
"""A backlog that is worked off faster than this is a burst."""
_LAG_LEAST: Final = 10
_REDELIVERED_MANY: Final = 100
_REDELIVERED_SOME: Final = 10
"""Many if it is half of what is open."""

NOBODY_PULLS = problem(
    "nobody-pulls",
    "Nobody pulls {about}, where {waiting}.",
    "messages are open, no pull request is, and none was delivered between the looks",
    "Start {service}, or see in its log and /readyz what stops it.",
)
STANDS_STILL = problem(
    "stands-still",
    "{about} stands still for {span} while {waiting}.",
    "nothing was delivered or acked for the handler's timeout and a minute; /readyz is red then, "
    "too",
    "Look at {service}: its log, its /readyz, and what {handler} waits for; then restart it. No "
    "message is lost by that.",
)
SLOW = warning(
    "slow",
    "{about} did not move for {span} while {waiting}.",
    "nothing was delivered or acked between the looks and for longer than the handler's timeout",
    "Look again with --interval 60; the log of {service} says what {handler} waits for.",
)
LAG_GROWS = warning(
    "lag-grows",
    "{service} does not keep up: {waiting} on {about}, and the number grows.",
    "between the looks the lag grew by 10 or more, and it is more than what is handled in 10 s",
    "Run more instances of {service}, or raise concurrency of {handler} in the settings.",
)
PLACES_TAKEN = warning(
    "places-taken",
    "{about} gets nothing new: {open} without a verdict is all that max_ack_pending allows.",
    "num_ack_pending has reached max_ack_pending, and the ack floor did not move between the looks",
    "Check in the log of {service} what it does with them. Raise max_ack_pending only if it "
    "works and is just slow.",
)
REDELIVERED = warning(
    "redelivered",
    "{open} of {about} were delivered before and are still open.",
    "100 redelivered messages, or 10 that are half of what is open, in both looks",
    "Attempts fail or run longer than ack_wait, or processes die: the log of {service} says which.",
)
PAUSED = warning(
    "paused",
    "{about} is paused on the server.",
    "`nats consumer pause` was used",
    "`nats consumer resume {stream} {name}` goes on.",
)
ORPHAN = warning(
    "orphan",
    "No service declares the durable {about}.",
    "it is on a declared stream; a service or handler was renamed or removed, or another program "
    "reads there",
    "If nobody needs it: `nats consumer rm {stream} {name}`. If it was renamed, see first that "
    "nothing waits on it.",
)


def unpulled(facts: Facts) -> Iterator[Finding]:
    """Does somebody pull where something waits?"""
    for each in facts.durables():
        if is_unpulled(facts, each):
            evidence = _since(each, facts), *_witnesses(facts, each)
            yield NOBODY_PULLS.finding(each.info.id, *evidence, **_values(each))


def standing(facts: Facts) -> Iterator[Finding]:
    """Does it move while messages wait?"""
    for each in facts.durables():
        if not _waits(each) or each.info.paused or is_unpulled(facts, each):
            continue
        still = _standing(facts, each)
        timeout = each.spec.policy.timeout
        if still > timeout:
            kind = STANDS_STILL if still > each.spec.stall_seconds else SLOW
            yield kind.finding(
                each.info.id,
                f"{each.info.num_ack_pending:,} without a verdict, timeout is {span(timeout)}",
                *_witnesses(facts, each),
                **_values(each),
                span=span(still),
            )


def lags(facts: Facts) -> Iterator[Finding]:
    """Does it keep up?"""
    for each in facts.durables():
        if each.before is None or not each.delivered:
            continue
        grown = each.info.lag - each.before.lag
        handled = max(each.info.settled - each.before.settled, 0) / facts.elapsed
        if grown >= _LAG_LEAST and each.info.lag > handled * _LAG_SECONDS:
            rate = grown / facts.elapsed
            seen = f"{grown:+,} in {span(facts.elapsed)}: {handled + rate:,.0f} a second arrive, "
            seen += f"{handled:,.0f} are handled"
            yield LAG_GROWS.finding(each.info.id, seen, _instances(facts, each), **_values(each))


def places(facts: Facts) -> Iterator[Finding]:
    """Is there a place for what is new?"""
    for each in facts.durables():
        most, taken = each.info.config.max_ack_pending, each.info.num_ack_pending
        before = each.before
        stuck = before and before.ack_floor.stream_seq == each.info.ack_floor.stream_seq
        if stuck and 0 < most <= taken and each.info.num_pending:
            seen = f"{messages_wait(each.info.num_pending)} behind them"
            values = _values(each) | {"open": counted(taken, "message")}
            yield PLACES_TAKEN.finding(each.info.id, seen, **values)


def repetitions(facts: Facts) -> Iterator[Finding]:
    """Does the first attempt work as a rule?"""
    for each in facts.durables():
        if _many(each.info) and (each.before is None or _many(each.before)):
            seen = f"of {counted(each.info.num_ack_pending, 'message')} without a verdict"
            values = _values(each) | {"open": counted(each.info.num_redelivered, "message")}
            yield REDELIVERED.finding(each.info.id, seen, *_witnesses(facts, each), **values)


def pauses(facts: Facts) -> Iterator[Finding]:
    """Did somebody stop it?"""
    for each in facts.durables():
        if each.info.paused:
            yield PAUSED.finding(each.info.id, messages_wait(each.info.lag), **_values(each))


def orphans(facts: Facts) -> Iterator[Finding]:
    """Are there durables that nobody declares?"""
    declared = {(spec.stream, spec.name) for spec in facts.topology.durables}
    declared |= {(spec.stream, spec.name) for spec in facts.topology.slots}
    others = [info for key, info in sorted(facts.now.durables.items()) if key not in declared]
    others.sort(key=lambda info: -info.lag)
    yield from folded(
        [_orphan(info) for info in others],
        "durables",
        "No service declares {count} durables.",
        "If nobody needs them: `nats consumer rm STREAM DURABLE`. They may be those of another "
        "system that reads these streams.",
    )


def _orphan(info: DurableInfo) -> Finding:
    open_ = f"{messages_wait(info.num_pending)}, {info.num_ack_pending:,} have no verdict"
    idle = f"nothing moved for {span(info.idle)}" if info.idle is not None else ""
    says = f'it says "{info.config.description}"' if info.config.description else ""
    return ORPHAN.finding(info.id, open_, idle, says, stream=info.stream_name, name=info.name)


CHECKS: Final = (unpulled, standing, lags, places, repetitions, pauses, orphans)


def is_unpulled(facts: Facts, each: DurableStatus) -> bool:
    """Whether messages wait and nobody asks for them."""
    info, before = each.info, each.before
    if info.num_waiting or info.paused or not info.lag or each.delivered:
        return False
    if before is not None and before.num_waiting:
        return False
    if not facts.instances_of(each.handler.service):
        return not info.num_ack_pending or before is not None
    # an instance that is at it pulls again once it has room: only that is sure which lasts
    return before is not None and not info.num_ack_pending and not before.num_ack_pending


def _waits(each: DurableStatus) -> bool:
    """Whether something waits that did not come just now."""
    if each.before is None:
        return bool(each.info.num_pending and not each.info.num_waiting)
    return bool(each.info.num_pending and each.before.num_pending and not each.delivered)


def _standing(facts: Facts, each: DurableStatus) -> float:
    """Seconds without a delivery or an ack; after a change of leader only those we saw."""
    idle = each.info.idle
    if idle is not None:
        return idle
    if each.before is None:
        return 0.0
    moved = each.before.ack_floor.stream_seq != each.info.ack_floor.stream_seq
    return 0.0 if moved else facts.elapsed


def _many(info: DurableInfo) -> bool:
    count = info.num_redelivered
    half = count * 2 >= info.num_ack_pending
    return count >= _REDELIVERED_MANY or (count >= _REDELIVERED_SOME and half)


def _values(each: DurableStatus) -> dict[str, str]:
    return {
        "service": each.handler.service,
        "handler": each.handler.name,
        "stream": each.spec.stream,
        "name": each.spec.name,
        "waiting": messages_wait(each.info.lag),
    }


def _since(each: DurableStatus, facts: Facts) -> str:
    idle = each.info.idle
    if idle is not None:
        return f"nothing was delivered for {span(idle)}"
    return f"nothing was delivered in {span(facts.elapsed)}" if each.before else ""


def _instances(facts: Facts, each: DurableStatus) -> str:
    count = len(facts.instances_of(each.handler.service))
    return f"{counted(count, 'instance')} of {each.handler.service}" if count else ""


def _witnesses(facts: Facts, each: DurableStatus) -> Iterator[str]:
    """What the processes of the service say themselves."""
    service = each.handler.service
    instances = facts.instances_of(service)
    if not instances and facts.now.instances is not None:
        why = facts.now.not_ready.get(service, "")
        yield f"no instance of {service} answers" + (f": {why}" if why else "")
    for instance in instances:
        if instance.problem:
            yield f"{instance.place} says: {instance.problem}"
        for endpoint in instance.endpoints or ():
            if endpoint.name == each.handler.name and endpoint.last_error:
                yield f"its last error: {endpoint.last_error}"
