"""The sandboxes as `jetmesh up` starts them: real HTTP, real SMTP, real processes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from msgspec.structs import replace

from jetmesh import Reject, Retry, Unavailable
from jetmesh.operate.up.ports import free_port
from jetmesh.testing import aoutputs, eventually
from shop.gateway import Gateway
from shop.letters import about_payment
from shop.mail import compose
from shop.mailer import Mailer
from shop.notifications import NotificationsSettings, tell_captured
from shop.notifications import mailer as open_mailer
from shop.notifications import service as notifications
from shop.payments import PaymentsSettings, charge
from shop.payments import gateway as open_gateway
from shop.payments import service as payments
from shop_contracts import Channel, Customer, DeclineReason, PaymentCaptured, PaymentDeclined
from tests.integration.sandbox_process import Sandbox
from tests.unit.shop import flow

NO_AMOUNT = b'{"amount":"NaN","currency":"EUR","token":"tok_ok","description":"nothing"}'
AT = datetime(2026, 11, 23, 12, 0, 5, tzinfo=UTC)


@pytest.fixture
def sandbox(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Sandbox]:
    made = Sandbox(request.param, tmp_path / "kept", free_port(), free_port())
    made.start()
    try:
        yield made
    finally:
        if made.process is not None:
            made.stop(signal.SIGKILL)


gateway = pytest.mark.parametrize("sandbox", ["sandbox-gateway"], indirect=True)
mail = pytest.mark.parametrize("sandbox", ["sandbox-mail"], indirect=True)
both = pytest.mark.parametrize("sandbox", ["sandbox-gateway", "sandbox-mail"], indirect=True)


async def pay(sandbox: Sandbox, token: str, key: str = "p-1") -> PaymentCaptured | PaymentDeclined:
    order = replace(flow.validated(key), payment_token=token)
    async with charging(sandbox) as client:
        (event,) = await aoutputs(payments, charge, order, gateway=client)
        assert isinstance(event, PaymentCaptured | PaymentDeclined)
        return event


@contextlib.asynccontextmanager
async def charging(sandbox: Sandbox) -> AsyncIterator[Gateway]:
    opened = open_gateway(PaymentsSettings(gateway_url=sandbox.url))
    try:
        yield await anext(opened)
    finally:
        assert await anext(opened, None) is None


@contextlib.asynccontextmanager
async def mailing(sandbox: Sandbox) -> AsyncIterator[Mailer]:
    opened = open_mailer(NotificationsSettings(smtp_port=sandbox.smtp, smtp_security="none"))
    try:
        yield await anext(opened)
    finally:
        assert await anext(opened, None) is None


async def get(sandbox: Sandbox, path: str) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.get(sandbox.url + path)


async def mails_of(sandbox: Sandbox) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = (await get(sandbox, "/mails.json")).json()
    return listed


def to(address: str, key: str = "p-1", name: str = "Sample Customer") -> PaymentCaptured:
    return replace(flow.captured(key), customer=Customer(id="c-1", name=name, email=address))


@both
def test_a_sandbox_ends_with_exit_code_0_and_says_nothing(sandbox: Sandbox) -> None:
    assert sandbox.stop(signal.SIGTERM) == (0, "")
    sandbox.start()
    assert sandbox.stop(signal.SIGINT) == (0, "")


@both
def test_a_taken_port_is_one_sentence_with_a_remedy(sandbox: Sandbox) -> None:
    second = sandbox.spawn()
    _, errors = second.communicate(timeout=10)
    assert second.returncode == 1
    assert "cannot be opened" in errors
    assert "Set JETMESH_SANDBOX_" in errors
    assert errors.count("\n") == 1


@both
def test_nobody_but_this_machine_reaches_it_unless_told_where_to_listen(sandbox: Sandbox) -> None:
    assert not listens("127.0.0.2", sandbox.http)
    assert sandbox.stop() == (0, "")
    sandbox.host = "127.0.0.2"  # what is the pod's address there
    sandbox.start()
    assert listens("127.0.0.2", sandbox.http)
    assert listens("127.0.0.2", sandbox.smtp) == (sandbox.name == "sandbox-mail")
    assert not listens("127.0.0.1", sandbox.http)


def listens(host: str, port: int) -> bool:
    with socket.socket() as asking:
        return asking.connect_ex((host, port)) == 0


@both
def test_an_address_of_another_machine_is_one_sentence_with_a_remedy(sandbox: Sandbox) -> None:
    sandbox.host = "192.0.2.1"
    refused = sandbox.spawn()
    _, errors = refused.communicate(timeout=10)
    assert refused.returncode == 1
    assert "JETMESH_SANDBOX_HOST to an address of this machine" in errors
    assert errors.count("\n") == 1


@gateway
async def test_known_tokens_are_charged_or_declined(sandbox: Sandbox) -> None:
    paid = await pay(sandbox, "tok_ok", "p-1")
    assert isinstance(paid, PaymentCaptured)
    assert paid.reference.startswith("ch_")
    reasons = {
        "tok_insufficient_funds": DeclineReason.INSUFFICIENT_FUNDS,
        "tok_expired_card": DeclineReason.EXPIRED_CARD,
        "tok_nobody_knows": DeclineReason.UNKNOWN_TOKEN,
    }
    for token, reason in reasons.items():
        refused = await pay(sandbox, token, token)
        assert isinstance(refused, PaymentDeclined)
        assert refused.reason is reason


@gateway
async def test_a_charge_asked_for_again_is_the_same_even_after_a_crash(sandbox: Sandbox) -> None:
    first = [await pay(sandbox, "tok_ok", "p-1"), await pay(sandbox, "tok_expired_card", "p-2")]
    sandbox.stop(signal.SIGKILL)
    with (sandbox.directory / "charges.jsonl").open("ab") as journal:
        journal.write(b'{"key":"cut o')  # what a crash in the middle of a write leaves
    sandbox.start()
    again = [await pay(sandbox, "tok_ok", "p-1"), await pay(sandbox, "tok_expired_card", "p-2")]
    assert again == first
    await pay(sandbox, "tok_ok", "p-3")
    sandbox.stop(signal.SIGKILL)
    sandbox.start()
    assert "3 charges" in (await get(sandbox, "/")).text


@gateway
async def test_a_key_used_for_another_charge_is_refused(sandbox: Sandbox) -> None:
    await pay(sandbox, "tok_ok")
    with pytest.raises(Reject, match="422"):
        await pay(sandbox, "tok_expired_card")


@gateway
async def test_a_flaky_token_fails_twice_for_each_purchase_then_works(sandbox: Sandbox) -> None:
    for key in ("p-1", "p-2"):
        for _ in range(2):
            with pytest.raises(Retry, match="500"):
                await pay(sandbox, "tok_flaky", key)
        assert isinstance(await pay(sandbox, "tok_flaky", key), PaymentCaptured)


@gateway
async def test_a_slow_token_keeps_nobody_else_waiting(sandbox: Sandbox) -> None:
    """Each slow one takes three seconds: one after another they would take half a minute."""
    began = time.monotonic()
    keys = ["p-1", "p-1", *(f"p-{number}" for number in range(3, 11))]
    slow = [asyncio.create_task(pay(sandbox, "tok_slow", key)) for key in keys]
    await pay(sandbox, "tok_ok", "p-2")
    assert not any(task.done() for task in slow)
    first, second, *_ = await asyncio.gather(*slow)
    assert first == second
    assert 3 <= time.monotonic() - began < 15


@gateway
async def test_answers_are_not_held_back_by_the_network_stack(sandbox: Sandbox) -> None:
    """Nagle's algorithm and delayed ACKs together cost each charge 40 ms at least."""
    async with charging(sandbox) as client:
        took = []
        for number in range(50):
            began = time.monotonic()
            await charge(flow.validated(f"p-{number}"), client)
            took.append(time.monotonic() - began)
    # not those at the beginning of a connection, which are acknowledged at once
    assert sorted(took[20:])[10] < 0.03, "not even the fastest are free of it"


@gateway
@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({}, b"{}", 400),
        ({"idempotency-key": "k" * 256}, b"{}", 400),
        ({"idempotency-key": "k"}, b"no json", 400),
        (
            {"idempotency-key": "k"},
            b'{"amount":"NaN","currency":"","token":"","description":""}',
            422,
        ),
    ],
)
def test_a_request_that_is_none_is_refused(
    sandbox: Sandbox, headers: dict[str, str], body: bytes, status: int
) -> None:
    response = httpx.post(f"{sandbox.url}/charges", content=body, headers=headers, trust_env=False)
    assert response.status_code == status


@gateway
async def test_the_gateways_page_shows_charges_as_text_and_no_token(sandbox: Sandbox) -> None:
    await pay(sandbox, "tok_ok", "<script>alert(1)</script>\x1b[2J")
    page = await get(sandbox, "/")
    assert "Purchase &lt;script&gt;alert(1)&lt;/script&gt;\N{REPLACEMENT CHARACTER}[2J" in page.text
    assert "<script" not in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert b"tok_" not in (sandbox.directory / "charges.jsonl").read_bytes()


async def test_a_gateway_that_is_away_is_an_outage(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="ClientConnectorError"):
        await pay(Sandbox("sandbox-gateway", tmp_path, free_port(), 0), "tok_ok")


@mail
async def test_a_mail_arrives_as_it_was_written(sandbox: Sandbox) -> None:
    payment = to("customer@example.test", name="Zoë 茶")
    async with mailing(sandbox) as mailer:
        (told,) = await aoutputs(notifications, tell_captured, payment, mailer=mailer)
    assert told.channel is Channel.EMAIL
    (arrived,) = await mails_of(sandbox)
    letter = about_payment(payment)
    assert {name: arrived[name] for name in ("number", "message_id", "to", "subject", "count")} == {
        "number": 1,
        "message_id": told.message_id,
        "to": "customer@example.test",
        "subject": letter.subject,
        "count": 1,
    }
    assert arrived["text"] == letter.text


@mail
async def test_a_mail_sent_twice_is_recognised_by_its_message_id(sandbox: Sandbox) -> None:
    async with mailing(sandbox) as mailer:
        for key in ("p-1", "p-2", "p-1"):
            payment = to("customer@example.test", key)
            await aoutputs(notifications, tell_captured, payment, mailer=mailer)
    assert [(m["number"], m["count"]) for m in await mails_of(sandbox)] == [(3, 2), (2, 1), (1, 2)]
    counted = (await get(sandbox, "/mails.json?count_only")).json()
    assert counted == {"mails": 3, "distinct": 2}
    assert len((await get(sandbox, "/mails.json?limit=1")).json()) == 1


@mail
async def test_mails_outlast_a_crash_and_the_sender_connects_again(sandbox: Sandbox) -> None:
    async with mailing(sandbox) as mailer:
        await aoutputs(notifications, tell_captured, to("a@example.test", "p-1"), mailer=mailer)
        sandbox.stop(signal.SIGKILL)
        with pytest.raises(Unavailable, match="cannot be reached"):
            await aoutputs(notifications, tell_captured, to("a@example.test", "p-2"), mailer=mailer)
        sandbox.start()
        await aoutputs(notifications, tell_captured, to("a@example.test", "p-2"), mailer=mailer)
    assert [m["subject"] for m in await mails_of(sandbox)] == [
        "Your order p-2 is paid",
        "Your order p-1 is paid",
    ]


@mail
async def test_refused_recipients_are_final_and_busy_ones_are_not(sandbox: Sandbox) -> None:
    async with mailing(sandbox) as mailer:
        unknown, busy = to("unknown@example.test"), to("busy@example.test")
        with pytest.raises(Reject, match="refused the recipient with 550") as caught:
            await aoutputs(notifications, tell_captured, unknown, mailer=mailer)
        assert "unknown@" not in str(caught.value)
        assert caught.value.__suppress_context__
        for _ in range(2):
            with pytest.raises(Retry, match="451"):
                await aoutputs(notifications, tell_captured, busy, mailer=mailer)
        await aoutputs(notifications, tell_captured, busy, mailer=mailer)


@mail
async def test_many_mails_go_over_few_connections(sandbox: Sandbox) -> None:
    raw = compose(about_payment(flow.captured()), sender="shop@example.test", sent_at=AT)
    async with mailing(sandbox) as mailer:
        sending = (
            mailer.send("shop@example.test", "customer@example.test", raw) for _ in range(100)
        )
        await asyncio.gather(*sending)
        assert 1 <= len(mailer._idle) <= 4
    counted = (await get(sandbox, "/mails.json?count_only")).json()
    assert counted == {"mails": 100, "distinct": 1}


@mail
async def test_a_send_that_is_cancelled_leaves_the_pool_usable(sandbox: Sandbox) -> None:
    raw = compose(about_payment(flow.captured()), sender="shop@example.test", sent_at=AT)
    async with mailing(sandbox) as mailer:
        for _ in range(6):
            task = asyncio.create_task(mailer.send("shop@example.test", "a@example.test", raw))
            await asyncio.sleep(0)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await mailer.send("shop@example.test", "a@example.test", raw)
    assert (await get(sandbox, "/mails.json?count_only")).json()["mails"] >= 1


@mail
async def test_the_mail_pages_show_markup_as_text(sandbox: Sandbox) -> None:
    hostile = "<img src=x onerror=alert(1)>"
    async with mailing(sandbox) as mailer:
        payment = to("customer@example.test", hostile, name=f"<b>{hostile}</b>")
        await aoutputs(notifications, tell_captured, payment, mailer=mailer)
    pages = [await get(sandbox, "/"), await get(sandbox, "/mails/1")]
    for page in pages:
        assert "&lt;img src=x" in page.text
        assert "<img" not in page.text
        assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "Hello &lt;b&gt;" in pages[1].text
    assert (await get(sandbox, "/mails/2")).status_code == 404


@mail
async def test_whatever_is_sent_as_a_mail_is_kept_and_shown(sandbox: Sandbox) -> None:
    """Written by hand over a socket: bytes that are no mail, and headers that cannot be decoded."""
    bodies = [
        b"",
        b"no header at all\xff\xfe",
        b"Subject: =?utf-8?b?####?= =?nowhere?q?x?=\r\nMessage-ID: \xff\r\n\r\n\x1b[2J",
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\n<b>part</b>\r\n--x--",
    ]
    for body in bodies:
        await asyncio.to_thread(send_raw, sandbox.smtp, body)
    await eventually(lambda: has_mails(sandbox, len(bodies)))
    for number in range(1, len(bodies) + 1):
        page = await get(sandbox, f"/mails/{number}")
        assert page.status_code == 200
        assert "\x1b" not in page.text
        assert "<b>" not in page.text
    assert (await get(sandbox, "/")).status_code == 200
    assert len(await mails_of(sandbox)) == len(bodies)


async def has_mails(sandbox: Sandbox, count: int) -> bool:
    counted: dict[str, int] = (await get(sandbox, "/mails.json?count_only")).json()
    return counted["mails"] == count


def send_raw(port: int, body: bytes) -> None:
    lines = [b"HELO localhost", b"MAIL FROM:<a@example.test>", b"RCPT TO:<b@example.test>", b"DATA"]
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        replies = connection.makefile("rb")
        assert replies.readline().startswith(b"220")
        for line in lines:
            connection.sendall(line + b"\r\n")
            assert replies.readline()[:1] in (b"2", b"3")
        connection.sendall(body + b"\r\n.\r\n")
        assert replies.readline().startswith(b"250")


@mail
def test_the_journal_is_for_nobody_else_to_read(sandbox: Sandbox) -> None:
    """It holds addresses."""
    assert (sandbox.directory / "mails.jsonl").stat().st_mode & 0o077 == 0
    assert json.loads(httpx.get(f"{sandbox.url}/mails.json", trust_env=False).text) == []
