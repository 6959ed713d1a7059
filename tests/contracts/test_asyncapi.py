"""The AsyncAPI documents are valid, lead nowhere into the void, and are what the code says."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pytest
import yaml
from jsonschema import Draft7Validator, Draft202012Validator
from msgspec import Meta, Struct, field

from jetmesh import Record, Service, System, Topology, derive, event, upcasts
from jetmesh.operate import asyncapi
from jetmesh.operate.contracts import contents
from jetmesh.operate.generated import stale
from shop.system import system
from tests.contracts.cross_references import problems, references, resolve

ROOT = Path(__file__).parents[2]
CONTRACTS = ROOT / "contracts"
SCHEMA = json.loads((Path(__file__).parent / "asyncapi-3.0.0.schema.json").read_text())
FILES = [CONTRACTS / "asyncapi.yaml", *sorted(CONTRACTS.glob("asyncapi/*.yaml"))]
DOCUMENTS: dict[str, dict[str, Any]] = {
    str(path.relative_to(CONTRACTS)): yaml.safe_load(path.read_text()) for path in FILES
}
INDEX = DOCUMENTS["asyncapi.yaml"]
Change = Callable[[dict[str, Any]], object]


class Cash(Struct, frozen=True, tag="cash"):
    """Coins."""


class Card(Struct, frozen=True, tag="card"):
    """Plastic."""

    number: str


@event("odd.paid", key="id", decision="odd.*", race=True, version=3, oldest=2)
class Paid(Struct, frozen=True, kw_only=True):
    """A key with an odd name, and a union of types."""

    id: Annotated[str, Meta(examples=["a"])] = field(name="the id/of~it")
    way: Cash | Card
    others: tuple[Cash | Card, ...] = ()


@upcasts(2, Paid)
def newest(old: dict[str, Any]) -> dict[str, Any]:
    return old


@event("news.told", version=2)
class Told(Struct, frozen=True):
    """It has no key."""

    discriminator: dict[str, Paid] = {}


@upcasts(1, Told)
def second(old: dict[str, Any]) -> dict[str, Any]:
    return old


class Board:
    def apply(self, event: Struct, record: Record) -> None: ...


def odd() -> dict[str, dict[str, Any]]:
    """A system of what is rare, as the files would hold it, and each document complete."""
    service = Service("odd-one")

    @service.on(Told)
    def pay(told: Told) -> Paid | None: ...

    service.read_model(Board, events=[Paid])
    idle = Service("idle")
    topology = derive([service, idle])
    documents = {"asyncapi.yaml": asyncapi.index(System("odd", ()), topology)}
    for each in topology.services:
        documents[asyncapi.path_of(each)] = asyncapi.of_service(each, topology)
        documents[f"complete-{each.name}"] = asyncapi.of_service(each, topology, complete=True)
    plain: dict[str, dict[str, Any]] = json.loads(json.dumps(documents))
    return plain


ODD = odd()


@pytest.fixture(scope="module")
def topology() -> Topology:
    return derive(system.load())


def test_the_committed_files_are_what_the_declarations_say(topology: Topology) -> None:
    found = [str(path.relative_to(ROOT)) for path in stale(contents(system, topology, CONTRACTS))]
    assert not found, f"run `jetmesh contracts` and commit: {', '.join(found)}"


def test_every_service_has_a_document_that_the_index_names(topology: Topology) -> None:
    named = {tag["name"]: tag["x-document"] for tag in INDEX["info"]["tags"]}
    assert set(named) == {service.name for service in topology.services}
    assert {"asyncapi.yaml", *named.values()} == set(DOCUMENTS)


@pytest.mark.parametrize("document", [*DOCUMENTS.values(), *ODD.values()], ids=[*DOCUMENTS, *ODD])
def test_a_document_is_valid_asyncapi(document: dict[str, Any]) -> None:
    errors = Draft7Validator(SCHEMA).iter_errors(document)
    assert [f"{error.json_path}: {error.message}" for error in errors] == []


def test_the_official_schema_is_at_work() -> None:
    valid = Draft7Validator(SCHEMA).is_valid
    assert not valid({name: value for name, value in INDEX.items() if name != "info"})
    document = DOCUMENTS["asyncapi/payments.yaml"]
    operation = next(iter(document["operations"].values())) | {"action": "shout"}
    assert not valid(document | {"operations": {"wrong": operation}})


@pytest.mark.parametrize("documents", [DOCUMENTS, ODD], ids=["the shop", "odd ones"])
def test_whatever_a_document_names_is_there(documents: dict[str, dict[str, Any]]) -> None:
    assert list(problems(documents)) == []


def _lose_a_message(index: dict[str, Any]) -> None:
    del index["components"]["messages"]["orders.validated"]


def _lose_a_type(index: dict[str, Any]) -> None:
    del index["components"]["schemas"]["Customer"]


def _lose_the_key(index: dict[str, Any]) -> None:
    index["components"]["schemas"]["OrderValidated"]["required"].remove("purchase_id")


@pytest.mark.parametrize(
    ("path", "change", "says"),
    [
        ("asyncapi.yaml", _lose_a_message, "asyncapi/payments.yaml: ../asyncapi.yaml#/comp"),
        ("asyncapi.yaml", _lose_a_type, "#/components/schemas/Customer leads nowhere"),
        ("asyncapi.yaml", _lose_the_key, "from purchase_id, which the payload may lack"),
        (
            "asyncapi/payments.yaml",
            lambda each: each["channels"].pop("payments.captured"),
            "#/channels/payments.captured leads nowhere",
        ),
        (
            "asyncapi/payments.yaml",
            lambda each: each["channels"]["orders.validated"].pop("parameters"),
            "has the parameters [], its address names ['purchase_id']",
        ),
        (
            "asyncapi/payments.yaml",
            lambda each: each["operations"]["payments.charge.receive.orders.validated"][
                "channel"
            ].update({"$ref": "#/channels/payments.captured"}),
            "which is not its channel's",
        ),
    ],
)
def test_what_is_not_there_is_found(path: str, change: Change, says: str) -> None:
    documents = copy.deepcopy(DOCUMENTS)
    change(documents[path])
    assert any(says in problem for problem in problems(documents)), list(problems(documents))


def test_a_complete_document_needs_no_other(topology: Topology) -> None:
    for service in topology.services:
        document = asyncapi.of_service(service, topology, complete=True)
        assert all(ref.startswith("#/") for ref in references(document))
        assert list(problems({"alone": json.loads(json.dumps(document))})) == []


def test_a_message_says_its_version_and_where_it_is_written() -> None:
    messages = ODD["asyncapi.yaml"]["components"]["messages"]
    paid, told = messages["odd.paid"], messages["news.told"]
    assert (paid["x-version"], paid["x-oldest"]) == (3, 2)
    assert "+3" in paid["headers"]["properties"]["Jetmesh-Event-Version"]["description"]
    assert set(told["headers"]["properties"]) == {"Jetmesh-Event-Version"}, "it is from outside"
    first = INDEX["components"]["messages"]["orders.validated"]
    assert first["x-version"] == 1
    assert "Jetmesh-Event-Version" not in first["headers"]["properties"]


def test_no_payload_has_the_discriminator_that_asyncapi_refuses() -> None:
    """msgspec writes OpenAPI's, an object; AsyncAPI's is the name of a field."""
    schemas = ODD["asyncapi.yaml"]["components"]["schemas"]
    assert [each["$ref"] for each in schemas["Paid"]["properties"]["way"]["anyOf"]]
    assert "discriminator" not in schemas["Paid"]["properties"]["way"]
    assert "discriminator" not in schemas["Paid"]["properties"]["others"]["items"]
    assert "discriminator" in schemas["Told"]["properties"], "a field of that name stays"


def test_every_event_type_and_field_is_described() -> None:
    """What nobody described, nobody outside can use."""
    schemas = INDEX["components"]["schemas"]
    undescribed = [
        f"{name}.{field}"
        for name, schema in schemas.items()
        for field, value in schema.get("properties", {}).items()
        if not described(value)
    ]
    undescribed += [name for name, schema in schemas.items() if "description" not in schema]
    assert undescribed == []


def test_every_schema_file_is_a_valid_schema_of_an_event(topology: Topology) -> None:
    files = {path.stem: json.loads(path.read_text()) for path in CONTRACTS.glob("schemas/*.json")}
    assert set(files) == {spec.subject for spec in topology.events}
    for schema in files.values():
        Draft202012Validator.check_schema(schema)


def test_e_mail_addresses_and_payment_tokens_are_marked_sensitive() -> None:
    schemas = INDEX["components"]["schemas"]
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


def described(value: dict[str, Any]) -> bool:
    if "$ref" in value:
        _, target = resolve(DOCUMENTS, "asyncapi.yaml", value["$ref"]) or ("", {})
        return "description" in value or described(target)
    members = value.get("anyOf", [])
    return "description" in value or any(described(member) for member in members)
