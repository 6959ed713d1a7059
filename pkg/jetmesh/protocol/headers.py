"""Headers of messages: `Nats-…` are the server's, `Jetmesh-…` ours, all others the publishers'."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

# what a server reads, or tells with a status
MESSAGE_ID: Final = "Nats-Msg-Id"
EXPECTED_SEQUENCE: Final = "Nats-Expected-Last-Subject-Sequence"
EXPECTED_ON: Final = "Nats-Expected-Last-Subject-Sequence-Subject"
SCHEDULE: Final = "Nats-Schedule"
SCHEDULE_TARGET: Final = "Nats-Schedule-Target"
SCHEDULER: Final = "Nats-Scheduler"
"""Which schedule a message came from, or with `SCHEDULE_NEXT` which one is to go."""
SCHEDULE_NEXT: Final = "Nats-Schedule-Next"
PURGE: Final = "purge"
ROLLUP: Final = "Nats-Rollup"
ROLLUP_SUBJECT: Final = "sub"
"""Its message replaces those of its subject."""
PENDING_MESSAGES: Final = "Nats-Pending-Messages"
PENDING_BYTES: Final = "Nats-Pending-Bytes"
POSITION: Final = ("Nats-Stream", "Nats-Subject", "Nats-Sequence", "Nats-Time-Stamp")
"""Where a message stands, behind the headers of one that was asked for directly (ADR-31)."""
LEFT_IN_BATCH: Final = "Nats-Num-Pending"
"""How many messages a batch of direct gets left behind itself."""
MARKER_REASON: Final = "Nats-Marker-Reason"
"""On a message without a payload, with which the server tells that others are gone (ADR-43)."""

# the origin of a message on a lane, or of a dead letter
SUBJECT: Final = "Jetmesh-Subject"
STREAM: Final = "Jetmesh-Stream"
SEQUENCE: Final = "Jetmesh-Sequence"
STORED_AT: Final = "Jetmesh-Stored-At"
ATTEMPTS: Final = "Jetmesh-Attempts"
"""Failures so far. A replayed dead letter begins with 0 again."""
REPLAYS: Final = "Jetmesh-Replays"
"""How often the origin was replayed; absent until then."""

# what the event in it is
EVENT_VERSION: Final = "Jetmesh-Event-Version"
"""Of the event's type, as `protocol.versions` writes it; absent for version 1."""

# its failure
SERVICE: Final = "Jetmesh-Service"
VERSION: Final = "Jetmesh-Version"
HANDLER: Final = "Jetmesh-Handler"
ERROR: Final = "Jetmesh-Error"
MESSAGE: Final = "Jetmesh-Message"
WHERE: Final = "Jetmesh-Where"
FINGERPRINT: Final = "Jetmesh-Fingerprint"
FAILED_AT: Final = "Jetmesh-Failed-At"
PAYLOAD: Final = "Jetmesh-Payload"
LEFT: Final = "left in its stream"
"""The value of `PAYLOAD` in a letter that was too large to carry the original bytes."""
DEATHS: Final = "Jetmesh-Deaths"
"""On the mark of a message that runs alone: processes that died of it so far, and this run."""

TRACE_TO: Final = "Nats-Trace-Dest"
"""Where servers tell what they do with a message (ADR-41 of the server)."""
TRACE_ONLY: Final = "Nats-Trace-Only"
"""`true`: they tell it, and do not do it."""
# on a state's message, and on what comes again to one (ADR-0033)
APPLIED: Final = "Jetmesh-Applied"
"""Which inputs are in the state."""
FOLLOWING: Final = "Jetmesh-Following"
"""What follows from this step, and is published behind it."""
CAUSE: Final = "Jetmesh-Cause"
"""Of the newest input, as a message id: a state's message has none, which could be taken."""
BY_HAND: Final = "by hand"
"""The value of `CAUSE` where an operator moved a process."""
LINE: Final = "Jetmesh-Line"
"""On what left an ordered handler's durable undone: `again`, `waits <n>` or `drop` (ADR-0036)."""
NOTED: Final = "Jetmesh-Noted"
"""`<subject>:<sequence>` of the state's message that knows of an input on a lane."""
DEADLINES: Final = "Jetmesh-Deadlines"
"""Which deadlines of its key a state keeps (ADR-0035)."""
DEADLINE: Final = "Jetmesh-Deadline"
"""On a lane: this rings for a deadline. Only our own lane streams are believed to say so."""

SERVERS: Final = "nats-"
"""How headers begin that a server reads or writes, in lower case."""
_OURS: Final = (SERVERS, "jetmesh-")
_legal = re.compile(r"[^:\s]+:[^\r\n]*")


def carried(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers that a message keeps on its way: its version, and those that others gave it."""
    return {
        name: value
        for name, value in headers.items()
        if (name == EVENT_VERSION or not name.lower().startswith(_OURS))
        and _legal.fullmatch(f"{name}:{value}")
    }
