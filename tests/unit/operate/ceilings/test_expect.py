"""What `--expect` says, what follows from it, and what it cannot say."""

from __future__ import annotations

import pytest

from jetmesh import derive
from jetmesh.errors import UsageError
from jetmesh.operate.ceilings import quantity
from jetmesh.operate.ceilings.expect import expected, load_of
from jetmesh.operate.ceilings.load import YEAR, Load, StreamLoad
from shop.system import system as shop
from tests.unit.operate.ceilings.yard import yard


def load(*expect: str) -> Load:
    topology = yard()
    return load_of(topology, expected(topology, expect, []))


@pytest.mark.parametrize(
    ("text", "a_second"),
    [
        ("2000/s", 2000),
        ("90/min", 1.5),
        ("36/h", 0.01),
        ("86.4k/day", 1),
        ("12M/year", 12e6 / YEAR),
        ("1.5G/month", 1.5e9 * 12 / YEAR),
    ],
)
def test_a_rate_is_a_number_and_a_unit_of_time(text: str, a_second: float) -> None:
    assert quantity.rate(text, "it") == pytest.approx(a_second)


def test_a_size_is_a_number_of_bytes() -> None:
    sizes = [quantity.size(text, "it") for text in ("600", "600B", "2KiB", "1.5MiB")]
    assert sizes == [600, 600, 2048, 1.5 * 1024 * 1024]


def test_what_handlers_make_is_as_much_as_comes_in_and_no_more_for_all_outcomes() -> None:
    found = load("yard-in.arrived=100/s")
    rates = {name: each.rate for name, each in found.streams.items()}
    assert rates == {"YARD_IN": 100, "YARD": 100, "YARD_OUT": 100}
    assert found.handlers == {"gate.decide": 100, "bell.welcome": 100, "bell.apologise": 100}


def test_who_knows_how_outcomes_are_shared_out_says_so() -> None:
    found = load("yard-in.arrived=100/s", "yard.turned-away=1/s", "yard.taken=80/s")
    assert (found.streams["YARD"].rate, found.streams["YARD_OUT"].rate) == (81, 81)
    assert found.handlers["bell.apologise"] == 1


def test_each_event_may_be_of_a_new_key_unless_keys_are_said() -> None:
    assert load("yard-in.arrived=100/s").streams["YARD"].keys_rate == 100
    found = load("yard-in.arrived=100/s", "keys=12M/year")
    assert found.streams["YARD"].keys_rate == pytest.approx(12e6 / YEAR)
    assert found.streams["YARD"].rate == 100


def test_bytes_a_second_are_those_of_the_events() -> None:
    assert load("yard-in.arrived=100/s").streams["YARD"].bytes_rate == 60_000
    assert load("yard-in.arrived=100/s", "bytes=1KiB").streams["YARD"].bytes_rate == 102_400


def test_a_handler_is_said_to_take_so_long() -> None:
    assert load("bell.welcome=200ms").latencies == {"bell.welcome": 0.2}


@pytest.mark.parametrize(
    ("expect", "sentence", "remedy"),
    [
        ("yard.takn=1/s", "--expect yard.takn: nothing of that name", "yard.taken"),
        ("zzz=1/s", "--expect zzz: nothing of that name", "There are "),
        ("yard.taken=0/s", "--expect yard.taken: 0/s is nothing.", "above zero"),
        ("yard.taken=-5/s", "--expect yard.taken: '-5/s' is no rate.", "2000/s"),
        ("yard.taken=5", "'5' is no rate.", "2000/s"),
        ("yard.taken=5/fortnight", "'5/fortnight' is no rate.", "month, year"),
        ("yard.taken=1e9/s", "'1e9/s' is no rate.", "2000/s"),
        ("yard.taken=٣/s", "'٣/s' is no rate.", "2000/s"),
        ("yard.taken", "--expect 'yard.taken' says nothing.", "=2000/s"),
        ("keys=", "--expect 'keys=' says nothing.", "=2000/s"),
        ("keys=12M", "'12M' is no rate.", "12M/year"),
        ("bytes=0", "0 is nothing", "above zero"),
        ("bytes=1kb", "'1kb' is no size", "2KiB"),
        ("bell.welcome=3/s", "follows from the rates of events", "bell.welcome=200ms"),
        ("bell.welcome=0s", "0s is nothing", "above zero"),
        ("bell.welcome=soon", "'soon' is not a duration", "250ms"),
    ],
)
def test_what_means_nothing_is_refused_with_a_remedy(
    expect: str, sentence: str, remedy: str
) -> None:
    with pytest.raises(UsageError) as refused:
        load(expect)
    assert sentence in refused.value.message
    assert "\n" not in refused.value.message
    assert remedy in refused.value.remedy


def test_nothing_is_said_twice() -> None:
    with pytest.raises(UsageError, match="keys is said twice"):
        load("keys=1/s", "keys=2/s")


@pytest.mark.parametrize("pods", ["gate=0", "gate=-1", "gate=many", "gate", "gates=3", "gate=³"])
def test_pods_are_a_number_of_a_service_that_is_declared(pods: str) -> None:
    with pytest.raises(UsageError) as refused:
        expected(yard(), [], [pods])
    assert refused.value.remedy


def remembered(*expect: str) -> StreamLoad:
    """What the state of the shop's customers gets."""
    topology = derive(shop.load())
    said = expected(topology, expect, [])
    return load_of(topology, said).streams["STATES_LOYALTY_ACCOUNTS"]


def test_a_state_is_replaced_as_often_as_its_handlers_are_called_and_grows_with_its_keys() -> None:
    found = remembered("payments.captured=50/s", "loyalty.accounts=31.536M/year", "bytes=1000")
    assert (found.rate, found.keys_rate, found.bytes_rate) == (50, 1, 1000)


def test_without_its_keys_a_state_has_as_many_new_ones_as_everything_or_as_calls() -> None:
    assert remembered("payments.captured=50/s").keys_rate == 50
    assert remembered("payments.captured=50/s", "keys=31.536M/year").keys_rate == 1


def test_a_name_that_is_nearly_a_state_is_told() -> None:
    with pytest.raises(UsageError, match="nothing of that name") as told:
        remembered("loyalty.acounts=1/s")
    assert "loyalty.accounts" in str(told.value.remedy)
