"""What becomes of the stored messages of one event when the new code decodes them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from msgspec import Struct, field

from jetmesh import wire
from jetmesh.declare import EventSpec
from jetmesh.errors import ContractViolation
from jetmesh.privacy.mask import masked_violation, name_of, text_of
from jetmesh.protocol.content import may_be_event
from jetmesh.protocol.headers import CAUSE, MESSAGE_ID
from jetmesh.protocol.ids import cause_of
from jetmesh.protocol.versions import WHICHEVER
from jetmesh.transport.reader import NewerVersion, Removed, event_in, reader_of

MOST_REASONS: Final = 20
_OTHER: Final = "other reasons"

Knew: TypeAlias = Callable[[bytes], Sequence[str]]
"""Which released versions of an event could read its JSON."""


class Meeting(Struct):
    """Somebody who will meet the messages of an event, from one sequence on."""

    reader: str
    """`payments.charge`, `business-dashboard`."""
    first: int
    is_handler: bool
    unreadable: int = 0
    """Messages that it could not read, and would dead-letter or skip."""
    waits: int = 0
    """Messages of a version that only newer code knows: it would wait for that."""


class Failure(Struct):
    """Messages that cannot be read for one reason."""

    why: str
    """Without values of the messages."""
    first: str
    """`ORDERS:17`."""
    count: int = 0
    released: list[str] = field(default_factory=list)
    """Releases of the contract that could read the first of them."""


class Tally:
    """Counts the stored messages of one event in one stream; `take` is called for each."""

    def __init__(
        self, spec: EventSpec, stream: str, meetings: Sequence[Meeting], knew: Knew | None = None
    ) -> None:
        self.spec = spec
        self.meetings = list(meetings)
        self.first = min((each.first for each in meetings), default=1)
        self.stored = 0
        """Messages that somebody will meet."""
        self.no_events = 0
        """Of these: no JSON objects, so events in no version."""
        self.strange = 0
        """Of these: JSON from outside that no released version could read, either."""
        self.unreadable = 0
        """Of these: what could be read, as far as is known, and can be no more."""
        self.failures: dict[str, Failure] = {}
        self._stream = stream
        self._knew = knew
        self._versions = Counter[int]()
        self._reader = reader_of(spec)
        self._read = self._reader.read

    @property
    def versions(self) -> dict[str, int]:
        """How many are of which version, `unsaid` where what comes from outside leaves it open."""
        known = self._versions or {1: self.stored}
        return {"unsaid" if v == WHICHEVER else str(v): known[v] for v in sorted(known)}

    @property
    def decode(self) -> int:
        """How many the new code reads."""
        return self.stored - self.no_events - self.strange - self.unreadable

    def take(self, sequence: int, headers: bytes, payload: bytes) -> bool:
        """Decode one message as the new code would; whether it can, or nobody will try."""
        if sequence < self.first:
            return True
        try:
            self._read(payload, headers)
        except Removed:
            return True
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - a contract's own check may raise anything
            self.stored += 1
            self._count_version(headers)
            self._fail(sequence, headers, event_in(payload, headers), error)
            return False
        self.stored += 1
        self._count_version(headers)
        return True

    def _fail(self, sequence: int, headers: bytes, found: bytes, error: BaseException) -> None:
        if not may_be_event(found):
            self.no_events += 1
            return
        released = list(self._knew(found)) if self._knew else []
        if self._knew and not released and not _is_of_a_handler(headers):
            self.strange += 1
            return
        self.unreadable += 1
        is_newer = isinstance(error, NewerVersion)
        for each in self.meetings:
            if sequence >= each.first:
                each.waits += is_newer
                each.unreadable += not is_newer
        why = self._why(error, found)
        if why not in self.failures and len(self.failures) >= MOST_REASONS:
            why = _OTHER
        place = f"{self._stream}:{sequence}"
        failure = self.failures.setdefault(why, Failure(why, place, released=released))
        failure.count += 1

    def _why(self, error: BaseException, found: bytes) -> str:
        if isinstance(error, ContractViolation | NewerVersion):
            return text_of(error)  # it quotes nothing
        return masked_violation(text_of(error), found, self.spec.type) or name_of(error)

    def _count_version(self, headers: bytes) -> None:
        if self.spec.version == 1:
            return
        version = self.spec.version
        if not headers.startswith(self._reader.newest):
            values = wire.parse(headers).values if headers else {}
            try:
                version = self._reader.version_of(values)
            except ContractViolation:
                return  # it is told among the failures
        self._versions[version] += 1


def _is_of_a_handler(headers: bytes) -> bool:
    """Whether its id says so: what a handler wrote was an event, whatever was released of it."""
    values = wire.parse(headers).values if headers else {}
    named = values.get(MESSAGE_ID) or values.get(CAUSE, "")
    return cause_of(wire.legible(named)) is not None
