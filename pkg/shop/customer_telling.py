"""A story as its customer reads it: four steps, in words, with what to do where one failed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from shop.customer_accounts import Earned
from shop.customer_story import Checked, Paid, Placed, Stands, Story, Told, moment

_headlines: Final = {
    "unknown": "We do not know this order yet",
    "placed": "We are checking your order",
    "validated": "We are taking your payment",
    "captured": "Your order is paid",
    "declined": "Your payment was declined",
    "rejected": "We could not accept your order",
    "expired": "Your order has expired",
    "refunding": "You get your money back",
    "refunded": "You got your money back",
}
_advice: Final = {
    "insufficient_funds": "Place the order again with another card, or later with this one.",
    "expired_card": "Place the order again with a card that is still valid.",
    "unknown_token": "Enter your card again and place the order again.",
    "refused": "Ask your bank, or place the order again with another card.",
}


def tell(key: str, story: Story | None, earned: Earned | None = None) -> dict[str, Any]:
    """The story of the order `key` as a page or a script reads it.

    `earned`: what its customer has; shown once this order is paid, and not before (ADR-0039).
    """
    status = _status(story or Story())
    told: dict[str, Any] = {
        "purchase_id": key,
        "status": "unknown" if story is None else status,
        "headline": _headlines["unknown" if story is None else status],
        "steps": [],
    }
    if story is not None:
        told["summary"] = _summary(story.placed) if story.placed else None
        told["steps"] = [
            _placed(story),
            _checked(story.checked, after=story.paid),
            *_late(story),
            _paid(story.paid, status, story.stands),
            *_given_back(story),
            _told(story.told),
        ]
        told["loyalty"] = _earned(key, earned) if earned and status == "captured" else None
    return told


def _status(story: Story) -> str:
    if story.refunded is not None:
        return "refunded"
    if story.paid is not None and story.paid.captured:
        return "refunding" if story.expired else "captured"
    if story.paid is not None:
        return "declined"
    if story.expired is not None:
        return "expired"
    if story.checked is not None:
        return "validated" if story.checked.sound else "rejected"
    return "placed"


def _step(
    name: str, state: str, title: str, at: float | None = None, *texts: str
) -> dict[str, Any]:
    """`state` is one of done, failed, waiting (it will be), skipped (it never will)."""
    return {
        "step": name,
        "state": state,
        "title": title,
        "at": None if at is None else moment(at),
        "texts": [text for text in dict.fromkeys(texts) if text],
    }


def _summary(placed: Placed) -> dict[str, Any]:
    return {
        "name": placed.name,
        "address": placed.address,
        "lines": [
            {"sku": sku, "quantity": quantity, "unit_price": price}
            for sku, quantity, price in placed.lines
        ],
        "more_lines": placed.more_lines,
        "total": placed.total,
    }


def _earned(key: str, earned: Earned) -> dict[str, Any]:
    points, tier = earned.account.points, earned.account.tier
    return {
        "points": "1 point" if points == 1 else f"{points:,} points",
        "tier": str(tier).capitalize() if tier else "",
        "is_new": earned.reached is not None and earned.reached.purchase_id == key,
    }


def _placed(story: Story) -> dict[str, Any]:
    title = "We received your order"
    if story.placed is None:
        return _step("placed", "done", title, None, "Its details have not reached this page.")
    return _step("placed", "done", title, story.placed.at, _repeated(story))


def _repeated(story: Story) -> str:
    if story.placed is None or not story.repeats:
        return ""
    times = len(story.repeats) + 1
    if any(repeat.digest != story.placed.digest for repeat in story.repeats):
        return (
            f"It was sent {times} times under this number, not always with the same content. "
            "Only the first one counts."
        )
    return f"It was sent {times} times. We count it once."


def _checked(checked: Checked | None, *, after: Paid | None) -> dict[str, Any]:
    if checked is None:
        if after is not None:  # its event is still on the way, but nothing is paid unchecked
            return _step("checked", "done", "Everything is in order")
        return _step("checked", "waiting", "We are checking it")
    if checked.sound:
        return _step("checked", "done", "Everything is in order", checked.at)
    messages = [message for _, _, message in checked.reasons]
    title = "Something is not in order"
    advice = "Please correct it and place a new order."
    return _step("checked", "failed", title, checked.at, *messages, advice)


def _paid(paid: Paid | None, status: str, stands: Stands | None) -> dict[str, Any]:
    if paid is None:
        if status == "rejected":
            return _step("paid", "skipped", "Nothing was charged")
        if status == "expired":
            return _step("paid", "skipped", "Nothing was charged")
        by = stands.until if stands else ""
        until = f"The order expires if it is not paid by {by}." if by else ""
        return _step("paid", "waiting", "Payment", None, until)
    if paid.captured:
        return _step("paid", "done", f"You paid {paid.amount}", paid.at)
    advice = _advice.get(paid.reason) or (
        "Place the order again later."
        if paid.retryable
        else "Place the order again with another means of payment."
    )
    title = f"Your payment of {paid.amount} was declined"
    return _step("paid", "failed", title, paid.at, paid.message, "Nothing was charged.", advice)


def _late(story: Story) -> list[dict[str, Any]]:
    """That it was not paid in time, where that is so."""
    if story.expired is None:
        return []
    title = "It was not paid in time, and has expired"
    advice = "Please order again if you still want it."
    return [_step("expired", "failed", title, story.expired.at, advice)]


def _given_back(story: Story) -> list[dict[str, Any]]:
    """What becomes of what was paid too late."""
    if story.refunded is not None:
        title = f"You got {story.refunded.amount} back"
        return [_step("refunded", "done", title, story.refunded.at)]
    if story.expired is not None and story.paid is not None and story.paid.captured:
        return [_step("refunded", "waiting", f"You get {story.paid.amount} back")]
    return []


def _told(told: Mapping[str, Told]) -> dict[str, Any]:
    if not told:
        return _step("told", "waiting", "An e-mail to you")
    mails = sorted(told.values(), key=lambda each: each.at)
    if unsent := next((each for each in mails if each.channel == "none"), None):
        return _step("told", "failed", "We could not e-mail you", unsent.at, unsent.reason)
    texts = [f"“{each.subject}” to {each.address}" for each in mails]
    return _step("told", "done", "We e-mailed you", mails[-1].at, *texts)
