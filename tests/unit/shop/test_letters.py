"""What customers read, and that nothing they wrote can do harm in it."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import compat32, default

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from shop.letters import (
    Letter,
    about_expiry,
    about_payment,
    about_refund,
    about_refusal,
    about_rejection,
)
from shop.mail import _POLICY, compose, message_id
from shop_contracts import Customer, Item, Outcome, RejectionCode
from tests.unit.shop import flow

AT = datetime(2026, 11, 23, 12, 0, 5, tzinfo=UTC)
HOSTILE = "Eve\r\nBcc: other@example.test\r\n\r\n\x1b[2J<script>alert(1)</script>\u202e"


def mail_of(letter: Letter) -> EmailMessage:
    message = message_from_bytes(
        compose(letter, sender="shop@example.test", sent_at=AT), policy=default
    )
    assert isinstance(message, EmailMessage)
    return message


def test_a_paid_order_is_told_with_what_was_bought() -> None:
    letter = about_payment(flow.captured())
    assert letter.subject == "Your order p-1 is paid"
    assert letter.text == (
        "Hello Sample Customer,\n\n"
        "thank you: we received 9.00 EUR for your order p-1.\n\n"
        "What you bought:\n  - 2 x tea at 4.50 EUR\n\n"
        "Payment reference: ch_1\n\n"
        "There is nothing left for you to do. Should the order have expired before, you get all of "
        "it back by itself.\n\n"
        "Your shop\n"
    )


def test_who_pays_too_late_reads_in_every_mail_that_the_money_comes_back() -> None:
    """The service that writes them knows of one fact at a time: each has to be true by itself."""
    letters = (
        about_expiry(flow.expired()),
        about_payment(flow.captured()),
        about_refund(flow.refunded()),
    )
    back = ("you get all of it back", "you get all of it back", "we gave it back to you")
    for letter, said in zip(letters, back, strict=True):
        assert said in letter.text
    assert len({each.subject for each in letters}) == len(letters)


def test_a_rejected_purchase_is_told_with_every_reason_and_a_remedy() -> None:
    letter = about_rejection(flow.rejected("p-1", RejectionCode.TOTAL_MISMATCH))
    assert letter.about is Outcome.REJECTED
    assert "What went wrong:\n  - The total is wrong.\n" in letter.text
    assert "What to do: please correct this and order again. You were not charged." in letter.text


@pytest.mark.parametrize(
    ("retryable", "remedy"),
    [(True, "order again later, or with another"), (False, "order again with another")],
)
def test_a_declined_payment_is_told_with_the_reason_and_a_remedy(
    remedy: str, *, retryable: bool
) -> None:
    letter = about_refusal(replace(flow.declined(), retryable=retryable))
    assert letter.about is Outcome.DECLINED
    assert "What went wrong:\n  - The card has expired.\n" in letter.text
    assert f"What to do: please {remedy} means of payment. You were not charged." in letter.text


def test_thousands_of_lines_become_fifty_and_a_count() -> None:
    letter = about_payment(replace(flow.captured(), items=flow.ITEMS * 3000))
    assert letter.text.count("2 x tea") == 50
    assert "… and 2950 more" in letter.text


def test_a_purchase_of_nothing_and_nonsense_is_still_told() -> None:
    letter = about_rejection(
        replace(
            flow.rejected("p-1", RejectionCode.NO_ITEMS),
            items=(Item(sku="", quantity=-(10**400), unit_price=Decimal("NaN")),),
        )
    )
    assert "at NaN EUR" in letter.text
    assert "(nothing)" in about_rejection(replace(flow.rejected(), items=())).text


def test_nothing_in_a_name_or_an_article_leaves_its_line() -> None:
    letter = about_payment(
        replace(
            flow.captured(HOSTILE),
            customer=Customer(id="c-1", name=HOSTILE, email="customer@example.test"),
            items=(Item(sku=HOSTILE, quantity=1, unit_price=Decimal(1)),),
        )
    )
    mail = mail_of(letter)
    assert mail["Bcc"] is None
    assert mail["Subject"].startswith("Your order Eve  Bcc: other@example.test")
    assert all(line.isprintable() for line in mail.get_content().splitlines())
    assert len(mail.get_content().splitlines()) == len(
        about_payment(flow.captured()).text.splitlines()
    )
    assert [address.addr_spec for address in mail["To"].addresses] == ["customer@example.test"]


@given(st.text(min_size=1, max_size=200), st.text(max_size=300), st.text(max_size=300))
def test_any_text_makes_a_mail_of_legal_lines_for_one_recipient(
    purchase_id: str, name: str, sku: str
) -> None:
    letter = about_payment(
        replace(
            flow.captured(purchase_id),
            customer=Customer(id="c-1", name=name, email="customer@example.test"),
            items=(Item(sku=sku, quantity=1, unit_price=Decimal(1)),),
        )
    )
    raw = compose(letter, sender="shop@example.test", sent_at=AT)
    lines = raw.split(b"\r\n")
    assert all(len(line) <= 998 and line.isascii() for line in lines)
    assert not any(b"\r" in line or b"\n" in line for line in lines)
    mail = message_from_bytes(raw, policy=default)
    assert isinstance(mail, EmailMessage)
    assert mail.keys() == MAIL_FIELDS
    assert [address.addr_spec for address in mail["To"].addresses] == ["customer@example.test"]
    assert mail.get_content().replace("\r\n", "\n") == letter.text


MAIL_FIELDS = [
    "Content-Type",
    "MIME-Version",
    "Content-Transfer-Encoding",
    "From",
    "To",
    "Subject",
    "Date",
    "Message-ID",
    "Auto-Submitted",
]


def test_a_mail_made_again_is_the_same_bytes() -> None:
    first, second = (
        compose(about_payment(flow.captured()), sender="shop@example.test", sent_at=AT)
        for _ in range(2)
    )
    assert first == second
    assert b"Date: Mon, 23 Nov 2026 12:00:05 +0000\r\n" in first
    assert b"Message-ID: <purchase.p-1@example.test>\r\n" in first


@given(st.sampled_from(["To", "Subject"]), st.text(max_size=100))
def test_a_header_that_needs_no_folding_is_written_as_the_library_does(
    name: str, text: str
) -> None:
    library = compat32.clone(linesep="\r\n")
    value = " ".join(text.split())
    assert _POLICY.fold_binary(name, value) == library.fold_binary(name, value)


@given(st.text(min_size=1, max_size=200), st.text(min_size=1, max_size=200))
def test_two_purchases_never_share_a_message_id(one: str, other: str) -> None:
    made = message_id(one, "example.test")
    assert made.isascii()
    assert len(made) < 120
    assert (made == message_id(other, "example.test")) is (one == other)
