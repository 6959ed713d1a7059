"""The shop with a renamed field, as a developer renames it: can-deploy counts what would die."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from jetmesh.operate.up.broker import Broker
from jetmesh.testing import mesh
from shop.order_validation import service as validation
from tests.integration.command_line import ROOT, Said, jetmesh

ORDERS = 20
UPCASTER = """

@upcasts(1, OrderValidated)
def with_new_name(old: dict[str, Any]) -> dict[str, Any]:
    old["checked_at"] = old.pop("validated_at")
    return old
"""


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """With orders that nobody has handled."""
    with Broker(tmp_path / "nats") as started:
        yield started


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The shop and its contracts, to be changed."""
    root = tmp_path / "checkout"
    for package in ("pkg/shop", "contracts/shop_contracts"):
        shutil.copytree(ROOT / package, root / Path(package).name)
    shutil.copytree(ROOT / "contracts/released", root / "contracts/released")
    (root / "pyproject.toml").write_text('[tool.jetmesh]\nsystem = "shop.system:system"\n')
    return root


async def stored(broker: Broker, checkout: Path) -> None:
    assert can(broker, checkout, "apply").returncode == 0
    good = json.loads((ROOT / "examples/purchases/good.json").read_text())
    async with mesh(validation, url=broker.url) as m:
        for number in range(ORDERS):
            purchase = {**good, "purchase_id": f"p-{number}"}
            await m.publish("purchases.created", json.dumps(purchase))
        await m.settled()


def can(broker: Broker, checkout: Path, *words: str) -> Said:
    path = f"{checkout}:{ROOT / 'pkg'}"
    done = jetmesh(*words, url=broker.url, cwd=checkout, PYTHONPATH=path)
    return Said(done.returncode, done.stdout, done.stderr)


def rename(checkout: Path) -> None:
    for file in checkout.rglob("*.py"):
        file.write_text(file.read_text().replace("validated_at", "checked_at"))


def upcast(checkout: Path) -> None:
    file = checkout / "shop_contracts" / "orders.py"
    text = file.read_text()
    text = text.replace('"orders.validated", key', '"orders.validated", version=2, key')
    text = text.replace("from jetmesh import event\n", "from jetmesh import event, upcasts\n")
    text = text.replace("from typing import Annotated\n", "from typing import Annotated, Any\n")
    file.write_text(text + UPCASTER)


async def test_a_renamed_field_is_refused_with_the_number_of_orders_and_an_upcaster_makes_it_green(
    broker: Broker, checkout: Path
) -> None:
    await stored(broker, checkout)
    same = can(broker, checkout, "can-deploy")
    assert same.returncode == 0, same.stdout + same.stderr
    assert f"{ORDERS} of {ORDERS} stored orders.validated decode" in same.stdout
    rename(checkout)
    refused = can(broker, checkout, "can-deploy")
    assert refused.returncode == 1, refused.stdout + refused.stderr
    assert f"0 of {ORDERS} stored orders.validated decode" in refused.stdout
    assert f"payments.charge would dead-letter {ORDERS}" in refused.stdout
    assert f"customer-dashboard would skip {ORDERS}" in refused.stdout
    assert "version 1 could be read" in refused.stdout
    assert "cannot be read by processes that know release 1" in refused.stdout
    assert "customer@example.test" not in refused.stdout
    upcast(checkout)
    green = can(broker, checkout, "can-deploy")
    assert green.returncode == 0, green.stdout + green.stderr
    assert f"{ORDERS} of {ORDERS} stored orders.validated decode" in green.stdout
