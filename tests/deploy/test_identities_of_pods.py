"""Everybody in the chart has an identity: what is rendered, run by real servers, lets each do."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from jetmesh import Service, derive
from jetmesh.errors import JetmeshError
from jetmesh.operate.helm.logins import password_values
from jetmesh.operate.identities import RESERVED
from jetmesh.operate.project import Whole
from jetmesh.operate.up.ports import free_port
from jetmesh.settings import NatsSettings
from tests.attacks.intruder import intruding
from tests.deploy.conftest import ROOT, SEED, Helm, Render, Rendered
from tests.deploy.nodes import address, connected, login, mounted, password, servers, settings_file
from tests.deploy.processes import running
from tests.waiting import wait_until

SECONDS = 120.0
"""For what a loaded machine starts."""
ONE = ("nats.nodes=1", "nats.syncInterval=2m", "test.enabled=always")
RUN = ROOT / "deploy" / "image" / "start.py"


@dataclass
class Shop:
    """The chart's NATS, with streams and durables as its Job makes them."""

    rendered: Rendered
    ports: list[int]
    folder: Path

    def file(self, kind: str, name: str) -> Path:
        return settings_file(self.rendered, kind, name, self.ports, self.folder / f"{kind}-{name}")


def job(rendered: Rendered) -> str:
    [name] = rendered.kind("Job")
    return name


@pytest.fixture(scope="module", params=["users", "pages", "all"])
def shop(
    request: pytest.FixtureRequest, render: Render, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shop]:
    rendered = render(*ONE, f"nats.isolation={request.param}")
    folder = tmp_path_factory.mktemp("shop")
    with servers(rendered, folder) as ports:
        found = Shop(rendered, ports, folder)
        environ = {"JETMESH_SETTINGS": str(found.file("Job", job(rendered)))}
        command = [sys.executable, str(RUN), "jetmesh", "apply", "--wait", f"{SECONDS:g}s"]
        log = folder / "apply.log"
        with running(command, environ, log) as process:
            wait_until(
                lambda: "applied" in log.read_text().lower() or not alive(process),
                within=SECONDS,
                what=log.read_text,
            )
        yield found


def alive(process: int) -> bool:
    return (Path("/proc") / str(process) / "stat").read_text().split()[2] != "Z"


def test_each_service_is_ready_with_its_own_identity_and_what_the_operator_made(
    shop: Shop, whole: Whole
) -> None:
    with ExitStack() as stack:
        found: dict[str, tuple[int, Path]] = {}
        for service in whole.services:
            file, health = shop.file("Deployment", service.name), free_port()
            log = shop.folder / f"{service.name}.log"
            environ = {
                "JETMESH_SETTINGS": str(file),
                "JETMESH__HTTP__PORT": str(free_port() if service.pages else health),
                "JETMESH__HTTP__HEALTH_PORT": str(health),
            }
            stack.enter_context(running([sys.executable, str(RUN), service.name], environ, log))
            found[service.name] = health, log
        for health, log in found.values():
            wait_until(lambda h=health: ready(h), within=SECONDS, what=log.read_text)  # type: ignore[misc] # it is bound here


def ready(port: int) -> bool:
    try:
        asked = httpx.get(f"http://127.0.0.1:{port}/readyz", trust_env=False, timeout=5)
    except httpx.HTTPError:
        return False
    return asked.status_code == httpx.codes.OK


async def test_a_service_may_do_nothing_of_others(shop: Shop) -> None:
    """By what its pods mount; the attacks in full are on the same configuration, tests/attacks."""
    word = password(shop.rendered, "notifications")
    url = address(shop.ports, f"notifications:{word}@")
    async with intruding(
        NatsSettings(url=url, inbox_prefix="_INBOX_notifications")
    ) as notifications:
        forbidden = {
            "orders.validated.p-1",
            "payments.captured.p-1",
            "$JS.API.STREAM.DELETE.ORDERS",
            "$JS.API.STREAM.PURGE.LANES_payments",
            "$JS.API.CONSUMER.CREATE.ORDERS.mine",
            "$JS.API.CONSUMER.MSG.NEXT.ORDERS.payments-charge",
        }
        assert await notifications.refused(forbidden) == forbidden
        heard = {">", "_INBOX.>", "_INBOX_payments.>", "orders.>"}
        assert await notifications.deaf(heard) == heard


async def test_the_client_publishes_what_comes_from_outside_and_nothing_else(shop: Shop) -> None:
    async with connected(shop.rendered, shop.ports, "clients") as control:
        assert (await control.publish("purchases.created.p-1", b"{}")).stream == "PURCHASES"
        assert (await control.api("STREAM.INFO.PURCHASES"))["state"]["messages"] == 1
    url = address(shop.ports, f"clients:{password(shop.rendered, 'clients')}@")
    async with intruding(NatsSettings(url=url)) as client:
        forbidden = {"orders.validated.p-1", "purchases.craeted", "$JS.API.STREAM.DELETE.ORDERS"}
        assert await client.refused(forbidden) == forbidden
    async with connected(shop.rendered, shop.ports, "operator") as operator:
        await operator.api("STREAM.PURGE.PURCHASES")


async def test_what_the_pod_of_helm_test_reads_is_the_operators(shop: Shop, whole: Whole) -> None:
    """It tells the story of a purchase: what every handler has stored."""
    nats = login(shop.file("Pod", "example"), whole.services)
    assert (nats.user, nats.inbox_prefix) == ("operator", "_INBOX_operator")


def test_each_pod_mounts_its_own_password_and_no_other(
    render: Render, whole: Whole, tmp_path: Path
) -> None:
    rendered = render("test.enabled=always")
    found = {
        name.partition("/")[2]: mounted(rendered, template, tmp_path)
        for name, template in rendered.workloads()
        if not name.startswith("StatefulSet")
    }
    at = "/nats/identity/password"
    assert found.pop(job(rendered)) == found.pop("example") == {at: "operator"}
    sandboxes = {name for name in found if name.startswith("sandbox-")}
    assert all(not found.pop(name) for name in sandboxes)
    assert found == {service.name: {at: service.name} for service in whole.services}
    for name, template in rendered.workloads():
        if name != "StatefulSet/nats":
            assert "secretKeyRef" not in str(template), name


def test_every_identity_has_a_password_of_its_own(render: Render, whole: Whole) -> None:
    words = render().one("Secret", "nats")["stringData"]
    assert words.keys() == {*RESERVED, "routes", *(service.name for service in whole.services)}
    assert len({*words.values()}) == len(words)


def test_a_changed_password_restarts_nobody(render: Render) -> None:
    """Nodes read them again, pods read theirs when they connect anew."""

    def stamp(rendered: Rendered, kind: str, name: str) -> dict[str, str]:
        found: dict[str, str] = rendered.one(kind, name)["spec"]["template"]["metadata"]
        return found

    before, after = render(), render("nats.passwords.services.payments=pOther")
    assert password(after, "payments") == "pOther"
    assert stamp(before, "StatefulSet", "nats") == stamp(after, "StatefulSet", "nats")
    assert stamp(before, "Deployment", "payments") == stamp(after, "Deployment", "payments")


@pytest.mark.parametrize("who", ["services", "admin"])
def test_a_password_of_before_is_refused_by_its_name(helm: Helm, chart: Path, who: str) -> None:
    refused = helm("template", "shop", chart, f"--set=nats.passwords.{who}=pOld")
    assert refused.returncode == 1
    assert "/nats/passwords" in refused.stderr
    assert who in refused.stderr


@pytest.mark.parametrize("account", ["SYS", "CLIENTS", "payments"])
def test_the_streams_cannot_be_in_an_account_of_somebody_else(
    helm: Helm, chart: Path, account: str
) -> None:
    refused = helm("template", "shop", chart, SEED, f"--set=nats.account={account}")
    assert f"nats.account cannot be {account}" in refused.stderr


@pytest.mark.parametrize("isolation", ["users", "pages", "all"])
def test_streams_stay_in_their_account_and_nodes_in_theirs(render: Render, isolation: str) -> None:
    """Elsewhere the events of a release would vanish from sight, and nodes in a rollout, too."""
    text = render(f"nats.isolation={isolation}", "nats.account=OTHER").one("ConfigMap", "nats")
    config = text["data"]["nats.conf"]
    lines = [line.strip() for line in config.splitlines()]
    assert lines[lines.index("jetstream: enabled") - 1] == '"OTHER": {'
    assert '  "SYS": {}\n' in config
    assert 'system_account: "SYS"' in config
    assert "{{" not in config


def test_a_service_with_the_name_of_another_key_is_refused() -> None:
    with pytest.raises(JetmeshError, match="routes"):
        password_values(derive([Service("routes")]))
