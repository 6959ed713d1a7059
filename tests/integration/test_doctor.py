"""`jetmesh doctor` on real brokers: what is wrong is found, what is well is left alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from jetmesh import Reject, Service, event
from jetmesh.declare import derive
from jetmesh.operate.doctor.diagnosis import findings
from jetmesh.operate.doctor.finding import Finding
from jetmesh.operate.doctor.survey import Target, survey
from jetmesh.operate.up.broker import Broker
from jetmesh.operate.up.ports import free_port
from jetmesh.protocol.lanes import Origin
from jetmesh.protocol.streams import DEADLETTERS, lane_stream
from jetmesh.protocol.subjects import lane_subject, quarantine_subject
from jetmesh.protocol.times import nanoseconds_of
from jetmesh.runtime.discovery import Discovery
from jetmesh.settings import NatsSettings
from jetmesh.testing import Mesh, eventually, mesh
from jetmesh.transport import provision
from jetmesh.transport.control import ControlPlane

ROOT = Path(__file__).parents[2]


def declared(unique: str, *, fails: bool = False) -> tuple[Any, Service]:
    @event(f"{unique}.placed", key="order_id")
    class Placed(Struct, frozen=True):
        order_id: str

    service = Service(f"{unique}-desk", version="1.0.0")

    @service.on(Placed)
    async def take(placed: Placed) -> None:
        if fails:
            raise Reject("the shelf is empty")

    return Placed, service


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """One for each test: the mesh's own streams are everyone's."""
    with Broker(tmp_path / "nats") as started:
        yield started


def first_day() -> int:
    return nanoseconds_of("2026-01-01T12:00:00Z")


def patient_of(broker: Broker, *services: Service, **changes: Any) -> Target:
    return Target(NatsSettings(url=broker.url), derive(services, audited=False), **changes)


async def twice(patient: Target, seconds: float = 0.05) -> list[Finding]:
    """Two looks, as the command takes them."""
    first = await survey(patient)
    await asyncio.sleep(seconds)
    return findings(await survey(patient, first.now))


def found(several: list[Finding]) -> dict[str, Finding]:
    return {each.code: each for each in several}


@asynccontextmanager
async def applied(broker: Broker, *services: Service) -> AsyncIterator[ControlPlane]:
    """Everything declared, and nobody who works."""
    async with await ControlPlane.connect(NatsSettings(url=broker.url), name="test") as control:
        await provision.apply(control, await provision.plan(control, derive(services)))
        yield control


async def test_a_mesh_that_is_well_gives_only_notes(broker: Broker, unique: str) -> None:
    placed, service = declared(unique)
    async with mesh(service, url=broker.url) as m:
        await m.publish(placed("p-1"))
        await m.settled()
        told = await twice(patient_of(broker, service))
    assert [each.code for each in told] == ["one-replica"]


async def test_a_broker_that_was_never_applied_is_one_finding(broker: Broker, unique: str) -> None:
    _, service = declared(unique)
    told = found(await twice(patient_of(broker, service)))
    assert {"not-applied", "service-absent"} == set(told)


async def test_a_missing_durable_and_a_missing_stream_are_told_apart(
    broker: Broker, unique: str
) -> None:
    _, service = declared(unique)
    durable = f"{unique}-desk-take"
    async with applied(broker, service) as control:
        await control.api(f"CONSUMER.DELETE.{unique.upper()}.{durable}")
        told = found(await twice(patient_of(broker, service)))
        assert told["durable-missing"].about == f"{unique.upper()}/{durable}"
        assert "stream-missing" not in told
        await control.api(f"STREAM.DELETE.{unique.upper()}")
        told = found(await twice(patient_of(broker, service)))
        assert told["stream-missing"].about == unique.upper()
        assert durable in " ".join(told["stream-missing"].evidence)
        assert "durable-missing" not in told


async def test_drift_is_told_field_by_field(broker: Broker, unique: str) -> None:
    _, service = declared(unique)
    stream = unique.upper()
    async with applied(broker, service) as control:
        info = await control.api(f"STREAM.INFO.{stream}")
        changed = info["config"] | {"max_bytes": 1_000_000}
        await control.api(f"STREAM.UPDATE.{stream}", changed)
        told = found(await twice(patient_of(broker, service)))
    assert told["drift"].about == stream
    assert told["drift"].evidence == ("max_bytes is 1000000, declared -1",)
    assert told["drift"].sentence == f"The stream {stream} is not as declared."


async def test_messages_that_nobody_pulls_are_a_problem_of_their_durable(
    broker: Broker, unique: str
) -> None:
    _, service = declared(unique)
    async with applied(broker, service) as control:
        await control.publish(f"{unique}.placed.p-1", b'{"order_id": "p-1"}')
        told = found(await twice(patient_of(broker, service)))
    assert "service-absent" not in told, "it is the same thing"
    finding = told["nobody-pulls"]
    assert finding.sentence == (
        f"Nobody pulls {unique.upper()}/{unique}-desk-take, where 1 message waits."
    )
    assert f"no instance of {unique}-desk answers" in finding.evidence


async def test_a_lag_that_grows_is_seen_between_the_looks(broker: Broker, unique: str) -> None:
    """Hundreds come while one is being handled."""

    @event(f"{unique}.placed", key="order_id")
    class Placed(Struct, frozen=True):
        order_id: str

    service = Service(f"{unique}-desk", version="1.0.0")
    room = asyncio.Semaphore(1)

    @service.on(Placed)
    async def take(placed: Placed) -> None:
        await room.acquire()

    name = f"{unique}-desk".upper().replace("-", "_")
    slow = {f"JETMESH__SERVICES__{name}__HANDLERS__TAKE__CONCURRENCY": "1"}
    async with mesh(service, url=broker.url, settings=slow) as m:
        await m.publish(Placed("first"))
        await eventually(lambda: m.running[service.name].consumers[0].stats.acked)
        patient = patient_of(broker, service)
        first = await survey(patient)
        for number in range(300):
            await m.publish(Placed(f"p-{number}"))
        told = found(findings(await survey(patient, first.now)))
        for _ in range(300):
            room.release()
    assert told["lag-grows"].severity == "warning"
    assert "are handled" in told["lag-grows"].evidence[0]


async def test_a_durable_that_no_service_declares_is_an_orphan(broker: Broker, unique: str) -> None:
    """A renamed handler leaves one; a reader that goes away by itself is none."""
    _, service = declared(unique)
    stream = unique.upper()
    async with applied(broker, service) as control:
        for config in (
            {"durable_name": f"{unique}-old", "ack_policy": "explicit"},
            {"ack_policy": "none", "inactive_threshold": 60_000_000_000},
        ):
            body = {"stream_name": stream, "config": config, "action": "create"}
            name = config.get("durable_name")
            subject = f"CONSUMER.CREATE.{stream}" + (f".{name}" if name else "")
            await control.api(subject, body)
        told = [f for f in await twice(patient_of(broker, service)) if f.code == "orphan"]
    assert [finding.about for finding in told] == [f"{stream}/{unique}-old"]
    assert f"nats consumer rm {stream} {unique}-old" in told[0].remedy


async def test_dead_letters_are_told_by_fault_and_growth_is_a_problem(
    broker: Broker, unique: str
) -> None:
    placed, service = declared(unique, fails=True)
    async with mesh(service, url=broker.url) as m:
        await lost(m, placed, "p-1")
        patient = patient_of(broker, service)
        told = found(await twice(patient))
        assert told["dead-letters"].about == f"{unique}-desk.take"
        assert told["dead-letters"].evidence[0] == "Reject: the shelf is empty"
        before = await survey(patient)
        await lost(m, placed, "p-2")
        told = found(findings(await survey(patient, before.now)))
    assert told["dead-letters-grow"].severity == "problem"
    assert told["dead-letters-grow"].sentence.endswith("2 messages for one reason.")


async def lost(m: Mesh, placed: Any, key: str) -> None:
    """Publish something that is given up, and wait until it is."""
    held = (await m.control.api(f"STREAM.INFO.{DEADLETTERS}"))["state"]["messages"]
    await m.publish(placed(key))

    async def given_up() -> bool:
        state = (await m.control.api(f"STREAM.INFO.{DEADLETTERS}"))["state"]
        return bool(state["messages"] > held)

    await eventually(given_up, what="a dead letter")


async def test_what_is_open_on_lanes_is_counted_by_handler(broker: Broker, unique: str) -> None:
    _, service = declared(unique)
    async with applied(broker, service) as control:
        name = f"{unique}-desk"
        origin = Origin(f"{unique}.placed.p-1", unique.upper(), "1", first_day())
        await control.publish(lane_subject(name, "take", "p-1"), b"{}", origin.headers())
        await control.publish(lane_subject(name, "gone", "p-1"), b"{}", origin.headers())
        mark = {"Jetmesh-Deaths": "2"}
        await control.publish(quarantine_subject(name, "take", origin), b"", mark)
        told = found(await twice(patient_of(broker, service)))
    assert told["on-lane"].about == f"{name}.take"
    assert told["on-lane"].evidence[0] == "1 due, 0 wait for their time"
    assert told["lost-lane"].about == f"{name}.gone"
    assert told["quarantine"].evidence[0].endswith(f".{origin.token}.suspect: 2 runs")
    assert told["nobody-pulls"].about == f"{lane_stream(name)}/{name}-take"


async def test_instances_say_why_they_are_not_ready_and_in_which_version_they_run(
    broker: Broker, unique: str
) -> None:
    _, service = declared(unique)
    older = Service(service.name, version="0.9.0")
    stranger = Service(f"{unique}-stranger", version="1.0.0")
    async with applied(broker, service) as control:
        told = ["the stream is full", "the durable is missing"]
        await Discovery(service, "first", [], lambda: told).serve(control)
        await Discovery(older, "second", []).serve(control)
        await Discovery(stranger, "third", []).serve(control)
        seen = found(await twice(patient_of(broker, service)))
    assert seen["not-ready"].evidence[0].endswith(": the stream is full; the durable is missing")
    assert seen["not-ready"].evidence[0].startswith("first on ")
    assert [each.partition(":")[0] for each in seen["versions"].evidence] == ["1.0.0", "0.9.0"]
    assert seen["stranger"].about == f"{unique}-stranger"
    assert "service-absent" not in seen


async def test_the_monitoring_port_tells_how_often_the_server_writes_to_disk(
    tmp_path: Path, unique: str
) -> None:
    _, service = declared(unique)
    port = free_port()
    config = tmp_path / "nats.conf"
    config.write_text(f"http: 127.0.0.1:{port}\n")
    with Broker(tmp_path / "nats", config=config) as broker:
        async with applied(broker, service):
            seen = patient_of(broker, service, provision="verify")
            assert "sync-unseen" in found(await twice(seen))
            asked = patient_of(
                broker,
                service,
                provision="verify",
                monitoring=(f"http://127.0.0.1:{port}", f"http://127.0.0.1:{free_port()}"),
            )
            told = found(await twice(asked))
    assert "may forget up to 2 min" in told["sync-late"].sentence
    assert "the monitoring port" in told["unseen"].evidence[0]


async def test_what_may_not_be_asked_is_said_and_nothing_is_concluded_from_it(
    tmp_path: Path, unique: str
) -> None:
    _, service = declared(unique)
    config = tmp_path / "nats.conf"
    config.write_text(
        """
        accounts { A { jetstream: enabled, users: [
            { user: all, password: all },
            { user: some, password: some, permissions: {
                publish: ["$JS.API.INFO", "$JS.API.STREAM.INFO.>"], subscribe: ["_INBOX.>"] } },
            { user: none, password: none, permissions: { publish: ["x"] } },
        ] } }
        """
    )
    with Broker(tmp_path / "nats", config=config) as broker:
        every = NatsSettings(url=broker.url, user="all", password="all")  # noqa: S106 - a test's own
        async with await ControlPlane.connect(every, name="test") as control:
            await provision.apply(control, await provision.plan(control, derive([service])))
        some = NatsSettings(url=broker.url, user="some", password="some")  # noqa: S106 - the same
        facts = await survey(Target(some, derive([service])))
        told = found(findings(facts))
        assert set(told) == {"not-permitted", "one-replica"}, "no durable is called missing"
        lacking = " ".join(told["not-permitted"].evidence).upper()
        assert "PUBLISH ON $SRV.STATS" in lacking
        none = NatsSettings(url=broker.url, user="none", password="none")  # noqa: S106 - the same
        told = found(findings(await survey(Target(none, derive([service])))))
    assert set(told) == {"broker-refuses"}
    assert "$JS.API.INFO" in told["broker-refuses"].evidence[0].upper()


async def test_a_user_with_the_permissions_of_the_document_sees_everything(
    tmp_path: Path, unique: str
) -> None:
    """A dead letter and a message on a lane, too."""
    placed, service = declared(unique, fails=True)
    document = (ROOT / "docs" / "doctor.md").read_text()
    block = document.partition("sees everything")[2].partition("```")[2].partition("```")[0]
    block = block.replace("LANES_payments", lane_stream(service.name))
    config = tmp_path / "nats.conf"
    config.write_text(
        "accounts { A { jetstream: enabled, users: [ { user: all, password: all }, "
        f"{{ user: some, password: some, permissions: {{ {block} }} }} ] }} }}"
    )
    with Broker(tmp_path / "nats", config=config) as broker:
        login: dict[str, str] = {"JETMESH__NATS__USER": "all", "JETMESH__NATS__PASSWORD": "all"}
        async with mesh(service, url=broker.url, settings=login) as m:
            await lost(m, placed, "p-1")
            origin = Origin(f"{unique}.placed.p-1", unique.upper(), "1", first_day())
            lane = lane_subject(service.name, "gone", "p-1")
            await m.control.publish(lane, b"{}", origin.headers())
            await m.settled()
            some = NatsSettings(url=broker.url, user="some", password="some")  # noqa: S106 - a test's own
            told = found(await twice(Target(some, derive([service], audited=False))))
    assert set(told) == {"one-replica", "dead-letters", "lost-lane"}


async def test_a_server_without_jetstream_is_told_from_one_that_is_not_there(
    tmp_path: Path, unique: str
) -> None:
    _, service = declared(unique)
    config = tmp_path / "nats.conf"
    config.write_text(
        "accounts { A { users: [{ user: a, password: a }] }, B { jetstream: enabled } }"
    )
    with Broker(tmp_path / "nats", config=config) as broker:
        settings = NatsSettings(url=broker.url, user="a", password="a")  # noqa: S106 - a test's own
        assert set(found(findings(await survey(Target(settings, derive([service])))))) == {
            "jetstream-off"
        }
        wrong = NatsSettings(url=broker.url, user="a", password="b")  # noqa: S106 - the same
        assert set(found(findings(await survey(Target(wrong, derive([service])))))) == {
            "broker-refuses"
        }
    assert set(found(findings(await survey(Target(settings, derive([service])))))) == {
        "broker-absent"
    }
