"""Streams, durables, owners and readers follow from the declarations alone."""

from __future__ import annotations

from typing import Any

import pytest

from jetmesh import Duration, Policy, Service, derive
from jetmesh.declare import StreamTuning
from jetmesh.protocol.streams import AUDIT, DEADLETTERS, LANES, REFUSALS
from tests.unit.declared import Board, Created, Rejected, Validated, spec


def declared() -> tuple[Service, ...]:
    validation = Service("validation")

    @validation.on(Created)
    def decide(purchase: Created) -> Validated | Rejected:
        raise NotImplementedError

    mail = Service("mail")

    @mail.on(Rejected, start="new", policy=Policy(attempts=7))
    async def tell(order: Rejected) -> None: ...

    board = Service("board")
    board.read_model(Board, events=[Created, Rejected])
    return validation, mail, board


def test_a_stream_for_each_domain_three_of_the_mesh_and_the_lanes_of_each_service() -> None:
    topology = derive(declared())
    assert {stream.name: stream.subjects for stream in topology.streams} == {
        "ORDERS": ("orders.>",),
        "PURCHASES": ("purchases.>",),
        DEADLETTERS: ("deadletters.>",),
        REFUSALS: ("refusals.>",),
        AUDIT: ("audit.>",),
        "LANES_validation": ("lanes.validation.>",),
        "LANES_mail": ("lanes.mail.>",),
    }
    lanes = [stream for stream in topology.streams if stream.schedules]
    assert [stream.name for stream in lanes] == ["LANES_validation", "LANES_mail"]
    assert {stream.section for stream in lanes} == {LANES}


def test_a_service_alone_knows_nothing_of_the_stream_of_what_operators_did() -> None:
    alone = {stream.name for stream in derive(declared(), audited=False).streams}
    assert alone == {stream.name for stream in derive(declared()).streams} - {AUDIT}


def test_settings_tune_all_lane_streams_at_once() -> None:
    topology = derive(declared(), streams={LANES: StreamTuning(replicas=3)})
    copies = {stream.name: stream.tuning.replicas for stream in topology.streams}
    assert (copies["LANES_validation"], copies["LANES_mail"], copies["ORDERS"]) == (3, 3, 1)


def test_one_durable_per_handler_on_the_stream_of_its_input() -> None:
    first, _, second, _ = derive(declared()).durables
    assert (first.stream, first.name) == ("PURCHASES", "validation-decide")
    assert first.filters == ("purchases.created", "purchases.created.*")
    assert first.start == "all"
    assert (second.stream, second.name, second.start) == ("ORDERS", "mail-tell", "new")
    assert second.policy.attempts == 7
    assert second.description == "mail.tell handles orders.rejected"


def test_each_handler_has_a_lane_of_its_own() -> None:
    topology = derive(declared(), policies={("mail", "tell"): Policy(attempts=2)})
    lanes = [durable for durable in topology.durables if durable.lane]
    assert [(lane.stream, lane.name, lane.filters, lane.start) for lane in lanes] == [
        ("LANES_validation", "validation-decide", ("lanes.validation.decide.*",), "all"),
        ("LANES_mail", "mail-tell", ("lanes.mail.tell.*",), "all"),
    ]
    assert topology.lane_of(topology.handlers[1]) is lanes[1]
    assert lanes[1].policy == topology.durable_of(topology.handlers[1]).policy


def test_an_event_has_one_owner_and_any_number_of_readers() -> None:
    topology = derive(declared())
    assert topology.owners == {spec(Validated): "validation", spec(Rejected): "validation"}
    assert topology.readers(spec(Created)) == ["validation.decide", "board"]
    assert topology.readers(spec(Rejected)) == ["mail.tell", "board"]
    assert topology.readers(spec(Validated)) == []


def test_settings_replace_policies_and_tune_streams() -> None:
    topology = derive(
        declared(),
        policies={("validation", "decide"): Policy(attempts=1)},
        streams={"ORDERS": StreamTuning(max_age=Duration(86_400), replicas=3)},
    )
    assert [durable.policy.attempts for durable in topology.durables] == [1, 1, 7, 7]
    tuned = {stream.name: stream.tuning for stream in topology.streams}
    assert tuned["ORDERS"].replicas == 3
    assert tuned["PURCHASES"] == StreamTuning()


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        ("orders.rejected", Rejected),
        ("orders.rejected.p-1", Rejected),
        ("orders.rejected.p-1.more", None),
        ("orders.rejectedly", None),
        ("orders.lost", None),
        ("orders", None),
    ],
)
def test_an_event_is_found_by_its_subject_with_a_key_or_without(
    subject: str, expected: Any
) -> None:
    found = derive(declared()).event(subject)
    assert (found and found.type) is expected


def test_the_same_declarations_give_the_same_topology() -> None:
    services = declared()
    assert derive(services) == derive(services)


def test_events_are_in_the_order_of_their_subjects() -> None:
    subjects = [event.subject for event in derive(reversed(declared())).events]
    assert subjects == sorted(subjects)


def test_no_services_make_an_empty_topology() -> None:
    topology = derive([])
    assert (topology.events, topology.durables, topology.handlers) == ((), (), ())
