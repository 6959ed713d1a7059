"""Every value that the chart's README documents says what it means, and does something."""

from __future__ import annotations

import re

import pytest

from tests.deploy.conftest import CHART, SEED, Helm, Render

ONE_OF_MANY = {
    "nats.passwords.services.<service>": "nats.passwords.services.payments",
    "services.<service>.ingress": "services.business-dashboard.ingress",
    "services.<service>.handlers.<handler>": "services.payments.handlers.charge",
    "services.<service>": "services.payments",
    "streams.<stream>": "streams.ORDERS",
}
OWN = ("nats.url=nats://nats.example.test",)
SCALED = ("services.payments.autoscaling.enabled=true",)
KEDA = ("scaling.by=keda",)
SHOWN = (
    "services.business-dashboard.ingress.enabled=true",
    "services.business-dashboard.ingress.host=shop.example.test",
)
REAL = (
    "services.payments.existingSecret=payments",
    "services.notifications.existingSecret=notifications",
)
MAILED = ("services.notifications.settings.smtp_host=mail.example.test",)
MATTERS_WITH = {
    "nats.monitoring": (*OWN, *SCALED, *KEDA, "nats.monitoring=nats.example.test:8222"),
    "nats.account": (*SCALED, *KEDA),
    "nats.credentials.kind": (*OWN, "nats.credentials.secret=mesh"),
    "nats.credentials": (*OWN, "nats.credentials.kind=token", "nats.credentials.secret=mesh"),
    "nats.tls.secret": OWN,
    "nats.tls.issuer": ("nats.tls.issuer.name=ca",),
    "nats.tls.client": (*OWN, "nats.tls.secret=ca"),
    "nats.tls.first": OWN,
    "nats.ignoreDiscoveredServers": OWN,
    "nats.jsDomain": OWN,
    "nats.jsApiPrefix": OWN,
    "nats.exporter.enabled": (),
    "nats.exporter": ("nats.exporter.enabled=true",),
    "sandbox.enabled": REAL,
    "scaling.by": SCALED,
    "monitoring.labels": ("monitoring.rules=true",),
    "monitoring.lag": ("monitoring.rules=true",),
    "canDeploy.enabled": OWN,
    "canDeploy": (*OWN, "canDeploy.enabled=true"),
    "test.resources": ("test.enabled=always",),
    "services.<service>.autoscaling.lag": (*SCALED, *KEDA),
    "services.<service>.autoscaling": SCALED,
    "services.<service>.egressTo": ("services.payments.settings.gateway_url=https://example.test",),
    "services.<service>.ingress": SHOWN,
    "services.notifications.settings.smtp_port": MAILED,
    "services.notifications.settings.smtp_security": MAILED,
    "services.notifications.settings.hourly": MAILED,
}
"""What must be set beside the values that begin so; the first that fits counts."""
OTHERWISE = {
    "image": "=registry.example.test/shop:2.0.0",
    "imagePullPolicy": "=Always",
    "imagePullSecrets": "[0]=registry",
    "grace": "=45s",
    "linger": "=15s",
    "logLevel": "=debug",
    "nats.url": OWN[0].removeprefix("nats.url"),
    "nats.nodes": "=5",
    "nats.monitoring": "=nats.example.test:8223",
    "nats.account": "=OTHER",
    "nats.credentials.kind": "=token",
    "nats.credentials.secret": "=other",
    "nats.credentials.adminSecret": "=other",
    "nats.tls.secret": "=ca",
    "nats.tls.issuer.name": "=other",
    "nats.tls.issuer.kind": "=ClusterIssuer",
    "nats.tls.generate": "=true",
    "nats.tls.client": "=true",
    "nats.tls.first": "=true",
    "nats.ignoreDiscoveredServers": "=true",
    "nats.jsDomain": "=hub",
    "nats.jsApiPrefix": "=mesh.api",
    "nats.image": "=nats:2.15.2-alpine",
    "nats.existingSecret": "=other",
    "nats.isolation": "=users",
    "nats.passwords.operator": "=pOther",
    "nats.passwords.clients": "=pOther",
    "nats.passwords.monitor": "=pOther",
    "nats.passwords.services.<service>": "=pOther",
    "nats.passwords.routes": "=pOther",
    "nats.passwords.seed": "=another-seed-that-is-known",
    "nats.podAnnotations": ".team=shop",
    "nats.podLabels": ".team=shop",
    "nats.nodeSelector": ".disk=ssd",
    "nats.tolerations": "[0].operator=Exists",
    "nats.affinity": ".nodeAffinity.x=y",
    "nats.priorityClass": "=high",
    "nats.syncInterval": "=2m",
    "nats.storage.size": "=20Gi",
    "nats.storage.className": "=fast",
    "nats.resources.requests.cpu": "=2",
    "nats.resources.requests.memory": "=1Gi",
    "nats.resources.limits.memory": "=2Gi",
    "nats.resources.limits.cpu": "=2",
    "nats.spread": "=required",
    "nats.exporter.enabled": "=true",
    "nats.exporter.image": "=exporter:1.0.0",
    "nats.exporter.resources.requests.cpu": "=1",
    "nats.exporter.resources.requests.memory": "=48Mi",
    "nats.exporter.resources.limits.cpu": "=2",
    "nats.exporter.resources.limits.memory": "=1Gi",
    "sandbox.enabled": "=false",
    "sandbox.resources.requests.cpu": "=1",
    "sandbox.resources.requests.memory": "=96Mi",
    "sandbox.resources.limits.cpu": "=2",
    "sandbox.resources.limits.memory": "=1Gi",
    "scaling.by": "=keda",
    "provision.allowDataLoss": "=true",
    "provision.resources.requests.cpu": "=1",
    "provision.resources.requests.memory": "=128Mi",
    "provision.resources.limits.cpu": "=2",
    "provision.resources.limits.memory": "=1Gi",
    "canDeploy.enabled": "=true",
    "canDeploy.accept": "=3",
    "canDeploy.resources.requests.cpu": "=1",
    "canDeploy.resources.requests.memory": "=256Mi",
    "canDeploy.resources.limits.cpu": "=2",
    "canDeploy.resources.limits.memory": "=1Gi",
    "test.enabled": "=always",
    "test.resources.requests.cpu": "=1",
    "test.resources.requests.memory": "=128Mi",
    "test.resources.limits.cpu": "=2",
    "test.resources.limits.memory": "=1Gi",
    "networkPolicy.enabled": "=false",
    "networkPolicy.dns": "[0].ipBlock.cidr=169.254.20.10/32",
    "networkPolicy.dnsPort": "=5353",
    "monitoring.podMonitor": "=true",
    "monitoring.rules": "=true",
    "monitoring.dashboard": "=true",
    "monitoring.labels": ".release=prometheus",
    "monitoring.lag": "=50",
    "otel.endpoint": "=http://collector.example.test:4318",
    "serviceAccount.annotations": ".role=shop",
    "serviceAccount.labels": ".team=shop",
    "podAnnotations": ".team=shop",
    "podLabels": ".team=shop",
    "nodeSelector": ".disk=ssd",
    "tolerations": "[0].operator=Exists",
    "affinity": ".nodeAffinity.x=y",
    "priorityClass": "=high",
    "services.<service>.serviceAccount.annotations": ".role=shop",
    "services.<service>.serviceAccount.labels": ".team=shop",
    "services.<service>.podAnnotations": ".team=shop",
    "services.<service>.podLabels": ".team=shop",
    "services.<service>.nodeSelector": ".disk=ssd",
    "services.<service>.tolerations": "[0].operator=Exists",
    "services.<service>.affinity": ".nodeAffinity.x=y",
    "services.<service>.priorityClass": "=high",
    "services.<service>.replicas": "=3",
    "services.<service>.resources.requests.cpu": "=1",
    "services.<service>.resources.requests.memory": "=96Mi",
    "services.<service>.resources.limits.memory": "=1Gi",
    "services.<service>.resources.limits.cpu": "=2",
    "services.<service>.autoscaling.enabled": "=false",
    "services.<service>.autoscaling.minReplicas": "=2",
    "services.<service>.autoscaling.maxReplicas": "=20",
    "services.<service>.autoscaling.lag": "=7",
    "services.<service>.autoscaling.cpu": "=50",
    "services.<service>.autoscaling.cooldown": "=5m",
    "services.<service>.env": ".TZ=UTC",
    "services.<service>.existingSecret": "=mine",
    "services.order-validation.settings.ceiling": "=500",
    "services.order-validation.settings.ceilings": ".JPY=15000000",
    "services.order-validation.settings.max_items": "=5",
    "services.order-validation.settings.max_quantity": "=7",
    "services.<service>.handlers.<handler>.attempts": "=3",
    "services.<service>.handlers.<handler>.backoff": "=1s",
    "services.<service>.handlers.<handler>.backoffCap": "=20s",
    "services.<service>.handlers.<handler>.timeout": "=15s",
    "services.<service>.handlers.<handler>.maxAge": "=1h",
    "services.<service>.handlers.<handler>.rejects": "={ValueError}",
    "services.<service>.handlers.<handler>.ackWait": "=45s",
    "services.<service>.handlers.<handler>.maxAckPending": "=64",
    "services.<service>.handlers.<handler>.concurrency": "=8",
    "services.<service>.handlers.<handler>.batch": "=64",
    "services.<service>.egressTo": "={203.0.113.0/24}",
    "services.payments.settings.gateway_url": "=https://gateway.example.test",
    "services.payments.settings.connections": "=8",
    "services.payments.secrets.gateway_key": "=key",
    "services.notifications.settings.smtp_host": "=mail.example.test",
    "services.notifications.settings.smtp_port": "=587",
    "services.notifications.settings.smtp_security": "=tls",
    "services.notifications.settings.smtp_user": "=shop",
    "services.notifications.settings.connections": "=8",
    "services.notifications.settings.hourly": "=8",
    "services.notifications.settings.sender": "=orders@example.test",
    "services.notifications.secrets.smtp_password": "=word",
    "services.<service>.ingress.enabled": "=false",
    "services.<service>.ingress.className": "=nginx",
    "services.<service>.ingress.host": "=pages.example.test",
    "services.<service>.ingress.tlsSecret": "=tls",
    "services.<service>.ingress.annotations": ".team=shop",
    "services.business-dashboard.settings.customer_dashboard_url": "=https://orders.example.test",
    "streams.<stream>.maxAge": "=365d",
    "streams.<stream>.maxBytes": "=1000000",
    "streams.<stream>.replicas": "=1",
    "streams.<stream>.duplicateWindow": "=10m",
}
"""What follows the name of each value to make it another than its default."""


REFUSED_WITHOUT_A_CLUSTER = ("nats.tls.generate",)
"""What they do is seen on a real one."""


def documented() -> dict[str, str]:
    """The rows of the README's table: each value and its meaning."""
    table = (CHART / "README.md").read_text().partition("<!-- values")[2]
    return dict(re.findall(r"^\| `([^`]+)` \| .* \| (.*) \|$", table, flags=re.MULTILINE))


def test_every_value_says_what_it_means() -> None:
    assert [name for name, meaning in documented().items() if not meaning] == []


def test_every_value_is_tried_here() -> None:
    """But for settings of services, which are theirs: a new one has nothing to write here."""
    own = re.compile(r"services\.[a-z-]+\.(settings|secrets)\.")
    needed = {name for name in documented() if not own.match(name)}
    assert needed <= OTHERWISE.keys() <= documented().keys()


@pytest.mark.parametrize("name", REFUSED_WITHOUT_A_CLUSTER)
def test_what_only_a_cluster_shows_is_refused_without(helm: Helm, name: str) -> None:
    refused = helm("template", "shop", CHART, SEED, f"--set={name}{OTHERWISE[name]}")
    assert f"{name} needs a look at the cluster" in refused.stderr


@pytest.mark.parametrize("name", [n for n in OTHERWISE if n not in REFUSED_WITHOUT_A_CLUSTER])
def test_every_value_does_something(render: Render, name: str) -> None:
    general = next((known for known in ONE_OF_MANY if name.startswith(known)), "")
    path = ONE_OF_MANY.get(general, "") + name.removeprefix(general)
    needed = next((sets for known, sets in MATTERS_WITH.items() if name.startswith(known)), ())
    before = render(*needed)
    after = render(*needed, path + OTHERWISE[name])
    assert before.text != after.text, f"{path} changes nothing"
