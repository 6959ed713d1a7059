"""What operators do, each under a hundred purchases a second: nothing is lost, nothing doubled."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from jetmesh.errors import BrokerError
from jetmesh.settings import NatsSettings
from jetmesh.transport.control import ControlPlane
from tests.deploy.cluster.kube import SECONDS, Namespace, asked, eventually
from tests.deploy.cluster.purchases import (
    RATE,
    Published,
    each_ends_once,
    go_on,
    purchases,
)

CHARGE = "services.payments.handlers.charge"
SERVICES = ("order-validation", "payments", "notifications")


def check(shop: Namespace, prefix: str, published: Published) -> None:
    assert published.rate > RATE * 0.8, "the load was not what the test is about"
    each_ends_once(shop, prefix, published)


def durable(shop: Namespace, stream: str, name: str) -> dict[str, Any]:
    """The configuration that the server holds."""
    config: dict[str, Any] = asked(shop, f"CONSUMER.INFO.{stream}.{name}")["config"]
    return config


def test_a_consumer_is_tuned_by_an_upgrade_and_rolled_back(shop: Namespace) -> None:
    before = durable(shop, "ORDERS", "payments-charge")
    with purchases(shop, "tuned") as published:
        go_on()
        shop.release("upgrade", f"{CHARGE}.maxAckPending=64", f"{CHARGE}.ackWait=45s")
        for stream in ("ORDERS", "LANES_payments"):
            tuned = durable(shop, stream, "payments-charge")
            assert (tuned["max_ack_pending"], tuned["ack_wait"]) == (64, 45_000_000_000)
        go_on()
        shop.helm("rollback", "shop", "--wait", f"--timeout={SECONDS:g}s")
        eventually(
            lambda: durable(shop, "ORDERS", "payments-charge") == before,
            lambda: f"{durable(shop, 'ORDERS', 'payments-charge')}, not {before}",
        )
        shop.rolled_out("payments")
        go_on()
    check(shop, "tuned", published)


def test_a_service_is_scaled_from_one_to_four_to_one(shop: Namespace) -> None:
    with purchases(shop, "scaled") as published:
        for replicas in (1, 4, 1, 2):
            shop.kubectl("scale", "deployment/notifications", f"--replicas={replicas}")
            shop.rolled_out("notifications")
            count = len(shop.pods("notifications"))
            assert count == replicas
            go_on()
    check(shop, "scaled", published)


@pytest.mark.parametrize("how", ["deleted", pytest.param("forced", marks=pytest.mark.long)])
def test_one_pod_of_every_service_goes(shop: Namespace, how: str) -> None:
    """By force it is gone from the API at once, and its successor starts while it still ends."""
    options = ["--force", "--grace-period=0"] if how == "forced" else ["--wait=false"]
    with purchases(shop, how) as published:
        go_on()
        for service in SERVICES:
            [first, *_] = shop.pods(service)
            shop.kubectl("delete", "pod", first["metadata"]["name"], *options)
        shop.rolled_out(*SERVICES)
        go_on()
    check(shop, how, published)


@pytest.mark.long
def test_every_service_is_rolled_out_anew(shop: Namespace) -> None:
    with purchases(shop, "rolled") as published:
        go_on()
        shop.kubectl("rollout", "restart", *(f"deployment/{name}" for name in SERVICES))
        shop.rolled_out(*SERVICES)
        go_on()
    check(shop, "rolled", published)


def test_a_node_of_nats_is_deleted(shop: Namespace) -> None:
    with purchases(shop, "node") as published:
        go_on()
        shop.kubectl("delete", "pod", "nats-1", "--wait=true")
        eventually(lambda: shop.ready("nats") == 3, lambda: str(shop.pods("nats")))
        go_on()
    check(shop, "node", published)


@pytest.mark.long
def test_the_password_of_a_service_is_changed(shop: Namespace) -> None:
    """Pods have the new one first, then the nodes read it: nobody is restarted or kept waiting."""

    def running() -> set[tuple[str, int]]:
        return {
            (pod["metadata"]["name"], pod["status"]["containerStatuses"][0]["restartCount"])
            for name in ("nats", *SERVICES)
            for pod in shop.pods(name)
        }

    before, old = running(), shop.secret("nats", "notifications")
    with purchases(shop, "password", rate=RATE / 2) as published:
        go_on()
        shop.release("upgrade", "nats.passwords.services.notifications=pChanged")
        assert shop.secret("nats", "notifications") == "pChanged"
        nodes = [node["metadata"]["name"] for node in shop.pods("nats")]
        eventually(
            lambda: all(opens(shop, node, "pChanged") for node in nodes),
            lambda: "a node does not know the new one",
            2 * SECONDS,
        )
        assert not [node for node in nodes if opens(shop, node, old)]
        go_on()
        assert running() == before
        shop.release("upgrade", "logLevel=debug")
        assert shop.secret("nats", "notifications") == "pChanged", "it is kept"
        go_on()
    each_ends_once(shop, "password", published)


def opens(shop: Namespace, node: str, password: str) -> bool:
    """Whether a node of NATS knows this password of notifications."""

    async def login(port: int) -> bool:
        nats = NatsSettings(
            url=f"nats://127.0.0.1:{port}",
            user="notifications",
            password=password,
            inbox_prefix="_INBOX_notifications",
            ignore_discovered_servers=True,
        )
        try:
            async with await ControlPlane.connect(nats, name="trying"):
                return True
        except BrokerError:
            return False

    with shop.forwarded(f"pod/{node}", 4222) as port:
        return asyncio.run(login(port))


@pytest.mark.long
def test_a_drained_machine_keeps_one_pod_of_every_service_and_two_of_nats(shop: Namespace) -> None:
    """On a cluster of one machine nothing can go elsewhere, so the budgets are what keeps it up."""
    nodes = [node["metadata"]["name"] for node in shop.get("nodes")["items"]]
    if len(nodes) > 1:
        pytest.skip("the other machines would take the pods; the budgets show on one machine")
    # the stand-ins for other people's servers have one pod, and the publisher is none of ours
    ours = f"--pod-selector=app.kubernetes.io/name in ({','.join((*SERVICES, 'nats'))})"
    drain = ["drain", *nodes, ours, "--ignore-daemonsets", "--timeout=30s"]
    with purchases(shop, "drained") as published:
        go_on()
        try:
            drained = shop.run("kubectl", *drain)
            assert drained.returncode != 0
            assert "would violate the pod's disruption budget" in drained.stderr
            assert [shop.ready(name) for name in SERVICES] == [1, 1, 1]
            assert shop.ready("nats") == 2
        finally:
            shop.kubectl("uncordon", *nodes)
        shop.rolled_out(*SERVICES)
        eventually(lambda: shop.ready("nats") == 3, lambda: str(shop.pods("nats")))
        go_on()
    check(shop, "drained", published)
