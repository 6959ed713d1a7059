"""NATS scaled to zero and back: probes go red and green by themselves, nobody is restarted."""

from __future__ import annotations

import pytest

from tests.deploy.cluster.kube import Namespace, eventually
from tests.deploy.cluster.purchases import each_ends_once, purchases

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


def restarts(shop: Namespace) -> int:
    return sum(
        status["restartCount"]
        for name in SERVICES
        for pod in shop.pods(name)
        for status in pod["status"]["containerStatuses"]
    )


@pytest.mark.long
def test_without_nats_services_are_not_ready_and_alive_and_come_back(shop: Namespace) -> None:
    before = restarts(shop)
    with purchases(shop, "away", rate=20) as published:
        shop.kubectl("scale", "statefulset/nats", "--replicas=0")
        try:
            eventually(
                lambda: not any(shop.ready(name) for name in SERVICES),
                lambda: str({name: shop.ready(name) for name in SERVICES}),
            )
            for name in SERVICES:
                pod = shop.pods(name)[0]["metadata"]["name"]
                told = shop.answer(pod, "/readyz")
                assert "connection lost" in told
                assert shop.answer(pod, "/healthz") == "live\n"
            print(told)  # noqa: T201 - -s shows how it is told
        finally:
            shop.kubectl("scale", "statefulset/nats", "--replicas=3")
        eventually(
            lambda: all(shop.ready(name) == 2 for name in SERVICES),
            lambda: str({name: shop.ready(name) for name in SERVICES}),
        )
    assert restarts(shop) == before
    each_ends_once(shop, "away", published)
