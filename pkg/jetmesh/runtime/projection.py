"""Read models: state folded from the events of a stream, from the first one on.

The consumer is one of a few that were made for it (`slots.py`), and acknowledges nothing. A gap in
its numbering, its loss, a new connection or somebody else who pulls from it only means to ask for
everything behind the last event that was folded, with another one if need be. A stream that
was deleted and made again counts from 1 once more: then the read model forgets everything and is
folded anew, so that it always shows what the streams hold (ADR-0003).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from time import perf_counter
from typing import Any, Final, TypeAlias

import msgspec
import structlog

from jetmesh import wire
from jetmesh.declare import EventSpec, ReadModel, Record, unescape_key
from jetmesh.errors import BrokerError
from jetmesh.privacy.mask import masked, masked_violation, name_of, text_of
from jetmesh.protocol.content import may_be_event, seems
from jetmesh.protocol.headers import MESSAGE_ID
from jetmesh.protocol.unread import read_model_of
from jetmesh.runtime.bound import bounded
from jetmesh.runtime.slots import Slots
from jetmesh.runtime.unread import Senders, Unread
from jetmesh.transport.position import Position, position_of
from jetmesh.transport.reader import NewerVersion, Reader, Removed, event_in, reader_of
from jetmesh.transport.seam import Control, Inflow, Transport

_BATCH: Final = 1024
_RETRY_SECONDS: Final = 0.5
_LOOK_SECONDS: Final = 3.0
"""How often it is compared with what the server has delivered."""
_BLOCKING_SECONDS: Final = 0.1
"""An `apply` that keeps the event loop longer than this is named in the log."""

_Message: TypeAlias = tuple[bytes, bytes, bytes, bytes]
Apply = Callable[[Any, Record], None]
Forget = Callable[[str, Record], None]

log = structlog.get_logger()


def projections_of(
    model: ReadModel,
    instance: Any,
    *,
    slots: Callable[[str], Slots],
    plane: Transport,
    control: Control,
) -> list[Projection]:
    """What feeds one read model, a projection for each stream; `start()` them.

    `slots` has those of a stream.

    When one of its streams was made again they all begin anew, on a model that is as new.
    """
    projections: list[Projection] = []
    apply, clear = bounded(model, instance)

    def begin_anew() -> None:
        try:
            _make_new(model, instance)
            clear()
        except BaseException as error:
            name, text = name_of(error), text_of(error)
            log.exception("the read model keeps what it had", error=name, message=text)
        for projection in projections:
            projection.begin_anew()

    for stream in dict.fromkeys(spec.stream for spec in model.events):
        events = [spec for spec in model.events if spec.stream == stream]
        projections.append(
            Projection(
                stream,
                events,
                apply,
                slots=slots(stream),
                plane=plane,
                control=control,
                forget=getattr(instance, "forget", None),
                on_renewed=begin_anew,
            )
        )
    return projections


def _make_new(model: ReadModel, instance: Any) -> None:
    """Make the read model as it was at first, in place: pages and handlers hold it."""
    if isinstance(instance, msgspec.Struct):  # its __init__ does nothing a second time
        fresh = model.type()
        for name in instance.__struct_fields__:
            setattr(instance, name, getattr(fresh, name))
    else:
        model.type.__init__(instance)  # type: ignore[misc] # it is of this very type


class Projection:
    """Feeds one read model from one stream."""

    def __init__(
        self,
        stream: str,
        events: Sequence[EventSpec],
        apply: Apply,
        *,
        slots: Slots,
        plane: Transport,
        control: Control,
        forget: Forget | None = None,
        on_renewed: Callable[[], None] | None = None,
    ) -> None:
        self.stream = stream
        self.caught_up = False
        """Everything that was stored when reading began has been folded."""
        self.folded = 0
        self.skipped = 0
        """Messages that could not be read or applied; a read model passes over them."""
        self.unread = Unread(read_model_of(stream))
        """What it shows is wrong by these."""
        self.strange = Unread(read_model_of(stream))
        """What somebody outside sent and no code here can read."""
        self._senders = Senders()
        self.forgotten = 0
        """Keys of which the server said that their events are gone."""
        self.slow_folds = 0
        """Events that kept the event loop for more than 100 ms."""
        self._slots = slots
        self._readers = {spec.subject.encode(): reader_of(spec) for spec in events}
        self._apply = apply
        self._forget = forget
        self._plane = plane
        self._turns = plane.turns
        self._control = control
        self._on_renewed = on_renewed or self.begin_anew
        """Called when the stream is another one than before."""
        self._created = ""
        """When the stream was made that is read."""
        self._last = 0
        self._times = 0
        """How often it began anew."""
        self._expected = 0
        self._pull: Inflow | None = None
        self._waiting: deque[_Message] = deque()
        """What arrived when a turn of the event loop was over (ADR-0014)."""
        self._starting: asyncio.Task[None] | None = None
        self._looking: asyncio.Task[None] | None = None
        self._trouble = ""

    @property
    def problem(self) -> str:
        """Why the read model is not up to date, in words; empty when it is."""
        trouble = self._trouble or (self._pull.problem if self._pull is not None else "")
        if trouble:
            return f"the history of {self.stream} cannot be read: {trouble}"
        if not self.caught_up:
            return f"reading the history of {self.stream}, {self.folded} events so far"
        return ""

    def start(self) -> None:
        """Ask for everything behind the last event folded."""
        if self._starting is None or self._starting.done():
            self._starting = asyncio.create_task(self._begin())

    def begin_anew(self) -> None:
        """Ask for everything, from the first event on."""
        self._last = 0
        self._times += 1
        self.folded = self.skipped = self.forgotten = 0
        self.unread.clear()
        self.strange.clear()
        self.caught_up = False
        self._drop()
        self.start()

    def stop(self) -> None:
        if self._starting is not None:
            self._starting.cancel()
        self._drop()

    def _drop(self) -> None:
        self._waiting.clear()
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None
        if self._pull is not None:
            self._plane.drop(self._pull)
            self._pull = None

    async def _begin(self) -> None:
        self._drop()
        while self._pull is None:
            try:
                await self._check_stream()
                times = self._times
                slot = await self._slots.take(self._last + 1)
            except Exception as error:  # noqa: BLE001 - who gave up would say "ready" for ever
                said = str(error) if isinstance(error, BrokerError) else name_of(error)
                if said != self._trouble:
                    log.warning("history not readable", stream=self.stream, error=said)
                self._trouble = said
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            if times != self._times:
                continue  # told to begin anew while it was asking for the rest
            self._trouble = ""
            self._expected = 0
            self._pull = self._plane.inflow(
                self.stream,
                slot.name,
                limit=_BATCH,
                on_delivery=self._arrive,
                on_gone=lambda _: self.start(),
            )
            self._pull.start()
            self.caught_up = self.caught_up or not slot.pending
            self._looking = asyncio.create_task(self._look(slot.name))

    async def _look(self, slot: str) -> None:
        """Compare what came with what the server says, from time to time.

        Events may be removed before they are read, and what was delivered to somebody else who
        pulls from the same slot never comes.
        """
        before = -1
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            try:
                found = await self._slots.look(slot)
            except BrokerError:
                continue  # others say so
            if self._waiting:
                continue
            delivered = found["delivered"]["consumer_seq"] if found else -1
            if found is None or delivered != self._expected == before:
                log.info("reading with another slot", stream=self.stream, slot=slot)
                self._looking = None  # `start` would end this very task
                self.start()
                return
            before = self._expected
            if delivered == before and not found["num_pending"]:
                self.caught_up = True

    async def _check_stream(self) -> None:
        """Notice a stream that was made again, or restored to an earlier state."""
        info = await self._control.api(f"STREAM.INFO.{self.stream}")
        renewed = self._created not in ("", info["created"])
        self._created = info["created"]
        if renewed or info["state"]["last_seq"] < self._last:
            log.warning(
                "the stream was made again: its read model starts over",
                stream=self.stream,
                last_folded=self._last,
                last_stored=info["state"]["last_seq"],
            )
            self._on_renewed()

    def _arrive(self, subject: bytes, reply: bytes, headers: bytes, payload: bytes) -> None:
        if self._waiting:
            self._waiting.append((subject, reply, headers, payload))
        elif perf_counter() > self._turns.until:
            self._waiting.append((subject, reply, headers, payload))
            self._turns.take(self._fold_next)
        else:
            self._fold(subject, reply, headers, payload)

    def _fold_next(self) -> bool:
        """Fold what has waited longest; whether there is more."""
        if self._waiting:  # else it began anew meanwhile
            self._fold(*self._waiting.popleft())
        return bool(self._waiting)

    def _fold(self, subject: bytes, reply: bytes, headers: bytes, payload: bytes) -> None:
        try:
            position = position_of(reply)
        except ValueError:
            if self._pull is not None:
                self._pull.stray(reply)
            return
        if self._pull is not None:
            self._pull.settled()
        self._expected += 1
        if position.number != self._expected:
            self.start()  # something was lost on the way: once more, behind what was folded
            return
        self._last = position.sequence
        began = perf_counter()
        try:
            self._apply_one(subject, headers, payload, position)
        except NewerVersion as newer:
            self._stand_still(newer, position)
            return
        if (took := perf_counter() - began) > _BLOCKING_SECONDS:
            self._name_it(took)
        if not position.pending:
            self.caught_up = True

    def _stand_still(self, newer: NewerVersion, position: Position) -> None:
        """Stay at what was before: to pass over it would make a state that never was.

        Until newer code takes over; this one is not ready meanwhile.
        """
        self._last = position.sequence - 1
        self._trouble = f"{newer}; deploy what knows it"
        log.error("the read model stands still", stream=self.stream, error=str(newer))
        self._drop()

    def _name_it(self, seconds: float) -> None:
        self.slow_folds += 1
        if self.slow_folds == 1:
            log.warning(
                "the read model keeps the event loop",
                stream=self.stream,
                seconds=round(seconds, 3),
                remedy="let apply only note what happened; compute when somebody asks",
            )

    def _apply_one(
        self, subject: bytes, headers: bytes, payload: bytes, position: Position
    ) -> None:
        reader = self._readers.get(subject) or self._readers[subject.rpartition(b".")[0]]
        values = wire.parse(headers).values if headers else {}
        record = Record(
            stream=self.stream,
            sequence=position.sequence,
            subject=subject.decode(errors="replace"),
            stored_at=position.stored_at,
            message_id=values.get(MESSAGE_ID, ""),
        )
        try:
            event = reader.read(payload, headers)
        except NewerVersion as newer:
            self._know_sender(reader, values)
            if self._senders.are_ours(reader):
                raise
            self._skip_unread(record, reader, str(newer), event_in(payload, headers))
        except Removed:
            self._forget_one(subject, record)
        except BaseException as error:  # noqa: BLE001 - a contract's own check may raise anything
            found = event_in(payload, headers)
            why = masked_violation(text_of(error), found, reader.spec.type)
            if may_be_event(found):
                self._know_sender(reader, values)
            self._skip_unread(record, reader, why, found)
        else:
            self._know_sender(reader, values)
            self.folded += self._fold_in(record, event, self._apply, event)

    def _forget_one(self, subject: bytes, record: Record) -> None:
        """The server tells that what was stored on the subject is gone."""
        self.forgotten += 1
        if self._forget is not None:
            token = "" if subject in self._readers else record.subject.rpartition(".")[2]
            self._fold_in(record, None, self._forget, unescape_key(token))

    def _fold_in(
        self, record: Record, event: Any, fold: Callable[[Any, Record], None], what: Any
    ) -> bool:
        """Whether the read model took it; one event must not stop a dashboard."""
        try:
            fold(what, record)
        except BaseException as error:  # noqa: BLE001 - as above
            name, message = name_of(error), masked(text_of(error), event)
            self.skipped += 1
            self.unread.add(_place(record), name)
            log.error(  # noqa: TRY400 - a traceback would quote personal data
                "the read model failed", cause=_place(record), error=name, message=message
            )
            return False
        return True

    def _know_sender(self, reader: Reader, headers: Mapping[str, str]) -> None:
        """What was laid to the code is the fault of senders, once these may be anybody."""
        if self._senders.show_outside(reader, headers):
            self.unread.hand_over(reader.spec.subject, self.strange)

    def _skip_unread(self, record: Record, reader: Reader, why: str, found: bytes) -> None:
        """Count it; without an event of ours, what is shown is wrong from now on."""
        self.skipped += 1
        if may_be_event(found):
            blamed = self.unread if self._senders.are_ours(reader) else self.strange
            blamed.add(_place(record), why, event=reader.spec.subject)
        log.info("unreadable event", cause=_place(record), error=why, seems=seems(found))


def _place(record: Record) -> str:
    return f"{record.stream}:{record.sequence}"
