"""A charge is given back where somebody else declined the payment: on a real gateway's sandbox."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
from aiohttp import ClientSession
from msgspec.structs import replace

from jetmesh import Reject
from jetmesh.operate.up.broker import Broker
from jetmesh.operate.up.ports import free_port
from jetmesh.testing import mesh
from shop.gateway import Charged, Gateway, Refused
from shop.payments import idempotency_key, request_of
from shop.payments import service as payments
from tests.integration.sandbox_process import Sandbox
from tests.unit.shop import flow

KEY, DECLINED_KEY, NO_KEY = (idempotency_key(f"p-{number}") for number in (1, 2, 3))


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    made = Sandbox("sandbox-gateway", tmp_path / "kept", free_port(), 0)
    made.start()
    try:
        yield made
    finally:
        made.stop(signal.SIGKILL)


@pytest.fixture
async def client(sandbox: Sandbox) -> AsyncIterator[Gateway]:
    async with ClientSession(sandbox.url) as opened:
        yield Gateway(opened)


def page(sandbox: Sandbox) -> str:
    return httpx.get(sandbox.url, trust_env=False).text


async def charged(client: Gateway) -> Charged:
    answer = await client.charge(request_of(flow.validated()), KEY)
    assert isinstance(answer, Charged)
    return answer


async def test_a_charge_is_found_by_its_key_and_given_back_once(
    sandbox: Sandbox, client: Gateway
) -> None:
    assert await client.find(KEY) is None
    answer = await charged(client)
    assert await client.find(KEY) == answer
    for _ in range(2):
        await client.refund(KEY)
    assert (sandbox.directory / "charges.jsonl").read_bytes().count(b'"refunded":true') == 1
    sandbox.stop(signal.SIGKILL)
    sandbox.start()
    assert f"given back {answer.id}" in page(sandbox)


async def test_what_was_not_charged_cannot_be_given_back(client: Gateway) -> None:
    order = replace(flow.validated("p-2"), payment_token="tok_expired_card")  # noqa: S106 - a test token
    await client.charge(request_of(order), DECLINED_KEY)
    assert isinstance(await client.find(DECLINED_KEY), Refused)
    for key in (DECLINED_KEY, NO_KEY):
        with pytest.raises(Reject, match="422"):
            await client.refund(key)


async def test_a_charge_whose_payment_was_declined_elsewhere_is_given_back(
    sandbox: Sandbox, client: Gateway, broker: Broker
) -> None:
    """As after a crash between the charge and its event: somebody declined in between."""
    variables = {"JETMESH__SERVICES__PAYMENTS__SETTINGS__GATEWAY_URL": sandbox.url}
    answer = await charged(client)
    async with mesh(payments, url=broker.url, settings=variables) as m:
        await m.publish(flow.declined())
        await m.publish(flow.validated())
        await m.settled()
    assert f"given back {answer.id}" in page(sandbox)
