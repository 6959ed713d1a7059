"""Questions what a stream holds, asked on the data plane: many at once, each answered or failed.

An effect is asked about before every run. Over nats-py one question costs a hundred microseconds
of tasks and futures; here it is one frame out, and one in.

The newest message is asked for on an API subject that ends with the subject that is asked about, so
that a service may be granted its own, and reads nobody else's. A follower may answer, and be
behind: that nothing is there is to be asked again, or tried with a guard. The leader alone answers
`newest`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec

from jetmesh import wire
from jetmesh.errors import BrokerError
from jetmesh.protocol.headers import LEFT_IN_BATCH
from jetmesh.protocol.streams import JS_API
from jetmesh.transport.publishes import ANSWER_TICKS, drop
from jetmesh.transport.stored import NOT_FOUND, ApiError, StoredMessage, directly, message_in, read


class NotGrantedError(BrokerError):
    """The broker's user may not ask what a stream holds."""


_Found: TypeAlias = asyncio.Future[StoredMessage | None]
_Read: TypeAlias = Callable[[str, bytes, bytes], Any]
_Question: TypeAlias = tuple[int, str, asyncio.Future[Any], _Read]
"""When it was asked, the stream, who waits, and how the answer is read."""


class LookUps:
    """The table of open questions, by the token that ends their reply subject.

    `send` is set by the owner: to the connection's while there is one, to `drop` otherwise.
    """

    def __init__(self, inbox: bytes, js_api: str = JS_API) -> None:
        self.asks_on = f"{js_api}.DIRECT.GET."
        self.asks_leader_on = f"{js_api}.STREAM.MSG.GET."
        """How the subjects begin on which nobody else of this connection asks, both."""
        self.subject = inbox + b".*"
        self.send: Callable[[bytes], None] = drop
        self._reply_start = inbox + b"."
        self._token_at = len(inbox) + 1
        self.asked = 0
        """Questions so far."""
        self._tick = 0
        self._open: dict[bytes, _Question] = {}

    def last(self, stream: str, subject: str) -> _Found:
        """The newest message whose subject matches; `subject` may hold wildcards.

        The future raises BrokerError when there is no answer: it is not known then.
        """
        return self._ask(stream, f"{self.asks_on}{stream}.{subject}")

    def since(self, stream: str, subject: str, sequence: int) -> _Found:
        """The first message on `subject` from `sequence` on.

        Only who may read all of the stream is answered. The future raises as that of `last`.
        """
        body = msgspec.json.encode({"seq": sequence, "next_by_subj": subject})
        return self._ask(stream, f"{self.asks_on}{stream}", body)

    def newest(self, stream: str, subject: str) -> _Found:
        """The newest message on `subject`, as the leader knows it: nothing stored before is missed.

        The future raises as that of `last`.
        """
        body = msgspec.json.encode({"last_by_subj": subject})
        return self._ask(stream, f"{self.asks_leader_on}{stream}", body, _from_leader)

    def count(self, stream: str, subject: str, sequence: int) -> asyncio.Future[int]:
        """How many messages are on `subject` from `sequence` on; asked and answered as `since`."""
        body = msgspec.json.encode({"seq": sequence, "next_by_subj": subject, "batch": 1})
        return self._ask(stream, f"{self.asks_on}{stream}", body, _count)

    def on_answer(self, subject: bytes, _reply: bytes, headers: bytes, payload: bytes) -> None:
        """What a stream holds, or why it does not say."""
        asked = self._open.pop(subject[self._token_at :], None)
        if asked is None or asked[2].done():
            return
        _, stream, future, read_answer = asked
        try:
            future.set_result(read_answer(f"{stream} cannot be asked", headers, payload))
        except BrokerError as error:
            future.set_exception(error)

    def __len__(self) -> int:
        """Questions without an answer."""
        return len(self._open)

    def sweep(self) -> None:
        """Fail what has no answer for three seconds; call it every `SWEEP_SECONDS`."""
        self._tick += 1
        silent = [t for t, asked in self._open.items() if self._tick - asked[0] >= ANSWER_TICKS]
        for token in silent:
            self._fail(token, "no answer")

    def denied(self, lacking: str) -> None:
        """The broker's user may not ask; which question it was, the server says only in words."""
        for _, _, future, _ in self._open.values():
            if not future.done():
                future.set_exception(NotGrantedError(f"{lacking}."))
        self._open.clear()

    def fail_all(self, reason: str) -> None:
        """The connection is lost: whoever asked has to ask again."""
        for token in list(self._open):
            self._fail(token, reason)

    def _ask(
        self, stream: str, on: str, body: bytes = b"", read_answer: _Read = directly
    ) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if self.send is drop:
            future.set_exception(BrokerError(f"{stream}: not connected."))
            return future
        self.asked += 1
        token = b"%d" % self.asked
        self._open[token] = (self._tick, stream, future, read_answer)
        self.send(wire.pub(on.encode(), body, self._reply_start + token))
        return future

    def _fail(self, token: bytes, reason: str) -> None:
        _, stream, future, _ = self._open.pop(token)
        if not future.done():
            future.set_exception(BrokerError(f"{stream} cannot be asked: {reason}."))


def _from_leader(about: str, headers: bytes, payload: bytes) -> StoredMessage | None:
    try:
        answer = read(payload, headers, "nobody answers")
        return message_in(about, answer.stream, answer)
    except ApiError as error:
        if error.code == NOT_FOUND:
            return None
        raise


def _count(about: str, headers: bytes, payload: bytes) -> int:
    """Of a batch of one: that one, and how many it left behind itself."""
    answer = wire.parse(headers)
    left = answer.values.get(LEFT_IN_BATCH, "")
    if left.isdecimal() and not answer.status:
        return int(left) + 1
    return 0 if directly(about, headers, payload) is None else 1
