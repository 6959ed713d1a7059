"""Everything that was seen, and nothing that was concluded from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Literal

from jetmesh.declare import DurableSpec, Handler, Topology
from jetmesh.operate.asking.answers import (
    Account,
    DurableInfo,
    Endpoint,
    Folds,
    Instance,
    StreamInfo,
    Varz,
)
from jetmesh.operate.deadletters.letter import Group
from jetmesh.operate.deadlines.waiting import Waiting
from jetmesh.operate.processes.standing import Standing
from jetmesh.operate.undeclared import Undeclared
from jetmesh.transport.provision import Change


@dataclass(frozen=True, slots=True)
class BrokerProblem:
    """Why the broker could not be asked."""

    kind: Literal["absent", "refuses", "old", "no JetStream"]
    why: str


@dataclass(frozen=True, slots=True)
class Server:
    """The server that we are connected to."""

    url: str
    name: str = ""
    """Its id, unless somebody named it."""
    version: str = ""
    cluster: str = ""
    """Empty when it stands alone."""
    max_payload: int = 1 << 20
    elsewhere: str = ""
    """A sentence about a mesh of this project that runs at another address."""
    tls_unasked: bool = False
    """Encrypted, though the settings do not ask for it."""


@dataclass(frozen=True, slots=True)
class FailedQuery:
    """A question that got no answer."""

    what: str
    """`stream ORDERS`, `services`, `/varz of http://…`."""
    why: str
    denied: bool = False
    """A permission is missing; else what answers is wrong, or nothing does."""


@dataclass(frozen=True, slots=True)
class QuarantineMark:
    """A mark: a process handles this message alone, or died of it."""

    subject: str
    deaths: int


@dataclass(frozen=True, slots=True)
class Lane:
    """What is open on the lane of one handler."""

    service: str
    handler: str
    stream: str = ""
    due: int = 0
    """Due now."""
    scheduled: int = 0
    """Retries that wait for their time."""
    quarantined: tuple[QuarantineMark, ...] = ()
    oldest: datetime | None = None


@dataclass(frozen=True, slots=True)
class ParkedHandler:
    """Keys that wait in one handler behind messages that failed."""

    about: str
    """`payments.charge`."""
    keys: int
    messages: Mapping[str, int]
    """How many wait behind which message, `PURCHASES:7`; of the first keys."""
    is_ordered: bool = True
    """It keeps order still; one that does not any more lets go what waits."""


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """What the monitoring port of one server says."""

    url: str
    varz: Varz
    unhealthy: str = ""
    """What /healthz complains about."""


@dataclass(frozen=True, slots=True)
class CrowdedKey:
    """A key that can remember few more inputs."""

    key: str
    above: int
    """Inputs above the ack floor that it remembers one by one."""
    waiting: int
    """Inputs that failed, and come again."""


@dataclass(frozen=True, slots=True)
class StateLook:
    """What the newest messages of a state's stream say."""

    state: str
    stream: str
    crowded: tuple[CrowdedKey, ...] = ()
    forged: tuple[tuple[str, str], ...] = ()
    """Place, and why no step can have written it."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The system at one moment."""

    at: float
    """Seconds of a clock that only counts."""
    taken_at: datetime
    account: Account | None = None
    """None when the cluster has nobody who could tell."""
    streams: Mapping[str, StreamInfo] = field(default_factory=dict)
    durables: Mapping[tuple[str, str], DurableInfo] = field(default_factory=dict)
    """Every durable on the declared streams, by stream and name, whoever made it."""
    without_leader: tuple[str, ...] = ()
    """Durables that are there and do not answer, as `ORDERS/payments-charge`."""
    silent: Mapping[str, str] = field(default_factory=dict)
    """Streams that do not answer, and how."""
    headless: tuple[str, ...] = ()
    """What nobody could be asked about, because JetStream has no leader."""
    lanes: tuple[Lane, ...] = ()
    overdue: tuple[Waiting, ...] = ()
    """Deadlines whose time has come, and that lost their alarm."""
    stuck: tuple[Standing, ...] = ()
    """Processes that stand where nothing leads on."""
    parked: tuple[ParkedHandler, ...] = ()
    letters: tuple[Group, ...] = ()
    """Open ones by fault."""
    states: tuple[StateLook, ...] = ()
    undeclared: tuple[Undeclared, ...] = ()
    """What the streams store that nobody declares."""
    mapped: Mapping[str, str] = field(default_factory=dict)
    """What decides, and under which other subject a server's configuration has it stored."""
    refusals: Mapping[str, int] = field(default_factory=dict)
    """By `service.handler`."""
    instances: tuple[Instance, ...] | None = ()
    """None when services could not be asked."""
    not_ready: Mapping[str, str] = field(default_factory=dict)
    """Services of `jetmesh up` that are not ready, and what their /readyz says."""
    server_statuses: tuple[ServerStatus, ...] = ()
    clocks: Mapping[str, float] = field(default_factory=dict)
    """Seconds by which the clock of a server is ahead of ours."""
    failed_queries: tuple[FailedQuery, ...] = ()


EMPTY: Final = Snapshot(at=0.0, taken_at=datetime.fromtimestamp(0, UTC))
"""A snapshot of nothing."""


@dataclass(frozen=True, slots=True)
class DurableStatus:
    """A declared durable, now and before."""

    spec: DurableSpec
    handler: Handler
    info: DurableInfo
    before: DurableInfo | None

    @property
    def delivered(self) -> int:
        """Deliveries between the two snapshots."""
        if self.before is None:
            return 0
        return self.info.delivered.consumer_seq - self.before.delivered.consumer_seq


@dataclass(frozen=True, slots=True)
class Facts:
    """What all checks are given."""

    topology: Topology
    server: Server
    broker_problem: BrokerProblem | None = None
    """When it is there, nothing else could be asked."""
    production: bool = False
    """Somebody else applies, or several servers are at work: data are meant to survive one."""
    changes: tuple[Change, ...] = ()
    """What `jetmesh plan` shows."""
    now: Snapshot = EMPTY
    before: Snapshot | None = None

    @property
    def elapsed(self) -> float:
        """Seconds between the two snapshots."""
        return self.now.at - self.before.at if self.before else 0.0

    def durables(self) -> Iterator[DurableStatus]:
        """Every declared durable that the server has."""
        handlers = {handler.durable: handler for handler in self.topology.handlers}
        for spec in self.topology.durables:
            key = (spec.stream, spec.name)
            info = self.now.durables.get(key)
            if info is not None:
                before = self.before.durables.get(key) if self.before else None
                yield DurableStatus(spec, handlers[spec.name], info, before)

    def stream_before(self, name: str) -> StreamInfo | None:
        """A stream as it was in the snapshot before."""
        return self.before.streams.get(name) if self.before else None

    def age(self, at: datetime) -> float:
        """Seconds that had gone by since."""
        return max((self.now.taken_at - at).total_seconds(), 0.0)

    def instances_of(self, service: str) -> tuple[Instance, ...]:
        """Processes of a service that answered in either snapshot."""
        snapshots = [each for each in (self.before, self.now) if each is not None]
        found = {
            each.id: each
            for snapshot in snapshots
            for each in snapshot.instances or ()
            if each.name == service
        }
        return tuple(found[key] for key in sorted(found))

    def instances(self) -> Iterator[Instance]:
        """Those of all declared services."""
        for service in self.topology.services:
            yield from self.instances_of(service.name)

    def endpoints(self) -> Iterator[tuple[str, Instance, Endpoint]]:
        """What each of them says of a handler, `payments.charge`."""
        for instance in self.instances():
            for each in instance.endpoints or ():
                yield f"{instance.name}.{each.name}", instance, each

    def folds(self) -> Iterator[tuple[Instance, Folds]]:
        """What each of them says of a read model and one stream."""
        for instance in self.instances():
            for each in instance.read_models or ():
                yield instance, each
