"""The topology as text, picture and data says the same, in the same order each time."""

from __future__ import annotations

import json
import re

import pytest

from jetmesh import Duration, Policy, Service, Topology, derive
from jetmesh.declare import StreamTuning
from jetmesh.operate.graph import Format, _quoted, render
from tests.unit.declared import Board, Created, Rejected, Validated


@pytest.fixture
def topology() -> Topology:
    validation = Service("validation", version="1.2.0")

    @validation.on(Created)
    def decide(purchase: Created) -> Validated | Rejected:
        raise NotImplementedError

    mail = Service("mail")

    @mail.on(Rejected, policy=Policy(attempts=9, timeout=Duration(5)))
    async def tell(order: Rejected) -> None: ...

    board = Service("board")
    board.read_model(Board, events=[Created, Rejected])
    board.web(_pages)
    return derive(
        [validation, mail, board], streams={"ORDERS": StreamTuning(max_age=Duration(604_800))}
    )


def _pages() -> list[str]:
    return []


TEXT = """\
Services
  board 0.1.0
    Board (read model)
      folds     purchases.created, orders.rejected
    shows web pages
  mail 0.1.0
    tell (async)
      takes     orders.rejected
      publishes nothing
      durable   mail-tell on ORDERS
      tries     9 times, 500ms to 1m apart, up to 5s each
  validation 1.2.0
    decide (inline)
      takes     purchases.created
      publishes orders.validated | orders.rejected
      durable   validation-decide on PURCHASES
      decides   orders.*, once per key
      tries     5 times, 500ms to 1m apart

Events
  orders.rejected.<id>
    from validation
    to   mail.tell, board
  orders.validated.<id>
    from validation
    to   nobody
  purchases.created.<id>
    from outside
    to   validation.decide, board

Streams
  AUDIT             audit.>
  DEADLETTERS       deadletters.>
  LANES_mail        lanes.mail.>
  LANES_validation  lanes.validation.>
  ORDERS            orders.>  max_age=7d
  PURCHASES         purchases.>
  REFUSALS          refusals.>"""

MERMAID = """\
flowchart LR
    outside(("outside"))
    service0["board"]
    service1["mail"]
    service2["validation"]
    service2 -->|"orders.rejected"| service0
    service2 -->|"orders.rejected"| service1
    unread1[" "]:::unread
    service2 -->|"orders.validated"| unread1
    outside -->|"purchases.created"| service0
    outside -->|"purchases.created"| service2
    classDef unread fill:none,stroke:none"""


def test_the_text_says_who_takes_publishes_and_decides_what(topology: Topology) -> None:
    assert render(topology) == TEXT


def test_the_picture_has_services_as_boxes_and_events_as_arrows(topology: Topology) -> None:
    assert render(topology, "mermaid") == MERMAID


def test_the_data_holds_everything_and_stays_the_same(topology: Topology) -> None:
    data = json.loads(render(topology, "json"))
    assert [service["name"] for service in data["services"]] == ["board", "mail", "validation"]
    (decide,) = data["services"][2]["handlers"]
    assert decide["outputs"] == ["orders.validated", "orders.rejected"]
    assert (decide["durable"], decide["decision"]) == ("validation-decide", "orders.*")
    (tell,) = data["services"][1]["handlers"]
    assert (tell["policy"]["attempts"], tell["policy"]["timeout"]) == (9, "5s")
    assert data["events"][0]["readers"] == ["mail.tell", "board"]
    assert data["events"][2]["owner"] is None
    assert data["streams"][4]["max_age"] == "7d"
    assert data["services"][0]["web"] is True


@pytest.mark.parametrize("shown_as", ["text", "mermaid", "json"])
def test_the_order_of_declaring_services_changes_nothing_that_is_shown(
    topology: Topology, shown_as: Format
) -> None:
    again = derive(
        reversed(topology.services), streams={"ORDERS": StreamTuning(max_age=Duration(604_800))}
    )
    assert render(again, shown_as) == render(topology, shown_as)


@pytest.mark.parametrize("shown_as", ["text", "mermaid", "json"])
def test_no_services_are_drawn_without_complaint(shown_as: Format) -> None:
    assert render(derive([]), shown_as)


def test_a_label_cannot_end_its_quotes_or_its_line() -> None:
    label = _quoted('"]; click x "javascript:alert(1)" <b>&\n| end')
    assert re.fullmatch(r'"[A-Za-z0-9 ._#;-]*"', label)
    assert label.count('"') == 2


def test_the_mesh_of_an_event_that_only_outside_sends_has_an_outside(topology: Topology) -> None:
    assert render(topology, "mermaid").count("outside((") == 1
