"""Contracts are written to files, and a file that no longer says the truth is found."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
import yaml
from msgspec import Struct, field

from jetmesh import Record, Service, System, Topology, derive, event
from jetmesh.operate import asyncapi
from jetmesh.operate.contracts import contents
from jetmesh.operate.generated import stale, write

SYSTEM = System("small shop", (), version="3.2.1")


@event("purchases.created", key="purchase_id")
class Created(Struct, frozen=True):
    """Somebody wants to buy."""

    purchase_id: str


@event("orders.validated", key="purchase_id", decision="orders.*")
class Validated(Struct, frozen=True):
    """The purchase is sound.

    Payment may start.
    """

    purchase_id: str = field(name="purchaseId")


@event("news.told")
class Told(Struct, frozen=True):
    """Something was said to nobody in particular."""


class Board:
    """What is going on."""

    def apply(self, event: Struct, record: Record) -> None: ...


@pytest.fixture
def topology() -> Topology:
    validation = Service("validation", version="1.2.3", description="Checks purchases.")

    @validation.on(Created)
    def decide(purchase: Created) -> Validated | None:
        """Accept a sound purchase.

        Otherwise say nothing.
        """

    board = Service("board")
    board.read_model(Board, events=[Validated, Told])
    return derive([validation, board])


def test_files_that_were_just_written_are_not_stale(topology: Topology, tmp_path: Path) -> None:
    written = write(contents(SYSTEM, topology, tmp_path))
    assert {str(path.relative_to(tmp_path)) for path in written} == {
        "asyncapi.yaml",
        "asyncapi/board.yaml",
        "asyncapi/validation.yaml",
        "permissions.txt",
        "schemas/news.told.json",
        "schemas/orders.validated.json",
        "schemas/purchases.created.json",
    }
    assert stale(contents(SYSTEM, topology, tmp_path)) == []


def test_missing_changed_and_left_over_files_are_stale(topology: Topology, tmp_path: Path) -> None:
    write(contents(SYSTEM, topology, tmp_path))
    missing = tmp_path / "schemas" / "news.told.json"
    missing.unlink()
    changed = tmp_path / "asyncapi.yaml"
    changed.write_text("asyncapi: 3.0.0\n")
    left_over = tmp_path / "schemas" / "old.event.json"
    left_over.write_text("{}")
    of_nobody = tmp_path / "asyncapi" / "gone.yaml"
    of_nobody.write_text("asyncapi: 3.0.0\n")
    found = set(stale(contents(SYSTEM, topology, tmp_path)))
    assert found == {missing, changed, left_over, of_nobody}


def test_a_changed_authority_is_stale_and_a_line_of_its_own(
    topology: Topology, tmp_path: Path
) -> None:
    write(contents(SYSTEM, topology, tmp_path))
    before = Counter((tmp_path / "permissions.txt").read_text().splitlines())
    board = topology.services[1]
    board.publishes(Created)
    changed = derive(topology.services)
    assert tmp_path / "permissions.txt" in stale(contents(SYSTEM, changed, tmp_path))
    write(contents(SYSTEM, changed, tmp_path))
    after = Counter((tmp_path / "permissions.txt").read_text().splitlines())
    assert sorted(each.removeprefix("  publish   ") for each in after - before) == [
        "$JS.API.DIRECT.GET.PURCHASES.purchases.created.*",
        "$JS.API.STREAM.INFO.PURCHASES",
        "purchases.created.*",
    ]


def test_writing_again_puts_everything_right_and_touches_nothing_else(
    topology: Topology, tmp_path: Path
) -> None:
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas" / "old.event.json").write_text("{}")
    (tmp_path / "notes.md").write_text("mine")
    write(contents(SYSTEM, topology, tmp_path))
    assert stale(contents(SYSTEM, topology, tmp_path)) == []
    assert not (tmp_path / "schemas" / "old.event.json").exists()
    assert (tmp_path / "notes.md").read_text() == "mine"


def test_the_order_of_services_changes_nothing(topology: Topology, tmp_path: Path) -> None:
    write(contents(SYSTEM, topology, tmp_path))
    assert stale(contents(SYSTEM, derive(reversed(topology.services)), tmp_path)) == []


def test_the_yaml_reads_as_the_document(topology: Topology, tmp_path: Path) -> None:
    write(contents(SYSTEM, topology, tmp_path))
    text = (tmp_path / "asyncapi.yaml").read_text()
    assert "jetmesh contracts" in text.splitlines()[0]
    assert yaml.safe_load(text) == json.loads(json.dumps(asyncapi.index(SYSTEM, topology)))


def test_a_channel_is_the_subject_with_its_key(topology: Topology) -> None:
    channels = asyncapi.index(SYSTEM, topology)["channels"]
    orders = channels["orders.validated"]
    assert orders["address"] == "orders.validated.{purchaseId}"
    assert orders["parameters"]["purchaseId"]["location"] == "$message.payload#/purchaseId"
    assert (orders["x-stream"], orders["x-decision"]) == ("ORDERS", "orders.*")
    assert orders["x-owner"] == "validation"
    assert channels["news.told"]["address"] == "news.told"
    assert "parameters" not in channels["news.told"]
    assert "x-owner" not in channels["purchases.created"], "it comes from outside"
    assert channels["purchases.created"]["x-sent-by"] == ["outside"]
    assert channels["purchases.created"]["x-received-by"] == ["validation.decide"]


def test_a_handler_receives_its_input_and_sends_its_outputs(topology: Topology) -> None:
    operations = asyncapi.of_service(topology.services[0], topology)["operations"]
    assert list(operations) == sorted(operations)
    received = operations["validation.decide.receive.purchases.created"]
    assert received["action"] == "receive"
    assert received["summary"] == "Accept a sound purchase."
    assert received["description"] == "Accept a sound purchase.\n\nOtherwise say nothing."
    assert (received["x-service"], received["x-durable"]) == ("validation", "validation-decide")
    assert received["bindings"]["nats"]["queue"] == "validation-decide"
    sent = operations["validation.decide.send.orders.validated"]
    assert (sent["action"], sent["x-decision"]) == ("send", "orders.*")
    assert "bindings" not in sent


def test_a_read_model_receives_without_a_durable(topology: Topology) -> None:
    operations = asyncapi.of_service(topology.services[1], topology)["operations"]
    folded = operations["board.Board.receive.news.told"]
    assert folded["x-read-model"] == "Board"
    assert "x-durable" not in folded


def test_the_document_tells_the_version_of_the_system_and_of_each_service(
    topology: Topology,
) -> None:
    info = asyncapi.index(SYSTEM, topology)["info"]
    assert (info["title"], info["version"]) == ("small shop", "3.2.1")
    assert {tag["name"]: tag["x-version"] for tag in info["tags"]} == {
        "board": "0.1.0",
        "validation": "1.2.3",
    }
    own = asyncapi.of_service(topology.services[0], topology)["info"]
    assert own == {"title": "validation", "version": "1.2.3", "description": "Checks purchases."}


def test_a_message_is_described_by_the_docstring_of_its_event(topology: Topology) -> None:
    messages = asyncapi.index(SYSTEM, topology)["components"]["messages"]
    message = messages["orders.validated"]
    assert message["summary"] == "The purchase is sound."
    assert message["description"] == "The purchase is sound.\n\nPayment may start."
    assert "Nats-Msg-Id" in message["headers"]["properties"]
    assert "headers" not in messages["purchases.created"], "whoever types it by hand sets none"
