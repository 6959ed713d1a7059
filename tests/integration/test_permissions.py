"""What a user may do: what is missing is named, with the line to grant."""

# ruff: noqa: S106 - the passwords are those of brokers that live for one test
from __future__ import annotations

import asyncio
import contextlib
import re

import pytest

from jetmesh.declare import Permissions
from jetmesh.errors import BrokerError
from jetmesh.settings import NatsSettings
from jetmesh.testing import eventually
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.dataplane import DataPlane
from jetmesh.transport.pull import Pull
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
        await eventually(lambda: pull.problem.endswith(f'grant publish: ["{needed}"]'))
        assert plane.problem == "", "other durables go on"


async def test_only_the_durable_pauses_whose_verdicts_are_refused_until_they_are_taken(
    configured: Configured, unique: str
) -> None:
    stream = unique.upper()
    allowed = ["$JS.API.>", f"$JS.ACK.{stream}.works.>"]
    broker = configured(permitting(allowed))
    arrived: dict[str, int] = {"works": 0, "paused": 0}
    async with (
        both(at(_ADMIN, broker)) as (_, admin),
        DataPlane(at(_WORKER, broker), name="test") as plane,
    ):
        await make_stream(admin, stream, f"{unique}.>")
        pulls: dict[str, Pull] = {}
        for durable in arrived:
            await make_durable(admin, stream, durable, ack_wait=0.5)

            def take(_: bytes, reply: bytes, *__: bytes, durable: str = durable) -> None:
                arrived[durable] += 1
                plane.ack(reply)
                pulls[durable].settled()

            pulls[durable] = plane.inflow(stream, durable, limit=1, on_delivery=take)
            pulls[durable].start()
        await admin.publish(f"{unique}.a", b"")
        await eventually(lambda: pulls["paused"].muted)
        for _ in range(5):
            await admin.publish(f"{unique}.a", b"")
        await eventually(lambda: arrived["works"] == 6)
        asked = plane._asked
        await eventually(lambda: plane._asked not in (asked, None), what="one more question")
        assert arrived["paused"] <= 2, "nothing more is asked for, however often it would come"
        rewrite(broker, permitting([*allowed, f"$JS.ACK.{stream}.paused.>"]))

        async def is_done() -> bool:
            info = await admin.api(f"CONSUMER.INFO.{stream}.paused")
            return not (info["num_pending"] or info["num_ack_pending"])

        await eventually(is_done, what="everything is settled")
        assert pulls["paused"].problem == ""


def test_the_line_to_grant_is_that_of_one_durable_in_either_form() -> None:
    for start in ("$JS.ACK.S.d.", "$JS.ACK.hub.A1b2C3.S.d."):
        tail = ".r4nd" if "hub" in start else ""
        subject = f"{start}1.7.7.1700000000000000000.0{tail}"
        line = Permissions().line_for("publish", subject)
        expected = "$JS.ACK.*.*.S.d.>" if "hub" in start else "$JS.ACK.S.d.>"
        assert line == f'publish: ["{expected}"]'


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
            assert not re.search(r"\bsid\b", control.problem)
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
