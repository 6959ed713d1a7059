"""What operators do, each under a hundred purchases a second: nothing is lost, nothing doubled."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from tests.deploy.cluster.kube import SECONDS, Namespace, asked, eventually
from tests.deploy.cluster.purchases import (
    RATE,
    Published,
    each_ends_once,
    each_is_stored_once,
    go_on,
    mails,
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
    """Nodes take it when they start, pods when they connect anew: none of these is restarted."""
    before = {pod["metadata"]["name"] for pod in shop.pods("notifications")}
    with purchases(shop, "password") as published:
        go_on()
        shop.release("upgrade", "nats.passwords.services.notifications=pChanged")
        assert shop.secret("nats", "notifications") == "pChanged"
        assert {pod["metadata"]["name"] for pod in shop.pods("notifications")} == before
        go_on()
        shop.release("upgrade", "logLevel=debug")
        assert shop.secret("nats", "notifications") == "pChanged", "it is kept"
        go_on()
    each_is_stored_once(shop, "password", published)
    # whoever is refused for longer than ack_wait may have sent what somebody else then sends, too
    expected, sent = Counter(published.acknowledged), mails(shop, "password", 2 * published.begun)
    print(f"{(sent - expected).total()} mails were sent again")  # noqa: T201 - -s shows what was measured
    assert not expected - sent


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
