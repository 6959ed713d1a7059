"""A store from before accounts goes on where it stopped, or the start is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from jetmesh import Service, derive, event
from jetmesh.declare import Topology
from jetmesh.operate.up.broker import Broker
from jetmesh.operate.up.store import move_streams
from jetmesh.settings import NatsSettings
from jetmesh.testing import eventually
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.provision import apply, plan
from tests.integration.own_project import told
from tests.integration.tiny_project import Up, command
from tests.isolated import Isolated, config_of
from tests.waiting import wait_until

gate = Service("gate")


@event("car.entered", key="id")
class CarEntered(Struct, frozen=True):
    id: str


@gate.on(CarEntered)
def on_car_entered(car: CarEntered) -> None:
    """Let it in."""


LANE = "lanes.gate.on_car_entered.car-3"
LETTER = "deadletters.gate.on_car_entered.car-2"


async def fill(control: ControlPlane, topology: Topology) -> None:
    """Five events, the second acked before the first, one late on a lane, one a letter."""
    await apply(control, await plan(control, topology))
    for number in range(1, 6):
        headers = {"Nats-Msg-Id": f"id-{number}"}
        await control.publish(f"car.entered.car-{number}", b'{"id": "car-%d"}' % number, headers)
    body = {"batch": 3, "no_wait": True}
    inbox: list[Any] = []
    _, subscription = await control._session.listen(_into(inbox))
    await control._session.publish(
        "$JS.API.CONSUMER.MSG.NEXT.CAR.gate-on_car_entered", _json(body), subscription.subject
    )
    await eventually(lambda: len(inbox) >= 3, what="three deliveries")
    await control._session.request(inbox[1].reply, b"+ACK", 5.0)
    at = {"Nats-Schedule": "@at 2099-01-01T00:00:00Z", "Nats-Schedule-Target": LANE}
    await control.publish(f"{LANE}.later", b"{}", at)
    await control.publish(LETTER, b"{}", {"Jetmesh-Error": "ValueError"})


def _into(inbox: list[Any]) -> Callable[[Any], Any]:
    async def take(message: Any) -> None:
        inbox.append(message)

    return take


def _json(body: dict[str, Any]) -> bytes:
    return repr(body).replace("'", '"').replace("True", "true").encode()


async def seen(control: ControlPlane) -> dict[str, Any]:
    """Everything that must be the same afterwards."""
    found: dict[str, Any] = {}
    for stream in (await control.api("STREAM.NAMES"))["streams"]:
        info = await control.api(f"STREAM.INFO.{stream}")
        found[stream] = {
            "created": info["created"],
            "config": info["config"],
            "state": {k: info["state"][k] for k in ("messages", "first_seq", "last_seq")},
        }
        for each in (await control.api(f"CONSUMER.LIST.{stream}"))["consumers"]:
            names = ("created", "ack_floor", "num_pending", "num_ack_pending")
            found[f"{stream}/{each['name']}"] = {name: each[name] for name in names}
            for name in ("ack_floor", "delivered"):
                found[f"{stream}/{each['name']}"][name] = {
                    part: each[name][part] for part in ("consumer_seq", "stream_seq")
                }
    return found


async def test_streams_durables_ids_and_what_is_in_flight_are_the_same_afterwards(
    tmp_path: Path,
) -> None:
    topology = derive([gate])
    store = tmp_path / "old"
    with Broker(store) as old:
        async with await control_of(NatsSettings(url=old.url)) as control:
            await fill(control, topology)
            before = await seen(control)
    assert before["CAR/gate-on_car_entered"]["num_ack_pending"] == 2
    assert move_streams(store)
    assert not move_streams(store), "once"
    config = config_of(topology, "all", tmp_path)
    file = tmp_path / "server.conf"
    file.write_text(config.text)
    with Broker(store, config=file) as new:
        async with await Isolated(new, config).control() as control:
            assert await seen(control) == before
            again = await control.publish("car.entered.car-1", b"{}", {"Nats-Msg-Id": "id-1"})
            assert again.duplicate
            assert (await control.last("CAR", "car.entered.car-5")) is not None
            assert (await control.last("DEADLETTERS", LETTER)) is not None


async def control_of(settings: NatsSettings) -> ControlPlane:
    return await ControlPlane.connect(settings, name="test")


def test_up_goes_on_with_what_an_older_one_stored(garage: Path, run_up: Callable[..., Up]) -> None:
    with Broker(garage / ".jetmesh" / "nats") as old:
        told(garage, "apply", "--nats-url", old.url)
        (garage / "many.jsonl").write_text("".join(f'{{"id": "car-{n}"}}\n' for n in range(30)))
        told(garage, "publish", "car.entered", "many.jsonl", "--nats-url", old.url)
    up = run_up()
    assert "the streams of an older version are in account MESH now" in up.printed
    wait_until(
        lambda: all("car.parked" in command(garage, "trace", f"car-{n}").stdout for n in (0, 29)),
        within=30,
    )
    up.end()
    assert "older version" not in run_up().printed


def test_streams_in_both_accounts_are_refused_in_one_sentence(
    garage: Path, run_up: Callable[..., Up]
) -> None:
    run_up().end()
    store = garage / ".jetmesh" / "nats"
    with Broker(store) as old:
        told(garage, "apply", "--nats-url", old.url)
    refused = command(garage, "up")
    assert refused.returncode == 2
    assert "holds streams in $G and in MESH" in refused.stdout + refused.stderr
    assert "Move " in refused.stdout + refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize("before", ["--open", ""])
def test_open_and_closed_have_the_same_streams(
    garage: Path, run_up: Callable[..., Up], before: str
) -> None:
    up = run_up(*filter(None, [before]))
    told(garage, "publish", "car.entered", "examples/car.entered/example.json")
    up.end()
    run_up(*([] if before else ["--open"]))
    assert "car.entered" in command(garage, "trace", "car-1").stdout
