"""The pages of the contracts, as files."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urldefrag, urljoin

import msgspec
import pytest
from msgspec import Meta, Struct

from jetmesh import Record, Service, System, Topology, derive, event, upcasts
from jetmesh.errors import UsageError
from jetmesh.operate.catalog.entries import entries
from jetmesh.operate.catalog.pages import pages
from jetmesh.operate.catalog.place import contents, keep
from jetmesh.operate.contracts import contents as contract_files
from jetmesh.operate.evolution.released import Released
from shop.system import system

MARKUP = "<script>alert(1)</script>"
SYSTEM = System("garage", ())


@event("cars.came", key="plate", decision="cars.*", race=True)
class Came(Struct, frozen=True):
    __doc__ = f"A car came. {MARKUP}"

    plate: str
    owner: Annotated[
        str,
        Meta(description=MARKUP, examples=[MARKUP], extra={"sensitive": True}),
    ]


@event("news.told", version=3, oldest=2)
class Told(Struct, frozen=True):
    """Something was said."""

    text: str = MARKUP


@upcasts(2, Told)
def with_text(old: dict[str, Any]) -> dict[str, Any]:
    """The text was called `words`."""
    return {"text": old["words"]}


@event("news.wrong")
class Wrong(Struct, frozen=True):
    size: Annotated[int, Meta(ge=3, examples=[1])]


class Board:
    """What came."""

    def apply(self, event: Struct, record: Record) -> None: ...


def garage() -> Topology:
    gate = Service("gate", version="1.2.3", description=f"Opens. {MARKUP}")

    @gate.on(Told)
    def open_it(told: Told) -> Came | None:
        """Let it in."""

    board = Service("board")
    board.read_model(Board, events=[Came], reads=["plate"])
    board.publishes(Told)
    return derive([gate, board])


@pytest.fixture(scope="module")
def shop() -> dict[str, str]:
    return pages(system, derive(system.load()), Released([]))


def test_every_link_leads_to_a_page_and_a_place_that_are_there(shop: dict[str, str]) -> None:
    for found in (shop, pages(SYSTEM, garage(), Released([]))):
        for name, text in found.items():
            if not name.endswith(".html"):
                continue
            for target in re.findall(r'(?:href|src)="([^"]*)"', text):
                assert not target.startswith(("http", "//")), "it must not need a network"
                page, place = urldefrag(urljoin(name, html.unescape(target)))
                assert page in found, (name, target)
                assert not place or f'id="{place}"' in found[page], (name, target)


def test_the_same_declarations_give_the_same_bytes(shop: dict[str, str]) -> None:
    assert pages(system, derive(reversed(system.load())), Released([])) == shop


def test_a_page_needs_no_script_and_runs_none_that_a_contract_says() -> None:
    for name, text in pages(SYSTEM, garage(), Released([])).items():
        if name.endswith(".html"):
            assert "<script" not in text, name
    assert MARKUP in html.unescape(pages(SYSTEM, garage(), Released([]))["cars.came.html"])


def test_a_page_says_who_publishes_and_who_reads(shop: dict[str, str]) -> None:
    page = shop["orders.validated.html"]
    for text in ("order-validation", "decide, after purchases.created", "payments-charge", "Board"):
        assert text in page
    came = pages(SYSTEM, garage(), Released([]))["cars.came.html"]
    assert "open_it, after news.told" in came
    assert "race cars.*" in came
    assert 'class="badge sensitive"' in came
    told = pages(SYSTEM, garage(), Released([]))["news.told.html"]
    assert "outside" in told


def test_a_page_tells_who_reads_which_field() -> None:
    [came] = [each for each in entries(garage(), Released([])) if each.spec.name == "Came"]
    assert came.looked_at == {"plate": ["board"], "owner": []}
    page = pages(SYSTEM, garage(), Released([]))["cars.came.html"]
    rows = re.findall(r'<tr role="row" id="(\w+)".*?</tr>', page, re.DOTALL)
    told = re.findall(r'data-title="Read by"><span class="muted">(.*?)</span>', page)
    assert dict(zip(rows, told, strict=True)) == {"plate": "all readers", "owner": "nobody"}


def test_a_page_tells_the_versions_that_are_still_read(shop: dict[str, str]) -> None:
    told = html.unescape(
        re.sub(r"<[^>]*>", "", pages(SYSTEM, garage(), Released([]))["news.told.html"])
    )
    versions = " ".join(told[told.index("Versions") :].split())
    assert "3 published today 2 still read" in versions
    assert "with_text makes the next version of it: The text was called `words`." in versions
    assert "Versions before 2 are dropped" in versions
    assert 'class="badge version"' not in shop["orders.validated.html"]


def test_every_example_that_is_shown_decodes() -> None:
    for topology in (derive(system.load()), garage()):
        for entry in entries(topology, Released([])):
            msgspec.json.decode(entry.example, type=entry.spec.type)


def test_the_documents_there_need_no_other(shop: dict[str, str]) -> None:
    assert "../" not in shop["asyncapi/payments.yaml"]
    assert json.loads(shop["schemas/orders.validated.json"])["x-subject"] == "orders.validated"


def test_a_wrong_example_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    service = Service("wrong")

    @service.on(Wrong)
    def take(wrong: Wrong) -> None: ...

    refused = pytest.raises(UsageError, match="The examples in Wrong are none")
    with refused:
        contents(SYSTEM, derive([service]), tmp_path, tmp_path)
    with refused:
        contract_files(SYSTEM, derive([service]), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_pages_of_events_that_are_gone_go_and_those_of_others_stay(tmp_path: Path) -> None:
    state = tmp_path / ".jetmesh"
    folder = state / "contracts"
    keep(contents(SYSTEM, garage(), tmp_path, folder), state)
    assert state.stat().st_mode & 0o777 == 0o700
    (folder / "gone.event.html").write_text((folder / "news.told.html").read_text())
    (folder / "mine.html").write_text("mine")
    keep(contents(SYSTEM, garage(), tmp_path, folder), state)
    assert not (folder / "gone.event.html").exists()
    assert (folder / "mine.html").read_text() == "mine"
