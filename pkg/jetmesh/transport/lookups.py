"""Questions what a stream holds, asked on the data plane: many at once, each answered or failed.

An effect is asked about before every run. Over nats-py one question costs a hundred microseconds
of tasks and futures; here it is one frame out, and one in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from jetmesh import wire
from jetmesh.errors import BrokerError
from jetmesh.protocol.streams import JS_API
from jetmesh.transport.publishes import ANSWER_TICKS, drop
from jetmesh.transport.stored import NO_MESSAGE, StoredMessage, message_in, read


class LookUps:
    """The table of open questions, by the token that ends their reply subject.

    `send` is set by the owner: to the connection's while there is one, to `drop` otherwise.
    """

    def __init__(self, inbox: bytes, js_api: str = JS_API) -> None:
        self._js_api = js_api
        self.subject = inbox + b".*"
        self.send: Callable[[bytes], None] = drop
        self._reply_start = inbox + b"."
        self._token_at = len(inbox) + 1
        self._count = 0
        self._tick = 0
        self._open: dict[bytes, tuple[int, str, asyncio.Future[StoredMessage | None]]] = {}

    def last(self, stream: str, subject: str) -> asyncio.Future[StoredMessage | None]:
        """The newest message whose subject matches, read from the stream's leader.

        The future raises BrokerError when there is no answer: it is not known then.
        """
        future = asyncio.get_running_loop().create_future()
        if self.send is drop:
            future.set_exception(BrokerError(f"{stream}: not connected."))
            return future
        self._count += 1
        token = b"%d" % self._count
        self._open[token] = (self._tick, stream, future)
        body = b'{"last_by_subj":%b}' % msgspec.json.encode(subject)
        asked = f"{self._js_api}.STREAM.MSG.GET.{stream}".encode()
        self.send(wire.pub(asked, body, self._reply_start + token))
        return future

    def on_answer(self, subject: bytes, _reply: bytes, headers: bytes, payload: bytes) -> None:
        """What a stream holds, or why it does not say."""
        asked = self._open.pop(subject[self._token_at :], None)
        if asked is None or asked[2].done():
            return
        _, stream, future = asked
        try:
            future.set_result(_read(stream, headers, payload))
        except BrokerError as error:
            future.set_exception(error)

    def sweep(self) -> None:
        """Fail what has no answer for three seconds; call it every `SWEEP_SECONDS`."""
        self._tick += 1
        silent = [t for t, asked in self._open.items() if self._tick - asked[0] >= ANSWER_TICKS]
        for token in silent:
            self._fail(token, "no answer")

    def fail_all(self, reason: str) -> None:
        """The connection is lost: whoever asked has to ask again."""
        for token in list(self._open):
            self._fail(token, reason)

    def _fail(self, token: bytes, reason: str) -> None:
        _, stream, future = self._open.pop(token)
        if not future.done():
            future.set_exception(BrokerError(f"{stream} cannot be asked: {reason}."))


def _read(stream: str, headers: bytes, payload: bytes) -> StoredMessage | None:
    """Raises BrokerError: it is no answer."""
    answer = read(payload, headers, "JetStream does not answer")
    if answer.error is not None and answer.error.err_code == NO_MESSAGE:
        return None
    return message_in(f"{stream} cannot be asked", stream, answer)
