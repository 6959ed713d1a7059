"""Wrong values stop `helm install` with the path and what was expected, or one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.deploy.conftest import PRODUCTION, Helm

CHARGE = "services.payments.handlers.charge"

REFUSED_BY_SCHEMA = [
    ("services.paymnets.replicas=2", "/services", "'paymnets' not allowed"),
    ("services.payments.handlers.chrage.ackWait=45s", "/services/payments/handlers", "'chrage'"),
    (f"{CHARGE}.ackwait=45s", "/services/payments/handlers/charge", "'ackwait' not allowed"),
    (f"{CHARGE}.ackWait=45", "/services/payments/handlers/charge/ackWait", "want string"),
    (f"{CHARGE}.ackWait=45sec", "/services/payments/handlers/charge/ackWait", "(ms|s|m|h|d)"),
    (f"{CHARGE}.attempts=0", "/services/payments/handlers/charge/attempts", "minimum"),
    ("services.payments.resources.requests.memory=128", "/requests/memory", "want string"),
    ("services.payments.resources.limits.cpu=1", "/limits", "'cpu' not allowed"),
    ("nats.storage.size=10", "/nats/storage/size", "want string"),
    ("grace=20", "/grace", "want string"),
    ("streams.ORDES.maxAge=1d", "/streams", "'ORDES' not allowed"),
    ("streams.ORDERS.maxAge=365", "/streams/ORDERS/maxAge", "want string"),
    ("streams.ORDERS.replicas=7", "/streams/ORDERS/replicas", "maximum"),
    ("image=shop", "/image", "does not match pattern"),
    ("image=localhost:5000/shop", "/image", "does not match pattern"),
    ("image=shop:", "/image", "does not match pattern"),
    ("nats.image=nats", "/nats/image", "does not match pattern"),
    ("nats.passwords.admin=1k", "/nats/passwords/admin", "does not match pattern"),
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
]


@pytest.mark.parametrize(("value", "path", "expected"), REFUSED_BY_SCHEMA)
def test_a_wrong_name_or_unit_is_refused_with_its_path(
    helm: Helm, chart: Path, value: str, path: str, expected: str
) -> None:
    refused = helm("template", "shop", chart, "--set", value)
    assert refused.returncode == 1
    assert path in refused.stderr
    assert expected in refused.stderr


@pytest.mark.parametrize(("values", "sentence"), REFUSED_BY_SENSE)
def test_values_that_contradict_one_another_are_refused_in_one_sentence(
    helm: Helm, chart: Path, values: tuple[str, ...], sentence: str
) -> None:
    refused = helm("template", "shop", chart, *(f"--set={value}" for value in values))
    assert refused.returncode == 1
    assert sentence in refused.stderr


@pytest.mark.parametrize("value", TAKEN)
def test_right_values_are_taken(helm: Helm, chart: Path, value: str) -> None:
    taken = helm("template", "shop", chart, "--set", value)
    assert taken.returncode == 0, taken.stderr
