"""A nats-server that wants TLS, a certificate and a password, who may use it, and an ear on it."""

# ruff: noqa: S106 - the passwords are those of brokers that live for one test
from __future__ import annotations

import pytest

from jetmesh.operate.up.broker import Broker
from jetmesh.settings import NatsSettings
from jetmesh.transport.dataplane import DataPlane
from tests.certificates import Certificates
from tests.integration.identities import Configured

USER = "authorization { user: svc, password: 's3cret' }\n"
BIG = 3 << 20


@pytest.fixture
def secured(configured: Configured, certificates: Certificates) -> Broker:
    """A nats-server that wants TLS, a client's certificate and a password."""
    return configured(certificates.config(verify=True) + USER + f"max_payload: {BIG}\n")


def through(port: int, certificates: Certificates) -> NatsSettings:
    url = f"tls://127.0.0.1:{port}"
    return NatsSettings(url=url, user="svc", password="s3cret", **certificates.client)


class Ear:
    """What a pull of the data plane was given."""

    def __init__(self, plane: DataPlane) -> None:
        self.heard: list[bytes] = []
        self.pull = plane.inflow("S", "d", limit=1000, on_delivery=self._on_delivery)
        self.pull.start()

    def _on_delivery(self, _: bytes, __: bytes, ___: bytes, payload: bytes) -> None:
        self.heard.append(payload)
