"""A service as a process: how it starts, waits, fails and ends, seen from outside."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from jetmesh.operate.up.broker import Broker
from jetmesh.operate.up.ports import free_port
from jetmesh.settings import NatsSettings
from jetmesh.testing import eventually
from jetmesh.transport.control import ControlPlane

SECRET = "customer@example.test"  # noqa: S105 - what must not appear anywhere


@pytest.fixture
async def control(broker: Broker) -> AsyncIterator[ControlPlane]:
    async with await ControlPlane.connect(NatsSettings(url=broker.url), name="test") as plane:
        yield plane


async def publish(control: ControlPlane, domain: str, *keys: str, **fields: str) -> None:
    for key in keys:
        payload = json.dumps({"order_id": key, **fields}).encode()
        await control.publish(f"{domain}-in.placed", payload)


async def subjects(control: ControlPlane, stream: str) -> list[str]:
    return [message.subject async for message in control.history(stream, [">"])]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_service_that_is_stopped_under_load_loses_and_doubles_nothing(
    child: Any, control: ControlPlane, unique: str, number: signal.Signals
) -> None:
    keys = [f"p-{n}" for n in range(1200)]
    first = child().start()
    await first.ready()
    quarter = len(keys) // 4
    publishing = [
        asyncio.create_task(publish(control, unique, *keys[n * quarter : (n + 1) * quarter]))
        for n in range(4)
    ]
    await eventually(lambda: len(first.effects) > 50, what="work")
    first.process.send_signal(number)
    assert await first.ended() == 0
    assert first.logged[-1] == "stopped"
    assert "given back unfinished" not in first.logged
    before = len(first.effects)
    await asyncio.gather(*publishing)

    second = child().start()
    await eventually(lambda: len(second.effects) >= len(keys), within=30, what="all the work")
    second.process.send_signal(number)
    assert await second.ended() == 0
    assert before < len(keys)
    assert sorted(second.effects) == sorted(keys)
    counted = await subjects(control, unique.upper())
    worked = await subjects(control, f"{unique.upper()}_LOG")
    assert sorted(counted) == sorted(f"{unique}.counted.{key}" for key in keys)
    assert sorted(worked) == sorted(f"{unique}-log.worked.{key}" for key in keys)


@pytest.mark.parametrize("does", ["hangs", "will not be cancelled"])
async def test_what_is_not_done_within_the_grace_period_is_given_back(
    child: Any, control: ControlPlane, unique: str, does: str
) -> None:
    late = f"JETMESH__SERVICES__{unique.upper()}_SERVICE__HANDLERS__WORK__ACK_WAIT"
    first = child().start(does, JETMESH__GRACE="200ms", **{late: "5m"})
    await first.ready()
    await publish(control, unique, "p-1")
    await eventually(lambda: first.effects == ["p-1"], what="work")
    first.process.terminate()
    assert await first.ended() == 0
    assert "given back unfinished" in first.logged

    second = child().start(**{late: "5m"})
    await eventually(lambda: second.effects == ["p-1", "p-1"], within=30, what="the work again")
    second.process.terminate()
    assert await second.ended() == 0
    assert await subjects(control, f"{unique.upper()}_LOG") == [f"{unique}-log.worked.p-1"]


@pytest.mark.parametrize("does", ["hangs", "blocks"])
async def test_a_second_signal_ends_at_once(
    child: Any, control: ControlPlane, unique: str, does: str
) -> None:
    """Even while a handler keeps the event loop from turning."""
    service = child().start(does, JETMESH__GRACE="60s")
    await service.ready()
    await publish(control, unique, "p-1")
    await eventually(lambda: service.effects == ["p-1"], what="work")
    service.process.terminate()
    if does == "hangs":
        await eventually(lambda: "stopping" in service.logged, what="the first signal")
        await service.unready("stopping")
    else:
        # the first signal must have been handled, or the kernel takes both for one
        await eventually(lambda: not _pending(service.process.pid), what="the first signal")
    service.process.send_signal(signal.SIGINT)
    assert await service.ended(within=30) == 1


def _pending(pid: int) -> bool:
    """Whether a signal waits to be taken (Linux says so in /proc)."""
    status = Path(f"/proc/{pid}/status").read_text()
    waiting = [line.split()[1] for line in status.splitlines() if line.startswith("ShdPnd")]
    return int(waiting[0], 16) != 0


async def test_a_service_whose_event_loop_stands_is_not_live(
    child: Any, control: ControlPlane, unique: str
) -> None:
    """A `def` handler that never returns: a liveness probe gets no answer, and restarts it."""
    service = child().start("blocks")
    await service.ready()
    assert await service.get("/healthz") == (200, "live\n")
    await publish(control, unique, "p-1")
    await eventually(lambda: service.effects == ["p-1"], what="work that does not end")
    assert await service.get("/healthz", timeout=1) == (0, "")


async def test_a_service_whose_handlers_only_wait_is_live(
    child: Any, control: ControlPlane, unique: str
) -> None:
    service = child().start("hangs")
    await service.ready()
    await publish(control, unique, "p-1")
    await eventually(lambda: service.effects == ["p-1"], what="work that does not end")
    assert await service.get("/healthz") == (200, "live\n")


async def test_a_service_waits_for_its_broker_live_but_not_ready(
    child: Any, tmp_path: Path
) -> None:
    port = free_port()
    service = child(f"nats://127.0.0.1:{port}").start()
    await service.unready("no broker")
    assert (await service.get("/healthz"))[0] == 200
    assert "waiting for the broker" in (await service.get("/readyz"))[1]
    with Broker(tmp_path / "late", port=port):
        await service.ready()
        service.process.terminate()
        assert await service.ended() == 0


async def test_a_service_that_waits_for_its_broker_can_be_stopped(child: Any) -> None:
    service = child(f"nats://127.0.0.1:{free_port()}").start()
    await service.unready("no broker")
    service.process.terminate()
    assert await service.ended() == 0


async def test_a_service_lives_through_a_restart_of_its_broker(
    child: Any, tmp_path: Path, unique: str
) -> None:
    with Broker(tmp_path / "own") as own:
        service = child(own.url).start()
        await service.ready()
        own.kill()
        await service.unready("no broker")
        own.start()
        await service.ready()
        settings = NatsSettings(url=own.url)
        async with await ControlPlane.connect(settings, name="test") as control:
            await publish(control, unique, "p-1")
            await eventually(lambda: service.effects == ["p-1"], what="work")
        service.process.terminate()
        assert await service.ended() == 0


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"JETMESH__GRACES": "1s"}, "JETMESH__GRACES"),
        ({"JETMESH_SETTINGS": "{file}"}, "Did you mean 'grace'?"),
        ({"JETMESH__NATS__CREDS_FILE": "/no/such/file"}, "/no/such/file"),
    ],
)
async def test_a_wrong_setting_is_one_sentence_and_exit_1(
    child: Any, tmp_path: Path, variables: dict[str, str], sentence: str
) -> None:
    file = tmp_path / "jetmesh.toml"
    file.write_text('graze = "1s"\n')
    service = child().start(**{k: v.format(file=file) for k, v in variables.items()})
    assert await service.ended() == 1
    assert len(service.sentences) == 1
    assert sentence in service.sentences[0]


async def test_a_taken_port_is_one_sentence_and_exit_1(child: Any, unique: str) -> None:
    service = child()
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", service.port))
        holder.listen()
        service.start()
        assert await service.ended() == 1
    assert service.sentences == [
        (
            f"{unique}-service: 127.0.0.1:{service.port} cannot be listened on: Address already in "
            "use. Set http.health_port (JETMESH__HTTP__HEALTH_PORT) to a free port, or 0 for any."
        )
    ]


@pytest.mark.parametrize(
    ("does", "parts"),
    [
        ("resource fails", ("resource Gateway", "working.py:", "ConnectionError: no gateway")),
        ("resource exits", ("resource Gateway", "working.py:", "SystemExit: 7")),
        ("model fails", ("read model Board", "working.py:", "ValueError: no board")),
        ("page fails", ("page pages", "working.py:", "LookupError: no template")),
        ("page is no route", ("page pages", "working.py:", "returned str")),
    ],
)
async def test_a_start_that_fails_is_one_sentence_and_exit_1(
    child: Any, unique: str, does: str, parts: tuple[str, ...]
) -> None:
    service = child().start(does)
    assert await service.ended() == 1
    (sentence,) = service.sentences
    assert sentence.startswith(f"{unique}-service: The ")
    assert all(part in sentence for part in parts)
    assert SECRET not in service.stderr


@pytest.mark.parametrize("does", ["closing fails", "closing is cancelled", "closing exits"])
async def test_a_resource_that_cannot_be_closed_is_logged_and_the_end_is_clean(
    child: Any, does: str
) -> None:
    service = child().start(does)
    await service.ready()
    service.process.terminate()
    assert await service.ended() == 0
    assert "a resource was not closed" in service.logged


async def test_a_server_that_is_too_old_is_one_sentence_and_exit_1(child: Any, unique: str) -> None:
    server = await asyncio.start_server(_old_server, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        service = child(f"nats://127.0.0.1:{port}").start()
        assert await service.ended() == 1
        (sentence,) = service.sentences
        assert sentence.startswith(f"{unique}-service: nats-server ")
        assert "2.9.25" in sentence
        assert sentence.endswith(
            " is too old: JetStream API level 0, jetmesh needs 4. Run nats-server 2.14 or newer."
        )


async def _old_server(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """As much of nats-server 2.9 as a start asks for."""
    info = {"server_id": "OLD", "version": "2.9.25", "proto": 1, "headers": True}
    writer.write(b"INFO " + json.dumps({**info, "max_payload": 1 << 20}).encode() + b"\r\n")
    sids: dict[bytes, bytes] = {}
    while line := await reader.readline():
        verb, *words = line.split()
        if verb == b"PING":
            writer.write(b"PONG\r\n")
        elif verb == b"SUB":
            sids[words[0].removesuffix(b"*")] = words[-1]
        elif verb in (b"PUB", b"HPUB"):
            await reader.readexactly(int(words[-1]) + 2)
            if words[0] == b"$JS.API.INFO":
                sid = sids[words[1][: words[1].rindex(b".") + 1]]
                answer = b'{"type":"io.nats.jetstream.api.v1.account_info_response"}'
                writer.write(b"MSG %b %b %d\r\n%b\r\n" % (words[1], sid, len(answer), answer))
    writer.close()


async def test_verify_waits_for_somebody_to_apply_and_says_what_is_missing(
    child: Any, control: ControlPlane, unique: str
) -> None:
    waiting = child().start(JETMESH__PROVISION="verify")
    durable = f"{unique.upper()}_IN/{unique}-service-count"
    await waiting.unready(f"durable {durable}: missing")
    assert "run jetmesh apply" in (await waiting.get("/readyz"))[1]
    assert (await waiting.get("/healthz"))[0] == 200
    applying = child().start(JETMESH__PROVISION="apply")
    await applying.ready()
    await waiting.ready()
    lines = [json.loads(line) for line in waiting.stderr.splitlines() if line[:1] == "{"]
    reasons = [line["reason"] for line in lines if line["event"] == "not started yet"]
    assert sorted(set(reasons)) == sorted(reasons)  # each said once, not every second

    name = f"{unique}-service-count"
    await control.api(f"CONSUMER.DELETE.{unique.upper()}_IN.{name}")
    await waiting.unready(name)
    for each in (waiting, applying):
        each.process.terminate()
    assert [await each.ended() for each in (waiting, applying)] == [0, 0]


async def test_an_address_in_an_error_appears_nowhere(
    child: Any, control: ControlPlane, unique: str
) -> None:
    service = child().start()
    await service.ready()
    await publish(control, unique, "p-1", email=SECRET, token="tok_secret")  # noqa: S106 - a test's
    subject = f"deadletters.{unique}-service.>"
    letter = await eventually(lambda: control.last("DEADLETTERS", subject), what="a dead letter")
    assert letter.headers["Jetmesh-Message"] == "cannot write to ••• with •••"
    assert letter.headers["Jetmesh-Error"] == "ValueError"
    assert letter.headers["Jetmesh-Attempts"] == "2"
    assert "working.py" in letter.headers["Jetmesh-Where"]

    stats = await control._session.request("$SRV.STATS." + f"{unique}-service", b"", 5)
    _, metrics = await service.get("/metrics")
    service.process.terminate()
    assert await service.ended() == 0
    assert 'jetmesh_dead_total{handler="count"' in metrics
    for text in (service.stderr, metrics, stats.data.decode(), str(letter.headers)):
        assert SECRET not in text
        assert "tok_secret" not in text
        assert "example.test" not in text


@pytest.mark.parametrize("log", [os.devnull, "/dev/full"])
async def test_a_log_that_cannot_be_written_changes_neither_work_nor_exit_code(
    child: Any, control: ControlPlane, unique: str, log: str
) -> None:
    first = child()
    first._log = Path(log)
    first.start()
    await first.ready()
    await publish(control, unique, "p-1")
    await eventually(lambda: first.effects == ["p-1"], what="work")
    first.process.terminate()
    assert await first.ended() == 0


async def test_what_a_task_of_a_handler_exits_with_ends_the_process_and_loses_nothing(
    child: Any, control: ControlPlane, unique: str
) -> None:
    """asyncio lets it through, so whoever watches the process starts another (ADR 16)."""
    first = child().start("a task exits")
    await first.ready()
    await publish(control, unique, "p-1")
    assert await first.ended() == 7
    second = child().start()
    await eventually(lambda: second.effects.count("p-1") >= 2, within=60, what="another attempt")
    await eventually(
        lambda: control.last(f"{unique.upper()}_LOG", f"{unique}-log.worked.p-1"),
        within=30,
        what="the outcome",
    )
