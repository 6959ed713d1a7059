"""README's "Change a contract in ten minutes", typed: the shop, a renamed field, what each says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import msgspec
import pytest

from jetmesh.operate.up.broker import Broker
from jetmesh.settings import NatsSettings
from jetmesh.transport.control import ControlPlane
from tests.integration.command_line import ROOT, jetmesh
from tests.unit.shop import flow

_sections = re.compile(r"^## (Change a contract.*?)^## ", re.MULTILINE | re.DOTALL)
ORDERS = Path("contracts") / "shop_contracts" / "orders.py"


def changed(folder: Path) -> Path:
    """The shop with the change that README shows."""
    for name in ("contracts", "pkg/shop", "pyproject.toml"):
        source = ROOT / name
        copy = shutil.copytree if source.is_dir() else shutil.copy
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        copy(source, folder / name)
    section = _sections.search((ROOT / "README.md").read_text())
    assert section is not None
    [diff] = re.findall(r"```diff\n(.*?)```", section[1], re.DOTALL)
    applied = subprocess.run(
        ["git", "apply", "-"], cwd=folder, input=diff, capture_output=True, text=True, check=False
    )
    assert applied.returncode == 0, applied.stderr
    return folder


def without_version(folder: Path) -> None:
    """Leave away what README says is needed."""
    file = folder / ORDERS
    text = file.read_text().replace(", version=2)", ")")
    file.write_text(re.sub(r"@upcasts\(1.*?\n\n\n", "", text, flags=re.DOTALL))


def said(folder: Path, *arguments: str, url: str = "") -> subprocess.CompletedProcess[str]:
    paths = [str(folder / "pkg"), str(folder / "contracts"), os.environ.get("PYTHONPATH", "")]
    path = os.pathsep.join(filter(None, paths))
    return jetmesh(*arguments, url=url, cwd=folder, PYTHONPATH=path)


def test_without_a_version_the_check_names_who_would_be_hurt(tmp_path: Path) -> None:
    shop = changed(tmp_path)
    without_version(shop)
    told = said(shop, "contracts", "check")
    assert told.returncode == 1, told.stderr
    assert "RED orders.validated decided_at: it is missing" in told.stdout
    assert "payments.charge, fulfilment.begin, business-dashboard.Board" in told.stdout
    assert "@upcasts(1, OrderValidated)" in told.stdout


def test_with_it_everything_is_green_and_the_pages_say_what_changed(tmp_path: Path) -> None:
    shop = changed(tmp_path)
    told = said(shop, "contracts", "check")
    assert (told.returncode, "RED" in told.stdout) == (0, False), told.stdout
    assert said(shop, "contracts", "release").returncode == 0
    assert (shop / "contracts" / "released" / "orders.validated" / "2").is_dir()
    assert said(shop, "contracts").returncode == 0
    page = (shop / ".jetmesh" / "contracts" / "orders.validated.html").read_text()
    for text in ("without validated_at", "with decided_at", "with_decided_at"):
        assert text in page
    assert said(shop, "contracts", "--check").returncode == 0


@pytest.mark.timeout(240)
async def test_the_stored_orders_are_counted_before_a_deployment(
    broker: Broker, tmp_path: Path
) -> None:
    applied = said(ROOT, "apply", url=broker.url)
    assert applied.returncode == 0, applied.stderr
    async with await ControlPlane.connect(NatsSettings(url=broker.url), name="test") as control:
        for key in ("p-1", "p-2"):
            payload = msgspec.json.encode(flow.validated(key))
            await control.publish(f"orders.validated.{key}", payload)
    shop = changed(tmp_path)
    proven = said(shop, "can-deploy", url=broker.url)
    assert proven.returncode == 0, proven.stdout
    assert "2 of 2 stored orders.validated decode\n" in proven.stdout
    assert proven.stdout.endswith("It can be deployed.\n")
    without_version(shop)
    refused = said(shop, "can-deploy", url=broker.url)
    assert refused.returncode == 1
    assert "0 of 2 stored orders.validated decode\n" in refused.stdout
