"""More than the server or our account takes in one message is refused at once, with the limit."""

from __future__ import annotations

import json
from time import monotonic

import pytest

from jetmesh.errors import BrokerError
from jetmesh.settings import NatsSettings
from jetmesh.transport.control import ControlPlane
from tests.integration.command_line import said
from tests.integration.identities import Configured
from tests.integration.planes import make_stream, settings_of

ACCOUNT = """
accounts { SMALL { jetstream: enabled, users: [{ user: u, password: p }],
                   limits: { max_payload: 2000 } } }
"""
SERVER = "max_payload: 2000\n"


def purchase(key: str, name: str = "Sample Customer") -> str:
    return json.dumps(
        {
            "purchase_id": key,
            "customer": {"id": "c-1", "name": name, "email": "customer@example.test"},
            "items": [{"sku": "tea", "quantity": 2, "unit_price": "4.50"}],
            "total": "9.00",
            "currency": "EUR",
            "payment_token": "tok_ok",
        }
    )


@pytest.mark.parametrize(("config", "who"), [(ACCOUNT, "u:p@"), (SERVER, "")])
def test_publish_says_size_and_limit_at_once_and_sends_nothing(
    configured: Configured, config: str, who: str
) -> None:
    broker = configured(config)
    url = f"nats://{who}127.0.0.1:{broker.port}"
    assert said("apply", url=url).returncode == 0
    large = purchase("p-2", name="x" * 2000)
    began = monotonic()
    for text, what in ((large, "The event"), (f"{purchase('p-1')}\n{large}", "Line 2")):
        refused = said("publish", "purchases.created", "-", url=url, stdin=text)
        assert refused.returncode == 1
        assert refused.stderr == (
            f"{what} is too large: {len(large)} bytes are more than the server's max_payload of "
            "2000.\nRaise max_payload of the server or of our account. Nothing was sent.\n"
        )
    assert monotonic() - began < 4
    assert said("trace", "p-1", url=url).returncode == 1
    assert said("publish", "purchases.created", "-", url=url, stdin=purchase("p-1")).stdout


async def test_headers_count_too(configured: Configured, unique: str) -> None:
    broker = configured(SERVER)
    async with await ControlPlane.connect(settings_of(broker), name="test") as control:
        await make_stream(control, unique.upper(), f"{unique}.>")
        headers = {"Name": "value"}
        fits = 2000 - len("NATS/1.0\r\nName: value\r\n\r\n")
        await control.publish(f"{unique}.a", b"x" * fits, headers)
        with pytest.raises(BrokerError, match=r"2001 bytes are more than .* 2000"):
            await control.publish(f"{unique}.a", b"x" * (fits + 1), headers)
        await control.publish(f"{unique}.a", b"x" * 2000)


async def test_the_limit_of_an_account_counts_for_every_request(configured: Configured) -> None:
    """The server says it in a later INFO, and would hang up."""
    broker = configured(ACCOUNT)
    nats = NatsSettings(url=f"nats://u:p@127.0.0.1:{broker.port}")
    async with await ControlPlane.connect(nats, name="test") as control:
        await control.check_server()
        assert control.max_payload == 2000
        with pytest.raises(BrokerError, match=r"\$JS\.API\.X: 20\d\d bytes are more than"):
            await control.api("X", {"a": "x" * 2000})
        await control.check_server()
