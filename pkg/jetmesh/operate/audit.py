"""What operators did, in a stream out of which nobody can take anything (ADR-0025).

An act is recorded before it is done, and once more how it ended: it is known of even where its
process ended in between, and what cannot be recorded is not done. A record names streams, numbers,
handlers and counts; no key, payload or sentence of an error, which may be about a person.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, TypeAlias, cast

import msgspec
import nats.errors
from msgspec import Struct

from jetmesh.declare import escape_key, unescape_key
from jetmesh.errors import BrokerError, JetmeshError
from jetmesh.operate.humanize import listed
from jetmesh.protocol.streams import AUDIT
from jetmesh.protocol.subjects import SUBJECTS, audit_subject
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.stored import PubAck, StoredMessage, if_exists

Act: TypeAlias = Literal["replay", "drop", "heal", "apply", "cancel", "mend", "advance"]
ANONYMOUS: Final = "anonymous"
"""Who acts on a server where nobody logs in."""
_PATIENCE_SECONDS: Final = 2.0
"""A stream that was just made is not known to every server yet."""
_AGAIN_SECONDS: Final = 0.05


class AuditRecord(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An act when it begins, or when it has ended."""

    act: Act
    what: tuple[str, ...] = ()
    """What was named: `DEADLETTERS:17`, `ORDERS:17`, `update stream ORDERS`."""
    selection: tuple[str, ...] = ()
    """Else by what it was chosen, such as `service payments`; of a key only that there was one."""
    count: int = 0
    """How many letters, messages or objects it is about."""
    why: str = ""
    """The reason that the operator gave."""
    began: int = 0
    """The sequence of the record that it begins; 0: this is it."""
    outcome: dict[str, int] = msgspec.field(default_factory=dict)
    """What became of how many: `{"replayed": 990, "refused": 10}`."""
    failed: str = ""
    """The kind of the error that ended it."""


class Entry(Struct, frozen=True):
    """A record as it is stored."""

    sequence: int
    at: datetime
    by: str
    """Whom the server took its author for."""
    record: AuditRecord


@asynccontextmanager
async def recorded(
    control: ControlPlane, begins: AuditRecord, say: Callable[[str], None]
) -> AsyncIterator[Counter[str]]:
    """Record the block, which does what `begins` says and counts in the counter what it did.

    Where no stream of records was made yet, nothing is recorded, and `say` hears it.

    Raises:
        BrokerError: it cannot be recorded, and nothing was done.
        JetmeshError: it was done, and only its end could not be recorded.
    """
    outcome: Counter[str] = Counter()
    subject = await _subject(control, begins.act)
    if not subject:
        say(f"Not recorded: there is no stream {AUDIT}. jetmesh apply makes it.")
        yield outcome
        return
    began = await _begin(control, subject, begins)
    ends = msgspec.structs.replace(begins, what=(), selection=(), why="", began=began)
    try:
        yield outcome
    except BaseException as error:
        failed = msgspec.structs.replace(ends, outcome=outcome, failed=type(error).__name__)
        try:
            await _store(control, subject, failed)
        except BrokerError:
            say(f"How it ended could not be recorded: it began as {AUDIT}:{began}.")
        raise
    await _end(control, subject, msgspec.structs.replace(ends, outcome=outcome))


async def entries(control: ControlPlane, since: timedelta | None = None) -> AsyncIterator[Entry]:
    """Every record, or those that are not older, in the order in which they were stored.

    Raises:
        JetmeshError: there is no stream of records.
        BrokerError: the broker does not answer.
    """
    if await if_exists(control.api(f"STREAM.INFO.{AUDIT}")) is None:
        raise JetmeshError(f"There is no stream {AUDIT}.", remedy="jetmesh apply makes it.")
    oldest = datetime.now(UTC) - since if since is not None else None
    async for message in control.history(AUDIT, [SUBJECTS[AUDIT]]):
        if oldest is None or message.stored_at >= oldest:
            yield _entry(message)


def described(entry: Entry) -> str:
    """An entry in words: `replay begins: 1,000 of service payments (repaired)`."""
    record = entry.record
    why = f" ({record.why})" if record.why else ""
    if not record.began:
        of = listed(record.what or record.selection)
        return f"{record.act} begins: {record.count:,} of {of}{why}"
    counts = ", ".join(f"{many:,} {what}" for what, many in record.outcome.items())
    failed = f"; {record.failed}" if record.failed else ""
    return f"{record.act} ended, begun as {AUDIT}:{record.began}: {counts or 'nothing'}{failed}"


async def _subject(control: ControlPlane, act: Act) -> str:
    """Where this connection may record an act; empty where there is no stream for it."""
    if await if_exists(control.api(f"STREAM.INFO.{AUDIT}")) is None:
        return ""
    return audit_subject(escape_key(await control.user() or ANONYMOUS), act)


async def _begin(control: ControlPlane, subject: str, begins: AuditRecord) -> int:
    try:
        return (await _store(control, subject, begins)).sequence
    except BrokerError as error:
        error.message = f"Nothing was done, because it cannot be recorded: {error.message}"
        if _nobody_hears(error):
            error.remedy = f"From another account, import {subject}; or {AUDIT} has no leader."
        full = f"Where {AUDIT} is full, raise streams.{AUDIT}.max_bytes and run jetmesh apply."
        error.remedy = error.remedy or full
        raise  # as it is: whoever waits for a broker knows by its kind whether time may mend it


async def _end(control: ControlPlane, subject: str, ends: AuditRecord) -> None:
    try:
        await _store(control, subject, ends)
    except BrokerError as error:
        raise JetmeshError(
            f"It was done, but how it ended could not be recorded: {error.message}",
            remedy=f"That it began is recorded as {AUDIT}:{ends.began}.",
        ) from error


async def _store(control: ControlPlane, subject: str, record: AuditRecord) -> PubAck:
    until = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            return await control.publish(subject, msgspec.json.encode(record))
        except BrokerError as error:
            if not _nobody_hears(error) or time.monotonic() > until:
                raise
        await asyncio.sleep(_AGAIN_SECONDS)


def _nobody_hears(error: BrokerError) -> bool:
    return isinstance(error.__cause__, nats.errors.NoRespondersError)


def _entry(message: StoredMessage) -> Entry:
    """Whoever may write may write what is no record: it is shown as its subject says."""
    _, _, rest = message.subject.partition(".")
    by, _, act = rest.partition(".")
    try:
        record = msgspec.json.decode(message.payload, type=AuditRecord)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        record = AuditRecord(act=cast("Act", act), what=("what cannot be read",))
    return Entry(message.sequence, message.stored_at, unescape_key(by), record)
