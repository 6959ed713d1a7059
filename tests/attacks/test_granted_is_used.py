"""What is granted is what the shop uses, as the server's own trace tells it: no more, no less."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from jetmesh import Service
from jetmesh.declare import Topology
from jetmesh.declare.permissions import covers
from jetmesh.operate.deadletters.desk import Desk
from jetmesh.operate.deadletters.letter import Selector
from jetmesh.operate.deadletters.store import select
from jetmesh.operate.identities import (
    CLIENT,
    OPERATOR,
    RESERVED,
    Variables,
    password_variable,
    server_config,
)
from jetmesh.operate.up.broker import Broker
from jetmesh.operate.up.ports import free_port
from jetmesh.runtime.running import Running
from jetmesh.testing import _load, eventually
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.provision import apply, plan
from tests.integration.sandbox_process import Sandbox
from tests.isolated import Isolated

pytestmark = pytest.mark.timeout(300)
PATIENT = 60
_PUBLISHED = re.compile(r'"[^"/]*/user:([^"]+)" - <<- \[H?PUB (\S+)')
_NUMBER = re.compile(r"-\d+$")
"""A slot: each process takes one of ten that are granted alike."""
ENDINGS = {
    "captured": ("120.00", "tok_ok"),
    "declined": ("120.00", "tok_insufficient_funds"),
    "rejected": ("121.00", "tok_ok"),
    "retried": ("120.00", "tok_flaky"),
    "late": ("120.00", "tok_slow"),
}
UNUSED = {
    r"\$JS\.ACK\.\*\.\*\.": "acks of servers with js_ack_fc_v2: test_least_privilege",
    r"\$JS\.API\.DIRECT\.GET\.": "what stands there already: squatted ids, lost decisions",
    r"\$JS\.API\.STREAM\.MSG\.GET\.LANES_": "quarantine, after a process died on a message",
    r"\$JS\.API\.STREAM\.PURGE\.LANES_": "something on the lane was settled",
    r"\$JS\.ACK\.LANES_": "something on the lane is settled",
    r"lanes\.": "a retry that is too long to wait in place, quarantine",
    r"deadletters\.": "a message was given up",
    r"refusals\.": "a second outcome was refused",
    r"\$JS\.API\.STREAM\.MSG\.GET\.": "a customer opened the page of an order",
    r"purchases\.created\.\*": "somebody bought in the storefront",
}
"""Granted for what need not happen in this run, each with what it is for and who tries it."""


@pytest.fixture
def guarded(
    tmp_path: Path, topology: Topology, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Isolated]:
    """With passwords, so that the trace names users."""
    given = {}
    for name in (*RESERVED, *(service.name for service in topology.services)):
        given[name] = f"{name}-secret"
        monkeypatch.setenv(password_variable(name), given[name])
    config = server_config(topology, isolation="pages", credentials=Variables())
    file = tmp_path / "server.conf"
    file.write_text(f"trace: true\n{config.text}")
    with Broker(tmp_path / "store", config=file) as broker:
        yield _WithPasswords(broker, config)


class _WithPasswords(Isolated):
    def variables(self, name: str) -> dict[str, str]:
        password = {"JETMESH__NATS__PASSWORD": f"{name}-secret"}
        return super().variables(name) | password

    async def control(self, name: str = OPERATOR) -> ControlPlane:
        from msgspec.structs import replace  # noqa: PLC0415 - a password is added here alone

        settings = replace(self.settings(name), password=f"{name}-secret")
        return await ControlPlane.connect(settings, name=name)


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The gateway and the mail server, and how services find them."""
    gateway = Sandbox("sandbox-gateway", tmp_path / "gateway", free_port(), 0)
    mail = Sandbox("sandbox-mail", tmp_path / "mail", free_port(), free_port())
    gateway.start()
    mail.start()
    yield {
        "JETMESH__SERVICES__PAYMENTS__SETTINGS__GATEWAY_URL": gateway.url,
        "JETMESH__SERVICES__NOTIFICATIONS__SETTINGS__SMTP_PORT": str(mail.smtp),
        "JETMESH__SERVICES__NOTIFICATIONS__SETTINGS__SMTP_SECURITY": "none",
        "JETMESH__SERVICES__FULFILMENT__SETTINGS__PAY_WITHIN": "1s",
    }
    gateway.stop()
    mail.stop()


@asynccontextmanager
async def running(
    guarded: Isolated, services: tuple[Service, ...], outside: dict[str, str]
) -> AsyncIterator[list[Running]]:
    async with AsyncExitStack() as stack:
        found = []
        for service in services:
            own = {k: v for k, v in outside.items() if _names(k, service)}
            variables = guarded.variables(service.name) | own
            loaded = _load([service], guarded.broker.url, variables)
            found.append(await stack.enter_async_context(Running(service, loaded)))
        yield found


def _names(variable: str, service: Service) -> bool:
    return f"__{service.name.upper().replace('-', '_')}__" in variable


def purchase(key: str, total: str, token: str) -> bytes:
    found: dict[str, Any] = {
        "purchase_id": key,
        "customer": {"id": "c-1", "name": "Sample Customer", "email": "customer@example.test"},
        "items": [{"sku": "tea", "quantity": 2, "unit_price": "60.00"}],
        "total": total,
        "currency": "EUR",
        "payment_token": token,
    }
    return json.dumps(found).encode()


def used(log: Path) -> dict[str, set[str]]:
    """Subjects on which each user published."""
    found: dict[str, set[str]] = defaultdict(set)
    for name, subject in _PUBLISHED.findall(log.read_text(errors="replace")):
        found[name].add(subject)
    return found


async def lacks_its_streams(one: Running) -> None:
    """It has looked for them, and for who else has their subjects."""
    await eventually(lambda: "missing" in one.health.starting, within=PATIENT, what="a look")


async def told(control: ControlPlane, count: int, stream: str = "NOTIFICATIONS") -> None:
    """So many customers have their mail."""

    async def are() -> bool:
        state = (await control.api(f"STREAM.INFO.{stream}"))["state"]
        return bool(state["messages"] >= count)

    await eventually(are, within=PATIENT, what=f"{count} mails")


async def test_every_line_that_is_granted_is_used_and_nothing_else_is_tried(
    guarded: Isolated, topology: Topology, outside: dict[str, str]
) -> None:
    async with await guarded.control() as operator, await guarded.control(CLIENT) as client:
        async with running(guarded, topology.services, outside) as several:
            for one in several:
                await lacks_its_streams(one)
            await apply(operator, await plan(operator, topology))
            for one in several:
                await one.started
            for key, (total, token) in ENDINGS.items():
                await client.publish(f"purchases.created.{key}", purchase(key, total, token))
            await told(operator, len(ENDINGS))
            await told(operator, 2, "NOTICES")  # that it expired, and that the money went back
            await client.publish("purchases.created", purchase("captured", "120.00", "tok_ok"))
            await client.publish("purchases.created.bad", b"garbage")

            async def letters() -> bool:
                return len(await select(operator, Selector())) == 1

            await eventually(letters, within=PATIENT, what="a dead letter")
            desk = Desk(operator, by="somebody", topology=topology)
            letter = await desk.open((await select(operator, Selector())).sequences[0])
            fixed = purchase("bad", "120.00", "tok_ok")
            await desk.send(await desk.prepare(letter, corrected=fixed))
            await told(operator, len(ENDINGS) + 1)
        async with running(guarded, topology.services, outside) as again:  # a restart
            for one in again:
                await one.started
            await client.publish("purchases.created.later", purchase("later", "120.00", "tok_ok"))
            await told(operator, len(ENDINGS) + 2)
    lines_of_log = guarded.broker.log.read_text(errors="replace").splitlines()
    assert not [line for line in lines_of_log if "[ERR]" in line and "Violation" in line]
    by, needless = used(guarded.broker.log), set(UNUSED)
    for identity in guarded.config.identities:
        if identity.kind == "service":
            assert identity.permissions is not None
            seen = {_NUMBER.sub("", each) for each in by[identity.name]}
            lines = {_NUMBER.sub("", each) for each in identity.permissions.publish}
            unused = {line for line in lines if not any(covers(line, each) for each in seen)}
            unnamed = {u for u in unused if not any(re.match(each, u) for each in UNUSED)}
            assert not unnamed, identity.name
            needless -= {each for each in UNUSED if any(re.match(each, u) for u in unused)}
    assert not needless, "exceptions that are none any more"
