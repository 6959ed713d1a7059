"""Questions what a stream holds, asked on the data plane: many at once, each answered or failed.

An effect is asked about before every run. Over nats-py one question costs a hundred microseconds
of tasks and futures; here it is one frame out, and one in.

The newest message is asked for on an API subject that ends with the subject that is asked about, so
that a service may be granted its own, and reads nobody else's. A follower may answer, and be
behind: that nothing is there is to be asked again, or tried with a guard.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeAlias

import msgspec

from jetmesh import wire
from jetmesh.errors import BrokerError
from jetmesh.protocol.streams import JS_API
from jetmesh.transport.publishes import ANSWER_TICKS, drop
from jetmesh.transport.stored import StoredMessage, directly


class NotGrantedError(BrokerError):
    """The broker's user may not ask what a stream holds."""


_Found: TypeAlias = asyncio.Future[StoredMessage | None]
_Question: TypeAlias = tuple[int, str, _Found]
"""When it was asked, the stream, and who waits."""


class LookUps:
    """The table of open questions, by the token that ends their reply subject.

    `send` is set by the owner: to the connection's while there is one, to `drop` otherwise.
    """

    def __init__(self, inbox: bytes, js_api: str = JS_API) -> None:
        self.asks_on = f"{js_api}.DIRECT.GET."
        """How the subjects begin on which nobody else of this connection asks."""
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
        return self._ask(stream, f"{stream}.{subject}")

    def since(self, stream: str, subject: str, sequence: int) -> _Found:
        """The first message on `subject` from `sequence` on.

        Only who may read all of the stream is answered. The future raises as that of `last`.
        """
        body = msgspec.json.encode({"seq": sequence, "next_by_subj": subject})
        return self._ask(stream, stream, body)

    def on_answer(self, subject: bytes, _reply: bytes, headers: bytes, payload: bytes) -> None:
        """What a stream holds, or why it does not say."""
        asked = self._open.pop(subject[self._token_at :], None)
        if asked is None or asked[2].done():
            return
        _, stream, future = asked
        try:
            future.set_result(directly(f"{stream} cannot be asked", headers, payload))
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
        for _, _, future in self._open.values():
            if not future.done():
                future.set_exception(NotGrantedError(f"{lacking}."))
        self._open.clear()

    def fail_all(self, reason: str) -> None:
        """The connection is lost: whoever asked has to ask again."""
        for token in list(self._open):
            self._fail(token, reason)

    def _ask(self, stream: str, about: str, body: bytes = b"") -> _Found:
        future: _Found = asyncio.get_running_loop().create_future()
        if self.send is drop:
            future.set_exception(BrokerError(f"{stream}: not connected."))
            return future
        self.asked += 1
        token = b"%d" % self.asked
        self._open[token] = (self._tick, stream, future)
        self.send(wire.pub(f"{self.asks_on}{about}".encode(), body, self._reply_start + token))
        return future

    def _fail(self, token: bytes, reason: str) -> None:
        _, stream, future = self._open.pop(token)
        if not future.done():
            future.set_exception(BrokerError(f"{stream} cannot be asked: {reason}."))
