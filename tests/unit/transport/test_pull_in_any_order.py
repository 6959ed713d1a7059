"""Continuous pull under a server that does everything it may, in any order."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from jetmesh.transport.pull import EXPIRES_SECONDS, REQUEST_BYTES
from tests.examples import examples
from tests.unit.transport.pulled import NO_PENDING, SMALL, started


class AnyOrder(RuleBasedStateMachine):
    """A server that does everything it may, in any order."""

    @initialize(limit=st.sampled_from([1, 2, 4, 7, 300]))
    def begin(self, limit: int) -> None:
        self.server = started(limit)

    @rule(
        times=st.integers(1, 20),
        request=st.integers(0, 5),
        size=st.sampled_from([SMALL, 100_000, 1_000_000, REQUEST_BYTES + 1]),
    )
    def deliver(self, times: int, request: int, size: int) -> None:
        if not self.server.stopped:
            self.server.deliver(times, request=request, size=size)

    @rule(times=st.integers(1, 20))
    def settle(self, times: int) -> None:
        self.server.settle(times)

    @rule(
        status=st.sampled_from(["408 Request Timeout", "409 Server Shutdown", "404 No Messages"]),
        request=st.integers(0, 5),
    )
    def end(self, status: str, request: int) -> None:
        if self.server.open and not self.server.stopped:
            self.server.end(status, request=request)

    @rule(
        status=st.sampled_from(["409 Leadership Change", "409 Consumer Deleted", "503", "400 Bad"])
    )
    def end_all_without_a_count(self, status: str) -> None:
        if not self.server.stopped:
            for _ in range(len(self.server.open)):
                self.server.end(status, NO_PENDING)

    @rule()
    def lose(self) -> None:
        self.server.lose()

    @rule(seconds=st.sampled_from([0.25, 0.5, 1.0, 2.0, 10.0, 35.0]))
    def advance(self, seconds: float) -> None:
        self.server.advance(seconds)

    @rule()
    def stop(self) -> None:
        self.server.stopped = True

    @rule()
    def go_on(self) -> None:
        self.server.stopped = False
        self.server.read()

    @rule()
    def reconnect(self) -> None:
        self.server.disconnect()
        self.server.reconnect()

    @rule(congested=st.booleans())
    def congest(self, congested: bool) -> None:  # noqa: FBT001 - hypothesis passes it by name
        self.server.congested = congested

    @invariant()
    def counts_are_sound(self) -> None:
        if not hasattr(self, "server"):
            return
        pull = self.server.pull
        assert 0 <= pull._unsettled <= pull._load
        assert pull._unsettled == self.server.unsettled
        assert pull._load <= self.server.limit
        if not self.server.stopped:
            assert self.server.outstanding + self.server.unsettled <= self.server.limit

    def teardown(self) -> None:
        """However it got here: with a healthy server it pulls at full width within seconds."""
        server = self.server
        server.congested = server.stopped = False
        server.read()
        server.settle(server.unsettled)
        server.advance(8)  # of a durable at rest a lost request is missed late
        assert server.outstanding > 0
        assert server.pull.problem == ""
        for _ in range(100):  # small messages, after which it has forgotten the large ones
            if server.outstanding == server.limit:
                break
            server.deliver(server.outstanding)
            server.settle(server.unsettled)
        server.advance(EXPIRES_SECONDS * 2 + 4)
        assert server.outstanding == server.limit


AnyOrder.TestCase.settings = settings(max_examples=examples(150), stateful_step_count=40)
TestAnyOrder = AnyOrder.TestCase
