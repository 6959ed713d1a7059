"""A pod that is not ready says why: where /readyz is asked, and in its log."""

from __future__ import annotations

import json

from tests.deploy.cluster.kube import Namespace, asked, eventually


def test_a_pod_with_a_wrong_password_says_so(small: Namespace) -> None:
    spec = small.get("deployment/payments")["spec"]["template"]["spec"]
    [identity] = [each for each in spec["volumes"] if each["name"] == "identity"]
    identity["secret"]["items"] = [{"key": "routes", "path": "password"}]
    about = {"name": "stranger"}
    small.apply({"apiVersion": "v1", "kind": "Pod", "metadata": about, "spec": spec})
    started = "--for=jsonpath={.status.containerStatuses[0].started}=true"
    small.kubectl("wait", "pod/stranger", started, "--timeout=60s")
    told, logged = small.answer("stranger", "/readyz"), small.kubectl("logs", "stranger")
    print(told)  # noqa: T201 - -s shows how it is told
    small.kubectl("delete", "pod/stranger")
    assert "nats:4222: Authorization Violation" in told
    assert "Authorization Violation" in logged
    assert small.secret("nats", "routes") not in told + logged


def test_a_pod_without_a_permission_names_it(small: Namespace) -> None:
    """As a NATS of one's own may lack it: that of the chart has what is derived."""
    denied = "$JS.API.CONSUMER.MSG.NEXT.ORDERS.payments-charge"
    whole = small.get("configmap/nats")["data"]["nats.conf"]
    configured(small, whole.replace(f'"{denied}"', '"nothing"'))

    def told() -> str:
        [pod] = small.pods("payments")
        return small.answer(pod["metadata"]["name"], "/readyz")

    eventually(lambda: denied in told(), told, seconds=120)
    print(told())  # noqa: T201 - -s shows how it is told
    [pod] = small.pods("payments")
    assert denied in small.kubectl("logs", pod["metadata"]["name"])
    eventually(lambda: small.ready("order-validation") == 1, told)
    configured(small, whole)
    eventually(lambda: small.ready("payments") == 1, told)


def configured(space: Namespace, text: str) -> None:
    """Start the node of NATS with another configuration."""
    patch = json.dumps({"data": {"nats.conf": text}})
    space.kubectl("patch", "configmap/nats", "--type=merge", "--patch-file=/dev/stdin", stdin=patch)
    space.kubectl("delete", "pod/nats-0", "--wait=true")
    eventually(lambda: space.ready("nats") == 1, lambda: str(space.pods("nats")))


def test_a_pod_whose_durable_somebody_changed_says_what_differs(small: Namespace) -> None:
    name = small.pods("payments")[0]["metadata"]["name"]
    config = asked(small, "CONSUMER.INFO.ORDERS.payments-charge")["config"]

    def change(ack_wait: int) -> None:
        changed = {"stream_name": "ORDERS", "config": config | {"ack_wait": ack_wait}}
        asked(small, "CONSUMER.CREATE.ORDERS.payments-charge", changed | {"action": "update"})

    change(77_000_000_000)
    eventually(lambda: small.ready("payments") == 0, lambda: small.answer(name, "/readyz"))
    told = small.answer(name, "/readyz")
    print(told)  # noqa: T201 - -s shows how it is told
    assert "ack_wait" in told
    change(config["ack_wait"])
    eventually(lambda: small.ready("payments") == 1, lambda: small.answer(name, "/readyz"))
