"""Wrong values stop `helm install` with the path and what was expected, or one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.deploy.conftest import PRODUCTION, SEED, Helm

CHARGE = "services.payments.handlers.charge"

REFUSED_BY_SCHEMA = [
    ("services.paymnets.replicas=2", "/services", "'paymnets' not allowed"),
    ("services.payments.handlers.chrage.ackWait=45s", "/services/payments/handlers", "'chrage'"),
    (f"{CHARGE}.ackwait=45s", "/services/payments/handlers/charge", "'ackwait' not allowed"),
    (f"{CHARGE}.ackWait=45", "/services/payments/handlers/charge/ackWait", "want string"),
    (f"{CHARGE}.ackWait=45sec", "/services/payments/handlers/charge/ackWait", "(ms|s|m|h|d)"),
    (f"{CHARGE}.attempts=0", "/services/payments/handlers/charge/attempts", "minimum"),
    ("services.payments.resources.requests.memory=128", "/requests/memory", "want string"),
    ("services.payments.resources.limits.cpu=1g", "/limits/cpu", "anyOf"),
    ("services.payments.resources.requests.cpu=-1", "/requests/cpu", "anyOf"),
    (f"{CHARGE}.rejects[0]=no-class", "/charge/rejects/0", "does not match pattern"),
    (f"{CHARGE}.maxAckPending=99999999999", "/charge/maxAckPending", "maximum"),
    (f"{CHARGE}.timeout=0s", "/charge/timeout", "does not match pattern"),
    ("streams.ORDERS.duplicateWindow=0s", "/ORDERS/duplicateWindow", "does not match pattern"),
    ("streams.LANES.maxAge=1h", "/streams/LANES", "'maxAge' not allowed"),
    ("nats.syncInterval=0s", "/nats/syncInterval", "does not match pattern"),
    ("nats.nodes=2", "/nats/nodes", "value must be one of 1, 3, 5"),
    ("nats.nodes=4", "/nats/nodes", "value must be one of 1, 3, 5"),
    ("nats.storage.size=0Gi", "/nats/storage/size", "does not match pattern"),
    ("nats.existingSecret=A b", "/nats/existingSecret", "does not match pattern"),
    ("image=null", "", "missing property 'image'"),
    ("services.notifications.settings.sender=foo", "/settings/sender", "does not match pattern"),
    ("services.payments.egressTo={192.0.2.0/33}", "/egressTo/0", "does not match pattern"),
    ("otel.endpoint=collector:4318", "/otel/endpoint", "does not match pattern"),
    ("nats.storage.size=10", "/nats/storage/size", "want string"),
    ("grace=20", "/grace", "want string"),
    ("streams.ORDES.maxAge=1d", "/streams", "'ORDES' not allowed"),
    ("streams.ORDERS.maxAge=365", "/streams/ORDERS/maxAge", "want string"),
    ("streams.ORDERS.replicas=7", "/streams/ORDERS/replicas", "maximum"),
    ("image=shop", "/image", "does not match pattern"),
    ("image=localhost:5000/shop", "/image", "does not match pattern"),
    ("image=shop:", "/image", "does not match pattern"),
    ("nats.image=nats", "/nats/image", "does not match pattern"),
    ("nats.passwords.operator=1k", "/nats/passwords/operator", "does not match pattern"),
    ("services.payments.env.A-B=x", "/services/payments/env", "'A-B' not allowed"),
    ("services.payments.settings.gateway_url=ftp://x", "/settings/gateway_url", "anyOf"),
    ("services.business-dashboard.autoscaling.minReplicas=0", "/autoscaling/minReplicas", "min"),
    ("scaling.by=magic", "/scaling/by", "value must be one of"),
    ("sandbox.enabled=maybe", "/sandbox/enabled", "want boolean"),
]

REFUSED_BY_SENSE = [
    (
        (f"{CHARGE}.ackWait=5s",),
        f"{CHARGE}: ackWait 5s is shorter than timeout 10s; make ackWait longer or timeout sh",
    ),
    ((f"{CHARGE}.timeout=1m",), f"{CHARGE}: ackWait 30s is shorter than timeout 1m;"),
    (
        (f"{CHARGE}.maxAckPending=32",),
        f"{CHARGE}: maxAckPending 32 is below concurrency 64; raise one or lower the other.",
    ),
    (
        ("nats.nodes=1", "streams.ORDERS.replicas=3"),
        "streams.ORDERS.replicas is 3, but NATS has 1 nodes; lower it, or raise nats.nodes.",
    ),
    (
        PRODUCTION[:1],
        "smtp_host is missing: without the sandbox it has to name the real server; set it, or JET",
    ),
    (PRODUCTION[:1] + PRODUCTION[2:], "services.payments.settings.gateway_url is missing:"),
    (
        ("services.payments.autoscaling.minReplicas=9",),
        "services.payments.autoscaling: minReplicas 9 is above maxReplicas 8;",
    ),
    (
        ("services.payments.autoscaling.cooldown=2h",),
        "services.payments.autoscaling: cooldown 2h is above 1h,",
    ),
    (
        (
            "services.payments.autoscaling.enabled=true",
            "services.payments.autoscaling.minReplicas=0",
        ),
        "minReplicas 0 needs KEDA, which this cluster does not have; install it or set 1.",
    ),
    (
        (
            "nats.url=nats://nats.example.test",
            "scaling.by=keda",
            "services.payments.autoscaling.enabled=true",
        ),
        "nats.monitoring is empty;",
    ),
    (
        ("services.payments=null", "streams.ORDERS=null"),
        "services.payments, streams.ORDERS: no values; nothing is removed by null, and `helm up",
    ),
    (
        (f"{CHARGE}.backoff=11s",),
        f"{CHARGE}: backoff 11s is above backoffCap 10s; raise one or lower the other.",
    ),
    ((f"{CHARGE}.maxAge=999999999d",), "999999999d is longer than the server can count;"),
    (
        ("streams.ORDERS.duplicateWindow=50ms",),
        "streams.ORDERS.duplicateWindow is 50ms; the server takes 100ms or more.",
    ),
    (
        ("streams.ORDERS.maxAge=1m",),
        "streams.ORDERS: maxAge 1m is below duplicateWindow 2m, which the server refuses;",
    ),
    (("streams.ORDERS.maxBytes=0",), "streams.ORDERS.maxBytes is 0, which the server reads as"),
    (
        ("services.payments.resources.limits.memory=32Mi",),
        "services.payments.resources.limits.memory 32Mi is below 64Mi, which a pod needs to start",
    ),
    (
        ("nats.resources.requests.memory=2Gi",),
        "nats.resources: requests.memory 2Gi is above limits.memory 1Gi; raise one or lower the",
    ),
    (
        ("sandbox.resources.limits.cpu=10m",),
        "sandbox.resources: requests.cpu 50m is above limits.cpu 10m; raise one or lower the other",
    ),
    (("grace=2h",), "grace 2h and linger 5s are above an hour together; make them shorter."),
    (("nats.url=foo",), "nats.url: address 1 is neither nats://host:port nor tls://host:port."),
    (("nats.url=nats://a\\,b c",), "nats.url: address 2 is neither nats://host:port nor tls://"),
    (("nats.url=nats://a:99999",), "nats.url: the port of address 1 is not one from 1 to 65535."),
    (("nats.url=\\,",), "nats.url names no server;"),
    (
        ("nats.account=SYS",),
        "nats.account cannot be SYS, which the server or an identity has for itself;",
    ),
    (("nats.tls.generate=true",), "nats.tls.generate needs a look at the cluster:"),
    (
        ("nats.tls.generate=true", "nats.tls.secret=mine"),
        "nats.tls.generate makes the certificate itself;",
    ),
    (
        ("nats.url=nats://nats.example.test", "nats.tls.issuer.name=ca"),
        "nats.tls.generate and nats.tls.issuer are for the bundled NATS;",
    ),
    (("nats.credentials.kind=creds",), "are for a NATS of your own; set nats.url,"),
    (
        ("nats.url=nats://nats.example.test", "nats.credentials.kind=creds"),
        "nats.credentials.secret is missing; name the Secret that holds the creds.",
    ),
    (("nats.url=nats://u:p@nats.example.test",), "nats.url holds a password;"),
    (("nats.url=u:p@nats.example.test",), "nats.url holds a password;"),
    (("nats.url=NATS://u:p/w@nats.example.test",), "nats.url holds a password;"),
    (("nats.url=a\\,token@nats.example.test",), "nats.url holds a password;"),
    (("nats.jsDomain=hub",), "are for a NATS of your own; set nats.url,"),
    (
        ("nats.url=nats://a.example.test", "nats.jsDomain=hub", "nats.jsApiPrefix=mesh.api"),
        "nats.jsApiPrefix is set, and nats.jsDomain too;",
    ),
    (
        ("services.business-dashboard.ingress.enabled=true",),
        "services.business-dashboard.ingress.host is missing;",
    ),
]

TAKEN = [
    "image=shop:1.0.0",
    "image=localhost:5000/team/shop:1.0.0",
    "image=shop@sha256:" + "0" * 64,
    "image=shop:1.0.0@sha256:" + "0" * 64,
    "services.payments.resources.requests.cpu=1",
    f"{CHARGE}.ackWait=45s",
    "services.payments.env.LOG_LEVEL=debug",
    "services.payments.resources.limits.cpu=1",
    "global.anything=x",
    "enabled=true",
    f"{CHARGE}.rejects={{KeyError,shop.mailer.Refused}}",
]


@pytest.mark.parametrize(("value", "path", "expected"), REFUSED_BY_SCHEMA)
def test_a_wrong_name_or_unit_is_refused_with_its_path(
    helm: Helm, chart: Path, value: str, path: str, expected: str
) -> None:
    refused = helm("template", "shop", chart, SEED, "--set", value)
    assert refused.returncode == 1
    assert path in refused.stderr
    assert expected in refused.stderr


@pytest.mark.parametrize(("values", "sentence"), REFUSED_BY_SENSE)
def test_values_that_contradict_one_another_are_refused_in_one_sentence(
    helm: Helm, chart: Path, values: tuple[str, ...], sentence: str
) -> None:
    refused = helm("template", "shop", chart, SEED, *(f"--set={value}" for value in values))
    assert refused.returncode == 1
    assert sentence in refused.stderr


@pytest.mark.parametrize("value", TAKEN)
def test_right_values_are_taken(helm: Helm, chart: Path, value: str) -> None:
    taken = helm("template", "shop", chart, SEED, "--set", value)
    assert taken.returncode == 0, taken.stderr
