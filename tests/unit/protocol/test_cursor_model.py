"""Every interleaving of two processes on one key: what a cursor promises (ADR-0036)."""

from __future__ import annotations

from collections import deque

import pytest

from tests.unit.protocol.cursor_model import Explorer, Process, World


def explore(first: World, *, patient: bool = True) -> tuple[int, list[World]]:
    """All that can become of a world: how many states, and those from which nothing follows."""
    ordered = all(process.orders for process in first.processes)
    explorer = Explorer(patient=patient, ordered=ordered)
    explorer.never_twice = ordered and patient
    seen, queue = {first}, deque([first])
    followers: dict[World, list[World]] = {}
    while queue:
        world = queue.popleft()
        following = followers[world] = list(explorer.steps(world))
        for each in following:
            if each not in seen:
                seen.add(each)
                queue.append(each)
    # from every state the end can be reached, in which all is done and nothing is left
    good = {w for w in seen if w.ended == frozenset(range(1, len(w.durable) + 1)) and is_at_rest(w)}
    before: dict[World, list[World]] = {}
    for world, several in followers.items():
        for each in several:
            before.setdefault(each, []).append(world)
    reached, queue = set(good), deque(good)
    while queue:
        for each in before.get(queue.popleft(), ()):
            if each not in reached:
                reached.add(each)
                queue.append(each)
    return len(seen), [w for w in seen if w not in reached]


def is_at_rest(world: World) -> bool:
    busy = any(p.given or p.runs for p in world.processes)
    return not busy and not world.lane and not world.letters and set(world.durable) == {"acked"}


@pytest.mark.parametrize(
    ("messages", "failures", "crashes", "patient"),
    [(2, 1, 1, True), (2, 1, 1, False), (2, 2, 0, True), (3, 0, 1, True)],
)
def test_no_interleaving_of_two_processes_breaks_the_order_or_leaves_a_message(
    messages: int,
    failures: int,
    crashes: int,
    patient: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    first = World(
        durable=("ready",) * messages,
        failures=failures,
        crashes=crashes,
        processes=(Process(), Process()),
    )
    states, stuck = explore(first, patient=patient)
    assert states > 1000
    assert not stuck, stuck[0]


@pytest.mark.parametrize(("messages", "failures"), [(2, 1), (2, 2)])
def test_a_letter_that_somebody_removes_stops_no_key(messages: int, failures: int) -> None:
    first = World(
        durable=("ready",) * messages,
        failures=failures,
        removals=1,
        processes=(Process(), Process()),
    )
    _, stuck = explore(first)
    assert not stuck, stuck[0]


@pytest.mark.parametrize(
    ("messages", "failures", "crashes"), [(3, 1, 0), (2, 1, 1), (3, 0, 1), (2, 2, 0)]
)
def test_code_that_keeps_no_order_beside_code_that_does_leaves_no_message(
    messages: int, failures: int, crashes: int
) -> None:
    first = World(
        durable=("ready",) * messages,
        failures=failures,
        crashes=crashes,
        processes=(Process(orders=False), Process()),
    )
    _, stuck = explore(first)
    assert not stuck, stuck[0]
