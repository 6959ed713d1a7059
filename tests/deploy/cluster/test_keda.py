"""KEDA at work: each service is scaled by the lag of its own durables, down to nothing and back."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.deploy.cluster.conftest import namespace
from tests.deploy.cluster.kube import SMALL, Namespace, eventually
from tests.deploy.cluster.purchases import each_ends_once, go_on, purchases

pytestmark = pytest.mark.long
OTHERS = ("order-validation", "business-dashboard", "customer-dashboard")
SCALED = (
    "nats.nodes=3",  # KEDA has to find the leader of each durable among them
    "services.payments.autoscaling.enabled=true",
    "services.payments.autoscaling.maxReplicas=3",
    "services.payments.autoscaling.lag=20",
    "services.payments.autoscaling.cooldown=15s",
    "services.notifications.autoscaling.enabled=true",
    "services.notifications.autoscaling.minReplicas=0",
    "services.notifications.autoscaling.maxReplicas=1",
    "services.notifications.autoscaling.cooldown=15s",
    # with a gateway that takes three seconds: two and a half charges a second for each pod
    "services.payments.handlers.charge.concurrency=8",
    "services.payments.handlers.charge.maxAckPending=24",
)


@pytest.fixture(scope="module")
def keda() -> Iterator[None]:
    """The cluster's own, or that of `tests/deploy/cluster/keda` for as long as it takes."""
    cluster = Namespace("")
    if cluster.run("kubectl", "get", "crd", "scaledobjects.keda.sh").returncode == 0:
        yield
        return
    made = os.environ.get("KEDA_MANIFEST")
    if made is None:
        pytest.skip("This cluster has no KEDA; install it as keda.sh says.")
    try:
        cluster.kubectl("apply", "--server-side", "-f", made)
        available = ("wait", "--for=condition=Available", "--timeout=120s")
        cluster.kubectl(*available, "--namespace=keda", "deployments", "--all")
        cluster.kubectl(*available, "apiservice/v1beta1.external.metrics.k8s.io")
        yield
    finally:
        cluster.kubectl("delete", "-f", made, "--ignore-not-found", "--timeout=120s")


@pytest.fixture(scope="module")
def scaled(keda: None) -> Iterator[Namespace]:
    with namespace() as made:
        made.release("install", *SMALL, *SCALED)
        yield made
        made.helm("uninstall", "shop", "--wait")  # KEDA's finalizers need KEDA


def pods(space: Namespace) -> dict[str, int]:
    return {name: len(space.pods(name)) for name in ("payments", "notifications", *OTHERS)}


def test_a_service_with_nothing_to_do_has_no_pods_and_wakes_up(scaled: Namespace) -> None:
    eventually(lambda: pods(scaled)["notifications"] == 0, lambda: str(pods(scaled)))
    with purchases(scaled, "woken", rate=1) as published:
        eventually(lambda: pods(scaled)["notifications"] == 1, lambda: str(pods(scaled)))
    each_ends_once(scaled, "woken", published)
    eventually(lambda: pods(scaled)["notifications"] == 0, lambda: str(pods(scaled)))


def test_a_backlog_scales_one_service_by_the_lag_of_its_durables_and_back(
    scaled: Namespace,
) -> None:
    assert pods(scaled)["payments"] == 1
    with purchases(scaled, "backlog", rate=20, card="tok_slow") as published:
        go_on(15)
    most = dict.fromkeys(OTHERS, 1)
    eventually(lambda: scaled.ready("payments") == 3, lambda: str(pods(scaled)))
    seen = pods(scaled)
    assert seen | most == seen, "what has nothing waiting stays as it is"
    each_ends_once(scaled, "backlog", published)
    eventually(lambda: pods(scaled)["payments"] == 1, lambda: str(pods(scaled)))


def test_who_is_no_longer_scaled_is_not_left_without_pods(scaled: Namespace) -> None:
    """Forgotten values would be such an upgrade."""
    eventually(lambda: pods(scaled)["notifications"] == 0, lambda: str(pods(scaled)))
    scaled.release("upgrade", *SMALL, "nats.nodes=3")
    assert pods(scaled) == dict.fromkeys(pods(scaled), 1)
