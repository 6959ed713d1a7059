"""Who may do what on the broker of `jetmesh up`: identities, derived and reloaded."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from jetmesh.errors import BrokerError
from jetmesh.operate.identities import Nkeys
from jetmesh.operate.up.access import seed_of
from jetmesh.settings import NatsSettings
from jetmesh.transport.control import ControlPlane
from tests.integration.own_project import told
from tests.integration.tiny_project import Up, command
from tests.programs import program
from tests.waiting import wait_until

OTHERS = 0o077
"""The bits of a mode that let others in."""


def nats_cli(up: Up, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The nats CLI without credentials, as README has it."""
    return subprocess.run(
        [program("nats"), "--server", up.state.nats_url, "--timeout", "5s", *arguments],
        cwd=up.root,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def messages(up: Up) -> int:
    """How many CAR holds, as who looks is told."""
    info = json.loads(nats_cli(up, "stream", "info", "CAR", "--json").stdout)
    return int(info["state"]["messages"])


async def refused_of(settings: NatsSettings, subjects: list[str]) -> set[str]:
    """Those of `subjects` on which `settings` may ask the broker nothing."""
    refused = set()
    async with await ControlPlane.connect(settings, name="attacker") as control:
        for subject in subjects:
            try:
                await control.api(subject, {})
            except BrokerError as error:
                if "lacks the permission" in str(error):
                    refused.add(subject)
    return refused


def test_who_does_not_log_in_publishes_what_comes_from_outside_and_looks(
    open_garage: Up,
) -> None:
    up, garage = open_garage, open_garage.root
    assert nats_cli(up, "pub", "car.entered", '{"id": "car-1"}').returncode == 0
    wait_until(lambda: "car.parked" in command(garage, "trace", "car-1").stdout, within=60)
    assert "gate" in nats_cli(up, "micro", "ls").stdout
    report = nats_cli(up, "stream", "report").stdout
    assert "CAR" in report
    assert "gate" in nats_cli(up, "consumer", "report", "CAR").stdout

    before = messages(up)
    misspelt = nats_cli(up, "pub", "car.enterd", "{}")
    assert misspelt.returncode != 0
    up.wait_for(r"refused: car\.enterd: nobody reads that; did you mean car\.entered\?")
    assert nats_cli(up, "pub", "car.parked.car-9", '{"id": "car-9"}').returncode != 0
    up.wait_for(r"refused: car\.parked\.car-9 does not come from outside")
    assert nats_cli(up, "sub", "car.>", "--count", "1").returncode != 0
    up.wait_for(r"refused: who does not log in may not listen on car\.>; nats --nkey")
    assert nats_cli(up, "stream", "rm", "CAR", "--force").returncode != 0
    assert messages(up) == before
    as_operator = ("--nkey", ".jetmesh/identities/operator.nk")
    assert "car.parked" in nats_cli(up, *as_operator, "stream", "get", "CAR", "2").stdout


async def test_each_identity_may_do_its_own_and_nothing_else(
    open_garage: Up, tmp_path: Path
) -> None:
    up = open_garage
    state, access = up.root / ".jetmesh", up.state.access
    outside = NatsSettings(url=access.url)
    forbidden = [
        "STREAM.DELETE.CAR",
        "STREAM.PURGE.CAR",
        "STREAM.UPDATE.CAR",
        "STREAM.MSG.DELETE.CAR",
        "CONSUMER.DELETE.CAR.gate-on_car_entered",
        "CONSUMER.MSG.NEXT.CAR.gate-on_car_entered",
    ]
    gate = NatsSettings(
        url=access.url,
        nkey_seed_file=str(seed_of(state, "gate")),
        inbox_prefix="_INBOX_gate",
    )
    assert await refused_of(outside, forbidden) == set(forbidden)
    assert await refused_of(gate, forbidden) == set(forbidden[:-1])
    assert await refused_of(up.operator, ["CONSUMER.LIST.CAR", "STREAM.NAMES"]) == set()
    unknown = Nkeys.kept_in(tmp_path, ["stranger"]).settings("stranger")
    stranger = NatsSettings(url=access.url, **unknown)  # type: ignore[arg-type]  # a file
    with pytest.raises(BrokerError):
        await ControlPlane.connect(stranger, name="stranger")


def test_a_service_process_is_told_its_own_identity_alone(open_garage: Up) -> None:
    for name, each in open_garage.state.services.items():
        environ = Path(f"/proc/{each.pid}/environ").read_text()
        assert re.findall(r"[a-z]+\.nk", environ) == [f"{name}.nk"]


def test_what_holds_a_secret_is_for_its_owner_alone(open_garage: Up) -> None:
    state = open_garage.root / ".jetmesh"
    files = [state, state / "broker.conf", *(state / "identities").iterdir(), state / "identities"]
    assert [str(path) for path in files if path.stat().st_mode & OTHERS] == []
    seeds = [path.read_text().strip() for path in (state / "identities").iterdir()]
    shown = (
        open_garage.printed + (state / "broker.conf").read_text() + (state / "up.json").read_text()
    )
    assert not any(seed in shown for seed in seeds)


def test_a_service_that_is_added_gets_its_identity_by_a_reload(
    garage: Path, run_up: Callable[..., Up]
) -> None:
    """The broker goes on, and so does who is connected to it without need of anything new."""
    up = run_up("--reload")
    broker = up.state.broker.pid
    told(garage, "new", "service", "pricing", "--on", "car.left", "--emits", "fee.due")
    up.wait_for("pricing is new: http://127.0.0.1:")
    assert nats_cli(up, "pub", "car.left", '{"id": "car-1"}').returncode == 0 or wait_until(
        lambda: nats_cli(up, "pub", "car.left", '{"id": "car-1"}').returncode == 0, within=20
    )
    wait_until(lambda: "fee.due" in command(garage, "trace", "car-1").stdout, within=30)
    assert up.state.broker.pid == broker
    assert (garage / ".jetmesh" / "identities" / "pricing.nk").exists()


def test_identities_stay_the_same_from_start_to_start(
    garage: Path, run_up: Callable[..., Up]
) -> None:
    seeds = [seed_of(garage / ".jetmesh", name) for name in ("operator", "gate")]
    run_up().end()
    before = [seed.read_text() for seed in seeds]
    run_up()
    assert [seed.read_text() for seed in seeds] == before


async def test_open_is_the_old_way(garage: Path, run_up: Callable[..., Up]) -> None:
    up = await asyncio.to_thread(run_up, "--open")
    anybody = NatsSettings(url=up.state.nats_url)
    assert await refused_of(anybody, ["STREAM.PURGE.CAR", "CONSUMER.LIST.CAR"]) == set()
    assert command(garage, "plan", "--check").returncode == 0


def test_commands_are_the_operator_at_this_broker_and_nowhere_else(open_garage: Up) -> None:
    at = open_garage.state.nats_url
    place = at.partition("://")[2]
    local = place.replace("127.0.0.1", "localhost")
    for url in ("", at, f"nats://{local}", place):
        planned = command(open_garage.root, "plan", "--check", NATS_URL=url)
        assert planned.returncode == 0, planned.stderr


def test_who_says_who_it_is_is_not_made_the_operator(open_garage: Up) -> None:
    gate = str(seed_of(open_garage.root / ".jetmesh", "gate"))
    asked = command(
        open_garage.root,
        *("trace", "car-1"),
        JETMESH__NATS__NKEY_SEED_FILE=gate,
        JETMESH__NATS__INBOX_PREFIX="_INBOX_gate",
    )
    assert "lacks the permission" in asked.stderr + asked.stdout


async def test_with_tls_everybody_is_encrypted_and_nobody_is_served_in_the_clear(
    garage: Path, run_up: Callable[..., Up]
) -> None:
    up = await asyncio.to_thread(run_up, "--tls")
    url, authority = up.state.nats_url, garage / ".jetmesh" / "tls" / "ca.pem"
    assert url.startswith("tls://127.0.0.1:")
    assert f"export NATS_URL={url}" in up.printed
    assert f"export NATS_CA={authority}" in up.printed
    trusting = ("--tlsca", str(authority))
    assert nats_cli(up, *trusting, "pub", "car.entered", '{"id": "car-1"}').returncode == 0
    wait_until(lambda: "car.parked" in command(garage, "trace", "car-1").stdout, within=60)
    assert "gate" in nats_cli(up, *trusting, "micro", "ls").stdout
    assert command(garage, "doctor", "--once").returncode == 0
    assert nats_cli(up, "micro", "ls").returncode != 0, "an authority that is not trusted"
    await refused_in_the_clear(urlsplit(up.state.nats_url).port or 0)
    private = list((garage / ".jetmesh" / "tls").iterdir())
    assert not any(path.stat().st_mode & OTHERS for path in private)


async def refused_in_the_clear(port: int) -> None:
    """Who goes on without TLS after the server's greeting is not answered."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        assert b'"tls_required":true' in await reader.readline()
        writer.write(b'CONNECT {"verbose":false}\r\nPING\r\n')
        said = b""
        with contextlib.suppress(OSError):
            said = await asyncio.wait_for(reader.read(), 20)
        assert b"PONG" not in said
    finally:
        writer.close()


def test_who_trusts_the_authority_trusts_the_next_start_too(
    garage: Path, run_up: Callable[..., Up]
) -> None:
    """Nobody can have it sign more: its key is written nowhere."""
    folder = garage / ".jetmesh" / "tls"
    run_up("--tls").end()
    before = (folder / "ca.pem").read_bytes()
    assert sorted(path.name for path in folder.iterdir()) == ["ca.pem", "server.key", "server.pem"]
    run_up("--tls").end()
    assert (folder / "ca.pem").read_bytes() == before
    plain = run_up()
    assert plain.state.nats_url.startswith("nats://")
    assert command(garage, "plan", "--check").returncode == 0
