"""What would lose events, or is not ours, is refused at once, with the reason; volumes stay."""

from __future__ import annotations

import asyncio
import time

import pytest

from jetmesh.settings import NatsSettings
from tests.deploy.cluster.kube import SMALL, Namespace, ask, asked, eventually
from tests.deploy.cluster.purchases import (
    each_ends_once,
    each_is_stored_once,
    go_on,
    mails,
    purchases,
)

AT_ONCE = 60.0
"""Seconds: the Job's pod has to start; what it would wait for otherwise is minutes."""


def test_what_would_lose_events_fails_the_upgrade_until_it_is_allowed(small: Namespace) -> None:
    with purchases(small, "kept", rate=10) as published:
        go_on()
        lossy = "streams.PURCHASES.maxAge=3m"
        began = time.monotonic()
        refused = small.try_release("upgrade", *SMALL, lossy)
        assert refused.returncode == 1
        assert time.monotonic() - began < AT_ONCE
        assert "would lose events: max_age 180s" in refused.stdout + refused.stderr
        assert asked(small, "STREAM.INFO.PURCHASES")["config"]["max_age"] == 0
        assert small.ready("order-validation") == 1
    each_ends_once(small, "kept", published)
    small.release("upgrade", *SMALL, lossy, "provision.allowDataLoss=true")
    assert asked(small, "STREAM.INFO.PURCHASES")["config"]["max_age"] == 180_000_000_000
    small.release("upgrade", *SMALL)


def test_volumes_of_another_size_are_refused_with_the_way_to_them(small: Namespace) -> None:
    """Kubernetes itself answers with a screenful that ends in `field is immutable`."""
    larger = (*SMALL, "nats.storage.size=2Gi")
    refused = small.try_release("upgrade", *larger)
    assert refused.returncode == 1
    assert "nats.storage.size is 2Gi, but volumes of 1Gi are there" in refused.stderr
    [pod] = small.pods("nats")
    small.kubectl("delete", "statefulset", "nats", "--cascade=orphan")
    small.release("upgrade", *larger)
    small.kubectl("delete", "statefulset", "nats", "--cascade=orphan")
    small.release("upgrade", *SMALL)
    assert [each["metadata"]["uid"] for each in small.pods("nats")] == [pod["metadata"]["uid"]]


def test_a_secret_of_before_that_lacks_somebodys_password_is_refused_by_name(
    empty: Namespace,
) -> None:
    given = [f"--from-literal={who}=pOld" for who in ("services", "admin", "routes", "payments")]
    empty.kubectl("create", "secret", "generic", "nats", *given)
    refused = empty.try_release("install", "nats.existingSecret=nats")
    assert refused.returncode == 1
    assert "nats.existingSecret nats lacks business-dashboard, clients" in refused.stderr
    assert "payments" not in refused.stderr


NATS_OF_OTHERS = {
    "apiVersion": "v1",
    "kind": "List",
    "items": [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "theirs"},
            "spec": {"selector": {"app": "theirs"}, "ports": [{"port": 4222}]},
        },
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "theirs", "labels": {"app": "theirs"}},
            "spec": {
                "securityContext": {
                    "runAsNonRoot": True,
                    "runAsUser": 65532,
                    "fsGroup": 65532,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                "containers": [
                    {
                        "name": "nats",
                        "image": "nats:2.15.1-alpine",
                        "command": ["nats-server", "-js", "-sd", "/data"],
                        "securityContext": {
                            "allowPrivilegeEscalation": False,
                            "capabilities": {"drop": ["ALL"]},
                        },
                        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                    }
                ],
                "volumes": [{"name": "data", "emptyDir": {}}],
            },
        },
    ],
}


def test_a_foreign_stream_on_our_subjects_stops_the_installation_on_a_nats_of_ones_own(
    empty: Namespace,
) -> None:
    empty.apply(NATS_OF_OTHERS)
    empty.kubectl("wait", "pod/theirs", "--for=condition=Ready", "--timeout=60s")
    stream = {"name": "THEIRS", "subjects": ["orders.>"]}
    with empty.forwarded("service/theirs", 4222) as port:
        theirs = NatsSettings(url=f"nats://127.0.0.1:{port}")
        asyncio.run(ask(theirs, "STREAM.CREATE.THEIRS", stream))
        own = (*SMALL, "nats.url=nats://theirs:4222")
        refused = empty.try_release("install", *own)
        assert refused.returncode == 1
        reason = "its subjects belong to the stream THEIRS already"
        assert reason in refused.stdout + refused.stderr
        assert not empty.get("deployments")["items"], "the hook comes before everything"
        assert asyncio.run(ask(theirs, "STREAM.NAMES"))["streams"] == ["THEIRS"]
        asyncio.run(ask(theirs, "STREAM.DELETE.THEIRS"))
    empty.helm("uninstall", "shop")
    empty.release("install", *own)
    assert "Phase:          Succeeded" in empty.helm("test", "shop")


@pytest.mark.long
def test_what_stays_after_uninstall_are_the_volumes_and_their_events(empty: Namespace) -> None:
    empty.release("install", *SMALL)
    with purchases(empty, "stays", rate=20) as published:
        go_on()
    each_ends_once(empty, "stays", published)
    empty.helm("uninstall", "shop", "--wait")
    kinds = "all,configmaps,secrets,serviceaccounts,jobs,pdb,networkpolicies,ingresses,hpa,pvc"

    def left() -> set[tuple[str, str]]:
        found = empty.get(kinds)["items"]
        return {(each["kind"], each["metadata"]["name"]) for each in found}

    cluster_s_own = {("ConfigMap", "kube-root-ca.crt"), ("ServiceAccount", "default")}
    volumes = {("PersistentVolumeClaim", "data-nats-0")}
    eventually(lambda: left() == cluster_s_own | volumes, lambda: str(left()), seconds=90)
    empty.release("install", *SMALL)
    each_is_stored_once(empty, "stays", published)
    assert not mails(empty, "stays", len(published.acknowledged)), "nobody is told again"
