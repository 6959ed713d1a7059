"""What becomes of the stored messages of one event when the new code decodes them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from msgspec import Struct, field

from jetmesh import wire
from jetmesh.declare import EventSpec
from jetmesh.errors import ContractViolation
from jetmesh.operate.evolution.released import Release
from jetmesh.privacy.mask import masked_violation, name_of, text_of
from jetmesh.protocol.content import may_be_event
from jetmesh.protocol.headers import CAUSE, MESSAGE_ID
from jetmesh.protocol.ids import cause_of
from jetmesh.protocol.versions import WHICHEVER
from jetmesh.transport.reader import NewerVersion, Removed, event_in, reader_of

_MOST_REASONS: Final = 20
_OTHER: Final = "other reasons"


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


class StoredEvents(Struct):
    """The messages of one event in one stream, and who will meet them."""

    subject: str
    version: int
    """The one that the new code writes."""
    stream: str
    stored: int = 0
    decode: int = 0
    no_events: int = 0
    """No JSON objects, so events in no version: they were passed over before, too."""
    strange: int = 0
    """JSON from outside that no released version could read, either."""
    unreadable: int = 0
    """What could be read, as far as is known, and can be no more."""
    versions: dict[str, int] = field(default_factory=dict)
    """How many are of which version; `unsaid` where what comes from outside leaves it open."""
    readers: list[Meeting] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)


class Tally:
    """Counts the stored messages of one event in one stream; `take` is called for each."""

    def __init__(
        self,
        spec: EventSpec,
        stream: str,
        meetings: Sequence[Meeting],
        releases: Sequence[Release],
    ) -> None:
        self.spec = spec
        self.first = min((each.first for each in meetings), default=1)
        self._found = StoredEvents(spec.subject, spec.version, stream, readers=list(meetings))
        self._releases = releases
        self._failures: dict[str, Failure] = {}
        self._versions = Counter[int]()
        self._reader = reader_of(spec)
        self._read = self._reader.read

    def result(self) -> StoredEvents:
        """What was counted."""
        found = self._found
        found.decode = found.stored - found.no_events - found.strange - found.unreadable
        known = self._versions or {1: found.stored}
        found.versions = {"unsaid" if v == WHICHEVER else str(v): known[v] for v in sorted(known)}
        found.failures = sorted(self._failures.values(), key=lambda each: -each.count)
        return found

    def take(self, sequence: int, headers: bytes, payload: bytes) -> None:
        """Decode one message as the new code would, if anybody will meet it."""
        if sequence < self.first:
            return
        failure: BaseException | None = None
        try:
            self._read(payload, headers)
        except Removed:
            return
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - a contract's own check may raise anything
            failure = error
        self._found.stored += 1
        self._count_version(headers)
        if failure is not None:
            self._fail(sequence, headers, event_in(payload, headers), failure)

    def _fail(self, sequence: int, headers: bytes, payload: bytes, error: BaseException) -> None:
        if not may_be_event(payload):
            self._found.no_events += 1
            return
        released = [str(each.name) for each in self._releases if not each.refuses(payload)]
        if self._releases and not released and not _is_of_a_handler(headers):
            self._found.strange += 1
            return
        self._found.unreadable += 1
        is_newer = isinstance(error, NewerVersion)
        for each in self._found.readers:
            if sequence >= each.first:
                each.waits += is_newer
                each.unreadable += not is_newer
        why = self._why(error, payload)
        if why not in self._failures and len(self._failures) >= _MOST_REASONS:
            why = _OTHER
        place = f"{self._found.stream}:{sequence}"
        failure = self._failures.setdefault(why, Failure(why, place, released=released))
        failure.count += 1

    def _why(self, error: BaseException, payload: bytes) -> str:
        if isinstance(error, ContractViolation | NewerVersion):
            return text_of(error)  # it quotes nothing
        return masked_violation(text_of(error), payload, self.spec.type) or name_of(error)

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
