"""JetStream that is elsewhere: in another domain behind a leaf node, or in another account."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct
from msgspec.structs import replace

from jetmesh import Delivery, Policy, Record, Reject, Retry, Service, derive, event
from jetmesh.declare import Duration, permissions_of
from jetmesh.errors import BrokerError
from jetmesh.operate.doctor.diagnosis import findings
from jetmesh.operate.doctor.survey import Target, survey
from jetmesh.operate.up.broker import Broker
from jetmesh.operate.up.ports import free_port
from jetmesh.protocol.streams import DEADLETTERS, REFUSALS, lane_stream
from jetmesh.runtime.running import Running
from jetmesh.settings import NatsSettings
from jetmesh.testing import _load, eventually
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.provision import apply, plan
from tests.integration.command_line import jetmesh, said
from tests.waiting import wait_until

ACK = "$JS.ACK.>"


@event("in.placed", key="id")
class Placed(Struct, frozen=True):
    id: str


@event("out.accepted", key="id", decision="out.*")
class Accepted(Struct, frozen=True):
    id: str


class Board:
    def __init__(self) -> None:
        self.seen: list[str] = []

    def apply(self, event: Placed | Accepted, _: Record) -> None:
        self.seen.append(type(event).__name__)


service = Service("worker")
service.read_model(Board, events=[Placed, Accepted])


@service.on(Placed, policy=Policy(attempts=3, backoff=Duration(0.05)))
async def decide(placed: Placed, delivery: Delivery) -> Accepted:
    if placed.id == "bad":
        raise Reject("it is bad")
    if placed.id == "late" and delivery.attempt == 1:
        raise Retry("not yet", after=4)  # too long to wait in place: on the lane
    if placed.id == "again" and delivery.attempt == 1:
        raise Retry("not yet", after=0.1)
    return Accepted(placed.id)


@dataclass
class Place:
    """Where a service connects, and where its streams are."""

    settings: NatsSettings
    """Of the service, whose user may do what is printed, and no more."""
    admin: NatsSettings
    """At the same server, with the same way to JetStream."""
    direct: NatsSettings
    """At the server and in the account that hold the streams."""


def permitted(js_api: str) -> str:
    """A user for the service, with the permissions that are derived for it."""
    needs = permissions_of(service, inbox_prefix="_INBOX_w", js_api=js_api)
    publish, subscribe = (
        ", ".join(f'"{each}"' for each in listed) for listed in (needs.publish, needs.subscribe)
    )
    allow = f"publish: [{publish}], subscribe: [{subscribe}], allow_responses: true"
    return f"{{ user: admin, password: a }}, {{ user: w, password: w, permissions: {{ {allow} }} }}"


def settings_at(port: int, **more: Any) -> NatsSettings:
    return NatsSettings(url=f"nats://w:w@127.0.0.1:{port}", inbox_prefix="_INBOX_w", **more)


def admin_at(port: int, who: str = "admin", **more: Any) -> NatsSettings:
    return NatsSettings(url=f"nats://{who}:a@127.0.0.1:{port}", **more)


@pytest.fixture
def leaf(tmp_path: Path) -> Iterator[Place]:
    """A hub with the domain `hub`, and a leaf node with JetStream of its own, domain `leaf`."""
    leaves = free_port("127.0.0.1")
    hub_config, leaf_config = tmp_path / "hub.conf", tmp_path / "leaf.conf"
    hub_config.write_text(
        "server_name: hub\njetstream { domain: hub }\n"
        f'leafnodes {{ listen: "127.0.0.1:{leaves}" }}\n'
        "accounts { MESH { jetstream: enabled, users: [{ user: admin, password: a }] } }\n"
    )
    leaf_config.write_text(
        "server_name: leaf\njetstream { domain: leaf }\n"
        "leafnodes { remotes: [\n"
        f'{{ url: "nats://admin:a@127.0.0.1:{leaves}", account: MESH }} ] }}\n'
        f"accounts {{ MESH {{ jetstream: enabled, users: [{permitted('$JS.hub.API')}] }} }}\n"
    )
    with (
        Broker(tmp_path / "hub", config=hub_config) as hub,
        Broker(tmp_path / "leaf", config=leaf_config) as there,
    ):
        yield Place(
            settings_at(there.port, js_domain="hub"),
            admin_at(there.port, js_domain="hub"),
            admin_at(hub.port),
        )


@pytest.fixture
def imported(tmp_path: Path) -> Iterator[Place]:
    """An account without JetStream, which imports that of another one under another prefix."""
    config = tmp_path / "server.conf"
    subjects = ["in.>", "out.>", "lanes.>", "deadletters.>", "refusals.>", "audit.>", ACK]
    exports = "".join(f'{{ service: "{each}", response_type: stream }}\n' for each in subjects)
    imports = "".join(
        f'{{ service: {{ account: MESH, subject: "{each}" }} }}\n' for each in subjects
    )
    config.write_text(
        "accounts {\n"
        "MESH { jetstream: enabled, users: [{ user: direct, password: a }], exports: [\n"
        f'{exports}{{ service: "$JS.API.>", response_type: stream }} ] }}\n'
        f"TEAM {{ users: [{permitted('mesh.api')}], imports: [\n"
        f"{imports}"
        '{ service: { account: MESH, subject: "$JS.API.>" }, to: "mesh.api.>" } ] }\n'
        "}\n"
    )
    with Broker(tmp_path / "store", config=config) as broker:
        yield Place(
            settings_at(broker.port, js_api_prefix="mesh.api"),
            admin_at(broker.port, js_api_prefix="mesh.api"),
            admin_at(broker.port, "direct"),
        )


@pytest.fixture(params=["leaf", "imported"])
def place(request: pytest.FixtureRequest) -> Place:
    found: Place = request.getfixturevalue(request.param)
    return found


@asynccontextmanager
async def working(place: Place) -> AsyncIterator[tuple[ControlPlane, ControlPlane, Running]]:
    """Streams made from where the service is; then it runs there with its own user."""
    topology = derive([service])
    given = place.settings
    variables = {
        "JETMESH__PROVISION": "verify",
        "JETMESH__GRACE": "200ms",
        "JETMESH__NATS__INBOX_PREFIX": given.inbox_prefix,
        "JETMESH__NATS__JS_DOMAIN": given.js_domain,
        "JETMESH__NATS__JS_API_PREFIX": given.js_api_prefix,
    }
    running = Running(service, _load([service], given.url, variables))
    async with await connected(place.admin) as admin, await connected(place.direct) as direct:
        await eventually(lambda: answers(admin), what="the way to JetStream")
        await apply(admin, await plan(admin, topology))
        async with running:
            await running.started
            yield admin, direct, running


async def connected(settings: NatsSettings) -> ControlPlane:
    return await ControlPlane.connect(settings, name="test")


async def answers(control: ControlPlane) -> bool:
    """A leaf node that has just begun is not connected yet."""
    try:
        await control.check_server()
    except BrokerError:
        return False
    return True


async def stored(control: ControlPlane, stream: str, subject: str) -> None:
    await eventually(lambda: control.last(stream, subject), within=15, what=subject)


async def test_a_service_does_all_its_work_with_what_is_printed_for_it(place: Place) -> None:
    async with working(place) as (admin, direct, running):
        for key in ("good", "bad", "again", "late"):
            await admin.publish(f"in.placed.{key}", b'{"id":"%b"}' % key.encode())
        await admin.publish("in.placed", b'{"id":"good"}')  # decided by another cause
        for key in ("good", "again", "late"):
            await stored(direct, "OUT", f"out.accepted.{key}")
        await stored(direct, DEADLETTERS, "deadletters.worker.decide.bad")
        await stored(direct, REFUSALS, "refusals.worker.decide.good")
        seen = running.injector[Board].seen
        await eventually(lambda: seen.count("Accepted") == 3, what="the read model")
        assert not running.health.problems()
        await eventually(lambda: settled(direct, "IN"), what="acks")
        await eventually(lambda: settled(direct, lane_stream("worker")), what="acks on the lane")
        outcomes = [each async for each in admin.history("OUT", [])]
        assert len(outcomes) == 3


async def settled(control: ControlPlane, stream: str) -> bool:
    info = await control.api(f"CONSUMER.INFO.{stream}.worker-decide")
    return not info["num_pending"] and not info["num_ack_pending"]


async def test_the_doctor_sees_the_same_as_where_the_streams_are(place: Place) -> None:
    topology = derive([service])
    async with working(place) as (admin, _, __):
        await admin.publish("in.placed.bad", b'{"id":"bad"}')
        await stored(admin, DEADLETTERS, "deadletters.worker.decide.bad")
        found = [
            {each.code for each in findings(await survey(Target(settings, topology)))}
            for settings in (place.admin, place.direct)
        ]
    where_from = {"one-replica", "one-replica-clustered", "sync-unseen", "service-absent"}
    assert found[0] - where_from == found[1] - where_from == {"dead-letters"}


async def test_what_may_not_be_asked_is_named_as_it_is_asked(place: Place) -> None:
    asked = f"{place.settings.js_api}.STREAM.DELETE.IN"
    async with await connected(place.admin) as admin, await connected(place.settings) as worker:
        await eventually(lambda: answers(admin), what="the way to JetStream")
        with pytest.raises(BrokerError) as caught:
            await worker.api("STREAM.DELETE.IN", timeout=60)
    assert f"to publish on {asked}." in caught.value.message
    assert f'publish: ["{asked}"]' in caught.value.remedy


def test_every_command_asks_where_the_streams_are(place: Place) -> None:
    where: dict[str, Any] = {
        "JETMESH__NATS__JS_DOMAIN": place.admin.js_domain,
        "JETMESH__NATS__JS_API_PREFIX": place.admin.js_api_prefix,
        "NATS_URL": place.admin.url,
    }
    wait_until(lambda: not said("apply", **where).returncode, within=15)
    for command, code in (("plan --check", 0), ("deadletters ls", 0), ("trace p-1", 1)):
        told = jetmesh(*command.split(), **where)
        assert told.returncode == code, told.stderr
        assert "JetStream" not in told.stderr
    printed = said("topology", "--format", "permissions", **where).stdout
    assert f'"{place.admin.js_api}.CONSUMER.MSG.NEXT.ORDERS.payments-charge"' in printed
    assert ('"$JS.API.' in printed) == (place.admin.js_api == "$JS.API")
    assert '"$JS.ACK.ORDERS.payments-charge.>"' in printed
    assert not said("plan", "--check", NATS_URL=place.direct.url).returncode


async def test_without_the_setting_it_is_said_that_jetstream_may_be_elsewhere(
    imported: Place,
) -> None:
    alone = replace(imported.admin, js_api_prefix="")
    async with await connected(alone) as control:
        with pytest.raises(BrokerError) as caught:
            await control.check_server()
    assert caught.value.message == "INFO: JetStream not enabled for account (10039)."
    assert "set nats.js_domain or nats.js_api_prefix" in caught.value.remedy
    [finding] = findings(await survey(Target(alone, derive([service]))))
    assert finding.code == "jetstream-off"
    assert "correct nats.js_domain or nats.js_api_prefix" in finding.remedy


async def test_a_domain_that_is_not_there_is_named(leaf: Place) -> None:
    wrong = replace(leaf.admin, js_domain="hbu")
    async with await connected(wrong) as control:
        with pytest.raises(BrokerError, match=r"does not answer on \$JS\.hbu\.API") as caught:
            await control.check_server()
    assert "Check nats.js_domain" in caught.value.remedy
    asked = Target(wrong, derive([service]))

    async def is_named() -> bool:  # a busy machine may not let the doctor in at once
        return [each.code for each in findings(await survey(asked))] == ["jetstream-off"]

    await eventually(is_named, within=30)
