"""What identities cost the server: the same work without, with users, with accounts, with TLS."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any, Final

from harness.contenders import CACHE, Peer
from harness.encryption import configure
from harness.server import Server
from harness.throughput import Bench, Sample, measure
from jetmesh import derive
from jetmesh.operate.identities import OPERATOR, RESERVED, Isolation, Nkeys, server_config
from jetmesh.operate.up.broker import Broker
from jetmesh.settings import NatsSettings
from jetmesh.transport.control import ControlPlane
from peers.jetmesh_app import SERVICES

WAYS: Final[Mapping[str, str]] = {
    "none": "everybody may everything",
    "users": "users of one account, nkeys",
    "accounts": "an account for each, nkeys",
    "none_tls": "everybody may everything, TLS",
    "accounts_tls": "an account for each, nkeys, TLS",
}
_ISOLATION: Final[Mapping[str, Isolation]] = {"users": "users", "accounts": "all"}
_SERVICE: Final = SERVICES["process"]


async def measure_isolation(
    peer: Peer, rounds: int, messages: int, say: Callable[[str], None]
) -> dict[str, Any]:
    """By way: medians of the rate, and of the CPU of service and server for a message."""
    samples: dict[str, list[Sample]] = {way: [] for way in WAYS}
    for number in range(rounds):
        for way in WAYS:
            say(f"round {number + 1}/{rounds}: {way}")
            encrypted = replace(peer, encrypted=way.endswith("_tls"))
            async with _bench(way) as bench:
                sample = await measure(
                    bench, encrypted, "process", number=number, messages=messages
                )
            samples[way].append(sample)
    return {way: _summary(several) for way, several in samples.items()}


def _summary(samples: list[Sample]) -> dict[str, Any]:
    return {
        "rate": round(median(each.rate for each in samples)),
        "cpu_us": round(median(each.cpu_us for each in samples), 2),
        "server_us": round(median(each.server_us for each in samples), 2),
        "server_us_spread": [
            round(min(each.server_us for each in samples), 2),
            round(max(each.server_us for each in samples), 2),
        ],
        "messages": samples[0].messages,
        "rounds": len(samples),
    }


@asynccontextmanager
async def _bench(way: str) -> AsyncIterator[Bench]:
    CACHE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as directory:
        folder = Path(directory)
        config = configure(folder)
        environ: dict[str, str] = {}
        operator: dict[str, Any] = {}
        if isolation := _ISOLATION.get(way.removesuffix("_tls")):
            keys = Nkeys.kept_in(folder / "identities", [*RESERVED, _SERVICE.name])
            derived = server_config(
                derive([_SERVICE]), isolation=isolation, credentials=keys, no_auth_user=True
            )
            config.write_text(config.read_text() + derived.text)
            operator = dict(derived.settings(OPERATOR))
            given = derived.settings(_SERVICE.name)
            environ = {f"JETMESH__NATS__{name.upper()}": text for name, text in given.items()}
            environ["JETMESH__PROVISION"] = "verify"
        with Broker(folder / "store", config=config) as broker:
            settings = NatsSettings(url=broker.url, **operator)
            async with await ControlPlane.connect(settings, name="bench") as control:
                yield Bench(broker, Server(control), folder, environ)
