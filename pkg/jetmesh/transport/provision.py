"""Streams and durables: what differs between declaration and server, and making it equal.

Everything goes over the raw API. nats-py's `add_consumer` updates what is there without a word
and drops fields it does not know; `action: create` refuses instead (10148).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

from jetmesh.declare import DurableSpec, Duration, SlotSpec, StreamSpec, Topology
from jetmesh.declare.permissions import covers
from jetmesh.errors import DriftError
from jetmesh.protocol.streams import LANES
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.seam import Control
from jetmesh.transport.stored import ApiError, if_exists

IN_LANES: Final = f"its lanes are in {LANES} still, as before 0.3; jetmesh apply moves them"
"""Why a lane stream is refused to whoever moves nothing."""
_BEHIND: Final = "by_start_sequence"
MAX_WAITING: Final = 2048
"""Open pull requests of a durable; it cannot be changed later, and beyond it they are ignored."""

_NANOSECONDS: Final = frozenset({"ack_wait", "max_age", "duplicate_window", "inactive_threshold"})
_UPDATABLE_STREAM: Final = frozenset(
    {"subjects", "description", "max_age", "max_bytes", "num_replicas", "duplicate_window"}
    | {"allow_direct", "discard", "max_msgs", "max_msgs_per_subject", "no_ack"}
)
_UPDATABLE_DURABLE: Final = frozenset(
    {"description", "ack_wait", "max_ack_pending", "filter_subjects", "max_deliver"}
    | {"backoff", "headers_only", "inactive_threshold", "max_batch", "max_expires"}
)


Action: TypeAlias = Literal["create", "update", "move", "refuse"]
"""`move`: what a stream holds goes to others, which is not done here (ADR-0019)."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field that differs."""

    name: str
    server: Any
    declared: Any

    @property
    def texts(self) -> tuple[str, str]:
        """What the server has and what is declared, as people write it."""
        return self._text(self.server), self._text(self.declared)

    def _text(self, value: Any) -> str:
        return str(Duration(value / 1e9)) if self.name in _NANOSECONDS else str(value)

    def __str__(self) -> str:
        server, declared = self.texts
        return f"{self.name} is {server}, declared {declared}"


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be done to one stream or durable."""

    action: Action
    kind: Literal["stream", "durable"]
    name: str
    """`ORDERS`, or `ORDERS/payments-charge`."""
    fields: tuple[Field, ...] = ()
    reason: str = ""
    """Why it is refused, or what to know about it."""
    note: str = ""
    """Where something that is made begins."""
    loses_data: bool = False
    """Refused only until losing data is allowed."""
    config: dict[str, Any] | None = None
    """What the server is asked to hold."""

    def __str__(self) -> str:
        differences = ", ".join(map(str, self.fields))
        text = f"{self.kind} {self.name}: {differences or 'missing'}"
        return f"{text} ({self.reason})" if self.reason else text


@dataclass(frozen=True, slots=True)
class Plan:
    """The difference between a topology and a server."""

    changes: tuple[Change, ...]
    known: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    """What the server says of each durable that is there, by names such as
    `ORDERS/payments-charge`."""

    @property
    def moves(self) -> bool:
        """Whether something is to be moved from a stream to others."""
        return any(change.action == "move" for change in self.changes)

    @property
    def refused(self) -> tuple[Change, ...]:
        return tuple(change for change in self.changes if change.action == "refuse")


async def plan(
    control: ControlPlane, topology: Topology, *, floors: Mapping[str, int] | None = None
) -> Plan:
    """Compare declaration and server, field by field; nothing is changed.

    A durable that is missing begins as it is declared, or behind its ack floor in `floors`, by
    names such as `ORDERS/payments-charge`.

    Raises:
        BrokerError: the server does not answer.
    """
    changes: list[Change | None] = []
    known: dict[str, dict[str, Any]] = {}
    for stream in topology.streams:
        found = await if_exists(control.api(f"STREAM.INFO.{stream.name}"))
        changes.append(await _stream_change(control, stream, found))
    durables: tuple[DurableSpec | SlotSpec, ...] = (*topology.durables, *topology.slots)
    for durable in durables:
        found = await if_exists(control.api(f"CONSUMER.INFO.{durable.stream}.{durable.name}"))
        floor = (floors or {}).get(durable.path)
        changes.append(durable_change(durable, found and found["config"], floor))
        if found:
            known[durable.path] = found
    return Plan(tuple(filter(None, changes)), known)


async def apply(control: ControlPlane, planned: Plan, *, allow_data_loss: bool = False) -> None:
    """Make the server equal to the declaration, but move nothing.

    Raises:
        DriftError: a change is refused, or a concurrent one came first; nothing was changed by
            this one then.
        BrokerError: the server does not answer.
    """
    accept(planned, allow_data_loss=allow_data_loss)
    for change in (each for each in planned.changes if each.action != "move"):
        await make(control, change)


def accept(planned: Plan, *, allow_data_loss: bool = False) -> None:
    """Return if the whole plan can be carried out.

    Raises:
        DriftError: a change is refused.
    """
    refused = [c for c in planned.refused if not (allow_data_loss and c.loses_data)]
    if refused:
        lossy = any(change.loses_data for change in refused)
        raise DriftError(
            f"Nothing was changed. {'; '.join(map(str, refused))}.",
            remedy="--allow-data-loss does it all the same." if lossy else "",
        )


def stream_config(spec: StreamSpec) -> dict[str, Any]:
    """The configuration that the server is asked to hold for a stream."""
    return {
        "name": spec.name,
        "description": spec.description,
        "subjects": list(spec.subjects),
        # a decision holds for as long as its event is stored: Limits, never interest (ADR-0002)
        "retention": "limits",
        "storage": "file",
        # a full stream refuses, it never forgets; one with schedules may not refuse, but has no
        # limit that could make it forget
        "discard": "old" if spec.schedules else "new",
        **({"allow_msg_schedules": True} if spec.schedules else {}),
        # these two can never be taken back
        **({"deny_delete": True, "deny_purge": True} if spec.append_only else {}),
        "max_age": spec.tuning.max_age.ns,
        "max_bytes": spec.tuning.max_bytes,
        "max_msgs": -1,
        "max_msgs_per_subject": spec.history,
        "no_ack": False,  # without PubAcks no input would ever be acked
        "sealed": False,
        "num_replicas": spec.tuning.replicas,
        "duplicate_window": spec.tuning.duplicate_window.ns,
        "allow_direct": True,
    }


def durable_config(spec: DurableSpec | SlotSpec, behind: int | None = None) -> dict[str, Any]:
    """The configuration that the server is asked to hold for a durable.

    With `behind` it does not begin where it is declared to, but behind that sequence: it was
    lost, and so far it had come.
    """
    if isinstance(spec, SlotSpec):
        return _slot_config(spec)
    begin: dict[str, Any] = {"deliver_policy": "new" if spec.start == "new" else "all"}
    if behind is not None:
        begin = {"deliver_policy": _BEHIND, "opt_start_seq": behind + 1}
    return {
        "durable_name": spec.name,
        "description": spec.description,
        "ack_policy": "explicit",
        **begin,
        "filter_subjects": list(spec.filters),
        "ack_wait": spec.policy.ack_wait.ns,
        "max_ack_pending": spec.policy.max_ack_pending,
        # attempts are the mesh's to count: past the server's limit a message would just vanish
        "max_deliver": -1,
        "max_waiting": MAX_WAITING,
        "replay_policy": "instant",
        "backoff": [],  # it would distort the delays of our retries
        "headers_only": False,
        "inactive_threshold": 0,  # a durable outlives its service
        "mem_storage": False,
        # a request beyond these is refused for ever
        "max_batch": 0,
        "max_expires": 0,
    }


def _slot_config(spec: SlotSpec) -> dict[str, Any]:
    """Where it begins, whoever takes it says; that is nothing to be kept in several copies."""
    return {
        "durable_name": spec.name,
        "description": spec.description,
        "ack_policy": "none",
        "deliver_policy": "all",
        "filter_subjects": list(spec.filters),
        "max_waiting": MAX_WAITING,
        "replay_policy": "instant",
        "num_replicas": 1,
        "headers_only": False,
        "inactive_threshold": 0,
        "mem_storage": False,
        "max_batch": 0,
        "max_expires": 0,
    }


async def _stream_change(
    control: ControlPlane, spec: StreamSpec, found: dict[str, Any] | None
) -> Change | None:
    declared = stream_config(spec)
    if found is None:
        reason = _taken(spec, await _holders(control, spec))
        action: Action = "refuse" if reason else "create"
        return Change(action, "stream", spec.name, reason=reason, config=declared)
    fields = tuple(_differences(declared, found["config"]))
    if not fields:
        return None
    config = {**found["config"], **declared}
    fixed = [f.name for f in fields if f.name not in _UPDATABLE_STREAM]
    if fixed:
        reason = f"{', '.join(fixed)} cannot be changed; move the events to a new stream"
        return Change("refuse", "stream", spec.name, fields, reason)
    if losses := [*_losses(fields, found)]:
        reason = f"would lose events: {', '.join(losses)}"
        return Change("refuse", "stream", spec.name, fields, reason, loses_data=True, config=config)
    return Change("update", "stream", spec.name, fields, config=config)


def durable_change(
    spec: DurableSpec | SlotSpec, actual: dict[str, Any] | None, behind: int | None = None
) -> Change | None:
    """How a durable on the server differs from its declaration; None when it is as declared.

    Where the server has none, it is to be made `behind` that sequence, if any.
    """
    declared, name = durable_config(spec), spec.path
    if actual is None:
        return Change("create", "durable", name, config=durable_config(spec, behind))
    actual = dict(actual)
    if actual.get("deliver_policy") == _BEHIND:
        # it was lost once and made again: where it began says nothing about it any more
        declared["deliver_policy"] = _BEHIND
    if "filter_subject" in actual:  # one filter is stored under another name than several
        actual["filter_subjects"] = [actual.pop("filter_subject")]
    fields = tuple(_differences(declared, actual))
    fixed = [f.name for f in fields if f.name not in _UPDATABLE_DURABLE]
    if fixed:
        reason = f"{', '.join(fixed)} cannot be changed; delete the durable, or rename the handler"
        return Change("refuse", "durable", name, fields, reason)
    if not fields:
        return None
    looks_back = all(f.name != "filter_subjects" for f in fields)
    note = "" if looks_back else "what matches anew is delivered only from now on"
    return Change("update", "durable", name, fields, note, config={**actual, **declared})


def _differences(declared: dict[str, Any], actual: dict[str, Any]) -> Iterator[Field]:
    for name, value in declared.items():
        # the server leaves out what is zero
        found = actual.get(name, type(value)())
        if isinstance(value, list):
            found, value = sorted(found), sorted(value)  # noqa: PLW2901 - order means nothing
        if found != value:
            yield Field(name, found, value)


def _losses(fields: Iterable[Field], found: dict[str, Any]) -> Iterator[str]:
    """Fields whose new value would delete what is stored now, or store less from now on."""
    state = found["state"]
    for each in fields:
        shortens = each.name == "max_age" and 0 < each.declared < (each.server or math.inf)
        if shortens and state["messages"]:
            yield f"max_age {each.declared / 1e9:g}s"
        if each.name == "max_bytes" and 0 < each.declared < state["bytes"]:
            yield f"max_bytes {each.declared}, {state['bytes']} are stored"
        if each.name == "subjects":
            for subject in each.server:
                if not any(covers(pattern, subject) for pattern in each.declared):
                    yield f"{subject} would not be stored any more"


def _taken(spec: StreamSpec, holders: list[str]) -> str:
    """Why a stream cannot be made, as others hold its subjects; empty when none do."""
    if spec.schedules and holders == [LANES]:
        return IN_LANES
    return f"its subjects belong to the stream {', '.join(holders)} already" if holders else ""


async def _holders(control: ControlPlane, spec: StreamSpec) -> list[str]:
    """Streams of other names that hold our subjects."""
    found: list[str] = []
    for subject in spec.subjects:
        found += await control.holders(subject)
    return [*dict.fromkeys(found)]


async def make(control: Control, change: Change) -> None:
    """Make one change, whatever it is.

    Raises:
        DriftError: the server refuses it, or a concurrent one came first.
        BrokerError: the server does not answer.
    """
    stream, _, durable = change.name.partition("/")
    verb = "CREATE" if change.action == "create" else "UPDATE"
    try:
        if change.kind == "stream":
            await control.api(f"STREAM.{verb}.{stream}", change.config)
        else:
            body = {"stream_name": stream, "config": change.config, "action": verb.lower()}
            await control.api(f"CONSUMER.CREATE.{stream}.{durable}", body)
    except ApiError as error:
        raise DriftError(
            f"{change.kind} {change.name}: {error.description} ({error.err_code}).",
            remedy="Somebody changed it meanwhile, or the server has no room: plan again.",
        ) from error
