"""What `jetmesh apply` does: the mesh's own plans are carried out on both sides."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import Struct

from jetmesh import Service, event
from jetmesh.declare import Topology, derive
from jetmesh.errors import DriftError
from jetmesh.transport.provision import apply, plan
from tests.conformance.sides import Side


async def test_what_is_declared_is_made_and_then_nothing_is_missing(side: Side) -> None:
    topology, control = declared(side), known(side)
    planned = await plan(control, topology)
    made = {(change.action, change.name) for change in planned.changes}
    name, service = side.name.upper(), f"{side.name}-service"
    assert made >= {("create", name), ("create", f"{name}/{service}-tell")}
    await apply(control, planned)
    assert (await plan(control, topology)).changes == ()


async def test_what_somebody_changed_is_changed_back(side: Side) -> None:
    topology, control = declared(side), known(side)
    await apply(control, await plan(control, topology))
    stream = side.name.upper()
    config = (await control.api(f"STREAM.INFO.{stream}"))["config"]
    await control.api(f"STREAM.UPDATE.{stream}", {**config, "max_msgs": 7})
    name = f"{side.name}-service-tell"
    config = (await control.api(f"CONSUMER.INFO.{stream}.{name}"))["config"]
    body = {"stream_name": stream, "config": {**config, "ack_wait": 7_000_000_000}}
    await control.api(f"CONSUMER.CREATE.{stream}.{name}", {**body, "action": "update"})
    drifted = await plan(control, topology)
    assert {(change.action, change.fields[0].name) for change in drifted.changes} == {
        ("update", "max_msgs"),
        ("update", "ack_wait"),
    }
    await apply(control, drifted)
    assert (await plan(control, topology)).changes == ()


async def test_subjects_that_another_stream_holds_are_refused(side: Side) -> None:
    topology, control = declared(side), known(side)
    other = f"{side.name}OTHER"
    config = {"name": other, "subjects": [f"{side.name}.placed.*"]}
    await control.api(f"STREAM.CREATE.{other}", config)
    with pytest.raises(DriftError, match=f"belong to the stream {other}"):
        await apply(control, await plan(control, topology))


def known(side: Side) -> Any:
    """The control plane, as what plans with it."""
    return side.control


def declared(side: Side) -> Topology:
    """A service with one handler."""

    @event(f"{side.name}.placed", key="id")
    class Placed(Struct, frozen=True):
        id: str

    @event(f"{side.name}x.told", key="id")
    class Told(Struct, frozen=True):
        id: str

    service = Service(f"{side.name}-service")

    @service.on(Placed)
    def tell(placed: Placed) -> Told:
        return Told(placed.id)

    return derive([service], audited=False)
