"""Messages of one key, one after another, in the order in which they were stored (ADR-0036).

A line for each key that something was delivered of. It reads how far the key is, asks the stream
which message is the next one, and gives that its turn; what was delivered too early leaves the
durable, noted in the cursor, and is taken out of the stream by whoever holds the key when it comes
to that. `Cursor` says what follows from what; here is who does it when.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import Final

import structlog

from jetmesh.declare import Handler, Policy
from jetmesh.privacy.mask import name_of, text_of
from jetmesh.protocol.cursors import AGAIN, DROP, Cursor, Place
from jetmesh.protocol.steps import Floor
from jetmesh.runtime.message.asking import Asking
from jetmesh.runtime.message.belief import Publish
from jetmesh.runtime.message.delivered import Delivered
from jetmesh.runtime.message.ordered.cursors import Cursors
from jetmesh.runtime.message.ordered.fetched import Fetched
from jetmesh.runtime.message.ordered.knowing import LOOKS, Knowing
from jetmesh.runtime.message.ordered.line import End, Line, Parked, armed_at, place_of, placed
from jetmesh.runtime.message.ordered.lookafter import LookAfter
from jetmesh.runtime.message.ordered.ordering import OrderedVerdicts
from jetmesh.transport.seam import Looks
from jetmesh.transport.stored import StoredMessage

_LOOK_SECONDS: Final = 0.04
_BEHIND_SECONDS: Final = 0.1
_SOON_SECONDS: Final = 2.0
_MOST_RETURNS: Final = 20
"""So often a retry waits for the note of who stored it; then nobody writes one any more."""

log = structlog.get_logger()


class Order:
    """Stands between the deliveries of one handler and their runner."""

    def __init__(
        self,
        handler: Handler,
        policy: Policy,
        verdicts: OrderedVerdicts,
        *,
        publish: Publish,
        looks: Looks,
        asking: Asking,
        begin: Callable[[Delivered], None],
    ) -> None:
        self.handler = handler
        self.stats = verdicts.stats
        self.parked = Parked(handler.title)
        self.cursors = Cursors(handler, publish, looks, asking)
        self._verdicts = verdicts
        verdicts.order = self
        self._key = Knowing(handler, self.cursors, looks, asking)
        self._begin = begin
        self._start = f"{handler.input.subject}."
        self._look_after = LookAfter(policy, publish)
        self._lines: dict[str, Line] = {}
        self._turns: dict[Delivered, Line] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False

    @property
    def floor(self) -> Floor:
        """Everything of the durable up to there has its verdict."""
        return self._key.floor

    def floor_is_known(self, floor: Floor) -> None:
        """Everything of its durable up to there has its verdict."""
        self._key.floor = floor

    @property
    def wants_floor(self) -> asyncio.Event:
        """Set when the floor may be higher than is known, and that matters."""
        return self._key.wants_floor

    @property
    def problem(self) -> str:
        """Why a key does not go on, in words; empty when all do."""
        return next(iter(self.cursors.held.values()), "")

    # deliveries

    def take(self, delivered: Delivered) -> None:
        """Handle a delivery when it is its turn.

        What stands on no key's subject, or left before there was an order, is not of any line.
        """
        subject = delivered.origin.subject
        if not subject.startswith(self._start) or (delivered.on_lane and not delivered.line):
            self._begin(delivered)
            return
        if self._stopping:
            self._verdicts.give_back(delivered)
            return
        token = subject[len(self._start) :]
        line = self._lines.get(token)
        if line is None:
            line = self._lines[token] = Line(token)
            task = asyncio.create_task(self._work(line))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        line.given.append(delivered)
        line.changed.set()

    def handled(self, delivered: Delivered) -> bool:
        """A delivery was handled; False when it is of no line, and may be acked."""
        release = partial(self._verdicts.release, delivered)
        return self._ends(delivered, End.HANDLED, release)

    def left(self, delivered: Delivered, settle: Callable[[], None]) -> None:
        """A delivery is on the lane, or a letter."""
        if not self._ends(delivered, End.AWAY, settle):
            settle()

    def settled(self, delivered: Delivered) -> None:
        """A delivery has its verdict, whichever that is."""
        self._ends(delivered, End.BACK, lambda: None)

    def _ends(self, delivered: Delivered, end: End, settle: Callable[[], None]) -> bool:
        line = self._turns.get(delivered)
        if line is None or line.turn is not delivered:
            return False
        if line.end is None or end is End.BACK:
            line.end = end, settle
        line.changed.set()
        return True

    def stop(self) -> None:
        """Give back what has not had its turn."""
        self._stopping = True
        for line in self._lines.values():
            for delivered in line.given:
                self._verdicts.give_back(delivered)
            line.given = []
            line.changed.set()

    def cancel(self) -> None:
        """End what still asks or writes."""
        for task in list(self._tasks):
            task.cancel()

    # a line

    async def _work(self, line: Line) -> None:
        try:
            while line.given or line.turn:
                line.changed.clear()
                line.given = [each for each in line.given if each.held]
                if line.end is not None:
                    await self._end(line, *line.end)
                elif line.turn is not None:
                    await self._beside(line)
                elif line.given:
                    await self._step(line)
        except Exception as error:
            text = text_of(error)
            log.exception("a line failed", key=line.token, error=name_of(error), message=text)
            for delivered in line.given:
                self._verdicts.give_back(delivered)
        finally:
            if line.turn is not None:
                self._turns.pop(line.turn, None)
            del self._lines[line.token]

    async def _step(self, line: Line) -> None:
        """Give the next message its turn, if it is here; settle what is done, or comes too early.

        It ends after each that changes the cursor or takes time, and is called again.
        """
        if not line.is_fresh:
            await self._key.read(line)
        line.is_fresh = False
        cursor = line.kept.cursor
        here = [place_of(each) for each in line.given if not each.on_lane]
        if any(map(cursor.is_past, here)):  # its stream was made again
            await self._key.change(line, lambda c: Cursor() if any(map(c.is_past, here)) else c)
            return
        if await self._leave_what_is_done(line, cursor):
            return
        if not line.given:
            return
        head, stored = await self._key.head(line, cursor)
        if head is None and any(not each.on_lane for each in line.given):
            line.looks += 1
            await asyncio.sleep(_BEHIND_SECONDS)
            return
        line.looks = 0
        for delivered in line.given:
            again = cursor.away is not None and delivered.line in (AGAIN, DROP)
            if place_of(delivered) == head and (not delivered.on_lane or again):
                await self._take_turn(line, delivered)
                return
        if on_lane := [each for each in line.given if each.on_lane]:
            await self._from_lane(line, on_lane[0], head, stored)
        else:
            await self._too_early(line, [*line.given])  # more may arrive meanwhile

    async def _leave_what_is_done(self, line: Line, cursor: Cursor) -> bool:
        """Settle what is not to be run under its delivery; whether that changed the line."""
        for delivered in list(line.given):
            place, is_keeper = place_of(delivered), armed_at(delivered) is not None
            if delivered.on_lane and not is_keeper and cursor.is_free(place):
                line.remove(delivered)
                self._run_stray(delivered)
            elif cursor.has(place):
                if is_keeper and cursor.is_open:
                    continue
                # what comes again may have held the key when its process died, or have lost its ack
                is_again = delivered.deliveries > 1 and not is_keeper
                if is_again and cursor.holds(delivered.slot.decode()):
                    await self._take_over(line, delivered)
                    return True
                line.remove(delivered)
                self._verdicts.release(delivered)
            elif delivered.on_lane:
                continue
            elif cursor.covers(place):
                line.remove(delivered)
                self._verdicts.hand_on(delivered)
            elif place.sequence < cursor.start(line.floor):  # settled where no cursor is kept
                line.remove(delivered)
                self._verdicts.release(delivered)
        return False

    async def _take_over(self, line: Line, held: Delivered) -> None:
        """Go on under a delivery that comes again, unless somebody else goes on by now."""
        after = line.kept.cursor.held_by(held.slot.decode())
        if kept := await self.cursors.replace(line.token, line.kept, after):
            line.kept = kept
            line.remove(held)
            await self._go_on(line, held)

    async def _take_turn(self, line: Line, delivered: Delivered) -> None:
        if delivered.on_lane or delivered.deliveries > 1:
            # another one may have had it meanwhile: nothing was to happen since the look
            kept = await self.cursors.read(line.token, line.floor)
            if kept.sequence != line.kept.sequence or not delivered.held:
                return
        line.remove(delivered)
        self._run(line, delivered)

    def _run(self, line: Line, delivered: Delivered) -> None:
        line.turn, line.end = delivered, None
        self._turns[delivered] = line
        if delivered.line == DROP:
            self.handled(delivered)
            return
        delivered.line = AGAIN
        self._begin(delivered)

    def _run_under(self, line: Line, held: Delivered, stored: StoredMessage) -> None:
        if held.held:
            fetched = Fetched(held, stored)
            self._verdicts.in_flight[fetched.slot] = fetched
            self._run(line, fetched)

    # a turn

    async def _beside(self, line: Line) -> None:
        """A handler runs: what came too early leaves."""
        early = [each for each in line.given if not each.on_lane]
        left = line.patience(early) if early else None
        if left is not None and left <= 0:
            await self._leave(line, early)
        else:
            await line.pause(left)

    async def _end(self, line: Line, end: End, settle: Callable[[], None]) -> None:
        """What ran is done, or went another way, or comes again."""
        delivered = line.turn
        assert delivered is not None  # noqa: S101 - it has ended
        place, holder = place_of(delivered), delivered.slot.decode()
        if end is End.HANDLED:
            await self._key.change(line, lambda cursor: cursor.finished(place, holder))
        elif end is End.AWAY:
            await self._key.change(
                line, lambda cursor: cursor if cursor.has(place) else cursor.left(place)
            )
        line.turn, line.end = None, None
        self._turns.pop(delivered, None)
        cursor = line.kept.cursor
        if end is End.HANDLED and cursor.holds(holder):
            self.stats.acked += delivered.held
            await self._go_on(line, delivered)
        else:
            settle()
        line.is_fresh = line.is_fresh and end is not End.BACK

    async def _go_on(self, line: Line, held: Delivered) -> None:
        """Give the next one that waits its turn, under the delivery that is held."""
        cursor = line.kept.cursor
        stored = None
        for _ in range(LOOKS if cursor.is_open else 0):
            if self._stopping or not held.held:
                self._verdicts.give_back(held)
                return
            stored = await self._key.next(line, cursor.start(line.floor))
            if stored is not None:
                break
            await asyncio.sleep(_BEHIND_SECONDS)
        if stored is not None and cursor.covers(placed(stored)):
            self._run_under(line, held, stored)
            return
        if cursor.is_open and (stored is None or stored.sequence > cursor.last):
            log.error("what waited is gone", handler=self.handler.name, key=line.token)
            await self._key.change(line, lambda now: now.closed() if now == cursor else now)
        self._verdicts.release(held)

    # what comes too early

    async def _too_early(self, line: Line, early: list[Delivered]) -> None:
        left = 0.0 if line.kept.cursor.is_open else line.patience(early)
        if left > 0:
            await line.pause(min(left, _LOOK_SECONDS))
        else:
            await self._leave(line, early)

    async def _leave(self, line: Line, early: list[Delivered]) -> None:
        """Note them, and ack them: who holds the key takes them out of the stream."""
        cursor = line.kept.cursor
        if not cursor.has_waiting or line.looked_after + self._look_after.seconds < perf_counter():
            await self._look_after.store(early[0], cursor.stand)
            line.looked_after = perf_counter()
        for place in map(place_of, early):
            if not cursor.covers(place) and not cursor.has(place):
                cursor = cursor.waits(place)
        if cursor != line.kept.cursor:
            kept = await self.cursors.replace(line.token, line.kept, cursor)
            if kept is None:
                await self._key.read(line)
                return
            line.kept = kept
        for delivered in early:
            line.remove(delivered)
            self._verdicts.hand_on(delivered)

    # what comes from the lane

    async def _from_lane(
        self, line: Line, delivered: Delivered, head: Place | None, stored: StoredMessage | None
    ) -> None:
        """Decide on one that is not the next."""
        line.remove(delivered)
        place, cursor, armed = place_of(delivered), line.kept.cursor, armed_at(delivered)
        if armed is not None:
            if not cursor.is_open:
                self._verdicts.release(delivered)
            elif armed != cursor.stand or not await self._take_up(line, delivered, stored):
                await self._look_after.store(delivered, cursor.stand)
                self._verdicts.hand_on(delivered)
        elif not cursor.covers(place) and await self._key.is_stray(line, place):
            self._run_stray(delivered)
        elif delivered.deliveries < _MOST_RETURNS:
            self._verdicts.give_back(delivered, _SOON_SECONDS)
        elif place == head:
            self._run(line, delivered)
        else:
            self._run_stray(delivered)

    async def _take_up(self, line: Line, keeper: Delivered, stored: StoredMessage | None) -> bool:
        """Go on with a key that did not move for long, unless what it waits for still comes."""
        cursor = line.kept.cursor
        after = taken = cursor.held_by(keeper.slot.decode())
        if cursor.away is not None:
            if not await self._key.is_nowhere(line, cursor.away):
                return False
            stored = await self._key.next(line, cursor.away.sequence)
            if stored is None or placed(stored) != cursor.away:
                log.error("what failed is gone", handler=self.handler.name, key=line.token)
                after = cursor.finished(cursor.away)
        elif stored and stored.sequence <= cursor.last and not self._key.is_settled(line, stored):
            return False
        # of two that look after it, one goes on
        kept = await self.cursors.replace(line.token, line.kept, after)
        if kept is None or not keeper.held:
            return False
        line.kept = kept
        if after is taken and stored is not None and cursor.covers(placed(stored)):
            self._run_under(line, keeper, stored)
        else:
            await self._go_on(line, keeper)
        return True

    def _run_stray(self, delivered: Delivered) -> None:
        if delivered.line == DROP:
            self._verdicts.release(delivered)
        else:
            delivered.line = ""
            self._begin(delivered)
