"""The commands that talk to a broker, on the shop and a real nats-server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from jetmesh.operate.up.broker import Broker
from jetmesh.operate.up.ports import free_port
from jetmesh.protocol.lanes import Origin, schedule
from jetmesh.protocol.subjects import retry_subject
from jetmesh.settings import NatsSettings
from jetmesh.testing import mesh
from jetmesh.transport.control import ControlPlane
from shop import order_validation
from tests.integration.command_line import Said, jetmesh, said


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker with the shop's topology on it."""
    with Broker(tmp_path_factory.mktemp("nats")) as broker:
        applied = said("apply", url=broker.url)
        assert applied.returncode == 0, applied.stderr
        yield broker


def purchase(key: str, **changes: Any) -> str:
    given = {
        "purchase_id": key,
        "customer": {"id": "c-1", "name": "Sample Customer", "email": "customer@example.test"},
        "items": [{"sku": "tea", "quantity": 2, "unit_price": "4.50"}],
        "total": "9.00",
        "currency": "EUR",
        "payment_token": "tok_secret_one",
    }
    return json.dumps(given | changes)


def publish(broker: Broker, text: str) -> Said:
    return said("publish", "purchases.created", "-", url=broker.url, stdin=text)


def test_publish_says_where_the_event_is_stored(broker: Broker) -> None:
    text = purchase("where-1")
    first = jetmesh("publish", "purchases.created", "-", url=broker.url, stdin=text)
    second = publish(broker, purchase("where-2"))
    assert (first.returncode, first.stderr) == (0, "")
    stream, sequence = first.stdout.split()
    assert (stream, second.stdout.split()) == ("PURCHASES", [stream, str(int(sequence) + 1)])


def test_publish_takes_an_object_over_several_lines(broker: Broker) -> None:
    text = json.dumps(json.loads(purchase("pretty")), indent=2)
    assert publish(broker, text).stdout.startswith("PURCHASES ")


def test_publish_takes_many_events_one_a_line(broker: Broker) -> None:
    many = publish(broker, "\n".join(purchase(f"many-{number}") for number in range(600)))
    assert many.returncode == 0, many.stderr
    words = many.stdout.split()
    assert words[:3] == ["600", "events:", "PURCHASES"]
    assert int(words[5]) - int(words[3]) == 599


def test_publish_refuses_what_breaks_the_contract_and_sends_nothing(broker: Broker) -> None:
    wrong = purchase("wrong", items=[{"sku": "tea", "quantity": "two", "unit_price": "1"}])
    refused = publish(broker, f"{purchase('right')}\n{wrong}")
    assert refused.returncode == 1
    assert refused.stderr == (
        "Line 2 breaks the contract of purchases.created at $.items[0].quantity: "
        "Expected `int`, got `str`.\n"
    )
    assert said("trace", "right", url=broker.url).returncode == 1


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("", "It is empty: it holds no event."),
        ("{", "at $: Input data was truncated."),
        (purchase(""), "at $.purchase_id: "),
        ("{}", "Object missing required field `purchase_id`."),
    ],
)
def test_publish_names_what_is_wrong(broker: Broker, text: str, cause: str) -> None:
    refused = publish(broker, text)
    assert refused.returncode == 1
    assert cause in refused.stderr


def test_publish_names_the_subjects_that_exist(broker: Broker) -> None:
    refused = said("publish", "purchases.made", "-", url=broker.url)
    assert refused.returncode == 2
    assert "No event is published on 'purchases.made'." in refused.stderr
    assert "purchases.created" in refused.stderr


async def test_trace_tells_what_caused_what(broker: Broker) -> None:
    """The second purchase of one id is refused, and marked; the payment is awaited."""
    key = "story.of one\x1b[31m"
    async with mesh(order_validation.service, url=broker.url) as running:
        for _ in range(2):
            await running.publish("purchases.created", purchase(key))
            await running.settled()
    told = jetmesh("trace", key, "--json", url=broker.url)
    assert told.returncode == 0, told.stderr
    first, validated, again, refusal = json.loads(told.stdout)
    assert (first["subject"], first["cause"]) == ("purchases.created", "")
    assert (validated["subject"], validated["cause"]) == ("orders.validated", first["id"])
    assert validated["by"] == "order-validation.decide"
    assert validated["waits"] == ["waiting for payments.charge", "waiting for fulfilment.begin"]
    assert (refusal["kind"], refusal["cause"]) == ("refusal", again["id"])
    assert validated["id"] in refusal["summary"]
    shown = jetmesh("trace", key, url=broker.url, FORCE_COLOR="1").stdout
    assert r"story.of one\x1b[31m" in shown
    assert "second decision" in shown


async def test_trace_shows_nothing_sensitive(broker: Broker) -> None:
    async with mesh(order_validation.service, url=broker.url) as running:
        await running.publish("purchases.created", purchase("discreet"))
        await running.settled()
    for arguments in (["trace", "discreet"], ["trace", "discreet", "--json"]):
        shown = (await asyncio.to_thread(said, *arguments, url=broker.url)).stdout
        assert "orders.validated" in shown
        assert "example.test" not in shown
        assert "tok_secret_one" not in shown


async def test_trace_shows_a_dead_letter_with_its_cause(broker: Broker) -> None:
    async with mesh(order_validation.service, url=broker.url) as running:
        control = running.control
        payload = purchase("lost").encode()
        ack = await control.publish("purchases.created", payload)
        await running.settled()
        await control.publish(
            "deadletters.payments.charge.lost",
            payload,
            {
                "Jetmesh-Stream": ack.stream,
                "Jetmesh-Sequence": str(ack.sequence),
                "Jetmesh-Error": "ValueError",
                "Jetmesh-Message": "no luck",
                "Jetmesh-Attempts": "5",
            },
        )
    told = json.loads(jetmesh("trace", "lost", "--json", url=broker.url).stdout)
    letter = next(step for step in told if step["kind"] == "dead letter")
    assert letter["cause"] == f"PURCHASES:{ack.sequence}"
    assert letter["by"] == "payments.charge"
    assert letter["summary"] == "ValueError: no luck (5 attempts)"


def test_a_lost_durable_is_made_again_behind_what_it_had_acked(broker: Broker) -> None:
    for n in range(3):
        publish(broker, purchase(f"behind-{n}"))
    asyncio.run(ask(broker, "CONSUMER.DELETE.PURCHASES.order-validation-decide"))
    wrong = said("apply", "--behind", "PURCHASES/nobody=2", url=broker.url)
    assert wrong.returncode == 2
    assert "does not name a durable" in wrong.stderr
    name = "PURCHASES/order-validation-decide"
    made = said("apply", "--behind", f"{name}=2", url=broker.url)
    assert made.returncode == 0, made.stderr
    assert name in made.stdout
    info = asyncio.run(ask(broker, "CONSUMER.INFO.PURCHASES.order-validation-decide"))
    assert info["config"]["opt_start_seq"] == 3
    assert "as declared" in said("plan", url=broker.url).stdout


async def ask(broker: Broker, subject: str) -> dict[str, Any]:
    settings = NatsSettings(url=broker.url)
    async with await ControlPlane.connect(settings, name="test") as control:
        return await control.api(subject)


async def test_trace_tells_when_the_next_attempt_is(broker: Broker) -> None:
    async with mesh(order_validation.service, url=broker.url) as running:
        await running.publish("purchases.created", purchase("patient"))
        await running.settled()
        validated = await running.control.last("ORDERS", "orders.validated.patient")
        assert validated is not None
        origin = Origin(
            validated.subject, "ORDERS", str(validated.sequence), validated.stored_ns, 2
        )
        await running.control.publish(
            retry_subject("payments", "charge", origin),
            validated.payload,
            {
                **origin.headers(),
                "Jetmesh-Error": "Retry",
                "Jetmesh-Message": "the bank is closed",
                **schedule(
                    "lanes.payments.charge.patient", datetime(2099, 1, 1, 7, 30, tzinfo=UTC)
                ),
            },
        )
    shown = jetmesh("trace", "patient", url=broker.url).stdout
    wait = "payments.charge tries again at 07:30:00, attempt 3 (Retry: the bank is closed)"
    assert wait in shown


def test_trace_finds_a_purchase_that_nobody_took_yet(broker: Broker) -> None:
    publish(broker, purchase("alone"))
    shown = said("trace", "alone", url=broker.url)
    assert shown.returncode == 0
    assert "waiting for order-validation.decide" in shown.stdout


def test_trace_of_nothing_says_so(broker: Broker) -> None:
    told = said("trace", "nobody", url=broker.url)
    assert told.returncode == 1
    assert told.stderr.startswith("Nothing is stored under the key 'nobody'.\n")


def test_plan_and_apply_on_an_empty_broker(tmp_path: Path) -> None:
    with Broker(tmp_path) as broker:
        planned = said("plan", url=broker.url)
        assert planned.returncode == 0
        assert "+ stream ORDERS" in planned.stdout
        assert "+ durable ORDERS/payments-charge" in planned.stdout
        assert said("plan", "--check", url=broker.url).returncode == 1
        assert "Applied" in said("apply", url=broker.url).stdout
        assert said("plan", "--check", url=broker.url).stdout == "The broker is as declared.\n"
        assert said("apply", url=broker.url).stdout == "The broker is as declared.\n"


def test_plan_shows_each_field_that_differs(broker: Broker) -> None:
    name = "JETMESH__SERVICES__PAYMENTS__HANDLERS__CHARGE__ACK_WAIT"
    tuned: dict[str, Any] = {name: "99s"}
    planned = said("plan", url=broker.url, **tuned)
    assert "~ durable ORDERS/payments-charge" in planned.stdout
    assert "ack_wait: " in planned.stdout
    assert "2 changes." in planned.stdout


def test_apply_refuses_to_lose_data_without_the_flag(tmp_path: Path) -> None:
    with Broker(tmp_path) as broker:
        said("apply", url=broker.url)
        publish(broker, purchase("old"))
        tuned: dict[str, Any] = {"JETMESH__STREAMS__PURCHASES__MAX_AGE": "3m"}
        refused = said("apply", url=broker.url, **tuned)
        assert refused.returncode == 1
        assert "Nothing was changed." in refused.stderr
        assert "--allow-data-loss" in refused.stderr
        assert "! stream PURCHASES" in refused.stdout
        assert said("apply", "--allow-data-loss", url=broker.url, **tuned).returncode == 0


@pytest.mark.parametrize("command", [["plan"], ["trace", "x"], ["apply"]])
def test_a_broker_that_is_not_there_is_one_sentence(command: list[str]) -> None:
    told = said(*command, "--nats-url", f"nats://127.0.0.1:{free_port()}")
    assert (told.returncode, told.stdout) == (1, "")
    assert told.stderr.startswith("No broker answers at 127.0.0.1:")
    assert len(told.stderr.splitlines()) == 2


def test_the_option_wins_over_the_environment(broker: Broker) -> None:
    told = said("plan", "--nats-url", broker.url, url=f"nats://127.0.0.1:{free_port()}")
    assert told.returncode == 0


def test_topology_has_three_formats() -> None:
    assert "order-validation.decide" in said("topology").stdout
    assert said("topology", "--format", "mermaid").stdout.startswith(("flowchart", "graph"))
    assert json.loads(said("topology", "--format", "json").stdout)["services"]
    wrong = said("topology", "--format", "svg")
    assert (wrong.returncode, wrong.stderr.splitlines()[0]) == (2, "There is no format 'svg'.")


def test_contracts_are_written_and_checked(tmp_path: Path) -> None:
    stale = said("contracts", "--check", "--directory", str(tmp_path))
    assert stale.returncode == 1
    assert "asyncapi.yaml" in stale.stdout
    assert said("contracts", "--directory", str(tmp_path)).returncode == 0
    checked = said("contracts", "--check", "--directory", str(tmp_path))
    assert (checked.returncode, checked.stdout) == (0, "The contracts are up to date.\n")


def test_settings_show_where_each_came_from() -> None:
    token: dict[str, Any] = {"JETMESH__NATS__TOKEN": "very-secret"}
    shown = said("settings", "--changed", "--json", JETMESH__HTTP__PORT="9001", **token)
    assert json.loads(shown.stdout) == {
        "http.port": {"value": "9001", "origin": "JETMESH__HTTP__PORT"},
        "nats.token": {"value": "***", "origin": "JETMESH__NATS__TOKEN"},
    }
    assert "very-secret" not in said("settings", **token).stdout


def test_a_wrong_setting_is_one_sentence() -> None:
    told = jetmesh("plan", JETMESH__HTTP__PROT="1")
    assert told.returncode == 1
    assert told.stderr == (
        "JETMESH__HTTP__PROT: there is no setting 'http.prot'.\nDid you mean 'port'?\n"
    )


def test_outside_of_a_project_the_remedy_is_told(tmp_path: Path) -> None:
    nowhere = Path(tmp_path.anchor)  # no other directory is sure to have none above it
    told = jetmesh("topology", cwd=nowhere)
    assert told.returncode == 2
    assert "No system is declared here" in told.stderr
    assert "Traceback" not in told.stderr
    named = jetmesh("topology", "--system", "shop.system:system", cwd=nowhere)
    assert named.returncode == 0
    by_variable = jetmesh("topology", cwd=nowhere, JETMESH_SYSTEM="shop.system:system")
    assert by_variable.stdout == named.stdout


@pytest.mark.parametrize("reference", ["absent.module:system", "shop.system:nothing"])
def test_a_system_that_is_not_there_is_named(reference: str) -> None:
    told = jetmesh("topology", "--system", reference)
    assert told.returncode == 2
    assert reference in told.stderr
