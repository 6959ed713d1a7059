"""The whole shop on TLS, with a private authority and a client's certificate, killed at random."""

from __future__ import annotations

import asyncio
import json
import random
from pathlib import Path
from typing import Any

import pytest

from jetmesh.operate.up.broker import Broker
from jetmesh.settings import NatsSettings
from jetmesh.testing import eventually
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.dataplane import DataPlane
from tests.certificates import Certificates
from tests.cluster.chaos.asking import ask
from tests.cluster.chaos.shop import Shop
from tests.integration.planes import publish
from tests.shop.conftest import SETTINGS
from tests.shop.outcomes import check_outcomes, purchase

pytestmark = pytest.mark.timeout(360)  # purchases at their pace, nine kills
PURCHASES = 200
ROUNDS = 1
SERVICES = (
    "order-validation",
    "payments",
    "notifications",
    "fulfilment",
    "loyalty",
    "business-dashboard",
    "customer-dashboard",
    "storefront",
)
ENCRYPTED = """
[nats]
url = "{url}"
tls_ca_file = "{ca}"
tls_cert_file = "{cert}"
tls_key_file = "{key}"
tls_first = {first}

[services.payments.settings]
gateway_url = "http://127.0.0.1:{gateway}"
[services.notifications.settings]
smtp_port = {smtp}
smtp_security = "none"
hourly = 0
"""


async def test_every_purchase_has_one_outcome_and_one_mail_on_tls(
    tmp_path: Path, certificates: Certificates
) -> None:
    chance = random.Random(30)  # noqa: S311 - repeatable, not secret
    config = tmp_path / "nats.conf"
    config.write_text(certificates.config(verify=True))
    with Broker(tmp_path / "nats", config=config) as broker:
        nats = NatsSettings(url=f"tls://127.0.0.1:{broker.port}", **certificates.client)
        shop = shop_on(nats, tmp_path)
        try:
            await shop.start()
            killing = asyncio.create_task(kill_some(shop, broker, chance))
            await publish_all(nats, chance)
            await killing

            await eventually(lambda: all_told(nats), within=60, what=f"{PURCHASES} customers told")
            await shop.ready()
            status, mails = await ask("127.0.0.1", shop.mail_port, "/mails.json")
            assert status == 200
            await check_outcomes(nats, json.loads(mails), PURCHASES)
            assert shop.deaths.total() == ROUNDS * len(SERVICES)
            await shop.stop_gently()
        finally:
            shop.stop()


def shop_on(nats: NatsSettings, folder: Path) -> Shop:
    settings = folder / "jetmesh.toml"
    shop = Shop(folder, settings, SERVICES)
    settings.write_text(
        ENCRYPTED.format(
            url=nats.url,
            ca=nats.tls_ca_file,
            cert=nats.tls_cert_file,
            key=nats.tls_key_file,
            first=str(nats.tls_first).lower(),
            gateway=shop.gateway_port,
            smtp=shop.smtp_port,
        )
        + SETTINGS
    )
    return shop


async def publish_all(nats: NatsSettings, chance: random.Random) -> None:
    """Each acknowledged, about 40 a second, so that kills meet work."""
    async with DataPlane(nats, name="customers") as plane:

        async def buy(bought: dict[str, Any]) -> None:
            assert (
                await publish(plane, "purchases.created", json.dumps(bought).encode()) == "stored"
            )

        async with asyncio.TaskGroup() as buying:
            for number in range(PURCHASES):
                buying.create_task(buy(purchase(number, chance)))
                await asyncio.sleep(0.025)


async def kill_some(shop: Shop, broker: Broker, chance: random.Random) -> None:
    """Kill every service `ROUNDS` times, and the broker once, in an order left to chance."""
    victims = [*SERVICES] * ROUNDS
    chance.shuffle(victims)
    for number, victim in enumerate(victims):
        await asyncio.sleep(chance.uniform(0.3, 0.9))
        if number == len(victims) // 2:
            await asyncio.to_thread(broker.kill)
            await asyncio.to_thread(broker.start)
        await shop.ready()
        shop.service(victim).kill()


async def all_told(nats: NatsSettings) -> bool:
    async with await ControlPlane.connect(nats, name="look") as control:
        info = await control.api("STREAM.INFO.NOTIFICATIONS")
    return bool(info["state"]["messages"] >= PURCHASES)
