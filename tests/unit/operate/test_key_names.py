"""A key whose field has another name on the wire is called so wherever people see or type JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from msgspec import Struct

from jetmesh import Service, event
from jetmesh.declare import derive, spec_of
from jetmesh.errors import ContractViolation
from jetmesh.operate.graph import render
from jetmesh.operate.publish import check
from jetmesh.operate.schemas import json_schema
from jetmesh.operate.trace.reading import has_key
from jetmesh.operate.up.prepare import external
from jetmesh.operate.up.screen import examples
from jetmesh.transport.stored import StoredMessage


@event("rentals.begun", key="rental_id")
class Begun(Struct, frozen=True, rename="camel"):
    rental_id: str


service = Service("rentals")


@service.on(Begun)
def note(begun: Begun) -> None: ...


TOPOLOGY = derive([service])
SPEC = spec_of(Begun)
assert SPEC is not None


def test_what_up_publishes_as_an_example_gets_a_key_of_its_own(tmp_path: Path) -> None:
    folder = tmp_path / "examples" / "rentals"
    folder.mkdir(parents=True)
    (folder / "one.json").write_text('{"rentalId": "r-1"}')
    assert external(TOPOLOGY) == {"rentals.begun": "rentalId"}
    assert "r-1" in str(examples(tmp_path, external(TOPOLOGY)))


def test_a_message_that_was_typed_without_a_key_in_its_subject_is_found_by_its_key() -> None:
    assert SPEC is not None
    stored = StoredMessage("RENTALS", 1, "rentals.begun", {}, b'{"rentalId":"r-1"}', 0)
    assert has_key(SPEC, stored, "r-1")
    assert not has_key(SPEC, stored, "r-2")


def test_documents_and_errors_name_it_as_it_is_typed() -> None:
    assert SPEC is not None
    assert json_schema(SPEC)["x-key"] == "rentalId"
    assert "rentals.begun.<rentalId>" in render(TOPOLOGY, "text")
    assert json.loads(render(TOPOLOGY, "json"))["events"][0]["key"] == "rentalId"
    with pytest.raises(ContractViolation, match=r"at \$\.rentalId"):
        check(SPEC, [b'{"rentalId": ""}'])
