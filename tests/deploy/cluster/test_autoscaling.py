"""Autoscalers and people own the number of pods, and upgrades leave it to them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from tests.deploy.cluster.kube import SMALL, Namespace, eventually
from tests.deploy.conftest import CHART, PRODUCTION

PAYMENTS = "services.payments.autoscaling"
HANDLERS = ("order-validation", "payments", "notifications")


@contextmanager
def watched(space: Namespace, name: str) -> Iterator[set[str]]:
    """How many pods a Deployment was told to have during the block, filled at its end."""
    seen: set[str] = set()
    numbers = ("--output=jsonpath={.spec.replicas}{'\\n'}", "--watch")
    with space.started("kubectl", "get", f"deployment/{name}", *numbers) as process:
        yield seen
        process.terminate()
        seen.update(process.communicate(timeout=10)[0].split())


@pytest.mark.long
def test_an_upgrade_leaves_the_number_of_pods_to_the_autoscaler(small: Namespace) -> None:
    """helm applies server-side: a number of ours would be a conflict, none at all would be 1."""
    small.release("upgrade", *SMALL, "services.payments.replicas=2")
    scaled = [*SMALL, f"{PAYMENTS}.enabled=true", "scaling.by=cpu"]
    with watched(small, "payments") as numbers:
        small.release("upgrade", *scaled, f"{PAYMENTS}.minReplicas=2")
        scaled.append(f"{PAYMENTS}.minReplicas=3")
        small.release("upgrade", *scaled)
        eventually(lambda: small.ready("payments") == 3, lambda: str(small.get("hpa")))
        small.release("upgrade", *scaled, "services.payments.handlers.charge.ackWait=40s")
    assert numbers == {"2", "3"}
    refused = small.try_release("upgrade", *SMALL)
    assert 'conflict with "kube-controller-manager" with subresource "scale"' in refused.stderr
    assert small.try_release("upgrade", *SMALL, force=True).returncode == 0
    assert len(small.pods("payments")) == 1


@pytest.mark.long
def test_what_was_scaled_by_hand_stays_until_values_say_something_else(small: Namespace) -> None:
    small.kubectl("scale", "deployment/notifications", "--replicas=2")
    small.release("upgrade", *SMALL, "logLevel=debug")
    assert len(small.pods("notifications")) == 2
    three = (*SMALL, "services.notifications.replicas=3")
    refused = small.try_release("upgrade", *three)
    assert refused.returncode == 1
    assert 'conflict with "kubectl" with subresource "scale"' in refused.stderr
    assert small.try_release("upgrade", *three, force=True).returncode == 0
    assert len(small.pods("notifications")) == 3
    small.release("upgrade", *SMALL)
    small.rolled_out("notifications")
    assert len(small.pods("notifications")) == 1


def test_keda_s_own_definitions_take_every_field(empty: Namespace) -> None:
    definitions = Path(os.environ["KEDA_HOME"])
    had = empty.run("kubectl", "get", "crd", "scaledobjects.keda.sh").returncode == 0
    if not had:
        empty.kubectl("apply", "--server-side", "-f", definitions / "keda.sh_scaledobjects.yaml")
    try:
        named = "crd/scaledobjects.keda.sh"
        empty.kubectl("wait", named, "--for=condition=Established", "--timeout=30s")
        enabled = [f"--set=services.{name}.autoscaling.enabled=true" for name in HANDLERS]
        values = [f"--set={each}" for each in PRODUCTION]
        # `auto`: it is the cluster that says that it has KEDA
        dry = empty.helm("install", "shop", CHART, *enabled, *values, "--dry-run=server")
        rendered = dry.partition("MANIFEST:")[2].partition("NOTES:")[0]
        found = [o for o in yaml.safe_load_all(rendered) if o and o["kind"] == "ScaledObject"]
        assert {each["metadata"]["name"] for each in found} == set(HANDLERS)
        told = empty.kubectl(
            *("apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-"),
            stdin=yaml.safe_dump_all(found),
        )
        assert told.count("serverside-applied (server dry run)") == len(HANDLERS)
        found[0]["spec"]["maxReplicas"] = 3
        wrong = empty.run(
            *("kubectl", "apply", "--server-side", "--dry-run=server", "--validate=strict"),
            *("-f", "-"),
            stdin=yaml.safe_dump(found[0]),
        )
        assert wrong.returncode == 1, "the server looks at every field"
    finally:
        if not had:
            empty.run("kubectl", "delete", "crd", "scaledobjects.keda.sh")
