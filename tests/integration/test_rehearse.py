"""`jetmesh rehearse` on a real broker: what it reads, what it says, and that it leaves no trace."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from jetmesh import Policy, Reject, Retry, Service, event
from jetmesh.declare import Duration, derive
from jetmesh.errors import UsageError
from jetmesh.operate.up.broker import Broker
from jetmesh.runtime.rehearsing.rehearsal import Rehearsal
from jetmesh.runtime.rehearsing.report import Report
from jetmesh.runtime.rehearsing.stored import Known, newest
from jetmesh.testing import Mesh, eventually, mesh
from jetmesh.transport.control import ControlPlane
from shop import order_validation
from shop_contracts import Customer, Item, PurchaseCreated, RejectionCode
from tests.integration.command_line import said
from tests.integration.planes import settings_of

pytestmark = pytest.mark.timeout(300)  # thousands of purchases, on a machine that has much to do
MANY = 3_000


@dataclass
class Desk:
    """A service that decides, as its rule of the moment says."""

    placed: Any
    service: Service
    rule: Callable[[Any], Any]

    async def known(self, control: ControlPlane, count: int = 100) -> dict[str, Known]:
        (handler,) = self.service.handlers
        several = await newest(control, handler, count)
        return {json.loads(each.message.payload)["id"]: each for each in several}

    async def report(self, control: ControlPlane, count: int = 100) -> Report:
        (handler,) = self.service.handlers
        several = await newest(control, handler, count)
        return await Rehearsal(self.service, None, derive([self.service])).compare(handler, several)


@asynccontextmanager
async def desk(broker: Broker, unique: str) -> AsyncIterator[tuple[Mesh, Desk]]:
    @event(f"{unique}-in.placed", key="id")
    class Placed(Struct, frozen=True):
        id: str
        amount: int = 0

    @event(f"{unique}-in.noise", key="id")
    class Noise(Struct, frozen=True):
        id: str

    @event(f"{unique}.accepted", key="id", decision=f"{unique}.*")
    class Accepted(Struct, frozen=True):
        id: str
        amount: int = 0

    @event(f"{unique}.refused", key="id", decision=f"{unique}.*")
    class Refused(Struct, frozen=True):
        id: str

    def rule(placed: Placed) -> Accepted | Refused | None:
        if placed.amount == 1:
            raise Reject("one is too few")
        if placed.amount == 2:
            raise Retry("two may become three", after=3600, counts=False)
        if placed.amount == 3:
            return None
        return Accepted(placed.id, placed.amount) if placed.amount < 10 else Refused(placed.id)

    service = Service(f"{unique}-desk")
    service.publishes(Noise)
    made = Desk(Placed, service, rule)

    @service.on(Placed, policy=Policy(attempts=1, backoff=Duration(0.02)))
    def decide(placed: Placed) -> Accepted | Refused | None:
        result: Accepted | Refused | None = made.rule(placed)
        return result

    async with mesh(service, url=broker.url) as m:
        yield m, made


async def test_what_came_of_each_message_is_found(broker: Broker, unique: str) -> None:
    async with desk(broker, unique) as (m, d):
        for n, amount in enumerate((5, 15, 1, 2, 3)):
            await m.publish(d.placed(f"b-{n}", amount))
        await m.publish(d.placed("b-0", 6))  # too late: the key is decided
        await m.publish(f"{unique}-in.placed", '{"id": "typed", "amount": 5}')

        async def all_ended() -> bool:
            known = await d.known(m.control)
            fates = {key: each.fate for key, each in known.items()}
            return fates == {
                "b-1": "made",
                "b-2": "letter",
                "b-3": "open",  # it waits on the lane
                "b-4": "nothing",
                "b-0": "others",  # the later one
                "typed": "made",
            }

        await eventually(all_ended, within=30, what="what came of each message")
        known = await d.known(m.control)
        assert known["b-2"].error == "Reject"
        assert [each.subject for each in known["b-1"].outputs] == [f"{unique}.refused.b-1"]
        report = await d.report(m.control)
        assert (report.same, report.open, report.others, report.groups) == (5, 1, 1, [])


async def test_what_is_not_handled_yet_is_not_taken_for_without_an_outcome(
    broker: Broker, unique: str
) -> None:
    async with desk(broker, unique) as (m, d):
        await m.publish(d.placed("b-1", 5))
        await m.settled()
    async with await ControlPlane.connect(settings_of(broker), name="test") as control:
        await control.publish(f"{unique}-in.placed.b-2", b'{"id": "b-2", "amount": 5}')
        report = await d.report(control)
        assert (report.same, report.open, report.groups) == (1, 1, [])


async def test_the_newest_are_read_however_much_else_the_stream_holds(
    broker: Broker, unique: str
) -> None:
    async with desk(broker, unique) as (m, d):
        for n in range(8):
            await m.publish(d.placed(f"b-{n}", 5))
            for k in range(9):
                await m.publish(f"{unique}-in.noise.n-{k}", '{"id": "n"}')
        await m.settled()
        assert [*await d.known(m.control, 3)] == ["b-5", "b-6", "b-7"]
        assert len(await d.known(m.control, 1000)) == 8


async def test_nothing_is_written_published_or_acked(broker: Broker, unique: str) -> None:
    async with desk(broker, unique) as (m, d):
        for n, amount in enumerate((5, 15, 1, 3)):
            await m.publish(d.placed(f"b-{n}", amount))
        await m.settled()
    async with await ControlPlane.connect(settings_of(broker), name="test") as control:
        await control.publish(f"{unique}-in.placed.b-9", b'{"id": "b-9", "amount": 5}')
        before = await everything(control)
        d.rule = lambda placed: {}[placed.id]  # every message would be a letter, or tried again
        report = await d.report(control)
        assert {group.kind for group in report.groups} == {"letter:KeyError"}
        assert await everything(control) == before


async def test_what_is_no_longer_stored_is_no_difference(broker: Broker, unique: str) -> None:
    async with desk(broker, unique) as (m, d):
        for n in range(3):
            await m.publish(d.placed(f"b-{n}", 5))
        await m.settled()
        await m.control.forget(unique.upper(), ">", before=3)
        report = await d.report(m.control)
        assert (report.same, report.gone, report.groups) == (1, 2, [])
        await m.control.forget(unique.upper(), ">")
        report = await d.report(m.control)
        assert (report.same, report.gone, report.groups) == (0, 3, [])


async def everything(control: ControlPlane) -> list[Any]:
    """All that the server knows of streams and durables, but when it was asked."""
    found: list[Any] = []
    for stream in (await control.api("STREAM.LIST"))["streams"]:
        consumers = await control.consumers(stream["config"]["name"])
        found += [stream["config"], stream["state"]]
        found += [{**each, "ts": ""} for each in consumers]
    return found


async def test_a_broker_without_the_stream_is_told_in_a_sentence(own_broker: Broker) -> None:
    async with await ControlPlane.connect(settings_of(own_broker), name="test") as control:
        with pytest.raises(UsageError, match="no stream PURCHASES on this broker"):
            await newest(control, order_validation.service.handlers[0], 10)


# the shop, as a developer rehearses it


def purchase(number: int) -> PurchaseCreated:
    return PurchaseCreated(
        purchase_id=f"p-{number}",
        customer=Customer(id="c", name="Sample Customer", email="customer@example.test"),
        items=(Item(sku="tea", quantity=2, unit_price=Decimal("4.50")),),
        total=Decimal("9.99" if number % 10 == 0 else "9.00"),
        currency="EUR",
        payment_token="tok_ok",  # noqa: S106 - a token of the sandbox
    )


async def validate(url: str) -> None:
    async with mesh(order_validation.service, url=url) as m:
        for first in range(0, MANY, 100):
            await asyncio.gather(*(m.publish(purchase(n)) for n in range(first, first + 100)))
        await m.settled(within=120)


@pytest.fixture(scope="module")
def purchases(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A broker with stored purchases, which were validated by the rules of today."""
    with Broker(tmp_path_factory.mktemp("purchases")) as broker:
        asyncio.run(validate(broker.url))
        yield broker


def test_the_same_code_leads_to_the_same(purchases: Broker) -> None:
    told = said("rehearse", "order-validation", "--last", "2000", url=purchases.url)
    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout == "order-validation.decide: 2,000 the same.\n"


def plant(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new build whose rule is wrong for a few, and which fails for fewer."""
    right = order_validation.find_faults

    def wrong(bought: PurchaseCreated, settings: Any) -> list[Any]:
        faults = right(bought, settings)
        if bought.purchase_id.endswith("077"):
            message = f"Not with {bought.payment_token} of {bought.customer.email}."
            faults.append(order_validation._reason(RejectionCode.TOTAL_MISMATCH, "total", message))
        if bought.purchase_id.endswith("-88"):
            raise KeyError(bought.customer.email)
        return faults

    monkeypatch.setattr(order_validation, "find_faults", wrong)


def test_a_planted_wrong_rule_is_found_among_thousands_of_purchases(
    purchases: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    told = said("rehearse", "order-validation", "--last", str(MANY), url=purchases.url)
    assert told.returncode == 1
    first, *rest = told.stdout.splitlines()
    assert first.startswith(
        "order-validation.decide: 2,997 the same, 2 differ (`orders.rejected` where "
        "`orders.validated` is stored: total_mismatch, first: p-1077), 1 would be dead-lettered "
        "(`KeyError` at integration/test_rehearse.py:"
    )
    assert first.endswith(", first: p-88).")
    examples = [line.split()[0] for line in rest if "PURCHASES:" in line]
    assert examples == ["p-1077", "p-2077", "p-88"]
    assert "tok_ok" not in told.stdout
    assert "customer@" not in told.stdout


def test_programs_read_the_same_and_what_is_meant_is_allowed(
    purchases: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    allow = "--allow", "outcome:orders.rejected:*", "--allow", "letter:KeyError"
    told = said("rehearse", "order-validation", "--last", "2000", "--json", url=purchases.url)
    found = json.loads(told.stdout)
    assert (told.returncode, found["exit_code"], found["service"]) == (1, 1, "order-validation")
    (handler,) = found["handlers"]
    assert (handler["rehearsed"], handler["same"]) == (2000, 1998)
    assert {group["kind"] for group in handler["groups"]} == {
        "outcome:orders.rejected:total_mismatch"
    }
    told = said("rehearse", "order-validation", "--last", "2000", *allow, url=purchases.url)
    assert told.returncode == 0
    assert "allowed" in told.stdout


def test_a_service_that_is_none_is_told_with_those_that_are(purchases: Broker) -> None:
    told = said("rehearse", "orders", url=purchases.url)
    assert told.returncode == 2
    assert "There is no service 'orders'. Name one of order-validation, payments" in " ".join(
        told.stderr.split()
    )
    told = said("rehearse", "business-dashboard", url=purchases.url)
    assert (told.returncode, told.stdout) == (2, "")
    assert "business-dashboard handles nothing" in told.stderr


def test_a_service_without_doubles_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    tmp_path.joinpath("pyproject.toml").write_text('[tool.jetmesh]\nsystem = "undoubled:system"\n')
    tmp_path.joinpath("undoubled.py").write_text(UNDOUBLED)
    told = said("rehearse", "undoubled", url="nats://127.0.0.1:1", cwd=tmp_path)
    assert (told.returncode, told.stdout) == (2, "")
    assert told.stderr.startswith("undoubled declares no double of Lift, which take asks for:")
    assert "@service.rehearsal" in told.stderr


UNDOUBLED = """
from collections.abc import AsyncIterator
from msgspec import Struct
from jetmesh import Service, System, event

@event("undoubled.asked", key="id")
class Asked(Struct, frozen=True):
    id: str

class Lift: ...

service = Service("undoubled")

@service.resource
async def lift() -> AsyncIterator[Lift]:
    yield Lift()

@service.on(Asked)
async def take(asked: Asked, lift: Lift) -> None: ...

system = System("undoubled", services=("undoubled",))
"""
