"""`jetmesh up --reload`: what a change concerns starts anew, and nothing is lost."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jetmesh.settings import NatsSettings
from jetmesh.transport.control import ControlPlane
from tests.integration.own_project import told, two_services
from tests.integration.tiny_project import Up, command, is_alive
from tests.waiting import wait_until

EDITED = "\n# a line more\n"


def edit(path: Path, text: str = EDITED, before: str | None = None) -> None:
    path.write_text((path.read_text() if before is None else before) + text)


@pytest.fixture(scope="module")
def reloading(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """Two services that share the event between them; what a test changes stays changed."""
    with two_services(tmp_path_factory.mktemp("reloading"), "--reload") as up:
        yield up


def restarts(up: Up, change: Callable[[], None], *names: str) -> str:
    """Make a change, see that these and nobody else start anew, and return what was said."""
    before = {name: each.pid for name, each in up.state.services.items()}
    said = len(up.printed)
    change()

    def again() -> bool:
        return all(f"{name} is ready again after" in up.printed[said:] for name in names)

    wait_until(again, within=60.0, what=lambda: up.printed[said:])
    after = {name: each.pid for name, each in up.state.services.items()}
    assert {name for name in before if after[name] != before[name]} == {*names}
    assert not any(is_alive(before[name]) for name in names)
    return up.printed[said:]


def test_only_the_service_whose_module_changed_starts_anew(reloading: Up) -> None:
    package = reloading.root / "garage"
    said = restarts(reloading, lambda: edit(package / "gate.py"), "gate")
    assert "garage/gate.py changed: starting gate anew" in said


def test_a_changed_contract_starts_everybody_who_imports_it(reloading: Up) -> None:
    contract = reloading.root / "garage" / "contracts" / "car_parked.py"
    said = restarts(reloading, lambda: edit(contract), "gate", "attendant")
    assert re.search("changed: starting .*gate.* anew", said)
    restarts(reloading, lambda: edit(contract.with_name("car_entered.py")), "gate")


def test_a_line_that_is_not_finished_stops_nothing(reloading: Up) -> None:
    gate = reloading.root / "garage" / "gate.py"
    whole = gate.read_text()
    pid = reloading.state.services["gate"].pid
    edit(gate, "\ndef (")
    reloading.wait_for(r"gate\.py:\d+: invalid syntax; what runs stays as it was")
    assert reloading.state.services["gate"].pid == pid
    restarts(reloading, lambda: edit(gate, EDITED, whole), "gate")


def test_a_service_that_breaks_is_explained_once_and_mended_at_once(reloading: Up) -> None:
    gate = reloading.root / "garage" / "gate.py"
    whole = gate.read_text()
    edit(gate, "\nraise ValueError('not like this')\n")
    reloading.wait_for("gate cannot start: it ended with exit code 1")
    assert reloading.printed.count("ValueError: not like this") == 1
    said = len(reloading.printed)
    gate.write_text(whole)
    is_ready_again(reloading, said)


def test_nothing_is_lost_while_services_start_anew(reloading: Up) -> None:
    """Events come all the time, the service in their middle changes again and again."""
    root = reloading.root
    said = len(reloading.printed)
    expected = {f"car.parked.c-{turn}-{number}" for turn in range(3) for number in range(40)}
    for turn in range(3):
        lines = "".join(f'{{"id": "c-{turn}-{number}"}}\n' for number in range(40))
        (root / "many.jsonl").write_text(lines)
        edit(root / "garage" / "gate.py")
        told(root, "publish", "car.entered", "many.jsonl")
    is_ready_again(reloading, said)
    wait_until(
        lambda: len(stored(reloading.operator, "car.parked.*")) >= len(expected),
        within=60.0,
        pause=0.5,
        what=lambda: reloading.printed,
    )
    parked = stored(reloading.operator, "car.parked.*")
    assert len(parked) == len(expected)
    assert set(parked) == expected


def is_ready_again(up: Up, said: int) -> None:
    """Since it had printed so much."""
    wait_until(
        lambda: "gate is ready again" in up.printed[said:],
        within=60.0,
        what=lambda: up.printed[said:],
    )


def stored(settings: NatsSettings, subject: str) -> list[str]:
    """The subjects of all that is stored in CAR and matches."""

    async def read() -> list[str]:
        async with await ControlPlane.connect(settings, name="test") as control:
            return [message.subject async for message in control.history("CAR", [subject])]

    return asyncio.run(read())


def test_a_new_service_is_started_with_the_others(reloading: Up) -> None:
    root = reloading.root
    told(root, "new", "service", "pricing", "--on", "car.left", "--emits", "fee.due")
    reloading.wait_for("pricing is new: http://127.0.0.1:")
    wait_until(lambda: "pricing" in reloading.state.services)
    told(root, "publish", "car.left", "examples/car.left/example.json")
    wait_until(lambda: "fee.due" in command(root, "trace", "car-1").stdout, within=60.0)
    assert "which no service declares" not in reloading.printed


def test_services_that_contradict_each_other_are_told(reloading: Up) -> None:
    edit(
        reloading.root / "garage" / "attendant.py",
        "\n\nfrom garage.contracts.car_entered import CarEntered\n\n\n"
        "@service.on(CarEntered)\ndef mine(car: CarEntered) -> CarParked: ...\n",
    )
    reloading.wait_for("an event must have a single owner")
