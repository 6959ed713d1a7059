"""Whoever reaches the broker of `jetmesh up` and does not log in: nothing of the shop is theirs."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import nats
import nats.errors
import pytest

from jetmesh.transport.control import ControlPlane
from tests.integration.tiny_project import Up, tiny

ID = b'{"id": "t-1"}'
FORGED = "things.done.t-1"
SERVICE = """
from msgspec import Struct
from jetmesh import Service, event
from tiny_event import Thing
service = Service("first")
@event("things.done", key="id", decision="things.done")
class Done(Struct, frozen=True):
    id: str
@service.on(Thing)
def take(thing: Thing) -> Done: ...
"""


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    """Two services that handle nothing: what is stored, somebody else stored."""
    root = tiny(tmp_path / "tiny")
    (root / "tiny_first.py").write_text(SERVICE)
    up = Up(root)
    try:
        up.wait_for("Ctrl-C stops everything", within=60)
        yield up
    finally:
        up.end()


async def stored(up: Up) -> list[str]:
    async with await ControlPlane.connect(up.operator, name="test") as control:
        return [message.subject async for message in control.history("THINGS", [">"])]


async def test_no_answer_of_the_server_is_stored_as_an_event(up: Up) -> None:
    """The server asks nobody where an answer may go; but an account has only its own subjects."""
    client = await nats.connect(up.state.nats_url, error_cb=_ignore)
    asked = ("things.made.t-1", "$JS.API.INFO", "$JS.API.STREAM.INFO.THINGS", "$SRV.PING")
    for subject in asked:
        for answered in (FORGED, "things.made.t-2", "lanes.first.take.t-1"):
            await client.publish(subject, ID if "made" in subject else b"", reply=answered)
    await client.flush()
    acknowledged = await client.jetstream().publish("things.made.t-9", ID)
    assert acknowledged.stream == "THINGS"
    await client.close()
    assert set(await stored(up)) == {"things.made.t-1", "things.made.t-9"}


async def test_every_other_subject_and_verb_is_refused(up: Up) -> None:
    client = await nats.connect(up.state.nats_url, error_cb=_ignore)
    await client.jetstream().publish("things.made", ID)
    before = await stored(up)
    body = json.dumps({"stream_name": "THINGS", "config": {"ack_policy": "none"}}).encode()
    for subject in (
        FORGED,
        "things.mad",
        "deadletters.first.take.t-1",
        "refusals.first.take.t-1",
        "lanes.first.take.t-1",
        "$JS.ACK.THINGS.first-take.1.1.1.1.0",
        "$JS.API.STREAM.CREATE.MINE",
        "$JS.API.STREAM.UPDATE.THINGS",
        "$JS.API.STREAM.DELETE.THINGS",
        "$JS.API.STREAM.PURGE.THINGS",
        "$JS.API.STREAM.MSG.GET.THINGS",
        "$JS.API.STREAM.MSG.DELETE.THINGS",
        "$JS.API.DIRECT.GET.THINGS",
        "$JS.API.CONSUMER.CREATE.THINGS",
        "$JS.API.CONSUMER.CREATE.THINGS.mine",
        "$JS.API.CONSUMER.DURABLE.CREATE.THINGS.mine",
        "$JS.API.CONSUMER.DELETE.THINGS.first-take",
        "$JS.API.CONSUMER.MSG.NEXT.THINGS.first-take",
        "$SYS.REQ.SERVER.PING",
    ):
        with pytest.raises((nats.errors.Error, asyncio.TimeoutError)):
            await client.request(subject, body, timeout=0.3)
    with contextlib.suppress(nats.errors.Error):
        heard = await client.subscribe(">")
        with pytest.raises((nats.errors.Error, asyncio.TimeoutError)):
            await heard.next_msg(timeout=0.5)
    await client.close()
    assert await stored(up) == before


async def _ignore(_: Exception) -> None:
    """What is refused is what the test is about."""
