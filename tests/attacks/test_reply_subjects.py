"""An answer goes where the asker says. In an account of one's own that leads nowhere else.

The attacker asks what it may, and has the answer sent to a subject that is another's: a decision of
payments, its durable's reset, its acks. With users of one account that works, and says why there
are accounts.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from jetmesh.declare import Topology
from jetmesh.declare.permissions import covers
from jetmesh.operate.identities import CLIENT, Isolation
from jetmesh.protocol.deadlines import Deadline
from jetmesh.testing import eventually
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.provision import apply, plan
from tests.attacks.intruder import Intruder, intruding, says
from tests.isolated import Isolated, isolated

FORGED = "payments.captured.p-1"
RESET = "$JS.API.CONSUMER.RESET.ORDERS.payments-charge"
STEAL = "$JS.API.CONSUMER.MSG.NEXT.ORDERS.payments-charge"
PURGE = "$JS.API.STREAM.PURGE.ORDERS"
TARGETS = (
    FORGED,
    "orders.validated.p-1",
    RESET,
    STEAL,
    PURGE,
    "lanes.payments.charge.p-1",
    Deadline("fulfilments.overdue", "p-1").alarm("fulfilment"),
    "states.fulfilment.orders.p-1",
    "states.loyalty.accounts.c-1",
)
STREAMS = (
    "ORDERS",
    "PAYMENTS",
    "LANES_payments",
    "LANES_fulfilment",
    "STATES_FULFILMENT_ORDERS",
    "STATES_LOYALTY_ACCOUNTS",
)
"""Which take them."""
ABOUT_CONSUMERS = tuple(f"$JS.API.CONSUMER.{verb}." for verb in ("INFO", "RESET", "MSG.NEXT"))
STORED = ("purchases.created.p-1", b'{"seq":2,"batch":1}')
"""What whoever lets purchases in may store, to have it sent on."""


def questions(who: str, guarded: Isolated, topology: Topology) -> dict[str, bytes]:
    """Everything that it may ask for which there is an answer, about each consumer that exists."""
    consumers = [f"{durable.stream}.{durable.name}" for durable in topology.durables]
    consumers += [f"{slot.stream}.{slot.name}" for slot in topology.slots]
    permissions = guarded.config.identity(who).permissions
    assert permissions is not None
    asked: dict[str, bytes] = {}
    for subject in permissions.publish:
        if subject.startswith("$JS.ACK"):
            continue
        body = STORED[1] if subject.startswith(("purchases", "$JS.API.CONSUMER")) else b""
        if verb := next((each for each in ABOUT_CONSUMERS if subject.startswith(each)), ""):
            found = (f"{verb}{each}" for each in consumers)
            asked |= dict.fromkeys((each for each in found if covers(subject, each)), body)
            continue
        asked[subject.replace("INFO.*", "INFO.ORDERS").replace("*", "p-1")] = body
    return asked


@asynccontextmanager
async def scene(
    topology: Topology, isolation: Isolation, directory: Path
) -> AsyncIterator[tuple[Isolated, ControlPlane]]:
    """Payments has three orders to handle; purchases are stored."""
    with isolated(topology, isolation, directory) as guarded:
        async with await guarded.control() as operator:
            await apply(operator, await plan(operator, topology))
            for _ in TARGETS:  # one for each that it is to be delivered to
                await operator.publish(*STORED)
            for number in range(3):
                await operator.publish(f"orders.validated.o-{number}", b"{}")
            yield guarded, operator


async def kept(operator: ControlPlane) -> Mapping[str, object]:
    """What of others could have been changed."""
    found: dict[str, object] = {}
    for stream in STREAMS:
        state = (await operator.api(f"STREAM.INFO.{stream}"))["state"]
        found[stream] = state["messages"], state["last_seq"], state["first_seq"]
    info = await operator.api("CONSUMER.INFO.ORDERS.payments-charge")
    found["charge"] = info["delivered"], info["ack_floor"], info["num_pending"]
    return found


async def ask_everything(intruder: Intruder, asked: Mapping[str, bytes]) -> None:
    for subject, body in asked.items():
        for target in TARGETS:
            await intruder.publishes(subject, body, reply=target)
    # an answer to this one is an answer to all before
    await intruder.client.request("$JS.API.INFO", timeout=10)


APART: list[tuple[Isolation, str]] = [
    ("pages", CLIENT),
    ("pages", "storefront"),
    ("pages", "customer-dashboard"),
    ("all", "notifications"),
    ("all", "order-validation"),
]


@pytest.mark.parametrize(("isolation", "who"), APART)
async def test_in_an_account_of_its_own_no_answer_reaches_the_subjects_of_others(
    topology: Topology, tmp_path: Path, isolation: Isolation, who: str
) -> None:
    async with scene(topology, isolation, tmp_path) as (guarded, operator):
        before = dict(await kept(operator))
        asked = questions(who, guarded, topology)
        if who == "order-validation":  # its own subject, to which it may publish anyway
            asked = {each: body for each, body in asked.items() if not each.startswith("orders.")}
            before.pop("ORDERS")
            before.pop("charge")
        async with intruding(guarded.settings(who)) as intruder:
            await ask_everything(intruder, asked)
        after = await kept(operator)
        assert {name: after[name] for name in before} == before


async def test_in_one_account_they_are_stored_and_obeyed(
    topology: Topology, tmp_path: Path
) -> None:
    """The three ways: the PubAck of a publish, the answer to a question, a delivery."""
    async with (
        scene(topology, "users", tmp_path) as (guarded, operator),
        intruding(guarded.settings("order-validation")) as intruder,
    ):
        pull = "$JS.API.CONSUMER.MSG.NEXT.PURCHASES.order-validation-decide"
        await intruder.publishes("$JS.API.INFO", reply=f"{FORGED}-info")
        await intruder.publishes("orders.rejected.x", b"{}", reply=f"{FORGED}-ack")
        await intruder.publishes(pull, b'{"batch":1}', reply=f"{FORGED}-pull")

        async def forged() -> bool:
            return bool((await operator.api("STREAM.INFO.PAYMENTS"))["state"]["messages"] == 3)

        await eventually(forged, what="three forged outcomes")
        await intruder.publishes(pull, b'{"batch":1}', reply=RESET)

        async def skipped() -> bool:
            info = await operator.api("CONSUMER.INFO.ORDERS.payments-charge")
            return bool(info["delivered"]["stream_seq"])

        await eventually(skipped, what="orders that payments never gets")


@pytest.mark.parametrize("isolation", ["users", "pages", "all"])
async def test_no_answer_settles_the_delivery_of_another(
    topology: Topology, tmp_path: Path, isolation: Isolation
) -> None:
    """The server itself refuses these, in any account."""
    async with (
        scene(topology, isolation, tmp_path) as (guarded, _),
        intruding(guarded.settings("storefront")) as intruder,
    ):
        for start in ("$JS.ACK.", "$JS.ACK._.AbCdEfGh."):
            reply = f"{start}ORDERS.payments-charge.1.1.1.1700000000000000000.0"
            await intruder.publishes("$JS.API.INFO", reply=reply)
            await says(intruder, reply.lower())


@pytest.mark.parametrize(
    "headers",
    [
        {"Nats-Trace-Dest": FORGED},
        {"Nats-Schedule": "@every 1s", "Nats-Schedule-Target": FORGED},
        {"Nats-Rollup": "all"},
        {"Nats-Rollup": "sub"},
        {"Nats-Batch-Id": "b", "Nats-Batch-Sequence": "1", "Nats-Batch-Commit": "1"},
        {"Nats-TTL": "1s"},
        {"Nats-Request-Info": '{"acc":"MESH","user":"operator"}'},
    ],
    ids=lambda each: next(iter(each)),
)
@pytest.mark.parametrize("isolation", ["users", "pages"])
async def test_no_header_reaches_the_subjects_of_others(
    topology: Topology, tmp_path: Path, isolation: Isolation, headers: dict[str, str]
) -> None:
    async with scene(topology, isolation, tmp_path) as (guarded, operator):
        before = await kept(operator)
        async with intruding(guarded.settings("storefront")) as intruder:
            await intruder.publishes("purchases.created.p-2", b"{}", headers=headers)
            await intruder.publishes("$JS.API.INFO", headers=headers)
            await intruder.client.request("$JS.API.INFO", timeout=10)
        assert await kept(operator) == before
        state = (await operator.api("STREAM.INFO.PURCHASES"))["state"]
        assert state["first_seq"] == 1, "nothing was rolled up"
        for sequence in range(1, state["last_seq"] + 1):
            message = await operator.message("PURCHASES", sequence)
            assert message is not None
            assert "Nats-Request-Info" not in message.headers
