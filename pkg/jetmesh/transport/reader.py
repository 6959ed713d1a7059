"""The event in a stored message: whoever published it, however, and in which version (ADR-0026)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from typing import Any, Final

import msgspec

from jetmesh import wire
from jetmesh.declare import EventSpec
from jetmesh.errors import ContractViolation
from jetmesh.privacy.mask import masked_violation, name_of, text_of
from jetmesh.protocol import headers as header
from jetmesh.protocol.content import CLOUDEVENTS, PLUS, UNDECODED, event_json
from jetmesh.protocol.ids import cause_of
from jetmesh.protocol.versions import MARK, WHICHEVER, said, version_in

_REMOVAL: Final = header.MARKER_REASON.encode()
_STEP: Final = header.APPLIED.encode()
_raw = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal).decode
_encode = msgspec.json.Encoder(decimal_format="number").encode
_path = re.compile(r" - at `(\$[^`]*)`$")
"""Where msgspec says that a value is wrong."""
_missing = re.compile(r"missing required field `(\w+)`")


class Removed(Exception):  # noqa: N818 - no error: the server says so of its own accord
    """What was stored on its subject is gone: the server marks that, or a state was forgotten."""


class NewerVersion(Exception):  # noqa: N818 - no error: newer code is to read it
    """The event is of a version that this code does not know yet."""

    def __init__(self, spec: EventSpec, version: int) -> None:
        super().__init__(
            f"version {version} of {spec.subject} is stored, and this code knows {spec.version}"
        )


UNREADABLE: Final = (*UNDECODED, ContractViolation, NewerVersion)
"""What reading raises where there is no event; a contract's own check may raise anything else."""


class Reader:
    """Reads the events of one type: every version of it, whatever stands around them."""

    def __init__(self, spec: EventSpec) -> None:
        self.spec = spec
        self.decode = msgspec.json.Decoder(spec.type).decode
        """The event in a payload that is nothing but the JSON of the newest version."""
        newest = said(spec.version)
        self.newest = wire.block(newest)[:-2] if newest else b""
        """How the headers of the newest version begin, as the mesh writes them; empty when there is
        only one version, which says nothing."""

    def is_special(self, headers: bytes) -> bool:
        """Whether headers with a `PLUS` tell of an envelope, or of a version."""
        return CLOUDEVENTS in headers or MARK in headers

    def read(self, payload: bytes, headers: bytes) -> Any:
        """The event in a message, of whatever version, within an envelope or behind a mark, too.

        Raises:
            Removed: there is none: the server tells that others are gone, and why.
            NewerVersion: other code reads it.
            ContractViolation: its version was dropped, or cannot be made the newest one.
            msgspec.DecodeError, UnicodeError, RecursionError: it cannot be read.
        """
        if newest := self.newest:
            is_plain = headers.startswith(newest) and PLUS not in headers[len(newest) :]
        else:
            is_plain = PLUS not in headers or not self.is_special(headers)
        if is_plain:
            try:
                return self.decode(payload)
            except UNDECODED:
                pass
        values = wire.parse(headers).values if headers else {}
        if not payload and (_REMOVAL in headers or _STEP in headers):
            raise Removed(values.get(header.MARKER_REASON, "forgotten"))
        return self.read_stored(payload, values)

    def read_stored(self, payload: bytes, headers: Mapping[str, str]) -> Any:
        """What `read` finds, where the headers were read already, and a mark is no event."""
        found, version = event_json(payload, headers), self.version_of(headers)
        if version == self.spec.version:
            return self.decode(found)
        if version == WHICHEVER:
            return self._newest_that_decodes(found)
        return self._upcast(found, version)

    def is_newer(self, headers: bytes) -> bool:
        """Whether these are the headers of a version that this code does not know yet."""
        if MARK not in headers:
            return False
        try:
            return self.version_of(wire.parse(headers).values) > self.spec.version
        except ContractViolation:
            return False

    def leaves_open(self, headers: Mapping[str, str]) -> bool:
        """Whether a message with these headers may be of any version, and does not say so."""
        return header.EVENT_VERSION not in headers and self.version_of(headers) == WHICHEVER

    def version_of(self, headers: Mapping[str, str]) -> int:
        """The version of a message with these headers; `WHICHEVER` when they leave it open.

        One that says none is of version 1, unless it comes from outside: nobody there has to know
        how the mesh writes that. What takes part in a decision, has an id of a handler's, or stands
        for another message or is a step of a state, does not.

        Raises:
            ContractViolation: the header is no version.
        """
        try:
            found = version_in(headers)
        except ValueError as error:
            raise ContractViolation(f"{self.spec.subject}: {error}") from None
        if found is not None:
            return found
        return 1 if self.spec.version == 1 or self.says_made_here(headers) else WHICHEVER

    def says_made_here(self, headers: Mapping[str, str]) -> bool:
        """Whether a message with these headers claims to be of a handler, or can be of nobody else.

        Only what takes part in a decision is sure to be: who may publish chooses the headers.
        """
        if self.spec.decision or header.STREAM in headers or header.APPLIED in headers:
            return True
        return cause_of(wire.legible(headers.get(header.MESSAGE_ID, ""))) is not None

    def _newest_that_decodes(self, payload: bytes) -> Any:
        try:
            return self.decode(payload)
        except UNREADABLE:
            for version in range(self.spec.version - 1, self.spec.oldest - 1, -1):
                try:
                    return self._upcast(payload, version)
                except UNREADABLE:
                    continue
            raise

    def _upcast(self, payload: bytes, version: int) -> Any:
        """Through every upcaster from `version` on; the type itself reads what the last one made.

        Read from JSON once more, so that it is judged as any payload is.
        """
        spec = self.spec
        if version > spec.version:
            raise NewerVersion(spec, version)
        if version < spec.oldest:
            raise ContractViolation(
                f"{spec.subject}: version {version} was dropped, the oldest that is read is "
                f"{spec.oldest}"
            )
        value = _raw(payload)
        for each in range(version, spec.version):
            value = self._stepped(value, each)
        try:
            made = _encode(value)
        except Exception as error:  # noqa: BLE001 - a value of any type may raise anything
            raise self._violation(spec.version - 1, f"returned no JSON: {name_of(error)}") from None
        try:
            return self.decode(made)
        except UNDECODED as error:
            text = text_of(error)
            what = f"returned what does not fit: {masked_violation(text, made, spec.type)}"
            raise self._violation(spec.version - 1, what, field_at_fault(text)) from None

    def _stepped(self, value: dict[str, Any], version: int) -> dict[str, Any]:
        if version not in self.spec.upcasters:
            raise ContractViolation(f"{self.spec.subject}: version {version} has no upcaster")
        try:
            made = self.spec.upcasters[version].function(value)
        except Exception as error:
            # its text may quote personal data under names that the newest type no longer has
            violation = self._violation(version, f"raised {name_of(error)}")
            raise violation.with_traceback(error.__traceback__) from error
        if not isinstance(made, dict):
            raise self._violation(version, f"returned {type(made).__name__}, no mapping")
        return made

    def _violation(self, version: int, what: str, path: str = "$") -> ContractViolation:
        by = self.spec.upcasters[version].name
        about = f"{self.spec.subject}: version {version} cannot be read, because its upcaster {by}"
        return ContractViolation(f"{about} {what}", path=path)


@cache
def reader_of(spec: EventSpec) -> Reader:
    """The reader of an event, made once."""
    return Reader(spec)


def event_in(payload: bytes, headers: bytes) -> bytes:
    """The JSON of the event in a message, without what may stand around it."""
    return event_json(payload, wire.parse(headers).values if headers else {})


def field_at_fault(text: str) -> str:
    """The field of which msgspec complains: what is missing, below what it is missing in."""
    at, missing = _path.search(text), _missing.search(text)
    return (at[1] if at else "$") + (f".{missing[1]}" if missing else "")
