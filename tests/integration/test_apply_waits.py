"""`jetmesh apply --wait`: a broker may take its time to come up, a refusal never waits."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nats.errors
import pytest

from jetmesh.errors import BrokerError, BrokerUnreachable, DriftError
from jetmesh.operate.apply import passes
from jetmesh.operate.up.broker import Broker
from jetmesh.operate.up.ports import free_port
from jetmesh.settings import NatsSettings
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.stored import ApiError, Reason

ROOT = Path(__file__).parents[2]
JETMESH = str(Path(sys.executable).with_name("jetmesh"))
AT_ONCE = 10.0


@contextmanager
def applying(url: str, *options: str) -> Iterator[subprocess.Popen[str]]:
    """`jetmesh apply` for the block."""
    inherited = {n: v for n, v in os.environ.items() if not n.startswith(("JETMESH", "NATS_"))}
    process = subprocess.Popen(
        [JETMESH, "apply", "--nats-url", url, *options],
        cwd=ROOT,
        env=inherited,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=10)


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def test_a_broker_that_comes_up_meanwhile_is_made_as_declared(tmp_path: Path) -> None:
    port = free_port()
    with applying(f"nats://127.0.0.1:{port}", "--wait", "50s") as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("Waiting: No broker answers at 127.0.0.1")
        with Broker(tmp_path, port=port):
            code, out, err = ended(process)
    assert (code, err) == (0, "")
    assert "Applied " in out


def test_a_broker_that_stays_away_is_one_sentence_after_the_wait() -> None:
    began = time.monotonic()
    with applying(f"nats://127.0.0.1:{free_port()}", "--wait", "2s") as process:
        code, out, err = ended(process)
    assert (code, out) == (1, "")
    assert [line.partition(" at ")[0] for line in err.splitlines()[:2]] == [
        "Waiting: No broker answers",
        "No broker answers",
    ]
    assert time.monotonic() - began >= 2


async def test_what_is_refused_fails_at_once(tmp_path: Path) -> None:
    with Broker(tmp_path) as broker:
        settings = NatsSettings(url=broker.url)
        async with await ControlPlane.connect(settings, name="theirs") as control:
            await control.api("STREAM.CREATE.THEIRS", {"name": "THEIRS", "subjects": ["orders.>"]})
            began = time.monotonic()
            with applying(broker.url, "--wait", "5m") as process:
                code, out, err = ended(process)
            assert time.monotonic() - began < AT_ONCE
            names = (await control.api("STREAM.NAMES"))["streams"]
    assert code == 1
    assert "! stream ORDERS" in out
    assert "belong to the stream THEIRS already" in err
    assert names == ["THEIRS"], "nothing was changed"


def test_a_broker_that_does_not_know_us_fails_at_once(tmp_path: Path) -> None:
    config = tmp_path / "nats.conf"
    config.write_text("authorization { user: somebody, password: pSecret }\n")
    with Broker(tmp_path / "store", config=config) as broker:
        began = time.monotonic()
        with applying(broker.url, "--wait", "5m") as process:
            code, _, err = ended(process)
    assert time.monotonic() - began < AT_ONCE
    assert code == 1
    assert "refuses" in err


def test_a_wait_without_a_unit_is_refused() -> None:
    with applying("nats://127.0.0.1:4222", "--wait", "5") as process:
        assert ended(process) == (
            2,
            "",
            "--wait: '5' is not a duration.\nWrite a number and a unit, such as 45s or 250ms.\n",
        )


NO_LEADER = ApiError(
    "STREAM.CREATE.ORDERS", Reason(503, 10008, "JetStream temporarily unavailable")
)
FEW_NODES = ApiError("STREAM.CREATE.ORDERS", Reason(400, 10005, "no suitable peers for placement"))
FULL = ApiError(
    "STREAM.CREATE.ORDERS", Reason(500, 10047, "insufficient storage resources available")
)


def drift(cause: Exception | None) -> DriftError:
    error = DriftError("stream ORDERS: refused")
    error.__cause__ = cause
    return error


def unanswered(cause: Exception) -> BrokerError:
    error = BrokerError("INFO: no answer")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (BrokerUnreachable("nobody"), True),
        (NO_LEADER, True),
        (drift(NO_LEADER), True),
        (drift(FEW_NODES), True),
        (unanswered(nats.errors.NoRespondersError()), True),
        (unanswered(TimeoutError()), True),
        (drift(None), False),
        (drift(FULL), False),
        (BrokerError("the user lacks a permission"), False),
    ],
)
def test_only_what_time_may_mend_is_waited_for(error: BrokerError, *, expected: bool) -> None:
    assert passes(error) is expected
