"""Purchases at a rate from a pod of the cluster, and what became of each."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from jetmesh.errors import BrokerError
from jetmesh.settings import NatsSettings
from jetmesh.transport.control import ControlPlane
from tests.deploy.cluster.kube import SECONDS, Namespace, eventually
from tests.deploy.conftest import Object

RATE = 100
_MAILS_OF_OTHERS = 500
SCRIPT = Path(__file__).with_name("publisher.py")
OUTCOMES = {
    "ORDERS": ["orders.rejected.*"],
    "PAYMENTS": ["payments.captured.*", "payments.declined.*"],
}


@dataclass
class Published:
    """What the publisher says in the end."""

    acknowledged: list[str] = field(default_factory=list)
    begun: int = 0
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        return len(self.acknowledged) / self.seconds


@contextmanager
def purchases(
    shop: Namespace, prefix: str, rate: float = RATE, card: str = "tok_ok", who: str = "clients"
) -> Iterator[Published]:
    """Publish for the block; afterwards the object says what was acknowledged."""
    published, pod = Published(), f"publisher-{prefix}"
    image = shop.pods("order-validation")[0]["spec"]["containers"][0]["image"]
    script = {"publisher.py": SCRIPT.read_text()}
    shop.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": pod}, "data": script})
    shop.apply(_pod(pod, image, [prefix, str(rate), card], who))
    try:
        eventually(lambda: "publishing" in _log(shop, pod), lambda: f"{pod}: {_log(shop, pod)}")
        yield published
        stop = "import os, signal; os.kill(1, signal.SIGTERM)"
        shop.kubectl("exec", pod, "--", "python", "-c", stop)
        phase = "--for=jsonpath={.status.phase}=Succeeded"
        shop.kubectl("wait", f"pod/{pod}", phase, "--timeout=60s")
        told = json.loads(_log(shop, pod).splitlines()[-1])
        published.acknowledged, published.begun = told["acknowledged"], told["begun"]
        published.seconds = told["seconds"]
        print(f"{prefix}: {len(published.acknowledged)} at {published.rate:.0f}/s")  # noqa: T201 - -s shows what was measured
    finally:
        shop.run("kubectl", "delete", f"pod/{pod}", f"configmap/{pod}", "--grace-period=1")


def go_on(seconds: float = 3.0) -> None:
    """Let purchases flow, before and after a change: what is asked is whether it disturbs them."""
    time.sleep(seconds)


def each_ends_once(shop: Namespace, prefix: str, published: Published) -> None:
    """Every acknowledged purchase gets exactly one outcome, notification and mail; no other."""
    each_is_stored_once(shop, prefix, published)
    expected = Counter(published.acknowledged)
    sent = mails(shop, prefix, expected.total())
    assert sent == expected, _difference(sent, expected)


def each_is_stored_once(shop: Namespace, prefix: str, published: Published) -> None:
    """One outcome and one notification in the streams, whatever became of the mails."""
    assert published.acknowledged, "nothing was published"
    assert len(set(published.acknowledged)) == len(published.acknowledged) == published.begun
    expected = Counter(published.acknowledged)
    outcomes, notifications = asyncio.run(_settled(shop, prefix, expected))
    assert outcomes == expected, _difference(outcomes, expected)
    assert notifications == expected, _difference(notifications, expected)


async def counted(
    nats: NatsSettings, stream: str, subjects: list[str], prefix: str
) -> Counter[str]:
    """How often each key of ours is stored on `subjects`."""
    async with await ControlPlane.connect(nats, name="counting") as control:
        history = control.history(stream, subjects, headers_only=True)
        keys = [message.subject.rpartition(".")[2] async for message in history]
    return Counter(key for key in keys if key.startswith(f"{prefix}-"))


def mails(shop: Namespace, prefix: str, count: int) -> Counter[str]:
    """How many mails there are about each purchase of ours, which were the last ones."""
    with shop.forwarded("service/sandbox-mail", 8091) as port:
        asked = {"limit": count + _MAILS_OF_OTHERS}
        listed = httpx.get(f"http://127.0.0.1:{port}/mails.json", params=asked, trust_env=False)
    keys = [mail["message_id"][1:].partition("@")[0].rpartition(".")[2] for mail in listed.json()]
    return Counter(key for key in keys if key.startswith(f"{prefix}-"))


async def _settled(
    shop: Namespace, prefix: str, expected: Counter[str]
) -> tuple[Counter[str], Counter[str]]:
    """Outcomes and notifications, as soon as there are as many as expected."""
    until = asyncio.get_running_loop().time() + SECONDS
    outcomes, told = Counter[str](), Counter[str]()
    while True:
        # a forwarded port ends with the pod that it leads to
        with shop.broker() as nats, contextlib.suppress(BrokerError):
            found = [await counted(nats, stream, of, prefix) for stream, of in OUTCOMES.items()]
            told = await counted(nats, "NOTIFICATIONS", ["notifications.sent.*"], prefix)
            outcomes = found[0] + found[1]
        enough = min(outcomes.total(), told.total()) >= expected.total()
        if enough or asyncio.get_running_loop().time() > until:
            return outcomes, told
        await asyncio.sleep(1)


def _difference(found: Counter[str], expected: Counter[str]) -> str:
    missing, more = expected - found, found - expected
    return f"{len(missing)} missing ({[*missing][:5]}), {len(more)} too many ({[*more][:5]})"


def _log(shop: Namespace, pod: str) -> str:
    return shop.run("kubectl", "logs", pod).stdout


def _pod(name: str, image: str, arguments: list[str], who: str) -> Object:
    secret = {"secretKeyRef": {"name": "nats", "key": who}}
    confined: dict[str, Any] = {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    container = {
        "name": "publisher",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "args": ["/script/publisher.py", *arguments],
        "env": [
            {"name": "JETMESH__NATS__USER", "value": who},
            {"name": "JETMESH__NATS__PASSWORD", "valueFrom": secret},
        ],
        "securityContext": confined,
        "volumeMounts": [{"name": "script", "mountPath": "/script", "readOnly": True}],
    }
    identity = {"runAsNonRoot": True, "runAsUser": 65532}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        # the label is what the NetworkPolicy of NATS lets in
        "metadata": {"name": name, "labels": {"app.kubernetes.io/part-of": "shop"}},
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 5,
            "automountServiceAccountToken": False,
            "securityContext": identity | {"seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [container],
            "volumes": [{"name": "script", "configMap": {"name": name}}],
        },
    }
