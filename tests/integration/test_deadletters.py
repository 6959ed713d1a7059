"""`jetmesh deadletters` as people type it, on the shop and a real nats-server."""

from __future__ import annotations

import asyncio
import itertools
import json
import signal
import stat
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from jetmesh.operate.up.broker import Broker
from jetmesh.operate.up.ports import free_port
from jetmesh.transport.control import ControlPlane
from tests.integration.command_line import JETMESH, ROOT, Said, said
from tests.integration.planes import settings_of
from tests.integration.some_letters import lane, open_letters, put_letter
from tests.integration.test_cli import purchase

_T = TypeVar("_T")
_origins = itertools.count(1)
"""No two letters are of one message: the broker would take the second for the first."""
SECRETS = ("example.test", "tok_secret_one")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker with the shop's topology, and nobody who handles anything."""
    with Broker(tmp_path_factory.mktemp("nats")) as broker:
        applied = said("apply", url=broker.url)
        assert applied.returncode == 0, applied.stderr
        yield broker


@pytest.fixture(autouse=True)
def nothing_is_open(request: pytest.FixtureRequest) -> None:
    """Each test begins without letters; their numbers go on."""
    if "shop" in request.fixturenames:
        ask(request.getfixturevalue("shop"), purge)


def ask(broker: Broker, question: Callable[[ControlPlane], Awaitable[_T]]) -> _T:
    async def answer() -> _T:
        async with await ControlPlane.connect(settings_of(broker), name="test") as control:
            return await question(control)

    return asyncio.run(answer())


async def purge(control: ControlPlane) -> None:
    for stream in ("DEADLETTERS", "LANES_payments", "LANES_order-validation"):
        await control.api(f"STREAM.PURGE.{stream}")


def letters(broker: Broker, *keys: str, service: str = "payments", **more: Any) -> list[int]:
    """Letters of the payment service, one for each key."""
    handler = {"payments": "charge", "order-validation": "decide"}[service]

    async def put(control: ControlPlane) -> list[int]:
        return [
            await put_letter(control, service, handler, key, sequence=next(_origins), **more)
            for key in keys
        ]

    return ask(broker, put)


def invalid_purchase(broker: Broker, payload: bytes) -> int:
    headers = {"subject": "purchases.created", "stream": "PURCHASES"}
    (number,) = letters(broker, "p-1", service="order-validation", payload=payload, **headers)
    return number


def desk(
    broker: Broker, *arguments: str, stdin: str = "", cwd: Path = ROOT, **environ: str
) -> Said:
    return said("deadletters", *arguments, url=broker.url, stdin=stdin, cwd=cwd, **environ)


def test_ls_groups_by_fault(shop: Broker) -> None:
    letters(shop, "p-1", "p-2")
    (other,) = letters(shop, "p-3", service="order-validation", error="KeyError")
    listed = desk(shop, "ls")
    assert (listed.returncode, listed.stderr) == (0, "")
    first, *_ = listed.stdout.splitlines()
    assert first == "        2  payments.charge  ValueError  at shop/payments.py:88 in charge"
    assert "3 open letters of 2 faults." in listed.stdout
    one = json.loads(desk(shop, "ls", "--service", "order-validation", "--json").stdout)
    assert [(fault["error"], fault["open"], fault["example"]["letter"]) for fault in one] == [
        ("KeyError", 1, f"DEADLETTERS:{other}")
    ]
    assert json.loads(desk(shop, "ls", "--key", "p-2", "--json").stdout)[0]["open"] == 1
    assert desk(shop, "ls", "--key", "p-9").stdout == "No dead letter is open.\n"


def test_ls_shows_what_was_done_only_when_asked(shop: Broker) -> None:
    first, second = letters(shop, "p-1", "p-2")
    assert desk(shop, "drop", str(first), "--why", "a test order").returncode == 0
    (line,) = desk(shop, "ls", "--letters").stdout.splitlines()
    assert line.startswith(f"DEADLETTERS:{second} ")
    assert line.endswith("payments.charge  p-2  ValueError: no luck  open")
    every = desk(shop, "ls", "--letters", "--all", "--json").stdout.splitlines()
    assert [json.loads(line)["state"] for line in every] == ["dropped", "open"]
    assert "1 open, 1 dropped" in desk(shop, "ls", "--all").stdout


def test_show_tells_everything_and_nothing_sensitive(shop: Broker) -> None:
    payload = purchase("p-1", items="none").encode()
    number = invalid_purchase(shop, payload)
    shown = desk(shop, "show", f"DEADLETTERS:{number}")
    assert shown.returncode == 0, shown.stderr
    assert "order-validation.decide  ValueError  at shop/payments.py:88 in charge" in shown.stdout
    assert "  Correlation-Id       c-1" in shown.stdout
    assert '    "email": "•••"' in shown.stdout
    assert "nothing was done about it yet" in shown.stdout
    as_data = desk(shop, "show", str(number), "--json").stdout
    assert json.loads(as_data)["state"] == "open"
    assert not [text for text in SECRETS if text in shown.stdout + as_data]
    raw = desk(shop, "show", str(number), "--payload")
    assert raw.stdout.encode() == payload


def test_show_survives_garbage(shop: Broker) -> None:
    number = invalid_purchase(shop, b"\xff\x00\x1b[2J")
    shown = desk(shop, "show", str(number))
    assert "Payload  6 bytes that are no text, not shown" in shown.stdout
    assert "ff 00" not in shown.stdout
    cut = invalid_purchase(shop, purchase("p-1").encode()[:-20])
    shown = desk(shop, "show", str(cut))
    assert '"email": "•••"' in shown.stdout
    assert not [text for text in SECRETS if text in shown.stdout]


def test_replay_puts_a_letter_on_its_lane_once(shop: Broker) -> None:
    (number,) = letters(shop, "p-1")
    done = desk(shop, "replay", str(number), "--by", "ana@desk", "--why", "gateway repaired")
    (message,) = ask(shop, lambda control: lane(control, "payments"))
    assert (
        done.stdout == f"DEADLETTERS:{number} was replayed as LANES_payments:{message.sequence}.\n"
    )
    again = desk(shop, "replay", str(number))
    assert (again.returncode, again.stdout) == (1, "")
    assert again.stderr.startswith(f"DEADLETTERS:{number} is not open: it was replayed by ana@desk")
    history = desk(shop, "show", str(number)).stdout
    assert f"UTC (gateway repaired), as LANES_payments:{message.sequence}" in history
    assert f"it is on its handler's lane (LANES_payments:{message.sequence})" in history
    assert desk(shop, "replay", str(number), "--again").returncode == 0
    assert len(ask(shop, lambda control: lane(control, "payments"))) == 2


def test_the_one_who_replays_is_stored_with_it(shop: Broker) -> None:
    (number,) = letters(shop, "p-1")
    named: dict[str, Any] = {"LOGNAME": "ana"}
    assert desk(shop, "replay", str(number), **named).returncode == 0
    told = json.loads(desk(shop, "show", str(number), "--json").stdout)
    assert told["history"][0]["notes"][0]["by"].startswith("ana@")


def test_replay_of_several_asks_first(shop: Broker) -> None:
    letters(shop, "p-1", "p-2", "p-3")
    silent = desk(shop, "replay", "--service", "payments")
    assert (silent.returncode, silent.stdout) == (2, "")
    assert "        3  payments.charge  ValueError" in silent.stderr
    assert "Replay 3 letters? [y/N] " in silent.stderr
    assert "Nobody confirmed, so nothing was done.\n" in silent.stderr
    assert "--yes" in silent.stderr
    refused = desk(shop, "replay", "--all", stdin="n\n")
    assert refused.returncode == 1
    assert refused.stderr.endswith("[y/N] Nothing was done.\n")
    dry = desk(shop, "replay", "--all", "--dry-run")
    assert (dry.returncode, dry.stdout) == (0, "3 letters would be replayed.\n")
    assert ask(shop, lambda control: lane(control, "payments")) == []
    agreed = desk(shop, "replay", "--all", stdin="y\n")
    assert (agreed.returncode, agreed.stdout) == (0, "3 letters were replayed.\n")
    assert len(ask(shop, lambda control: lane(control, "payments"))) == 3
    nothing = desk(shop, "replay", "--all")
    assert (nothing.returncode, nothing.stdout) == (0, "There is no open letter to replay.\n")


def test_a_fault_is_replayed_by_its_fingerprint(shop: Broker) -> None:
    letters(shop, "p-1", "p-2", fingerprint="3f2a9c01b7de")
    letters(shop, "p-3", service="order-validation", fingerprint="aaaaaaaaaaaa")
    done = desk(shop, "replay", "--fingerprint", "3f2a", "--yes")
    assert done.stdout == "2 letters were replayed.\n", done.stderr
    assert len(ask(shop, lambda control: open_letters(control, ""))) == 1


def test_what_cannot_be_replayed_is_told_and_the_rest_is_done(shop: Broker) -> None:
    (good,) = letters(shop, "p-1")
    gone = ask(shop, lambda control: put_letter(control, "refunds", "pay"))
    both = desk(shop, "replay", "--all", "--yes")
    assert (both.returncode, both.stdout) == (1, "1 letter was replayed.\n")
    assert f"DEADLETTERS:{gone}: The handler refunds.pay does not exist" in both.stderr
    named = desk(shop, "replay", str(gone), str(good), "--yes")
    assert named.returncode == 1
    assert len(named.stderr.splitlines()) == 2


def test_a_corrected_payload_keeps_the_contract(shop: Broker, tmp_path: Path) -> None:
    number = invalid_purchase(shop, b"garbage")
    file = tmp_path / "corrected.json"
    file.write_text(purchase("p-1", items=[{"sku": "tea", "quantity": "x", "unit_price": "1"}]))
    refused = desk(shop, "replay", str(number), "--payload", str(file))
    assert refused.returncode == 1
    assert refused.stderr.startswith(
        "The event breaks the contract of purchases.created at $.items[0].quantity: "
    )
    file.write_text(purchase("p-7"))
    done = desk(shop, "replay", str(number), "--payload", str(file))
    assert done.returncode == 0, done.stderr
    assert done.stderr == "Its key is p-7 now, the letter's was p-1.\n"
    (message,) = ask(shop, lambda control: lane(control, "order-validation"))
    assert message.payload.decode() == file.read_text()
    assert "with a corrected payload" in desk(shop, "show", str(number)).stdout


def test_export_writes_whole_letters(shop: Broker, tmp_path: Path) -> None:
    payload = purchase("p-1").encode()
    number = invalid_purchase(shop, payload)
    letters(shop, "p-2", payload=b"\xff\xfe")
    first, second = map(json.loads, desk(shop, "export").stdout.splitlines())
    assert (first["letter"], first["text"]) == (f"DEADLETTERS:{number}", payload.decode())
    assert first["headers"]["Jetmesh-Error"] == "ValueError"
    assert second["payload"] == "//4="
    assert "text" not in second
    file = tmp_path / "letters.jsonl"
    told = desk(shop, "export", "--service", "payments", "--output", str(file))
    assert told.stdout == f"Wrote 1 letter to {file}.\n"
    assert [json.loads(line) for line in file.read_text().splitlines()] == [second]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["letters.jsonl"]
    unwritable = desk(shop, "export", "--output", str(tmp_path / "no" / "file"))
    assert (unwritable.returncode, unwritable.stderr.splitlines()[1]) == (2, "Name another file.")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["replay"], "No letters are given."),
        (["drop", "--why", "x"], "No letters are given."),
        (["replay", "1", "--all"], "Both single letters and a group of them are given."),
        (["replay", "one"], "'one' is not a letter."),
        (["show", "0"], "'0' is not a letter."),
        (["replay", "--all", "--payload", "x"], "A payload corrects one letter."),
        (["replay", "1", "--payload", "/no/such/file"], "/no/such/file cannot be read: "),
        (["replay", "--all", "--rate", "-1"], "-1.0 is not a rate."),
        (["replay", "--all", "--again"], "Only named letters are replayed again."),
        (["drop", "1"], "A reason is missing."),
    ],
)
def test_a_wrong_use_is_told_before_anything_is_done(
    shop: Broker, arguments: list[str], told: str
) -> None:
    refused = desk(shop, *arguments)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.startswith(told)
    assert len(refused.stderr.splitlines()) == 2


def test_a_letter_that_is_not_there_is_one_sentence(shop: Broker) -> None:
    for command in (["show"], ["replay"], ["drop", "--why", "x"], ["export"]):
        told = desk(shop, *command, "999999")
        assert (told.returncode, told.stdout) == (1, "")
        assert told.stderr.startswith("There is no letter DEADLETTERS:999999, or no longer.\n")


def test_a_broker_that_is_not_there_or_empty_is_one_sentence(tmp_path: Path) -> None:
    absent = said("deadletters", "ls", "--nats-url", f"nats://127.0.0.1:{free_port()}")
    assert (absent.returncode, absent.stdout) == (1, "")
    assert absent.stderr.startswith("No broker answers at 127.0.0.1:")
    with Broker(tmp_path) as empty:
        told = desk(empty, "replay", "--all")
        assert told.returncode == 1
        assert told.stderr == (
            "There is no stream DEADLETTERS on this broker.\n"
            "Start a service, or run jetmesh apply.\n"
        )


def test_outside_of_a_project_the_desk_works_without_contracts(shop: Broker) -> None:
    number = invalid_purchase(shop, b'{"customer": "customer@example.test"}')
    nowhere = Path(Path.cwd().anchor)
    shown = desk(shop, "show", str(number), cwd=nowhere)
    assert shown.returncode == 0
    assert "So payloads are not checked against their contract." in shown.stderr
    assert "only e-mail addresses are masked" in shown.stdout
    assert not [text for text in SECRETS if text in shown.stdout]


def test_a_user_with_the_permissions_of_the_document_can_do_everything(tmp_path: Path) -> None:
    document = (ROOT / "docs" / "deadletters.md").read_text()
    block = document.partition("can do everything at the desk")[2].partition("```\n")[2]
    config = tmp_path / "nats.conf"
    config.write_text(
        "accounts { A { jetstream: enabled, users: [ { user: all, password: all }, { user: some, "
        f"password: some, permissions: {{ {block.partition('```')[0]} }} }} ] }} }}"
    )
    with Broker(tmp_path / "nats", config=config) as broker:
        everything = settings_of(broker, user="all", password="all")  # noqa: S106 - a test's own
        login: dict[str, Any] = {"JETMESH__NATS__USER": "all", "JETMESH__NATS__PASSWORD": "all"}
        assert said("apply", url=broker.url, **login).returncode == 0
        login = dict.fromkeys(login, "some")

        async def put() -> None:
            async with await ControlPlane.connect(everything, name="test") as control:
                for number in (1, 2, 3):
                    await put_letter(control, "payments", "charge", sequence=number)

        asyncio.run(put())
        for arguments in (
            ["ls"],
            ["replay", "1"],
            ["show", "1"],
            ["drop", "2", "--why", "x"],
            ["replay", "--all", "--yes"],
            ["export", "--all"],
        ):
            done = desk(broker, *arguments, **login)
            assert (done.returncode, done.stderr.count("permission")) == (0, 0), done.stderr


def test_ctrl_c_says_how_far_it_came(shop: Broker) -> None:
    letters(shop, *(f"p-{n}" for n in range(100)))
    process = subprocess.Popen(
        [JETMESH, "deadletters", "replay", "--all", "--yes", "--rate=20", f"--nats-url={shop.url}"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )

    async def some_are_done(control: ControlPlane) -> None:
        while not await lane(control, "payments"):  # noqa: ASYNC110 - another process does it
            await asyncio.sleep(0.05)

    try:
        ask(shop, lambda control: asyncio.wait_for(some_are_done(control), 20))
        process.send_signal(signal.SIGINT)
        told, _ = process.communicate(timeout=20)
    finally:
        process.kill()
        process.wait()
    done = len(ask(shop, lambda control: lane(control, "payments")))
    assert process.returncode == 130
    first, second = told.splitlines()
    assert first.startswith(f"{done} letter")
    assert second == f"Stopped; {100 - done} letters are as before."
    assert len(ask(shop, lambda control: open_letters(control, "payments"))) == 100 - done
