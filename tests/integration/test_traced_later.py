"""What comes later stays in the trace of the message that asked for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from msgspec import Struct

from jetmesh import Later, event, seconds
from jetmesh.operate.deadlines import acts
from jetmesh.operate.deadlines.waiting import found
from jetmesh.operate.trace import trace
from jetmesh.operate.up.broker import Broker
from jetmesh.protocol.traces import trace_id_in
from jetmesh.testing import Mesh, eventually, mesh
from tests.integration.one_handler import topology_of
from tests.integration.test_later import Desk
from tests.integration.test_later_states import Desk as StateDesk
from tests.otlp import Received, Receiver, receiver

OURS, THEIRS = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b74bf92f3577b34da6"


@pytest.fixture
def otlp(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    with receiver() as receiving:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiving.url)
        yield receiving


def parent(trace_id: str) -> dict[str, str]:
    return {"traceparent": f"00-{trace_id}-00f067aa0ba902b7-01"}


async def tell(m: Mesh, desk: StateDesk, key: str, what: str, trace_id: str) -> None:
    await m.publish(desk.told(key, what), headers=parent(trace_id))


async def trace_of(m: Mesh, desk: Desk | StateDesk, key: str = "a") -> str:
    """Of the event that came."""
    (came,) = await eventually(lambda: desk.came(m, key), within=60)
    return trace_id_in(came.headers)


def below(otlp: Receiver, span: Received) -> set[str]:
    return {each.name for each in otlp.spans if each.parent == span.span_id}


@pytest.mark.parametrize("brought", [OURS, ""])
async def test_an_event_that_comes_later_is_in_the_trace_of_who_asked_whichever_process_rings(
    broker: Broker, unique: str, otlp: Receiver, brought: str
) -> None:
    desk, again = Desk(unique), Desk(unique)
    key = f"{unique}-a"  # dead letters of any test are found by their key
    desk.remind()
    again.remind()
    async with mesh(desk.service, url=broker.url) as m:
        await m.publish(desk.opened(key, within=2.0), headers=parent(brought) if brought else {})
        await eventually(lambda: desk.waiting(m))
    async with mesh(again.service, url=broker.url) as m:
        trace_id = await trace_of(m, again, key)
        await m.settled()
        steps = await trace(m.control, topology_of(m), key)
    assert brought in ("", trace_id)
    assert {span.trace_id for span in otlp.spans} == {trace_id}
    assert [step.trace for step in steps if step.trace] == [trace_id] * (2 if brought else 1)
    (waited,) = otlp.named(f"wait deadline {unique}-in.opened")
    assert waited.end - waited.start >= 2e9
    assert waited.attributes["jetmesh.wait"] == "deadline"
    assert below(otlp, waited) == {f"send {unique}-out.overdue", f"ack {unique}-in.opened"}
    assert not [span for span in otlp.spans if span.name.startswith("wait retry")]
    assert not [span for span in otlp.spans if span.failed]


async def test_of_a_state_each_deadline_stays_in_the_trace_of_its_own_input(
    broker: Broker, unique: str, otlp: Receiver
) -> None:
    desk = StateDesk(unique)
    desk.hear()
    async with mesh(desk.service, url=broker.url) as m:
        await tell(m, desk, "a", "later 1", OURS)
        await tell(m, desk, "a", "hello", THEIRS)  # one step may take in both
        assert await trace_of(m, desk) == OURS
        await m.settled()
    (waited,) = otlp.named(f"wait deadline {unique}-in.told")
    assert waited.trace_id == OURS
    sends = {f"send states.{unique}.tickets", f"send {unique}-out.overdue"}
    assert below(otlp, waited) == {*sends, f"ack {unique}-in.told"}
    assert not [span for span in otlp.spans if span.failed]


async def test_one_that_is_postponed_is_in_the_trace_of_who_postponed_it(
    broker: Broker, unique: str, otlp: Receiver
) -> None:
    desk = StateDesk(unique)
    desk.hear()
    async with mesh(desk.service, url=broker.url) as m:
        await tell(m, desk, "a", "later 0.5", OURS)
        await tell(m, desk, "a", "later 2", THEIRS)
        assert await trace_of(m, desk) == THEIRS


async def test_one_whose_alarm_was_lost_is_in_the_trace_of_who_asked_for_it(
    broker: Broker, unique: str, otlp: Receiver
) -> None:
    desk = StateDesk(unique)
    desk.hear()
    async with mesh(desk.service, url=broker.url) as m:
        for key in ("mended", "read"):
            await tell(m, desk, key, "later 1", OURS)
        await m.settled()
        await m.control.api(f"STREAM.PURGE.{desk.lanes}", {})
        (kept,) = [each async for each in found(m.control, topology_of(m), key="mended")]
    async with mesh(desk.service, url=broker.url) as m:
        await acts.wake(m.control, kept)
        await tell(m, desk, "read", "hello", THEIRS)
        assert await trace_of(m, desk, "mended") == OURS
        assert await trace_of(m, desk, "read") == OURS


async def test_what_the_sampler_leaves_out_is_left_out_when_it_comes_later(
    broker: Broker, unique: str, otlp: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    desk = StateDesk(unique)
    desk.hear()
    async with mesh(desk.service, url=broker.url) as m:
        await tell(m, desk, "a", "later 0.5", OURS)
        (came,) = await eventually(lambda: desk.came(m, "a"), within=60)
    values: dict[str, Any] = {name.lower(): value for name, value in came.headers.items()}
    assert values["traceparent"].startswith(f"00-{OURS}-")
    assert values["traceparent"].endswith("-00")
    assert otlp.spans == []


async def test_two_of_one_message_that_cannot_come_are_two_dead_letters(
    broker: Broker, unique: str
) -> None:
    """They have one cause and one key, and may even be the same event."""
    before, after = Desk(unique), Desk(unique)

    @event(f"{unique}-out.reminded", key="id")
    class Reminded(Struct, frozen=True):
        id: str

    def remind(opened: Any, _: Any) -> list[Later[Any]]:
        return [
            Later(Reminded(opened.id), after=seconds(1), name=name) for name in ("one", "another")
        ]

    before.on(before.opened, list[Later[Reminded]], "remind", remind)
    after.on(after.opened, None, "remind", lambda _, __: None)
    async with mesh(before.service, url=broker.url) as m:
        await m.publish(before.opened("a"))
        await eventually(lambda: before.waiting(m))
    async with mesh(after.service, url=broker.url) as m:

        async def both() -> bool:
            return len(await after.letters(m)) == 2

        await eventually(both, within=60)
        await m.settled()
