"""Pods of every service are killed under load, with SIGKILL: whatever was in hand ends once."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from tests.deploy.cluster.kube import Namespace, eventually
from tests.deploy.cluster.purchases import each_is_stored_once, go_on, mails, purchases

SERVICES = ("order-validation", "payments", "notifications")
PURCHASES, KILLS = 1000, 3
"""How many there are at least, and how often each service is killed."""
KILLER = """
import os, pathlib, signal, sys
for each in pathlib.Path("/proc").glob("[0-9]*"):
    try: groups = (each / "cgroup").read_text().replace("_", "-")
    except OSError: continue
    if sys.argv[1] in groups and "start.py" in (each / "cmdline").read_text():
        os.kill(int(each.name), signal.SIGKILL)
        print(each.name)
"""

Kill = Callable[[str], None]


@pytest.fixture
def kill(shop: Namespace) -> Iterator[Kill]:
    """Kills the process of a pod; Kubernetes itself always says goodbye first, with SIGTERM."""
    image = shop.pods("payments")[0]["spec"]["containers"][0]["image"]
    outside = Namespace(f"{shop.name}-killer")  # where Pod Security allows to see the machine
    outside.kubectl("create", "namespace", outside.name)
    container = {
        "name": "killer",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sleep", "3600"],
        "securityContext": {"runAsUser": 65532},
    }
    try:
        outside.apply(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": "killer"},
                "spec": {
                    "hostPID": True,
                    "nodeName": shop.pods("payments")[0]["spec"]["nodeName"],
                    "terminationGracePeriodSeconds": 1,
                    "containers": [container],
                },
            }
        )
        outside.kubectl("wait", "pod/killer", "--for=condition=Ready", "--timeout=60s")

        def killed(pod: str) -> None:
            before = _restarts(shop, pod)
            uid = shop.get("pod", pod)["metadata"]["uid"]
            said = outside.kubectl("exec", "killer", "--", "python", "-c", KILLER, uid)
            assert said, f"{pod} has no process here"
            eventually(lambda: _restarts(shop, pod) > before, lambda: f"{pod} was not killed")

        yield killed
    finally:
        outside.run("kubectl", "delete", "namespace", outside.name, "--wait=false")


@pytest.mark.long
def test_every_purchase_ends_once_though_every_service_is_killed_at_random(
    shop: Namespace, kill: Kill
) -> None:
    """A mail may be sent by a service that dies before it says so: then again, as the same mail."""
    if len(shop.get("nodes")["items"]) > 1:
        pytest.skip("it kills what runs on its own machine")
    chance = random.Random(14)  # noqa: S311 - repeatable, not secret
    victims = [*SERVICES] * KILLS
    chance.shuffle(victims)
    with purchases(shop, "killed") as published:
        for service in victims:
            go_on(chance.uniform(1, 3))
            kill(chance.choice(shop.pods(service))["metadata"]["name"])
        shop.rolled_out(*SERVICES)
        go_on()
    assert len(published.acknowledged) > PURCHASES
    each_is_stored_once(shop, "killed", published)
    expected, sent = Counter(published.acknowledged), mails(shop, "killed", 2 * published.begun)
    print(f"{(sent - expected).total()} mails were sent again")  # noqa: T201 - -s shows what was measured
    assert not expected - sent


def _restarts(shop: Namespace, pod: str) -> int:
    [status] = shop.get("pod", pod)["status"]["containerStatuses"]
    return int(status["restartCount"])
