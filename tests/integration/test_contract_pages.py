"""The pages of the contracts of a project that `jetmesh init` wrote: written, refused, followed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import httpx
from jsonschema import Draft202012Validator

from tests.integration.own_project import garage, run_up, told
from tests.integration.tiny_project import Up, command
from tests.waiting import wait_until

__all__ = ["garage", "run_up"]


def break_example(contract: Path) -> None:
    """Add a field with an example that it does not take."""
    text = contract.read_text().replace("import Struct", "import Meta, Struct")
    text = text.replace("from jetmesh", "from typing import Annotated\nfrom jetmesh", 1)
    contract.write_text(f"{text}    size: Annotated[int, Meta(ge=3, examples=[1])] = 3\n")


def test_every_event_of_a_new_project_has_a_page_with_an_example(garage: Path) -> None:
    told(garage, "new", "service", "pricing", "--on", "car.parked", "--emits", "fee.due")
    assert "The pages are in .jetmesh/contracts/index.html." in told(garage, "contracts")
    pages = garage / ".jetmesh" / "contracts"
    schemas = {path.stem: json.loads(path.read_text()) for path in pages.glob("schemas/*.json")}
    assert {"car.parked", "fee.due"} < set(schemas)
    for subject in schemas:
        assert "No example can be made up" not in (pages / f"{subject}.html").read_text(), subject
    for path in garage.glob("examples/*/*.json"):
        schema = schemas[path.parent.name]
        assert Draft202012Validator(schema).is_valid(json.loads(path.read_text()))
    assert told(garage, "contracts", "--check") == "The contracts are up to date.\n"
    told(garage, "contracts", "--site", "public")
    assert (garage / "public" / "index.html").read_text() == (pages / "index.html").read_text()


def test_a_wrong_example_is_one_sentence_and_nothing_is_written(garage: Path) -> None:
    contract = garage / "garage" / "contracts" / "car_parked.py"
    break_example(contract)
    before = {path: path.read_text() for path in garage.glob("contracts/**/*.*")}
    for arguments in ([], ["--check"]):
        refused = command(garage, "contracts", *arguments)
        assert refused.returncode == 2, refused.stderr
        assert refused.stderr.startswith("The examples in CarParked are none: ")
        assert refused.stderr.endswith("Correct them.\n")
    assert {path: path.read_text() for path in garage.glob("contracts/**/*.*")} == before
    assert not (garage / ".jetmesh").exists()


def test_the_pages_follow_what_is_saved(garage: Path, run_up: Callable[..., Up]) -> None:
    up = run_up("--reload")
    url = up.state.sandboxes["contract-pages"].url
    contract = garage / "garage" / "contracts" / "car_parked.py"
    text = contract.read_text()
    assert "Say here what happened" in httpx.get(f"{url}/car.parked.html").text
    contract.write_text(text.replace("Say here what happened", "It stands in its place"))
    wait_until(
        lambda: "It stands in its place" in httpx.get(f"{url}/car.parked.html").text, within=40.0
    )
    break_example(contract)
    up.wait_for("the contracts' pages are not new: The examples in CarParked are none", within=40.0)
    assert httpx.get(f"{url}/car.parked.html").status_code == 200, "those of before stay"
