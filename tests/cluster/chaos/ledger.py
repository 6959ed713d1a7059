"""What became of every purchase: told by the streams and by the mails, and judged.

Every violation is a sentence. There are none, or something was lost, doubled or out of order.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Final

from tests.cluster.chaos.reader import Stored
from tests.cluster.chaos.tracks import FOLLOWER, NOTE

STREAMS: Final = (
    "PURCHASES",
    "ORDERS",
    "PAYMENTS",
    "NOTIFICATIONS",
    "PARCELS",
    "REFUSALS",
    "DEADLETTERS",
)
"""The order in which they are read: causes first."""
_MAIL: Final = re.compile(
    r"<purchase\.(?:(?P<fact>expired|refunded)\.)?(?P<key>[A-Za-z0-9_-]+)@example\.test>"
)
_CHARGER: Final = "payments:charge"
_DECIDER: Final = "order-validation:decide"
_PACKER: Final = "packing:pack"


def fact_of(message_id: str) -> tuple[str, str] | None:
    """Purchase and fact that a mail tells; no fact: how the purchase ended."""
    found = _MAIL.fullmatch(message_id)
    return (found["key"], found["fact"] or "") if found else None


@dataclass(frozen=True, slots=True)
class Mark:
    """One stored message of a key."""

    sequence: int
    nanoseconds: int
    kind: str
    """Its subject without the key: `orders.validated`."""
    cause: str
    """`<service>:<handler>:<stream>:<sequence>` that its message id names, without the time."""


@dataclass(slots=True)
class Story:
    """Everything stored about one key."""

    presses: dict[int, Mark] = field(default_factory=dict)
    """`purchases.created`, by the number of the press."""
    marks: dict[str, list[Mark]] = field(default_factory=dict)
    """By stream."""
    mails: int = 0

    def only(self, stream: str) -> Mark | None:
        """The one message of the key in that stream."""
        found = self.marks.get(stream, [])
        return found[0] if len(found) == 1 else None


class Ledger:
    """Folds what was read; `unfinished` says what is missing, `violations` what can never heal."""

    def __init__(
        self,
        poisons: AbstractSet[str] = frozenset(),
        pending: AbstractSet[str] = frozenset(),
    ) -> None:
        self._poisons = poisons
        """Keys of purchases that kill whoever packs them; it grows while they are published."""
        self._pending = pending
        """Keys of purchases whose payment the gateway never decides; it grows, too."""
        self.stories: dict[str, Story] = {}
        self.garbage: dict[str, int] = {}
        """Sequences in PURCHASES, by their key."""
        self.fates: dict[int, set[str]] = {}
        """What order validation made of each message of PURCHASES: decided, refused, dead."""
        self.letters: Counter[tuple[str, str, int]] = Counter()
        """Dead letters by handler, stream and sequence of their origin."""
        self.reasons: dict[tuple[str, str, int], str] = {}
        self.keys: dict[int, str] = {}
        """Key of each message of PURCHASES."""
        self.violations: list[str] = []

    # folding

    def fold(self, stream: str, messages: Iterable[Stored]) -> None:
        """Take over what was read of a stream."""
        for message in messages:
            if stream == "PURCHASES":
                self._purchase(message)
            elif stream == "REFUSALS":
                self._fate(_cause(message), "refused")
            elif stream == "DEADLETTERS":
                self._letter(message)
            else:
                self._outcome(stream, message)

    def post(self, message_ids: Iterable[str]) -> None:
        """Take over the mails; those of other facts than a purchase's outcome are not ours."""
        for message_id in message_ids:
            found = fact_of(message_id)
            if found is None:
                self.violations.append(f"a mail has the Message-ID {message_id}")
            elif not found[1]:
                self._story(found[0]).mails += 1

    def _purchase(self, message: Stored) -> None:
        key, _, number = message.message_id.rpartition(":")
        if key.startswith("garbage"):
            self.garbage[key] = message.sequence
        else:
            presses = self._story(key).presses
            if int(number) in presses:
                self.violations.append(f"{key}: press {number} is stored twice")
            presses[int(number)] = Mark(message.sequence, message.nanoseconds, "purchases", "")
        self.keys[message.sequence] = key

    def _outcome(self, stream: str, message: Stored) -> None:
        kind, _, key = message.subject.rpartition(".")
        marks = self._story(key).marks.setdefault(stream, [])
        cause = _cause(message)
        marks.append(Mark(message.sequence, message.nanoseconds, kind, cause))
        if len(marks) > 1:
            kinds = ", ".join(f"{mark.kind} by {mark.cause}" for mark in marks)
            self.violations.append(f"{key}: {len(marks)} outcomes in {stream}: {kinds}")
        if stream == "ORDERS":
            self._fate(cause, "decided")

    def _letter(self, message: Stored) -> None:
        headers = message.headers
        handler = f"{headers.get('Jetmesh-Service')}:{headers.get('Jetmesh-Handler')}"
        if handler == FOLLOWER or message.subject.endswith(NOTE):
            return  # of the parcels, which have an account of their own
        stream, sequence = headers.get("Jetmesh-Stream", ""), headers.get("Jetmesh-Sequence", "0")
        letter = (handler, stream, int(sequence))
        self.letters[letter] += 1
        error = f"{headers.get('Jetmesh-Error')}: {headers.get('Jetmesh-Message')}"
        self.reasons[letter] = f"{error} (attempts {headers.get('Jetmesh-Attempts')})"
        if self.letters[letter] > 1:
            self.violations.append(f"{handler}: {stream}:{sequence} is dead-lettered twice")
        self._fate(f"{handler}:{stream}:{sequence}", "dead")
        self._judge_letter(letter, message.subject.rpartition(".")[2])

    def _fate(self, cause: str, fate: str) -> None:
        if cause.startswith(f"{_DECIDER}:PURCHASES:"):
            self.fates.setdefault(int(cause.rpartition(":")[2]), set()).add(fate)

    def _story(self, key: str) -> Story:
        return self.stories.setdefault(key, Story())

    def _judge_letter(self, letter: tuple[str, str, int], token: str) -> None:
        """Only garbage, what packing dies of, and what the bank never decides may be given up."""
        handler, stream, sequence = letter
        key = self.keys.get(sequence, "") if stream == "PURCHASES" else ""
        if key.startswith("garbage") and handler in (_DECIDER, _PACKER):
            return
        if handler == _PACKER and key in self._poisons:
            return
        if (handler, stream) == (_CHARGER, "ORDERS") and token in self._pending:
            return
        what = key or f"{stream}:{sequence}"
        self.violations.append(f"{what} was dead-lettered by {handler}: {self.reasons[letter]}")

    # judging

    def unfinished(self, key: str) -> str:
        """What an acknowledged purchase still lacks, in words; empty when it is complete."""
        story = self.stories.get(key)
        if story is None or 1 not in story.presses:
            return f"{key} was acknowledged and is not stored"
        lacking = next(self._lacks(story), "")
        return f"{key} {lacking}" if lacking else _disorder(key, story)

    def _lacks(self, story: Story) -> Iterator[str]:
        order, paid = story.only("ORDERS"), story.only("PAYMENTS")
        if order is None:
            yield "has no outcome of order validation"
        elif order.kind == "orders.validated" and paid is None and not self._never_paid(order):
            yield "was validated and has no outcome of payments"
        if not self._never_paid(order) and (story.only("NOTIFICATIONS") is None or not story.mails):
            yield "has its outcome, and its customer was not told"
        if story.only("PARCELS") is None and not self._killed_packing(story):
            yield "was neither packed nor dead-lettered"
        if any(mark.sequence not in self.fates for mark in story.presses.values()):
            yield "was pressed twice, and one press has no end"

    def unfinished_garbage(self, key: str) -> str:
        """The same of bytes that are no purchase."""
        sequence = self.garbage.get(key)
        if sequence is None:
            return f"{key} was acknowledged and is not stored"
        silent = [h for h in (_DECIDER, _PACKER) if not self.letters[h, "PURCHASES", sequence]]
        return f"{key} was not dead-lettered by {', '.join(silent)}" if silent else ""

    def contradictions(self) -> list[str]:
        """Messages of PURCHASES with more than one end: done and dead-lettered, for instance."""
        return [
            f"{self.keys.get(sequence)} (PURCHASES:{sequence}) was {' and '.join(sorted(fates))}"
            for sequence, fates in self.fates.items()
            if len(fates) > 1
        ]

    def _never_paid(self, order: Mark | None) -> bool:
        """Whether the gateway was asked in vain, as often as it is asked."""
        return order is not None and bool(self.letters[_CHARGER, "ORDERS", order.sequence])

    def _killed_packing(self, story: Story) -> bool:
        return any(
            self.letters[_PACKER, "PURCHASES", mark.sequence] for mark in story.presses.values()
        )


def _disorder(key: str, story: Story) -> str:
    """What came before its cause, or out of the order in which it was published."""
    order, paid = story.only("ORDERS"), story.only("PAYMENTS")
    if paid is not None and order is not None and order.kind == "orders.rejected":
        return f"{key} was rejected and paid"
    steps = [story.presses[1], order, paid, story.only("NOTIFICATIONS")]
    marks = [mark for mark in steps if mark is not None]
    times = [mark.nanoseconds for mark in marks]
    if times != sorted(times):
        return f"{key} is out of order: {marks}"
    if 2 in story.presses and story.presses[2].sequence < story.presses[1].sequence:
        return f"{key}: its second press is stored before its first"
    return ""


def _cause(message: Stored) -> str:
    """What the message id says: `order-validation:decide:PURCHASES:17`, without the time."""
    *who, token = message.message_id.split(":")[:4]
    return ":".join([*who, token.partition("-")[0]])
