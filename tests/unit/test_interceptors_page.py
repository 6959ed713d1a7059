"""Every block of the page about interceptors runs, and does what the page says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY

from jetmesh import Retry, Service
from jetmesh.testing import aoutputs, delivery, outputs

PAGE = Path(__file__).parents[2] / "docs" / "interceptors.md"
_block = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def page() -> Iterator[dict[str, Any]]:
    """What the blocks define, one after another; their metrics are gone afterwards."""
    before = set(REGISTRY._collector_to_names)
    names: dict[str, Any] = {"__name__": "interceptors_page"}
    for block in _block.findall(PAGE.read_text()):
        exec(compile(block, str(PAGE), "exec", dont_inherit=True), names)  # noqa: S102 - it is ours
    yield names
    for collector in set(REGISTRY._collector_to_names) - before:
        REGISTRY.unregister(collector)


def seconds_of(handler: str) -> float | None:
    return REGISTRY.get_sample_value("garage_handler_seconds_count", {"handler": handler})


def test_a_handler_is_timed(page: dict[str, Any]) -> None:
    car = page["CarLeft"]("BE-1", 3)
    assert outputs(page["service"], page["price"], car) == [page["FeeDue"]("BE-1", 15)]
    assert seconds_of("pricing.price") == 1


async def test_a_handler_knows_for_which_site_it_works(page: dict[str, Any]) -> None:
    service, seen = Service("sites", wrap=[page["timed_async"], page["at_site"]]), list[str]()

    async def look(car: Any) -> None:
        seen.append(page["site"].get())

    look.__annotations__["car"] = page["CarLeft"]
    service.on(page["CarLeft"])(look)
    assert await aoutputs(service, look, page["CarLeft"]("BE-1", 3)) == []
    assert (seen, seconds_of("sites.look")) == (["BE"], 1)
    with pytest.raises(LookupError):
        page["site"].get()


def test_a_handler_that_is_switched_off_is_tried_again_later(page: dict[str, Any]) -> None:
    about = delivery(page["CarLeft"]("BE-1", 3), handler="pricing.price")
    guarded = page["unless_switched_off"]
    assert guarded(lambda: "called", page["CarLeft"]("BE-1", 3), about) == "called"
    page["switched_off"].add("pricing.price")
    with pytest.raises(Retry) as raised:
        guarded(lambda: "called", page["CarLeft"]("BE-1", 3), about)
    assert (raised.value.after, raised.value.counts) == (60, False)


def test_fees_are_counted(page: dict[str, Any]) -> None:
    fee = page["FeeDue"]("BE-1", 15)
    car = page["CarLeft"]("BE-1", 3)
    assert page["counted"](lambda: fee, car, delivery(car)) is fee
    assert REGISTRY.get_sample_value("garage_fees_total", {"site": "BE"}) == 1


async def test_cars_of_others_are_not_let_in(page: dict[str, Any]) -> None:
    async def call() -> str:
        return "stored"

    wrap = page["from_our_sites"]
    assert await wrap(call, page["CarLeft"]("BE-1", 3)) == "stored"
    with pytest.raises(PermissionError):
        await wrap(call, page["CarLeft"]("XX-1", 3))
    assert page["door"].publish_wraps == [wrap]
