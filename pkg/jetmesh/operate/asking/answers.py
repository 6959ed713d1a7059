"""What servers and services answer, as far as somebody here reads it: other fields are ignored.

The field names are those of nats-server 2.15; what is zero or false is left out by the server.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from msgspec import Struct, field

from jetmesh.transport.stored import time_of

_NEVER: Final = "0001-01-01"


class Replica(Struct, frozen=True):
    """A follower, as its leader sees it."""

    name: str
    current: bool = False
    offline: bool = False
    """It said goodbye; one that was killed is only not heard of."""
    active: int = 0
    """Nanoseconds since it was heard of."""
    lag: int = 0
    """Entries that it lacks."""


class Cluster(Struct, frozen=True):
    """Who keeps a stream or a durable."""

    name: str = ""
    """Empty on a server that stands alone."""
    leader: str = ""
    replicas: tuple[Replica, ...] = ()


class StreamConfig(Struct, frozen=True):
    """How a stream is kept."""

    name: str
    max_bytes: int = -1
    max_msg_size: int = -1
    max_age: int = 0
    """Nanoseconds; 0: for ever."""
    num_replicas: int = 1
    duplicate_window: int = 0


class StreamState(Struct, frozen=True):
    """What a stream holds."""

    messages: int = 0
    bytes: int = 0
    first_seq: int = 0
    last_seq: int = 0
    num_subjects: int = 0
    subjects: dict[str, int] = field(default_factory=dict)
    """Messages by subject, when they were asked for."""


class StreamInfo(Struct, frozen=True):
    """The answer to STREAM.INFO."""

    config: StreamConfig
    state: StreamState
    cluster: Cluster = Cluster()
    created: str = ""
    ts: str = ""


class Position(Struct, frozen=True):
    """How far a durable has come."""

    consumer_seq: int = 0
    stream_seq: int = 0
    last_active: str = ""


class DurableConfig(Struct, frozen=True):
    """How a durable delivers."""

    durable_name: str = ""
    """Empty for a reader that goes away by itself."""
    max_ack_pending: int = 0
    description: str = ""


class DurableInfo(Struct, frozen=True):
    """The answer to CONSUMER.INFO."""

    stream_name: str
    name: str
    config: DurableConfig
    delivered: Position = Position()
    ack_floor: Position = Position()
    num_ack_pending: int = 0
    num_redelivered: int = 0
    num_waiting: int = 0
    """Open pull requests."""
    num_pending: int = 0
    cluster: Cluster = Cluster()
    paused: bool = False
    ts: str = ""

    @property
    def id(self) -> str:
        """`ORDERS/payments-charge`."""
        return f"{self.stream_name}/{self.name}"

    @property
    def lag(self) -> int:
        """Messages without a verdict."""
        return self.num_pending + self.num_ack_pending

    @property
    def settled(self) -> int:
        """Deliveries that have had their verdict, about: a repeated one counts again."""
        return self.delivered.consumer_seq - self.num_ack_pending

    @property
    def idle(self) -> float | None:
        """Seconds since anything was delivered or acked; None when the server does not know."""
        seen = [stamp(self.delivered.last_active), stamp(self.ack_floor.last_active)]
        last = max((at for at in seen if at is not None), default=None)
        now = stamp(self.ts)
        return (now - last).total_seconds() if now and last else None


class Limits(Struct, frozen=True):
    """What an account may use; -1 is as much as it likes."""

    max_storage: int = -1
    max_streams: int = -1
    max_consumers: int = -1


class Tier(Struct, frozen=True):
    """What an account uses, of one replication factor or of all."""

    storage: int = 0
    streams: int = 0
    consumers: int = 0
    limits: Limits = Limits()


class Account(Tier, frozen=True):
    """The answer to INFO."""

    tiers: dict[str, Tier] = field(default_factory=dict)
    """By `R1`, `R3`; empty when one limit holds for all."""


class JetStreamConfig(Struct, frozen=True):
    """How a server keeps its files."""

    max_storage: int = 0
    sync_interval: int = 0
    """Nanoseconds between two fsyncs."""
    sync_always: bool = False


class JetStreamStats(Struct, frozen=True):
    """What a server holds of all accounts."""

    storage: int = 0


class JetStream(Struct, frozen=True):
    """The part of /varz on JetStream."""

    config: JetStreamConfig | None = None
    """None when JetStream is off, which it also is after a disk was full."""
    stats: JetStreamStats = JetStreamStats()


class Varz(Struct, frozen=True):
    """The answer to GET /varz."""

    server_name: str
    version: str = ""
    now: str = ""
    jetstream: JetStream = JetStream()


class Unread(Struct, frozen=True):
    """Stored events that a reader of an instance could not take since it began."""

    count: int = 0
    first: str = ""
    """`ORDERS:17`."""
    why: str = ""
    """Of the first, masked."""


class EndpointData(Struct, frozen=True):
    """What a handler of an instance counts beside what `nats micro` knows."""

    slow: int = 0
    """Calls that kept the event loop of its process for more than 100 ms."""
    forged: tuple[str, ...] = ()
    """Messages in the way of its outputs, as `ORDERS:17`."""
    squatted: int = 0
    """Outputs that were stored under another id, because somebody had taken theirs."""
    unread: Unread = Unread()


class Endpoint(Struct, frozen=True):
    """What a handler of an instance did since it started."""

    name: str
    num_requests: int = 0
    num_errors: int = 0
    last_error: str = ""
    data: EndpointData = EndpointData()


class Folds(Struct, frozen=True):
    """What a read model of an instance folded of one stream since it began."""

    stream: str
    folded: int = 0
    slow: int = 0
    """Events that kept the event loop of its process for more than 100 ms."""
    unread: Unread = Unread()
    strange: Unread = Unread()
    """What somebody outside sent, and it passed over."""


class Instance(Struct, frozen=True):
    """The answer of one process to $SRV.STATS (ADR-32 of NATS)."""

    name: str
    id: str
    version: str = ""
    metadata: dict[str, str] | None = None
    endpoints: list[Endpoint] | None = None
    read_models: list[Folds] | None = None

    @property
    def is_ours(self) -> bool:
        return (self.metadata or {}).get("library") == "jetmesh"

    @property
    def problem(self) -> str:
        """Why it is not ready, in its own words; empty when it is."""
        return (self.metadata or {}).get("problem", "")

    @property
    def place(self) -> str:
        """The machine or pod that it runs on, and which of its processes."""
        host = (self.metadata or {}).get("host", "")
        return f"{self.id} on {host}" if host else self.id


def stamp(text: str) -> datetime | None:
    """A time of the server; None when it names none."""
    return None if not text or text.startswith(_NEVER) else time_of(text)
