"""What /readyz tells is over when its reason is, also where nobody asks the broker anything."""

# ruff: noqa: S106 - the passwords are those of brokers that live for one test
from __future__ import annotations

from jetmesh.settings import NatsSettings
from jetmesh.testing import eventually
from jetmesh.transport.control import ControlPlane
from tests.integration.identities import Configured, at, rewrite

_WORKER = NatsSettings(user="worker", password="w")


def hearing(*subjects: str) -> str:
    allowed = f"publish: ['>'], subscribe: {list(subjects)}"
    return (
        "authorization { users: [\n"
        f" {{ user: worker, password: w, permissions: {{ {allowed} }} }}\n"
        "] }\n"
    )


async def test_a_control_connection_that_may_hear_again_says_so_without_being_asked(
    configured: Configured,
) -> None:
    broker = configured(hearing("_INBOX.>"))
    async with await ControlPlane.connect(at(_WORKER, broker), name="test") as control:
        await control.api("INFO")
        rewrite(broker, hearing("nothing"))
        await eventually(lambda: "lacks the permission to subscribe" in control.problem)
        rewrite(broker, hearing("_INBOX.>"))
        await eventually(lambda: not control.problem)
        await control.api("INFO")


async def test_a_control_connection_that_may_still_not_hear_goes_on_saying_so(
    configured: Configured,
) -> None:
    broker = configured(hearing("_INBOX.>"))
    async with await ControlPlane.connect(at(_WORKER, broker), name="test") as control:
        await control.api("INFO")
        rewrite(broker, hearing("nothing"))
        await eventually(lambda: "lacks the permission to subscribe" in control.problem)
        client = control._session._client
        told: list[str] = []

        async def is_rebuilt() -> bool:
            told.append(control.problem)
            return control._session._client is not client and control._session._client.is_connected

        await eventually(is_rebuilt)
        await eventually(lambda: "lacks the permission to subscribe" in control.problem)
        assert all(told)
