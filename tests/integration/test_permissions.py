"""What a user may do: what is missing is named, with the line to grant."""

# ruff: noqa: S106 - the passwords are those of brokers that live for one test
from __future__ import annotations

import asyncio
import contextlib

import pytest

from jetmesh.declare import Permissions
from jetmesh.errors import BrokerError
from jetmesh.settings import NatsSettings
from jetmesh.testing import eventually
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.dataplane import DataPlane
from tests.integration.identities import Configured, at, rewrite
from tests.integration.planes import (
    NO_HEADERS,
    Fate,
    both,
    make_durable,
    make_stream,
    publish,
)

_ADMIN = NatsSettings(user="admin", password="a")
_WORKER = NatsSettings(user="worker", password="w")
AT_ONCE = 10
"""Seconds on a busy machine, where waiting for an answer would take an hour."""


def permitting(publish_to: list[str], subscribe_to: list[str] | None = None) -> str:
    allowed = f"publish: {publish_to}, subscribe: {subscribe_to or ['_INBOX.>']}"
    return (
        "authorization { users: [\n"
        " { user: admin, password: a }\n"
        f" {{ user: worker, password: w, permissions: {{ {allowed} }} }}\n"
        "] }\n"
    )


async def test_a_publish_that_is_not_permitted_names_subject_and_permission(
    configured: Configured, unique: str
) -> None:
    broker = configured(permitting(["$JS.API.>"]))
    async with (
        both(at(_ADMIN, broker)) as (_, admin),
        DataPlane(
            at(_WORKER, broker), name="test", needs=Permissions(publish=(f"{unique}.paid.*",))
        ) as plane,
    ):
        await make_stream(admin, unique.upper(), f"{unique}.>")
        fate = Fate()
        plane.publish(f"{unique}.paid.p-1".encode(), NO_HEADERS, b"{}", fate)
        lacking = (
            f"the broker's user lacks the permission to publish on {unique}.paid.p-1; "
            f'grant publish: ["{unique}.paid.*"]'
        )
        await eventually(lambda: plane.problem == f"publishing: {lacking}")
        rewrite(broker, permitting(["$JS.API.>", f"{unique}.>"]))
        assert await asyncio.wait_for(fate.told, 8) == "stored"
        assert await publish(plane, f"{unique}.paid.p-2") == "stored"
        await eventually(lambda: not plane.problem)


async def test_a_pull_that_is_not_permitted_names_subject_and_permission(
    configured: Configured, unique: str
) -> None:
    broker = configured(permitting(["$JS.ACK.>"]))
    async with (
        both(at(_ADMIN, broker)) as (_, admin),
        DataPlane(at(_WORKER, broker), name="test") as plane,
    ):
        await make_stream(admin, unique.upper(), f"{unique}.>")
        await make_durable(admin, unique.upper(), "d")
        pull = plane.inflow(unique.upper(), "d", limit=5, on_delivery=lambda *_: None)
        pull.start()
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{unique.upper()}.d"
        lacking = (
            f"the broker's user lacks the permission to publish on {subject}; "
            f'grant publish: ["{subject}"]'
        )
        await eventually(lambda: pull.problem == lacking)
        assert plane.problem == ""
        rewrite(broker, permitting(["$JS.ACK.>", subject]))
        await eventually(lambda: not pull.problem)


async def test_an_ack_that_is_not_permitted_is_told(configured: Configured, unique: str) -> None:
    broker = configured(permitting(["$JS.API.>"]))
    async with (
        both(at(_ADMIN, broker)) as (_, admin),
        DataPlane(at(_WORKER, broker), name="test") as plane,
    ):
        await make_stream(admin, unique.upper(), f"{unique}.>")
        await make_durable(admin, unique.upper(), "d")
        pull = plane.inflow(
            unique.upper(), "d", limit=5, on_delivery=lambda _, reply, *__: plane.ack(reply)
        )
        pull.start()
        await admin.publish(f"{unique}.a", b"")
        needed = f"$JS.ACK.{unique.upper()}.d.>"
        await eventually(lambda: plane.problem.endswith(f'grant publish: ["{needed}"]'))


async def test_an_inbox_that_is_not_permitted_is_no_connection(configured: Configured) -> None:
    broker = configured(permitting([">"], ["other.>"]))
    nats = at(_WORKER, broker)
    async with DataPlane(nats, name="test") as plane:
        await eventually(lambda: "lacks the permission to subscribe to _INBOX." in plane.problem)
        async with await ControlPlane.connect(nats, name="test") as control:
            async with asyncio.timeout(AT_ONCE):
                with pytest.raises(BrokerError, match="lacks the permission to subscribe to _in"):
                    await control.api("INFO", timeout=3600)
            assert 'Grant subscribe: ["_INBOX.>"]' in control.problem
            assert "sid" not in control.problem
            rewrite(broker, permitting([">"], ["_INBOX.>"]))
            await eventually(lambda: not plane.problem)

            async def hears_again() -> bool:
                with contextlib.suppress(BrokerError):
                    await control.api("INFO")
                return not control.problem

            await eventually(hears_again, within=20)


async def test_an_api_that_is_not_permitted_is_told_at_once(configured: Configured) -> None:
    broker = configured(permitting(["$JS.API.INFO"]))
    async with await ControlPlane.connect(at(_WORKER, broker), name="test") as control:
        await control.check_server()
        async with asyncio.timeout(AT_ONCE):  # nats-py alone would only time out
            with pytest.raises(BrokerError) as caught:
                await control.api("STREAM.INFO.X", timeout=3600)
        assert str(caught.value) == (
            "The broker's user lacks the permission to publish on $JS.API.STREAM.INFO.X. "
            'Grant publish: ["$JS.API.STREAM.INFO.X"] in the server\'s configuration.'
        )
        await control.check_server()
