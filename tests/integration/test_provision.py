"""Streams and durables: planned field by field, applied, refused where something would be lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from msgspec import Struct

from jetmesh import Policy, Service, event
from jetmesh.declare import Duration, StreamTuning, Topology, derive
from jetmesh.errors import DriftError
from jetmesh.operate.up.broker import Broker
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.provision import Change, Field, apply, durable_change, plan
from jetmesh.transport.stored import ApiError
from tests.integration.planes import make_stream, settings_of

Declared = Callable[..., Topology]


@pytest.fixture
async def control(broker: Broker) -> AsyncIterator[ControlPlane]:
    async with await ControlPlane.connect(settings_of(broker), name="test") as connected:
        yield connected


@pytest.fixture
def declared(unique: str) -> Declared:
    """The same service every time, with the tuning that a test gives it."""

    @event(f"{unique}.placed", key="id")
    class Placed(Struct, frozen=True):
        id: str

    @event(f"{unique}x.told", key="id")
    class Told(Struct, frozen=True):
        id: str

    service = Service(f"{unique}-service")

    @service.on(Placed)
    def tell(placed: Placed) -> Told:
        return Told(placed.id)

    def make(*, tuning: StreamTuning | None = None, **policy: Any) -> Topology:
        return derive(
            [service],
            policies={(service.name, "tell"): Policy(**policy)},
            streams={unique.upper(): tuning} if tuning else None,
        )

    return make


async def applied(control: ControlPlane, topology: Topology) -> None:
    await apply(control, await plan(control, topology))


async def stream_of(control: ControlPlane, unique: str) -> dict[str, Any]:
    config: dict[str, Any] = (await control.api(f"STREAM.INFO.{unique.upper()}"))["config"]
    return config


async def durable_of(control: ControlPlane, unique: str) -> dict[str, Any]:
    name = f"{unique}-service-tell"
    info = await control.api(f"CONSUMER.INFO.{unique.upper()}.{name}")
    config: dict[str, Any] = info["config"]
    return config


async def alter_stream(control: ControlPlane, unique: str, **fields: Any) -> None:
    config = {**await stream_of(control, unique), **fields}
    await control.api(f"STREAM.UPDATE.{unique.upper()}", config)


async def alter_durable(control: ControlPlane, unique: str, **fields: Any) -> None:
    config = {**await durable_of(control, unique), **fields}
    body = {"stream_name": unique.upper(), "config": config, "action": "update"}
    await control.api(f"CONSUMER.CREATE.{unique.upper()}.{unique}-service-tell", body)


def fields_of(change: Change) -> dict[str, tuple[Any, Any]]:
    return {field.name: (field.server, field.declared) for field in change.fields}


async def test_what_is_missing_is_made_and_a_second_plan_is_empty(
    control: ControlPlane, declared: Declared, unique: str
) -> None:
    topology = declared()
    first = await plan(control, topology)
    names = {(c.action, c.kind, c.name) for c in first.changes}
    assert {
        ("create", "stream", unique.upper()),
        ("create", "stream", f"{unique.upper()}X"),
        ("create", "durable", f"{unique.upper()}/{unique}-service-tell"),
    } <= names
    assert f"stream {unique.upper()}: missing" in map(str, first.changes)
    await apply(control, first)
    assert (await plan(control, topology)).changes == ()
    assert durable_change(topology.durables[0], await durable_of(control, unique)) is None


async def test_what_is_made_keeps_everything_and_refuses_when_full(
    control: ControlPlane, declared: Declared, unique: str
) -> None:
    await applied(control, declared(max_ack_pending=77, ack_wait=Duration(45)))
    stream = await stream_of(control, unique)
    assert stream["subjects"] == [f"{unique}.>"]
    assert (stream["retention"], stream["storage"], stream["discard"]) == ("limits", "file", "new")
    assert stream["max_msgs"] == stream["max_msgs_per_subject"] == stream["max_bytes"] == -1
    durable = await durable_of(control, unique)
    assert durable["filter_subjects"] == [f"{unique}.placed", f"{unique}.placed.*"]
    assert durable["max_deliver"] == -1, "the mesh counts attempts"
    assert durable["ack_wait"] == 45_000_000_000
    assert durable["max_ack_pending"] == 77
    assert durable["deliver_policy"] == "all"
    assert "backoff" not in durable
    assert "inactive_threshold" not in durable


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({"discard": "old"}, {"discard": ("old", "new")}),
        ({"max_msgs": 10}, {"max_msgs": (10, -1)}),
        ({"max_msgs_per_subject": 1}, {"max_msgs_per_subject": (1, -1)}),
        ({"max_bytes": 10_000_000}, {"max_bytes": (10_000_000, -1)}),
        ({"max_age": 10**12}, {"max_age": (10**12, 0)}),
        ({"duplicate_window": 10**10}, {"duplicate_window": (10**10, 120 * 10**9)}),
        ({"no_ack": True}, {"no_ack": (True, False)}),
        ({"allow_direct": False}, {"allow_direct": (False, True)}),
        (
            {"description": "else", "discard": "old"},
            {"description": ("else", "*"), "discard": ("old", "new")},
        ),
    ],
)
async def test_the_drift_of_a_stream_is_named_and_mended(
    control: ControlPlane,
    declared: Declared,
    unique: str,
    fields: dict[str, Any],
    found: dict[str, Any],
) -> None:
    await applied(control, declared())
    await alter_stream(control, unique, **fields)
    planned = await plan(control, declared())
    (change,) = planned.changes
    assert (change.action, change.kind, change.name) == ("update", "stream", unique.upper())
    actual = fields_of(change)
    assert actual.keys() == found.keys()
    for name, (server, wanted) in found.items():
        assert actual[name][0] == server
        assert wanted in ("*", actual[name][1])
        assert str(Field(name, server, actual[name][1])) in str(change)
    await apply(control, planned)
    assert (await plan(control, declared())).changes == ()
    stream = await stream_of(control, unique)
    assert {name: stream.get(name, False) for name in found} == {
        name: wanted for name, (_, wanted) in actual.items()
    }


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({"ack_wait": 10**10}, {"ack_wait": (10**10, 30 * 10**9)}),
        ({"max_ack_pending": 5}, {"max_ack_pending": (5, 8192)}),
        ({"max_deliver": 3}, {"max_deliver": (3, -1)}),
        ({"headers_only": True}, {"headers_only": (True, False)}),
        ({"inactive_threshold": 10**12}, {"inactive_threshold": (10**12, 0)}),
        ({"max_batch": 7}, {"max_batch": (7, 0)}),
        ({"max_expires": 10**9}, {"max_expires": (10**9, 0)}),
        ({"backoff": [10**9], "ack_wait": 10**9}, {"backoff": ([10**9], []), "ack_wait": None}),
    ],
)
async def test_the_drift_of_a_durable_is_named_and_mended(
    control: ControlPlane,
    declared: Declared,
    unique: str,
    fields: dict[str, Any],
    found: dict[str, Any],
) -> None:
    await applied(control, declared())
    before = await durable_of(control, unique)
    await alter_durable(control, unique, **fields)
    planned = await plan(control, declared())
    (change,) = planned.changes
    assert (change.action, change.kind) == ("update", "durable")
    actual = fields_of(change)
    assert actual.keys() == found.keys()
    for name, expected in found.items():
        assert expected in (None, actual[name])
        assert name in str(
            durable_change(declared().durables[0], await durable_of(control, unique))
        )
    await apply(control, planned)
    assert await durable_of(control, unique) == before


async def test_new_settings_change_the_durable_and_what_others_set_stays(
    control: ControlPlane, declared: Declared, unique: str
) -> None:
    await applied(control, declared())
    await alter_durable(control, unique, metadata={"team": "checkout"})
    changed = declared(
        ack_wait=Duration(60), max_ack_pending=500, tuning=StreamTuning(max_bytes=1 << 30)
    )
    await applied(control, changed)
    durable = await durable_of(control, unique)
    assert (durable["ack_wait"], durable["max_ack_pending"]) == (60 * 10**9, 500)
    assert durable["metadata"]["team"] == "checkout"
    assert (await stream_of(control, unique))["max_bytes"] == 1 << 30


async def test_one_filter_and_several_are_compared_alike(
    control: ControlPlane, declared: Declared, unique: str
) -> None:
    await applied(control, declared())
    await alter_durable(control, unique, filter_subjects=None, filter_subject=f"{unique}.placed")
    planned = await plan(control, declared())
    (change,) = planned.changes
    both = [f"{unique}.placed", f"{unique}.placed.*"]
    assert fields_of(change) == {"filter_subjects": ([f"{unique}.placed"], both)}
    assert "only from now on" in str(change), "a filter never looks back"
    await apply(control, planned)
    assert (await durable_of(control, unique))["filter_subjects"] == both


# refusals


async def check_refused(
    control: ControlPlane, topology: Topology, *words: str, allow: bool = False
) -> None:
    """Refused in words, and nothing was changed, not even what could have been."""
    before = await everything(control, topology)
    planned = await plan(control, topology)
    assert planned.refused
    with pytest.raises(DriftError) as caught:
        await apply(control, planned, allow_data_loss=allow)
    for word in ("Nothing was changed", *words):
        assert word in str(caught.value)
    assert await everything(control, topology) == before


async def everything(control: ControlPlane, topology: Topology) -> list[Any]:
    found = []
    for stream in topology.streams:
        try:
            found.append((await control.api(f"STREAM.INFO.{stream.name}"))["config"])
        except ApiError as error:
            found.append(error.err_code)
    return found


async def test_a_stream_of_another_kind_cannot_be_changed(
    control: ControlPlane, declared: Declared, unique: str
) -> None:
    config = {"name": unique.upper(), "subjects": [f"{unique}.>"], "discard": "new"}
    await control.api(
        f"STREAM.CREATE.{unique.upper()}", {**config, "retention": "interest", "storage": "memory"}
    )
    for allow in (False, True):
        await check_refused(
            control, declared(), "retention", "storage", "cannot be changed", allow=allow
        )


async def test_a_sealed_stream_is_refused(
    control: ControlPlane, declared: Declared, unique: str
) -> None:
    await applied(control, declared())
    await alter_stream(control, unique, sealed=True)
    await check_refused(control, declared(), "sealed")


@pytest.mark.parametrize(
    ("name", "value"),
    [("deliver_policy", "new"), ("ack_policy", "none"), ("mem_storage", True), ("max_waiting", 5)],
)
async def test_a_durable_of_another_kind_cannot_be_changed(
    control: ControlPlane, declared: Declared, unique: str, name: str, value: Any
) -> None:
    await applied(control, declared())
    config = {**await durable_of(control, unique), name: value}
    path = f"{unique.upper()}.{unique}-service-tell"
    await control.api(f"CONSUMER.DELETE.{path}")
    body = {"stream_name": unique.upper(), "config": config}
    await control.api(f"CONSUMER.CREATE.{path}", body)
    await check_refused(control, declared(), name, "cannot be changed")


async def test_a_foreign_stream_on_our_subjects_is_named(
    control: ControlPlane, declared: Declared, unique: str
) -> None:
    await make_stream(control, f"{unique}foreign", f"{unique}.placed.*")
    await check_refused(control, declared(), f"{unique}foreign", "belong to")
    with pytest.raises(ApiError):
        await stream_of(control, unique)


@pytest.mark.parametrize(
    "tuning",
    [
        StreamTuning(max_age=Duration(3600)),
        StreamTuning(max_bytes=10),
        StreamTuning(max_age=Duration(3600), max_bytes=10),
    ],
)
async def test_what_would_delete_events_is_refused_until_it_is_allowed(
    control: ControlPlane, declared: Declared, unique: str, tuning: StreamTuning
) -> None:
    await applied(control, declared())
    for number in range(3):
        await control.publish(f"{unique}.placed", b'{"id": "%d"}' % number)
    await check_refused(control, declared(tuning=tuning), "lose", "--allow-data-loss")
    planned = await plan(control, declared(tuning=tuning))
    await apply(control, planned, allow_data_loss=True)
    assert (await plan(control, declared(tuning=tuning))).changes == ()
    stream = await stream_of(control, unique)
    assert (stream["max_age"], stream["max_bytes"]) == (tuning.max_age.ns, tuning.max_bytes)


async def test_a_shorter_horizon_of_an_empty_stream_loses_nothing(
    control: ControlPlane, declared: Declared
) -> None:
    await applied(control, declared())
    await applied(control, declared(tuning=StreamTuning(max_age=Duration(3600))))


async def test_a_longer_horizon_loses_nothing(
    control: ControlPlane, declared: Declared, unique: str
) -> None:
    await applied(control, declared(tuning=StreamTuning(max_age=Duration(3600))))
    await control.publish(f"{unique}.placed", b"{}")
    for age in (7200, 0):
        await applied(control, declared(tuning=StreamTuning(max_age=Duration(age))))
        assert (await stream_of(control, unique))["max_age"] == age * 10**9


async def test_subjects_that_others_publish_on_are_not_taken_away_unasked(
    control: ControlPlane, declared: Declared, unique: str
) -> None:
    await applied(control, declared())
    await alter_stream(control, unique, subjects=[f"{unique}.>", f"{unique}y.*"])
    await check_refused(control, declared(), f"{unique}y.* would not be stored any more")
    await alter_stream(control, unique, subjects=[f"{unique}.placed", f"{unique}.placed.*"])
    await applied(control, declared())
    assert (await stream_of(control, unique))["subjects"] == [f"{unique}.>"]


async def test_a_change_that_somebody_made_between_plan_and_apply_is_not_overwritten(
    control: ControlPlane, declared: Declared, unique: str
) -> None:
    planned = await plan(control, declared())
    await applied(control, declared(max_ack_pending=500))
    with pytest.raises(DriftError, match="plan again"):
        await apply(control, planned)
    assert (await durable_of(control, unique))["max_ack_pending"] == 500


async def test_processes_that_apply_at_the_same_time_agree(
    broker: Broker, control: ControlPlane, declared: Declared
) -> None:
    others = [await ControlPlane.connect(settings_of(broker), name="other") for _ in range(4)]
    plans = [await plan(other, declared()) for other in others]
    await asyncio.gather(*(apply(o, p) for o, p in zip(others, plans, strict=True)))
    assert (await plan(control, declared())).changes == ()
    for other in others:
        await other.close()
