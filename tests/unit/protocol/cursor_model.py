"""Two processes on one key, and all that may become of it, step by step (ADR-0036).

The processes here decide as `runtime.message.order` does, with the very same `Cursor`; around them
is a model of what the broker keeps: the durable, the lane, the letters and the newest cursor.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from jetmesh.protocol.cursors import Cursor, Place, begun
from jetmesh.protocol.steps import Floor

_FAR = 10**12


class Given(NamedTuple):
    """A delivery: of the stream, or of the lane with what the key's cursor was when it left."""

    source: str
    message: int
    armed: int = 0

    @property
    def name(self) -> str:
        """The delivery, as the cursor names its holder; the same one when it comes again."""
        source = "keeper" if self.source == "held" else self.source
        return f"{source}{self.message}"


class Process(NamedTuple):
    given: tuple[Given, ...] = ()
    runs: int = 0
    """The message that its handler is at."""
    holds: Given | None = None
    """The delivery whose verdict waits for that."""
    then: str = ""
    """What has to be written or stored next."""
    seen: int = -1
    """The cursor that it knows, by its sequence; -1: it has to read."""
    orders: bool = True
    """Old code: it runs what it is given, and keeps no cursor."""


class World(NamedTuple):
    durable: tuple[str, ...]
    """Of each message: `ready`, `out` or `acked`."""
    lane: tuple[Given, ...] = ()
    letters: frozenset[int] = frozenset()
    version: int = 0
    cursor: Cursor | None = None
    ended: frozenset[int] = frozenset()
    begun: int = 0
    """The last message that a handler began."""
    failures: int = 0
    crashes: int = 0
    removals: int = 0
    """So many letters may somebody remove, instead of having them replayed or dropped."""
    processes: tuple[Process, ...] = ()


def place(message: int) -> Place:
    return Place(message, message * _FAR)


def floor_of(world: World) -> Floor:
    passed = 0
    for state in world.durable:
        if state != "acked":
            break
        passed += 1
    return Floor(passed, passed * _FAR + 1) if passed else Floor()


def known(world: World) -> Cursor:
    return begun(floor_of(world)) if world.cursor is None else world.cursor


def next_of(world: World, cursor: Cursor) -> int:
    """`next_by_subj`, unless the next one is away; 0: there is none."""
    if cursor.away is not None:
        return cursor.away.sequence
    start = cursor.start(floor_of(world))
    return start if start <= len(world.durable) else 0


def settled(world: World, given: Given | None) -> World:
    if given is None or given.source != "stream":
        return world
    durable = list(world.durable)
    durable[given.message - 1] = "acked"
    return world._replace(durable=tuple(durable))


def put(world: World, number: int, process: Process) -> World:
    several = list(world.processes)
    several[number] = process
    return world._replace(processes=tuple(several))


def on_lane(world: World, *given: Given) -> World:
    kept = [g for g in world.lane if not (g.source == "keeper" and given[0].source == "keeper")]
    return world._replace(lane=tuple(sorted((*kept, *given))))


def write(world: World, cursor: Cursor) -> World:
    return world._replace(version=world.version + 1, cursor=cursor)


class Explorer:
    def __init__(self, *, patient: bool = True, ordered: bool = True) -> None:
        self.patient = patient
        """A keeper is not due while a handler runs, nor is a retry that nobody notes run."""
        self.ordered = ordered
        """No process runs old code, for which no order holds."""
        self.never_twice = False
        """Nothing happens for which a handler might run twice at once."""

    def begin(self, world: World, number: int, message: int, holds: Given) -> World:
        missing = [m for m in range(1, message) if m not in world.ended]
        assert not missing or not self.ordered, f"{message} begins before {missing} ended"
        if self.patient and self.ordered:
            assert world.begun <= message, f"{message} begins after {world.begun} began"
        twice = any(each.runs == message and not each.then for each in world.processes)
        assert not twice or not self.never_twice, f"{message} runs twice"
        process = world.processes[number]
        given = tuple(g for g in process.given if g != holds)
        process = process._replace(given=given, runs=message, holds=holds, then="")
        return put(world._replace(begun=max(world.begun, message)), number, process)

    def steps(self, world: World) -> Iterator[World]:
        for number, process in enumerate(world.processes):
            yield from self.deliveries(world, number, process)
            if process.runs and not process.then:
                yield from self.endings(world, number, process)
                if process.given and process.orders:
                    yield from self.note(world, number, process)
            elif process.then:
                yield from self.writes(world, number, process)
            elif process.given:
                yield from self.takes(world, number, process)
            if world.crashes and (process.given or process.runs):
                yield self.crash(world, number, process)
        for letter in world.letters:
            left = world._replace(letters=world.letters - {letter})
            yield on_lane(left, Given("again", letter))
            yield on_lane(left, Given("drop", letter))
            if world.removals:
                ended = world.ended | {letter}  # whoever removes it wants nothing more of it
                yield left._replace(removals=world.removals - 1, ended=ended)

    def deliveries(self, world: World, number: int, process: Process) -> Iterator[World]:
        for index, state in enumerate(world.durable):
            if state == "ready":
                durable = (*world.durable[:index], "out", *world.durable[index + 1 :])
                given = (*process.given, Given("stream", index + 1))
                new = process._replace(given=given)
                yield put(world._replace(durable=durable), number, new)
        busy = any(p.runs or p.given for p in world.processes)
        for item in world.lane:
            if item.source == "keeper" and self.patient and busy:
                continue
            left = list(world.lane)
            left.remove(item)
            new = process._replace(given=(*process.given, item))
            yield put(world._replace(lane=tuple(left)), number, new)

    def crash(self, world: World, number: int, process: Process) -> World:
        durable = list(world.durable)
        back = [*process.given, *([process.holds] if process.holds else [])]
        for given in back:
            if given.source == "stream":
                durable[given.message - 1] = "ready"
        world = world._replace(durable=tuple(durable), crashes=world.crashes - 1)
        for given in back:
            if given.source != "stream":
                source = "keeper" if given.source == "held" else given.source
                lane = tuple(sorted((*world.lane, given._replace(source=source))))
                world = world._replace(lane=lane)
        return put(world, number, Process(orders=process.orders))

    def endings(self, world: World, number: int, process: Process) -> Iterator[World]:
        ended = world._replace(ended=world.ended | {process.runs})
        if not process.orders:
            done = settled(ended, process.holds)
            yield put(done, number, process._replace(runs=0, holds=None))
            return
        yield put(ended, number, process._replace(then="finish"))
        if world.failures:
            failed = world._replace(failures=world.failures - 1)
            yield put(failed, number, process._replace(then="retry"))
            yield put(failed, number, process._replace(then="letter"))

    def note(self, world: World, number: int, process: Process) -> Iterator[World]:
        """Others wait in this process while its handler runs: they leave."""
        cursor = known(world)
        if process.seen != world.version:
            yield put(world, number, process._replace(seen=world.version))
            return
        fresh = [g for g in process.given if g.source == "stream" and g.message > process.runs]
        if fresh:
            yield self.leave(world, number, process, cursor, fresh)

    def leave(
        self, world: World, number: int, process: Process, cursor: Cursor, fresh: list[Given]
    ) -> World:
        new = cursor
        for given in fresh:
            if not new.covers(place(given.message)):
                new = new.waits(place(given.message))
        if not cursor.has_waiting:
            world = on_lane(world, Given("keeper", fresh[0].message, world.version))
        if new is not cursor:
            world = write(world, new)
            process = process._replace(seen=world.version)
        for given in fresh:
            world = settled(world, given)
        left = tuple(g for g in process.given if g not in fresh)
        return put(world, number, process._replace(given=left))

    def writes(self, world: World, number: int, process: Process) -> Iterator[World]:
        """What became of a run is stored, then written; once refused it is read again."""
        if process.then in ("retry", "letter"):
            if process.then == "retry":
                world = on_lane(world, Given("again", process.runs))
            else:
                world = world._replace(letters=world.letters | {process.runs})
            yield put(world, number, process._replace(then="away"))
            return
        if process.seen != world.version:
            yield put(world, number, process._replace(seen=world.version))
            return
        cursor, done, holds = known(world), place(process.runs), process.holds
        assert holds is not None
        given = process.given
        if process.then == "finish":
            if not cursor.has(done):
                world = write(world, cursor.finished(done, holds.name))
            source = "held" if holds.source == "keeper" else holds.source
            given = (*given, holds._replace(source=source))
        else:
            if not cursor.has(done):  # else who did it with more luck goes on
                world = write(world, cursor.left(done))
            world = settled(world, holds)
        process = process._replace(given=given, runs=0, holds=None, then="", seen=world.version)
        yield put(world, number, process)

    def takes(self, world: World, number: int, process: Process) -> Iterator[World]:
        """What a process does with what it was given."""
        cursor = known(world)
        free = [given for given in process.given if self.is_of_no_line(cursor, given)]
        if not process.orders:
            yield self.plain(world, number, process)
        elif free:
            ended = world._replace(ended=world.ended | {free[0].message})
            left = tuple(given for given in process.given if given != free[0])
            yield put(ended, number, process._replace(given=left))
        else:
            yield from self.look(world, number, process)

    def look(self, world: World, number: int, process: Process) -> Iterator[World]:
        cursor = known(world)
        head = next_of(world, cursor)
        for given in process.given:
            rest = tuple(g for g in process.given if g != given)
            if cursor.has(place(given.message)):
                goes_on = given.source != "keeper" and cursor.holds(given.name)
                if goes_on and head and cursor.covers(place(head)):
                    if given.source != "held":
                        world = write(world, cursor.held_by(given.name))
                    yield self.begin(world, number, head, given)
                    return
                if cursor.is_open and given.source == "keeper":
                    continue
                yield put(settled(world, given), number, process._replace(given=rest))
                return
            covered = bool(head) and cursor.covers(place(head))
            if given.source == "held" and cursor.away is None and covered:
                yield self.begin(world, number, head, given)  # it goes on with what it holds
                return
            if given.source == "stream" and cursor.covers(place(given.message)):
                yield put(settled(world, given), number, process._replace(given=rest))
                return  # it is for whoever holds the key
            again = given.source in ("again", "drop") and cursor.is_away(place(given.message))
            if given.message == head and (given.source == "stream" or again):
                if given.source == "drop":
                    world = world._replace(ended=world.ended | {head}, begun=max(world.begun, head))
                    new = process._replace(runs=head, holds=given, given=rest, then="finish")
                    yield put(world, number, new)
                else:
                    yield self.begin(world, number, head, given)
                return
        yield from self.not_next(world, number, process, cursor, head)

    def plain(self, world: World, number: int, process: Process) -> World:
        """Code that keeps no order runs what it is given, and lets go what waits (`LettingGo`)."""
        given, rest = process.given[0], process.given[1:]
        left = put(world, number, process._replace(given=rest))
        runs = process._replace(given=rest, runs=given.message, holds=given)
        cursor = known(world)
        if given.source in ("stream", "free"):
            return put(world, number, runs)
        if given.source == "keeper" and cursor.is_open and given.armed != world.version:
            return on_lane(left, Given("keeper", given.message, world.version))
        if cursor.is_open or given.source != "keeper":
            away = cursor.away.sequence if cursor.away else 0
            start = max(cursor.first, cursor.done.sequence + 1, away + 1)
            free = [Given("free", message) for message in range(start, cursor.last + 1)]
            world = on_lane(world, *free) if free else world
            world = write(world, cursor.let_go(place(given.message)))
            left = put(world, number, process._replace(given=rest))
        if given.source == "again":
            return put(world, number, runs)
        return left._replace(ended=left.ended | {given.message}) if given.source == "drop" else left

    def not_next(
        self, world: World, number: int, process: Process, cursor: Cursor, head: int
    ) -> Iterator[World]:
        """None of what is here is the next message."""
        for given in process.given:
            rest = tuple(g for g in process.given if g != given)
            if given.source == "keeper":
                yield self.keeps(world, number, process, given)
                return
            if given.source != "stream" and self.is_stray(world, cursor, given.message):
                ended = world._replace(ended=world.ended | {given.message})
                yield put(ended, number, process._replace(given=rest))
                return
            if given.source in ("again", "drop"):
                # whoever stored it says so in a moment; if nobody does, it is run
                others = any(p.runs or p.given for p in world.processes if p is not process)
                others |= "ready" in world.durable  # what a dead one held has come again by then
                acked = world.durable[given.message - 1] == "acked"
                if given.message == head and acked and not (self.patient and others):
                    yield self.begin(world, number, head, given)
                continue
        fresh = [g for g in process.given if g.source == "stream"]
        if fresh:
            yield self.leave(world, number, process, cursor, fresh)

    def keeps(self, world: World, number: int, process: Process, given: Given) -> World:
        """Somebody looks after a key: it goes on with one that did not move and nobody holds."""
        rest = tuple(g for g in process.given if g != given)
        left, cursor = put(world, number, process._replace(given=rest)), known(world)
        if not cursor.is_open:
            return left
        head = next_of(world, cursor)
        if cursor.away:
            is_free = self.is_nowhere(world, head)
        else:
            passed = 0 < head <= floor_of(world).sequence
            is_free = passed and cursor.covers(place(head))
        if given.armed == world.version and is_free:
            return self.begin(write(world, cursor.held_by(given.name)), number, head, given)
        return on_lane(left, Given("keeper", given.message, world.version))

    def is_nowhere(self, world: World, message: int) -> bool:
        """Whether what failed is neither on the lane nor in a letter."""
        held = [g for p in world.processes for g in (*p.given, *([p.holds] if p.holds else []))]
        comes = [g for g in (*world.lane, *held) if g.source in ("again", "drop")]
        return message not in world.letters and all(g.message != message for g in comes)

    def is_of_no_line(self, cursor: Cursor, given: Given) -> bool:
        """Whether code that keeps no order let it go."""
        again = given.source in ("again", "drop")
        return given.source == "free" or (again and cursor.is_free(place(given.message)))

    def is_stray(self, world: World, cursor: Cursor, message: int) -> bool:
        """Whether old code settled what this message on the lane stands for."""
        known = cursor.covers(place(message)) or cursor.has(place(message))
        return not known and message <= floor_of(world).sequence
