"""Checks of the services: does every one run, in one version, ready?"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Final

from jetmesh.declare import EventSpec
from jetmesh.operate.doctor.checks.durables import is_unpulled
from jetmesh.operate.doctor.checks.reading import beside_reading
from jetmesh.operate.doctor.facts import Facts
from jetmesh.operate.doctor.finding import Finding, folded, note, problem, warning
from jetmesh.operate.humanize import counted, listed

ABSENT = problem(
    "service-absent",
    "No instance of {about} answers.",
    "no process answers `$SRV.STATS` for it, and none of its durables is reported already",
    "Start it; an instance that still waits for something answers only its /readyz.",
)
NOT_READY = problem(
    "not-ready",
    "An instance of {about} is not ready.",
    "its answer to `$SRV.STATS` has a `problem`, the same that its /readyz tells, and "
    "no finding of what is stored says it already",
    "Do what it asks for; its log has more.",
)
VERSIONS = warning(
    "versions",
    "Instances of {about} run different versions.",
    "two versions answer `$SRV.STATS`",
    "Wait for the rollout to end; otherwise find the instance that was not replaced.",
)
OTHER_VERSION = note(
    "other-version",
    "{about} runs in another version than this project declares.",
    "the version in `$SRV.STATS` is not that of the declaration",
    "Deploy it, or ask from the checkout that was deployed: what is said here is compared with "
    "this one.",
)
STRANGER = note(
    "stranger",
    "The service {about} is running but is not part of this system.",
    "a jetmesh service answers that the project does not declare",
    "Add it to the system, or end it; its durables are reported as orphans.",
)


FORGED = problem(
    "forged",
    "{about} waits: a forged message stands where its outcome belongs.",
    "an answer to `$SRV.STATS` names messages that its owner cannot have stored: another id, "
    "another key, or a payload that breaks the contract",
    "`jetmesh heal {place}` shows it and, once confirmed, removes it; its input then goes on. "
    "Find out who may publish on that subject.",
)
IDS_TAKEN = warning(
    "message-ids-taken",
    "Somebody else took message ids of {about}.",
    "an answer to `$SRV.STATS` counts outputs that were stored under another id, because a "
    "message on another subject had theirs",
    "Nothing is lost. Its log names the messages that took them: find out who published those.",
)
KEEPS_LOOP = warning(
    "keeps-loop",
    "{about} keeps the event loop of its process.",
    "a call in a hundred of a `def` handler took longer than 100 ms since the process started, and "
    "nothing else of it was done meanwhile",
    "Make {handler} `async def`, or let it run in threads: `on(…, threads=4)`.",
)
SLOW_READ_MODEL = warning(
    "slow-read-model",
    "A read model of {about} keeps the event loop of its process.",
    "one event in a hundred took longer than 100 ms to fold since the process started",
    "Let its `apply` only note what happened, and compute when somebody asks.",
)
OUTSTAYED = warning(
    "outstayed",
    "{about} was to be gone by {until}, and is published still.",
    "the day that `@replaces` names has come",
    "Let its readers take {by}; then let its service return that at once, and remove the old "
    "event, or name another day.",
)
_SLOW_SHARE: Final = 100


def presence(facts: Facts) -> Iterator[Finding]:
    """Does every service run?"""
    if facts.now.instances is None:
        return
    reported = {each.handler.service for each in facts.durables() if is_unpulled(facts, each)}
    for service in facts.topology.services:
        if service.name not in reported and not facts.instances_of(service.name):
            why = facts.now.not_ready.get(service.name, "")
            yield ABSENT.finding(service.name, f"its /readyz says: {why}" if why else "")


def readiness(facts: Facts) -> Iterator[Finding]:
    """Is every instance ready?"""
    for each in facts.instances():
        if why := beside_reading(each):
            yield NOT_READY.finding(each.name, f"{each.place} says: {why}")


def versions(facts: Facts) -> Iterator[Finding]:
    """Is it one version, and the one that is declared?"""
    for service in facts.topology.services:
        instances = facts.instances_of(service.name)
        running = sorted({instance.version for instance in instances})
        if len(running) > 1:
            evidence = [f"{each.version}: {each.place}" for each in instances]
            yield VERSIONS.finding(service.name, *evidence)
        elif running and running != [service.version]:
            seen = f"running is {running[0]}, declared {service.version}"
            yield OTHER_VERSION.finding(service.name, seen)


def strangers(facts: Facts) -> Iterator[Finding]:
    """Does something run that is not ours?"""
    ours = {service.name for service in facts.topology.services}
    foreign = [each for each in facts.now.instances or () if each.is_ours and each.name not in ours]
    found = []
    for name in sorted({each.name for each in foreign}):
        places = [each.place for each in foreign if each.name == name]
        found.append(
            STRANGER.finding(name, f"{counted(len(places), 'instance')}: {listed(places)}")
        )
    sentence = "{count} services are running but are not part of this system."
    yield from folded(found, "services", sentence, STRANGER.remedy)


def forgeries(facts: Facts) -> Iterator[Finding]:
    """Did somebody come first who is not one of us?"""
    places: defaultdict[str, dict[str, str]] = defaultdict(dict)
    taken = Counter[str]()
    for about, instance, each in facts.endpoints():
        places[about] |= dict.fromkeys(each.data.forged, instance.place)
        taken[about] += each.data.squatted
    for about, found in sorted(places.items()):
        if found:
            seen = [f"{place}, seen by {where}" for place, where in found.items()]
            yield FORGED.finding(about, *seen, place=" ".join(found))
    for about, count in sorted(taken.items()):
        if count:
            since = f"{counted(count, 'output')} since its processes started"
            yield IDS_TAKEN.finding(about, since)


def loops(facts: Facts) -> Iterator[Finding]:
    """Does a handler keep its process from everything else?"""
    slow: defaultdict[str, list[str]] = defaultdict(list)
    for about, instance, each in facts.endpoints():
        if _many(each.data.slow, each.num_requests):
            seen = f"{each.data.slow:,} of {each.num_requests:,} calls"
            slow[about].append(f"{seen} of {instance.place} took longer than 100 ms")
    for about, evidence in sorted(slow.items()):
        yield KEEPS_LOOP.finding(about, *evidence, handler=about.rpartition(".")[2])


def folds(facts: Facts) -> Iterator[Finding]:
    """Does a read model keep its process from everything else?"""
    slow: defaultdict[str, list[str]] = defaultdict(list)
    for instance, each in facts.folds():
        if _many(each.slow, each.folded):
            seen = f"{each.slow:,} of {each.folded:,} events of {each.stream}"
            slow[instance.name].append(f"{seen} in {instance.place}")
    for service, evidence in sorted(slow.items()):
        yield SLOW_READ_MODEL.finding(service, *evidence)


def _many(slow: int, of: int) -> bool:
    """One that was slow once, as while the machine was busy, is nothing to mend."""
    return bool(slow) and slow * _SLOW_SHARE >= of


def outstayed(facts: Facts) -> Iterator[Finding]:
    """Does somebody need what was to be gone?"""
    today = facts.now.taken_at.date()
    for spec in facts.topology.events:
        readers = [r for r in facts.topology.readers(spec) if r not in _twins(facts, spec)]
        for each in spec.replacements:
            if today >= each.until:
                yield OUTSTAYED.finding(
                    spec.subject,
                    f"it is read by {listed(readers)}" if readers else "nobody here reads it",
                    f"why it was to go: {each.reason}",
                    until=each.until.isoformat(),
                    by=each.subject,
                )


def _twins(facts: Facts, spec: EventSpec) -> set[str]:
    """The handlers that only publish what takes the place of an event."""
    followers = {each.function for each in spec.replacements}
    return {h.title for h in facts.topology.handlers if h.function in followers}


CHECKS: Final = (presence, readiness, versions, strangers, forgeries, loops, folds, outstayed)
