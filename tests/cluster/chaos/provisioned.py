"""The settings of everyone in the run, and the cluster made as they declare."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Final

from jetmesh.declare import Topology, derive
from jetmesh.errors import BrokerError
from jetmesh.settings import NatsSettings, load_settings
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.provision import apply, plan
from shop.system import system
from tests.cluster.chaos import packing, tracking
from tests.cluster.chaos.fulfilments import PAY_WITHIN
from tests.cluster.chaos.shop import Shop

_PATIENCE_SECONDS: Final = 30.0
_AGAIN_SECONDS: Final = 0.5
_SETTINGS: Final = """
provision = "verify"
grace = "10s"

[nats]
url = "{url}"

[services.payments.settings]
gateway_url = "http://127.0.0.1:{gateway}"

[services.notifications.settings]
smtp_port = {smtp}
smtp_security = "none"
hourly = 0

[services.fulfilment.settings]
pay_within = "{pay_within}s"

[services.tracking.settings]
folder = "{folder}"
"""
# What a killed process had in flight comes back after ack_wait: seconds instead of half a minute,
# so that a run meets many faults.
# What the bank does not decide is given up before the account of a fault is made.
_POLICY: Final = """
[services.{service}.handlers.{handler}]
timeout = "{timeout}"
ack_wait = "{ack_wait}"
{more}"""
_SOONER: Final = {("payments", "charge"): 'backoff_cap = "1s"\n'}
_STREAM: Final = """
[streams.{name}]
replicas = 3
"""


def write_settings(file: Path, url: str, shop: Shop) -> Topology:
    """Write the file that every service reads; the topology that follows from it."""
    services = (*system.load(), packing.service, tracking.service)
    declared = derive(services)
    parts = [
        _SETTINGS.format(
            url=url,
            gateway=shop.gateway_port,
            smtp=shop.smtp_port,
            pay_within=PAY_WITHIN,
            folder=file.parent,
        )
    ]
    parts += [_policy(each.service, each.name) for each in declared.handlers]
    names = dict.fromkeys(stream.section for stream in declared.streams)
    parts += [_STREAM.format(name=name) for name in names]
    file.write_text("".join(parts))
    loaded = load_settings(services, file=file, whole=True, environ={})
    return derive(services, policies=loaded.policies(services), streams=loaded.stream_tunings())


async def provision(url: str, topology: Topology) -> None:
    """As `jetmesh apply` does; a cluster that has just met needs a moment.

    Raises:
        BrokerError: it still refuses after half a minute.
    """
    deadline = time.monotonic() + _PATIENCE_SECONDS
    async with await ControlPlane.connect(NatsSettings(url=url), name="chaos") as control:
        while True:
            try:
                await apply(control, await plan(control, topology))
            except BrokerError:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(_AGAIN_SECONDS)
            else:
                return


def _policy(service: str, handler: str) -> str:
    # packing dies several times of each poison; a parked key of tracking is looked after so often
    quick = service in (packing.service.name, tracking.service.name)
    timeout, ack_wait = ("1s", "2s") if quick else ("4s", "5s")
    return _POLICY.format(
        service=service,
        handler=handler,
        timeout=timeout,
        ack_wait=ack_wait,
        more=_SOONER.get((service, handler), ""),
    )
