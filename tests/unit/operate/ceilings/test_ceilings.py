"""Each ceiling: far, near and passed, when it is reached, and what to do."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jetmesh.declare import Duration, derive
from jetmesh.declare.topology import StreamTuning
from jetmesh.errors import UsageError
from jetmesh.operate.ceilings.ceiling import Ceiling, Growth, until
from jetmesh.operate.ceilings.checks import ceilings
from jetmesh.operate.ceilings.load import DAY, YEAR, Load, Place, StreamLoad
from jetmesh.operate.ceilings.seen import spread
from jetmesh.operate.ceilings.sizes import place_of_chart, tuned
from shop.system import system as shop
from tests.unit.operate.ceilings.yard import yard

MIB = 1 << 20
YARD_GROWS = {"YARD": StreamLoad(rate=1.0, keys_rate=1e6 / YEAR, bytes_rate=600.0)}


def found(code: str, load: Load, place: Place | None = None, **tuning: StreamTuning) -> Ceiling:
    place = place or Place()
    (one,) = [
        each
        for each in ceilings(spread(yard(**tuning), place.servers), load, place)
        if each.code == code and each.about in ("YARD", "servers", "bell.welcome")
    ]
    return one


def of_yard(**values: Any) -> Load:
    return Load({"YARD": StreamLoad(**values)}, said="as expected")


@pytest.mark.parametrize(
    ("servers", "synced", "rate", "state"),
    [
        (1, False, 70_000, "far"),
        (1, False, 90_000, "near"),
        (1, False, 110_000, "passed"),
        (3, False, 46_000, "passed"),
        (3, True, 25_000, "passed"),
        (3, True, 20_000, "near"),
        (1, True, 6_000, "passed"),
    ],
)
def test_one_leader_stores_so_much(servers: int, synced: bool, rate: float, state: str) -> None:  # noqa: FBT001 - a case
    place = Place(servers, syncs_always=synced)
    one = found("rate", of_yard(rate=rate), place)
    assert one.state == state
    assert f"YARD gets {rate:,} a second as expected" in one.sentence


def test_alone_a_server_that_syncs_always_is_helped_by_two_more() -> None:
    place = Place(1, syncs_always=True)
    assert "three servers" in found("rate", of_yard(rate=6_000), place).remedy


def test_keys_are_told_with_the_month_in_which_they_are_too_many() -> None:
    one = found("keys", of_yard(keys_rate=12e6 / YEAR))
    assert (one.state, one.reached) == ("passed", "in about 6 months as expected")
    assert "holds 12,000,000 after a year" in one.sentence
    assert "max_age in [streams.YARD]" in one.remedy


def test_what_is_forgotten_in_time_never_is_too_much() -> None:
    quarter = StreamTuning(max_age=Duration(90 * DAY))
    one = found("keys", of_yard(keys_rate=12e6 / YEAR), YARD=quarter)
    assert (one.state, one.reached) == ("far", "")
    assert "(max_age 90d)" in one.sentence


def test_what_is_held_already_counts() -> None:
    one = found("keys", of_yard(keys=7_000_000))
    assert (one.state, one.reached) == ("passed", "it is reached already")


@pytest.mark.parametrize(
    ("memory", "state"), [(0, "far"), (300 * MIB, "passed"), (420 * MIB, "near"), (1 << 30, "far")]
)
def test_a_key_takes_memory_of_every_server_that_keeps_it(memory: int, state: str) -> None:
    """A million keys at 277 bytes, beside what a server needs anyway: 364 MiB."""
    place = Place(3, memory=memory, memory_from="the chart")
    one = found("memory", Load(YARD_GROWS), place)
    assert "364 MiB" in one.sentence
    assert one.state == state


def test_ids_within_the_window_take_memory_too() -> None:
    wide = StreamTuning(duplicate_window=Duration(DAY))
    one = found("memory", of_yard(rate=10.0, keys_rate=1.0), YARD=wide)
    without = found("memory", of_yard(rate=0.0, keys_rate=1.0), YARD=wide)
    assert one.sentence != without.sentence


def test_more_servers_than_copies_share_what_is_kept() -> None:
    three = found("volume", Load(YARD_GROWS), Place(3, volume=1 << 60))
    six = found("volume", Load(YARD_GROWS), Place(6, volume=1 << 60))
    assert "17.6 GiB after a year" in three.sentence
    assert "8.81 GiB after a year" in six.sentence


def test_a_disk_is_told_with_the_day_on_which_it_is_full() -> None:
    one = found("volume", Load(YARD_GROWS, said="as expected"), Place(3, volume=1 << 30))
    assert (one.state, one.reached) == ("passed", "in about 21 days as expected")
    assert "from the beginning" in one.remedy


def test_a_stream_is_full_at_its_max_bytes() -> None:
    small = StreamTuning(max_bytes=60_000_000)
    one = found("max-bytes", of_yard(rate=1.0, bytes_rate=600.0), YARD=small)
    assert (one.state, one.reached) == ("passed", "in about 28 h as expected")
    kept = replace_age(small, 3600)
    assert found("max-bytes", of_yard(rate=1.0, bytes_rate=600.0), YARD=kept).state == "far"


def replace_age(tuning: StreamTuning, seconds: float) -> StreamTuning:
    return StreamTuning(max_bytes=tuning.max_bytes, max_age=Duration(seconds))


@pytest.mark.parametrize(("pods", "state"), [(3, "far"), (450, "near"), (600, "passed")])
def test_requests_of_all_pods_are_no_more_than_the_server_keeps(pods: int, state: str) -> None:
    one = found("max-waiting", Load(pods={"bell": pods}))
    assert one.state == state
    assert "nobody can change later" in one.source
    assert "at most 512 pods" in one.remedy


def test_pods_that_could_get_nothing_are_counted() -> None:
    one = found("max-ack-pending", Load(pods={"bell": 300}))
    assert one.state == "passed"
    assert "all together get 8,192: 128 are kept busy" in one.sentence
    codes = [e.code for e in ceilings(yard(), Load(pods={"bell": 128}), Place())]
    assert "max-ack-pending" not in codes


@pytest.mark.parametrize(
    ("latency", "pods", "state", "limit"),
    [
        (0.02, 1, "far", "concurrency of bell.welcome"),
        (0.1, 1, "passed", "concurrency of bell.welcome"),
        (0.1, 2, "far", "concurrency of bell.welcome"),
        (10.0, 300, "passed", "max_ack_pending of bell.welcome"),
    ],
)
def test_as_many_are_in_flight_as_come_while_one_is_handled(
    latency: float, pods: int, state: str, limit: str
) -> None:
    load = Load(
        handlers={"bell.welcome": 1000.0 * 0.98},
        latencies={"bell.welcome": latency},
        pods={"bell": pods},
    )
    one = found("in-flight", load)
    assert (one.state, one.source) == (state, limit)


def test_streams_and_durables_with_copies_are_counted_for_each_server() -> None:
    alone, three = found("assets", Load()), found("assets", Load(), Place(3))
    assert (alone.state, three.state) == ("far", "far")
    assert "idle they cost nothing" in alone.sentence
    count = len(yard().streams) + len(yard().durables)
    assert f"{count} with copies on each of 3 servers" in three.sentence
    six = found("assets", Load(), Place(6))
    assert f"{math.ceil(count / 2)} with copies on each of 6 servers" in six.sentence


@pytest.mark.parametrize(("times", "state"), [(50, "far"), (120, "near"), (300, "passed")])
def test_too_many_streams_and_durables_are_refused(times: int, state: str) -> None:
    topology = spread(yard(), 3)
    many = replace(topology, streams=topology.streams * times, durables=topology.durables * times)
    count = (len(topology.streams) + len(topology.durables)) * times
    one = next(e for e in ceilings(many, Load(), Place(3)) if e.code == "assets")
    assert f"{count:,} with copies" in one.sentence
    assert one.state == ("far" if count <= 800 else "near" if count <= 2000 else "passed"), state


def test_what_is_passed_comes_first() -> None:
    load = Load(YARD_GROWS | {"YARD_IN": StreamLoad(rate=1e6)}, pods={"bell": 1})
    states = [each.state for each in ceilings(yard(), load, Place())]
    assert states[0] == "passed"
    assert states == sorted(states, key=("passed", "near", "far").index)


def test_growth_ends_where_the_oldest_is_forgotten() -> None:
    assert until(100, [Growth(0, 1)]) == pytest.approx(100)
    assert until(100, [Growth(0, 1, kept=50)]) == math.inf
    assert until(100, [Growth(0, 1, kept=50), Growth(20, 1)]) == pytest.approx(40)
    assert until(100, [Growth(101, 0)]) == 0


def test_sizes_are_those_of_the_chart_and_of_what_is_laid_over_it(tmp_path: Path) -> None:
    chart = tmp_path / "deploy/k8s/chart"
    chart.mkdir(parents=True)
    (chart / "values.yaml").write_text(
        'nats: {nodes: 3, url: "", syncInterval: always, storage: {size: 10Gi}, '
        "resources: {limits: {memory: 1Gi}}}\n"
    )
    over, other = tmp_path / "more.yaml", tmp_path / "own.yaml"
    over.write_text("nats: {resources: {limits: {memory: 2.5Gi}}}\nstreams: {YARD: {maxAge: 7d}}\n")
    other.write_text("nats: {url: 'nats://elsewhere:4222'}\n")
    place = place_of_chart(tmp_path, [])
    assert (place.servers, place.memory, place.volume) == (3, 1 << 30, 10 << 30)
    assert place.syncs_always
    assert place_of_chart(tmp_path, [over]).memory == 5 << 29
    for none in (place_of_chart(tmp_path, [other]), place_of_chart(tmp_path / "nowhere", [])):
        assert (none.servers, none.memory, none.volume) == (0, 0, 0)
    ages = {s.name: float(s.tuning.max_age) for s in tuned(yard(), [over]).streams}
    assert (ages["YARD"], ages["YARD_IN"]) == (7 * DAY, 0)


@pytest.mark.parametrize(
    "text", ["streams: {YARD: {maxAge: soon}}", "streams: {YARD: {maxBytes: x}}"]
)
def test_values_that_are_none_are_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "values.yaml"
    file.write_text(text)
    with pytest.raises(UsageError, match=r"streams\.YARD of the values is no tuning"):
        tuned(yard(), [file])


@pytest.mark.parametrize("content", [b"nats: [", b"\xff\xfe"])
def test_a_file_that_is_no_yaml_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "values.yaml"
    file.write_bytes(content)
    with pytest.raises(UsageError, match="it is no YAML"):
        place_of_chart(tmp_path, [file])


def test_steps_have_no_message_ids_that_take_memory() -> None:
    topology = derive(shop.load())
    place = Place(memory=200 * MIB)
    state = {"STATES_LOYALTY_ACCOUNTS": StreamLoad(rate=1e6, keys=10)}
    [memory] = [e for e in ceilings(topology, Load(state), place) if e.code == "memory"]
    assert memory.state == "far"
    events = {"TIERS": StreamLoad(rate=1e6, keys=10)}
    [memory] = [e for e in ceilings(topology, Load(events), place) if e.code == "memory"]
    assert memory.state == "passed"
