"""Facts to examine: a small shop that is well, and what may be changed about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace as changed

from jetmesh import Service, event
from jetmesh.declare import Topology, derive
from jetmesh.operate.asking.answers import (
    Account,
    Cluster,
    DurableConfig,
    DurableInfo,
    Endpoint,
    EndpointData,
    Folds,
    Instance,
    Position,
    StreamConfig,
    StreamInfo,
    StreamState,
    Unread,
)
from jetmesh.operate.deadletters.letter import Group
from jetmesh.operate.deadlines.waiting import Waiting
from jetmesh.operate.doctor.facts import (
    CrowdedKey,
    Facts,
    FailedQuery,
    ParkedHandler,
    Server,
    Snapshot,
    StateLook,
)
from jetmesh.operate.processes.standing import Standing
from shop.loyalty import service as loyalty
from tests.unit.operate.deadletters.test_letter import letter

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
STREAM = "DOCTORED"
DURABLE = (STREAM, "desk-take")
ID = "DOCTORED/desk-take"
LACKS = Unread(12_269, "FACTS:17", "Object missing required field `checked_at`")


@event("doctored.placed", key="order_id")
class Placed(Struct, frozen=True):
    """Something to handle."""

    order_id: str


@event("doctored-out.noted", key="order_id")
class Noted(Struct, frozen=True):
    """What comes of it; no decision guards it."""

    order_id: str


desk = Service("desk", version="1.0.0")


@desk.on(Placed)
async def take(placed: Placed) -> Noted:
    """Note what was placed."""
    return Noted(placed.order_id)


packer = Service("packer", version="1.0.0")


@packer.on(Noted)
async def pack(noted: Noted) -> None:
    """Read what the desk has noted."""


def topology(**policies: Any) -> Topology:
    """The desk, with other values of its policy."""
    given = changed(desk.handlers[0].policy, **policies)
    return derive([desk], policies={("desk", "take"): given})


def stream(name: str, **values: Any) -> StreamInfo:
    """A stream that is well."""
    config = StreamConfig(name=name, num_replicas=3, duplicate_window=120_000_000_000)
    info = StreamInfo(config=config, state=StreamState(messages=5, last_seq=5), ts=said(0))
    return changed(info, **{"cluster": Cluster(name="C3", leader="a"), **values})


def durable(name: tuple[str, str] = DURABLE, **values: Any) -> DurableInfo:
    """A durable that is well: somebody pulls, nothing waits, something moved just now."""
    moved = Position(consumer_seq=5, stream_seq=5, last_active=said(-1))
    return DurableInfo(
        **{
            "stream_name": name[0],
            "name": name[1],
            "config": DurableConfig(durable_name=name[1], max_ack_pending=100),
            "delivered": moved,
            "ack_floor": moved,
            "num_waiting": 2,
            "cluster": Cluster(name="C3", leader="a"),
            "ts": said(0),
            **values,
        }
    )


def said(seconds: float) -> str:
    """A time near noon as servers write it."""
    return f"{NOON + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S.%f}123Z"


def instance(**values: Any) -> Instance:
    """A process of the desk."""
    metadata = {"library": "jetmesh", "host": "machine-1", **values.pop("metadata", {})}
    return Instance(
        **{"name": "desk", "id": "one", "version": "1.0.0", **values}, metadata=metadata
    )


def snapshot(declared: Topology | None = None, at: float = 5.0, **values: Any) -> Snapshot:
    """Everything declared is there and well."""
    declared = declared or topology()
    infos = {(d.stream, d.name): durable((d.stream, d.name)) for d in declared.durables}
    streams = {s.name: stream(s.name) for s in declared.streams}
    given: Mapping[str, Any] = {
        "account": Account(),
        "streams": streams | values.pop("streams", {}),
        "durables": infos | values.pop("durables", {}),
        "instances": (instance(),),
        **values,
    }
    return Snapshot(at=at, taken_at=NOON, **given)


def facts(
    now: Mapping[str, Any] | None = None, before: Mapping[str, Any] | None = None, **values: Any
) -> Facts:
    """A mesh that is well, looked at twice with five seconds between, but for what is given."""
    declared = values.pop("topology", None) or topology()
    server = Server("nats://127.0.0.1:4222", name="a", version="2.15.1", cluster="C3")
    return Facts(
        **{
            "topology": declared,
            "server": server,
            "now": snapshot(declared, **(now or {})),
            "before": snapshot(declared, at=0.0, **(before or {})),
            **values,
        }
    )


def flow(now: Mapping[str, Any], before: Mapping[str, Any] | None = None, **values: Any) -> Facts:
    """The same with another durable; `before` as `now` when it is not given."""
    earlier = now if before is None else before
    instances = {"instances": values.pop("instances", (instance(),))}
    return facts(
        {"durables": {DURABLE: durable(**now)}, **instances},
        {"durables": {DURABLE: durable(**earlier)}, **instances},
        **values,
    )


def unreadable(error: str = "ContractViolation", where: str = "field $.order_id") -> Group:
    """What the packer could not read."""
    fault = {"where": where, "error": error, "fingerprint": "f1"}
    return Group(letter(5, "deadletters.packer.pack.p-1", **fault), NOON, {"open": 3})


def both(**now: Any) -> Facts:
    """The desk, and the packer who reads what it writes."""
    told = instance(name="packer", id="two", **now.pop("packer", {}))
    return facts({"instances": (instance(), told), **now}, topology=derive([desk, packer]))


def skipping() -> Facts:
    """The desk's read model lacks events."""
    return facts({"instances": (instance(read_models=[Folds("FACTS", 7, unread=LACKS)]),)})


def strange() -> Facts:
    """Somebody outside sent what the desk's read model passed over."""
    told = Folds("FACTS", 7, strange=Unread(2, "FACTS:17", "Expected `str`"))
    return facts({"instances": (instance(read_models=[told]),)})


def unable() -> Facts:
    """The packer could not read what the desk noted."""
    data = EndpointData(unread=LACKS)
    return both(packer={"endpoints": [Endpoint("pack", 3, 3, data=data)]})


def giving_up() -> Facts:
    """And its letters are open."""
    return both(letters=(unreadable(),))


def cluster(text: str) -> Cluster:
    """The part of an answer that a real server gave."""
    return msgspec.json.decode(text, type=Cluster)


def robbed(**data: Any) -> Instance:
    """Somebody came before it."""
    return instance(endpoints=[Endpoint("take", data=EndpointData(**data))])


def slow(calls: int, *, of: int) -> Instance:
    """A process whose handler kept the event loop in so many calls."""
    endpoint = Endpoint("take", num_requests=of, data=EndpointData(slow=calls))
    return instance(endpoints=[endpoint])


def remembering(**config: Any) -> Facts:
    """The shop's customers, in a stream of this configuration."""
    name = "STATES_LOYALTY_ACCOUNTS"
    there = stream(name)
    streams = {name: changed(there, config=changed(there.config, **config))}
    return facts({"streams": streams}, topology=derive([loyalty]))


FORGED_STATE = StateLook("a.b", "STATES_A_B", forged=(("STATES_A_B:17", "no step's headers"),))
CROWDED_STATE = StateLook(
    "a.b", "STATES_A_B", crowded=(CrowdedKey("c-1", 200, 3), CrowdedKey("c-2", 12, 256))
)
REMEMBERED: Mapping[str, Callable[[], Facts]] = {
    "state-forged": lambda: facts({"states": (FORGED_STATE,)}),
    "state-waits": lambda: facts({"states": (CROWDED_STATE,)}),
    "state-expires": lambda: remembering(max_age=86_400_000_000_000),
}
"""What is wrong with states, by the finding that says so."""


def slow_read_model() -> Facts:
    return facts({"instances": (instance(read_models=[Folds("FACTS", folded=100, slow=1)]),)})


def unanswered(why: str, **more: bool) -> Facts:
    return facts({"failed_queries": (FailedQuery("services", why, **more),)})


def too_late() -> Facts:
    """A deadline whose alarm was lost."""
    waiting = Waiting(
        "desk",
        "desk.late",
        "k",
        "",
        NOON,
        overdue=True,
        handler="take",
        cause="DESK:1",
        kept="STATES_DESK:2",
    )
    return facts({"overdue": (waiting,)})


def stands_still() -> Facts:
    """A process that no deadline wakes."""
    standing = Standing(
        process="desk.orders",
        key="k",
        step="waiting",
        since=NOON,
        waits_for=("desk.paid",),
        ended=False,
        until=None,
        remaining=("paid",),
        place="STATES_DESK_ORDERS:2",
        problem="no deadline leads on from here",
    )
    return facts({"stuck": (standing,)})


LATE: Mapping[str, Callable[[], Facts]] = {
    "overdue": too_late,
    "stuck-process": stands_still,
    "parked": lambda: facts({"parked": (ParkedHandler("desk.take", 2, {"ORDERS:7": 3}),)}),
    "parked-much": lambda: facts({"parked": (ParkedHandler("desk.take", 1, {"ORDERS:7": 1001}),)}),
    "parked-left": lambda: facts(
        {"parked": (ParkedHandler("desk.take", 2, {"ORDERS:6": 3}, is_ordered=False),)}
    ),
}
"""What does not go on, by the finding that tells of it."""
