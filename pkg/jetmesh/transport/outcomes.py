"""Which messages on a decision's subjects its owner can have made (ADR-0017).

Message ids are no signature: whoever may publish on the subject can write any. What is told here is
what cannot be an outcome, whoever wrote it: another subject, a payload that breaks its contract, an
id that is none of the owner's.
"""

from __future__ import annotations

from collections.abc import Iterable

from jetmesh.declare import EventSpec, Service, escape_key, matches
from jetmesh.protocol.ids import cause_of, subject_of
from jetmesh.transport.reader import UNREADABLE, NewerVersion, reader_of
from jetmesh.transport.stored import StoredMessage


class Outcomes:
    """What a service may decide."""

    def __init__(
        self, service: str, made: Iterable[EventSpec], published: Iterable[EventSpec] = ()
    ) -> None:
        self._service = service
        self._published = frozenset(published)
        """What its code publishes itself, under ids of its own choice."""
        self._deciding = [s for s in {*made, *self._published} if s.decision]

    @classmethod
    def of(cls, service: Service) -> Outcomes:
        """All that the service may decide, whichever handler does."""
        made = [spec for handler in service.handlers for spec in handler.outputs]
        return cls(service.name, made, service.published)

    def doubt(self, stored: StoredMessage) -> str:
        """Why the service cannot have decided this, in words; empty when it can."""
        spec = next((s for s in self._deciding if matches(s.filters[-1], stored.subject)), None)
        if spec is None:
            return f"{self._service} declares no outcome on {stored.subject}"
        if why := unreadable_as(spec, stored):
            return why
        if spec in self._published:
            return ""
        made_by = cause_of(stored.message_id)
        if made_by is None or made_by.service != self._service:
            return f"its message id is none of {self._service}'s"
        if subject_of(stored.message_id) != stored.subject:
            return "its message id is that of another subject"
        return ""


def unreadable_as(spec: EventSpec, stored: StoredMessage) -> str:
    """Why a stored message is no event of `spec`, in words; empty when it is one."""
    try:
        event = reader_of(spec).read_stored(stored.payload, stored.headers)
        if spec.key and not stored.subject.endswith(f".{escape_key(getattr(event, spec.key))}"):
            return "its key is not that of its subject"
    except NewerVersion:
        return ""  # as far as this code can tell
    except UNREADABLE:
        return f"it is no {spec.name}"
    return ""
