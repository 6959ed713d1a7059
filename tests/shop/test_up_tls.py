"""The whole shop on `jetmesh up --tls`: what a person types, with the authority that up made."""

from __future__ import annotations

import asyncio
import json
import random
from pathlib import Path

import pytest

from tests.shop.conftest import running
from tests.shop.outcomes import check_outcomes, purchase
from tests.waiting import wait_until

pytestmark = pytest.mark.timeout(300)  # it starts the shop
PURCHASES = 50


def test_every_purchase_has_one_outcome_and_one_mail(tmp_path: Path) -> None:
    chance = random.Random(40)  # noqa: S311 - repeatable, not secret
    with running(tmp_path, "--tls") as shop:
        assert shop.nats_url.startswith("tls://")
        for number in range(PURCHASES):
            shop.nats("pub", "purchases.created", json.dumps(purchase(number, chance)))
        wait_until(
            lambda: shop.get("sandbox-mail", "/mails.json?count_only")["distinct"] >= PURCHASES,
            within=60,
            what=lambda: shop.log.read_text()[-4000:],
        )
        mails = shop.get("sandbox-mail", "/mails.json")
        asyncio.run(check_outcomes(shop.operator, mails, PURCHASES))
        assert "payments" in shop.nats("micro", "ls").stdout
        assert "ORDERS" in shop.nats("stream", "report").stdout
