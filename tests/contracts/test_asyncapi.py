"""`contracts/asyncapi.yaml` is valid, leads nowhere into the void, and is what the code says."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from jsonschema import Draft7Validator, Draft202012Validator

from jetmesh import Topology, derive
from jetmesh.operate.contracts import contents
from jetmesh.operate.generated import stale
from shop.system import system

ROOT = Path(__file__).parents[2]
CONTRACTS = ROOT / "contracts"


@pytest.fixture(scope="module")
def topology() -> Topology:
    return derive(system.load())


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((CONTRACTS / "asyncapi.yaml").read_text())
    return loaded


def test_the_committed_files_are_what_the_declarations_say(topology: Topology) -> None:
    found = [str(path.relative_to(ROOT)) for path in stale(contents(system, topology, CONTRACTS))]
    assert not found, f"run `jetmesh contracts` and commit: {', '.join(found)}"


def test_the_document_is_valid_asyncapi(document: dict[str, Any]) -> None:
    schema = json.loads((Path(__file__).parent / "asyncapi-3.0.0.schema.json").read_text())
    errors = Draft7Validator(schema).iter_errors(document)
    assert [f"{error.json_path}: {error.message}" for error in errors] == []


def test_the_official_schema_is_at_work(document: dict[str, Any]) -> None:
    schema = json.loads((Path(__file__).parent / "asyncapi-3.0.0.schema.json").read_text())
    valid = Draft7Validator(schema).is_valid
    assert not valid({name: value for name, value in document.items() if name != "info"})
    operation = next(iter(document["operations"].values())) | {"action": "shout"}
    assert not valid(document | {"operations": {"wrong": operation}})


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    dangling = [ref for ref in references(document) if resolve(document, ref) is None]
    assert dangling == []


def test_every_operation_carries_messages_of_its_own_channel(document: dict[str, Any]) -> None:
    for name, operation in document["operations"].items():
        channel = operation["channel"]["$ref"]
        for message in operation["messages"]:
            assert message["$ref"].startswith(f"{channel}/messages/"), name


def test_every_address_has_the_parameters_it_names_and_no_others(document: dict[str, Any]) -> None:
    for name, channel in document["channels"].items():
        named = set(re.findall(r"\{([^}]*)\}", channel["address"]))
        assert named == set(channel.get("parameters", {})), name


def test_every_parameter_is_found_in_the_payload(document: dict[str, Any]) -> None:
    for channel in document["channels"].values():
        for message in channel["messages"].values():
            payload = resolve(document, resolve(document, message["$ref"])["payload"]["$ref"])
            for parameter in channel.get("parameters", {}).values():
                field = parameter["location"].removeprefix("$message.payload#/")
                assert field in payload["required"]


def test_every_event_type_and_field_is_described(document: dict[str, Any]) -> None:
    """What nobody described, nobody outside can use."""
    schemas = document["components"]["schemas"]
    undescribed = [
        f"{name}.{field}"
        for name, schema in schemas.items()
        for field, value in schema.get("properties", {}).items()
        if not described(document, value)
    ]
    undescribed += [name for name, schema in schemas.items() if "description" not in schema]
    assert undescribed == []


def test_every_schema_file_is_a_valid_schema_of_an_event(topology: Topology) -> None:
    files = {path.stem: json.loads(path.read_text()) for path in CONTRACTS.glob("schemas/*.json")}
    assert set(files) == {spec.subject for spec in topology.events}
    for schema in files.values():
        Draft202012Validator.check_schema(schema)


def test_e_mail_addresses_and_payment_tokens_are_marked_sensitive(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    marked = {
        f"{name}.{field}"
        for name, schema in schemas.items()
        for field, value in schema.get("properties", {}).items()
        if value.get("x-sensitive")
    }
    assert {"Customer.email", "PurchaseCreated.payment_token"} <= marked


@pytest.mark.parametrize(
    "path", sorted(ROOT.glob("examples/purchases/*.json")), ids=lambda path: path.name
)
def test_the_schema_takes_an_example_exactly_if_the_decoder_does(
    path: Path, topology: Topology
) -> None:
    spec = topology.event("purchases.created")
    assert spec is not None
    schema = json.loads((CONTRACTS / "schemas" / "purchases.created.json").read_text())
    text = re.sub(r"\{\{.*?\}\}", "1", path.read_text())
    try:
        msgspec.json.decode(text.encode(), type=spec.type)
        decodes = True
    except msgspec.ValidationError:
        decodes = False
    assert Draft202012Validator(schema).is_valid(json.loads(text)) is decodes


def described(document: dict[str, Any], value: dict[str, Any]) -> bool:
    if "$ref" in value:
        return "description" in value or described(document, resolve(document, value["$ref"]))
    members = value.get("anyOf", [])
    return "description" in value or any(described(document, member) for member in members)


def references(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def resolve(document: dict[str, Any], ref: str) -> Any:
    node: Any = document
    for token in ref.removeprefix("#/").split("/"):
        node = node.get(token) if isinstance(node, dict) else None
    return node
