"""The declared events against all that was released: what breaks or changes, and for whom."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import msgspec
from msgspec import UNSET, Struct

from jetmesh.declare import EventSpec, StateSpec, Topology
from jetmesh.errors import ContractViolation
from jetmesh.operate.evolution.compare import Issue, compare
from jetmesh.operate.evolution.describe import contract_of
from jetmesh.operate.evolution.descriptor import Contract
from jetmesh.operate.evolution.generate import payloads
from jetmesh.operate.evolution.readers import check_reads, readers_of
from jetmesh.operate.evolution.released import Release, Released
from jetmesh.protocol.versions import said
from jetmesh.transport.reader import NewerVersion, reader_of

Who: TypeAlias = Literal["new reads old", "old reads new"]
_NEW_READS_OLD: Final = "new reads old"
_TRIED: Final = 150
"""Payloads that are made of a contract."""
_VERSION: Final = "or write version={next} and say with @upcasts({version}, {event}) how it is made"
_REMEDIES: Final = {
    "missing": "Give it a default, or keep its name in JSON: field(name=…)",
    "renamed": "Keep its name in JSON: {field}: … = field(name=…)",
    "removed": "Keep the field until nobody reads it",
    "default": "Keep the default, or write it: no omit_defaults",
    "value": "Read the old values, too: a member each, or a `_missing_`",
    "others": "Keep the member",
    "tag": "Keep tag and tag_field as they were",
    "unknown": "Remove forbid_unknown_fields",
    "swapped": "Keep the order of the fields; no array_like",
    "set": "Keep the list",
    "rounded": "Keep int, or write Decimal",
    "constraint": "Loosen the constraint to what was allowed",
    "length": "Loosen the length to what was allowed",
    "code": "Let `jetmesh can-deploy` read what is stored",
    "key": "Move the event to a new subject",
}


class Finding(Struct, frozen=True, kw_only=True):
    """What a change does to those who read the event."""

    event: str
    path: str
    verdict: Literal["red", "yellow"]
    who: Who
    release: str
    """The release that is stored, or that still runs."""
    what: str
    rule: str
    sample: str = ""
    """A payload in JSON that shows it; empty: none was found."""
    writer_sees: str = ""
    reader_sees: str = ""
    readers: list[str] = []
    """Who looks at the field."""
    stops: list[str] = []
    """Who cannot read the event at all any more."""
    remedy: str = ""


class Result(Struct, frozen=True, kw_only=True):
    findings: list[Finding] = []
    unreleased: list[str] = []
    """Events that differ from their newest release, all of them fine if nothing is found."""
    checked: int = 0
    """Releases that were compared."""


def check(topology: Topology, released: Released) -> Result:
    """Compare the declared events with every release.

    Raises:
        UsageError: `reads=` names a field that is none.
    """
    findings: list[Finding] = []
    unreleased: list[str] = []
    for spec in topology.events:
        declared = contract_of(spec)
        check_reads(topology, spec, declared.type)
        own = _Event(topology, spec, declared)
        history = released.of_event(spec.subject)
        for release in history:
            findings += own.against(release)
        if not history or history[-1].contract != declared or history[-1].version != spec.version:
            unreleased.append(spec.subject)
    return Result(findings=_once(findings), unreleased=unreleased, checked=len(released.every))


def _once(findings: list[Finding]) -> list[Finding]:
    """Each thing once, with the oldest release that shows it; what breaks comes first."""
    found: dict[tuple[str, ...], Finding] = {}
    for each in findings:
        found.setdefault((each.event, each.path, each.rule, each.who), each)
    return sorted(found.values(), key=lambda each: each.verdict != "red")


class _Shown(NamedTuple):
    """A payload that shows an issue, and what both types make of it."""

    sample: str = ""
    writer_sees: str = ""
    reader_sees: str = ""


_NOTHING: Final = _Shown()


class _Event:
    """One declared event."""

    def __init__(self, topology: Topology, spec: EventSpec, declared: Contract) -> None:
        self.topology, self.spec, self.declared = topology, spec, declared
        self.loose = spec in topology.from_outside

    def against(self, release: Release) -> Iterator[Finding]:
        if release.version > self.spec.version:
            what = f"version {release.version} was released, and {self.spec.version} is declared"
            yield self._finding(Issue("", "red", what, "version"), release, _NEW_READS_OLD)
        elif release.version < self.spec.version:
            yield from self._upcast(release)
        else:
            yield from self._same_version(release)

    def _same_version(self, release: Release) -> Iterator[Finding]:
        before, now = release.contract, self.declared
        if before == now:
            return
        for name in ("key", "decision"):
            old, new = getattr(before, name), getattr(now, name)
            if old != new:
                issue = Issue("", "red", f"its {name} was {old!r} and is {new!r}", "key")
                yield self._finding(issue, release, _NEW_READS_OLD)
        old, new = release.type, self.spec.type
        written = {*release.samples, *payloads(before, tries=_TRIED, loose=self.loose)}
        for issue in compare(before.type, now.type, loose=self.loose):
            shown = _shown(issue, written, writer=old, reader=new)
            yield self._finding(issue, release, _NEW_READS_OLD, shown)
        written = {*payloads(now, tries=_TRIED, loose=self.loose)}
        for issue in compare(now.type, before.type, loose=self.loose, forward=True):
            shown = _shown(issue, written, writer=new, reader=old)
            yield self._finding(issue, release, "old reads new", shown)

    def _upcast(self, release: Release) -> Iterator[Finding]:
        """What was released of an older version, through the upcasters, as what is stored goes."""
        if release.version < self.spec.oldest:
            return
        reader = reader_of(self.spec)
        made = payloads(release.contract, tries=_TRIED, loose=self.loose)
        for payload in (*release.samples, *made):
            try:
                reader.read_stored(payload, said(release.version))
            except (ContractViolation, NewerVersion, msgspec.DecodeError) as error:
                what = str(error)
            except Exception as error:  # noqa: BLE001 - a contract's own check may raise anything
                what = f"version {release.version} cannot be read: {error!r}"
            else:
                continue
            issue = Issue("", "red", what.rstrip("."), "upcaster")
            yield self._finding(issue, release, _NEW_READS_OLD, _Shown(payload.decode()))
            return

    def _finding(
        self, issue: Issue, release: Release, who: Who, shown: _Shown = _NOTHING
    ) -> Finding:
        return Finding(
            event=self.spec.subject,
            path=issue.path,
            verdict=issue.verdict,
            who=who,
            release=str(release.name),
            what=issue.what,
            rule=issue.rule,
            sample=shown.sample,
            writer_sees=shown.writer_sees,
            reader_sees=shown.reader_sees,
            readers=readers_of(self.topology, self.spec, issue.path),
            stops=readers_of(self.topology, self.spec, "") if issue.verdict == "red" else [],
            remedy=self._remedy(issue),
        )

    def _remedy(self, issue: Issue) -> str:
        if issue.rule == "upcaster":
            return "Correct the upcaster; `jetmesh contracts check` runs it again."
        if issue.rule == "version":
            return f"Write version={self.spec.version + 1}: versions are only counted up."
        field = issue.path.rpartition(".")[2]
        first = _REMEDIES.get(issue.rule, "Keep the type").format(field=field)
        process = self.spec.process if isinstance(self.spec, StateSpec) else None
        if process and field == process.wire_field(self.spec.type):
            first = "Keep every step, with former=(…) for one that nothing leads to any more"
        version = self.spec.version
        other = _VERSION.format(next=version + 1, version=version, event=self.spec.name)
        return f"{first}, {other}." if issue.rule != "key" else f"{first}."


def _shown(issue: Issue, written: Collection[bytes], *, writer: Any, reader: Any) -> _Shown:
    """The shortest payload that shows an issue; an empty one where none does."""
    for payload in sorted(written, key=lambda each: (len(each), each)):
        sees, sees_then = (_seen(kind, payload, issue.path) for kind in (writer, reader))
        breaks = sees_then.startswith("refused: ")
        if breaks if issue.verdict == "red" else sees != sees_then and not breaks:
            return _Shown(payload.decode(), sees, sees_then)
    return _NOTHING


def _seen(kind: Any, payload: bytes, path: str) -> str:
    """What a reader finds at the path; "nothing" where its type has no such field."""
    try:
        value = msgspec.json.decode(payload, type=kind)
    except Exception as error:  # noqa: BLE001 - a contract's own check may raise anything
        return f"refused: {error}"
    for name in [each for each in path.replace("[", ".[").split(".") if each]:
        place = int(name[1:-1] or 0) if name.startswith("[") else None
        try:
            value = list(value)[place] if place is not None else _member(value, name)
        except (LookupError, AttributeError, TypeError):
            return "nothing"
    if value is UNSET:
        return "nothing"
    try:
        return msgspec.json.encode(value, order="deterministic").decode()
    except TypeError:
        return repr(value)


def _member(value: Any, name: str) -> Any:
    if isinstance(value, Struct):
        names = dict(zip(value.__struct_encode_fields__, value.__struct_fields__, strict=True))
        return getattr(value, names[name])
    return value[name] if isinstance(value, dict) else getattr(value, name)
