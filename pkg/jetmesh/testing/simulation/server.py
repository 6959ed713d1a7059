"""A simulated nats-server: streams in memory, a clock, and what is on its way to and from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from jetmesh.testing.simulation.agenda import Agenda, Choose, first
from jetmesh.testing.simulation.clock import SECOND, Clock
from jetmesh.testing.simulation.durable import Durable, Pulling
from jetmesh.testing.simulation.refused import Refused, no_stream
from jetmesh.testing.simulation.stream import Stream
from jetmesh.testing.simulation.subjects import overlap

MAX_PAYLOAD: Final = 1 << 20


class Server:
    """Connect to it with `connection.Connection` and `control.Control`.

    Nothing happens by itself: `turn` and `run` let what is on its way arrive, `pass_time` moves
    the clock. Everything is a function of these calls, so a run can be had again.
    """

    def __init__(self) -> None:
        self.clock = Clock()
        self.agenda = Agenda()
        self.streams: dict[str, Stream] = {}
        self.pulls: dict[tuple[str, str], list[Pulling]] = {}
        """Who pulls from a durable, by its stream and name; perhaps there is no such durable."""
        self._of_token: dict[str, list[Stream]] = {}
        """By the first token of a subject: the streams that may take it."""
        self.max_payload = MAX_PAYLOAD

    # what happens

    def turn(self, choose: Choose = first) -> bool:
        """Let one thing happen; False: nothing is on its way."""
        return self.agenda.turn(choose)

    def run(self, choose: Choose = first, *, most: int = 1_000_000) -> int:
        """Let things happen until nothing is on its way; how many there were.

        Raises:
            RuntimeError: `most` things happened, and there is no end of it.
        """
        for count in range(most):
            if not self.turn(choose):
                return count
        raise RuntimeError(f"after {most:,} turns something is still on its way")

    def pass_time(self, seconds: float, choose: Choose = first) -> None:
        """Move the clock, and let happen what becomes due, each at its time."""
        end = self.clock.now + round(seconds * SECOND)
        self.run(choose)
        while self.clock.ring_until(end):
            self.run(choose)

    # what it holds

    def add_stream(self, config: Mapping[str, Any]) -> Stream:
        """Make a stream.

        Raises:
            Refused: there is one of this name, or another one takes some of its subjects.
        """
        name = config["name"]
        if name in self.streams:
            if self.streams[name].config == dict(config):
                return self.streams[name]
            raise Refused(400, 10058, "stream name already in use with a different configuration")
        for pattern in config.get("subjects") or [name]:
            if self.taking(pattern):
                raise Refused(400, 10065, "subjects overlap with an existing stream")
        self.streams[name] = Stream(config, self.clock)
        self._of_token.clear()
        return self.streams[name]

    def change_stream(self, name: str, config: Mapping[str, Any]) -> Stream:
        """Have a stream hold another configuration."""
        stream = self.stream(name)
        stream.configure(config)
        self._of_token.clear()
        return stream

    def remove_stream(self, name: str) -> None:
        """Delete a stream with all that it holds, its durables, too."""
        stream = self.stream(name)
        for durable in list(stream.durables):
            self.remove_durable(name, durable)
        self.clock.forget(stream)
        del self.streams[name]
        self._of_token.clear()

    def add_durable(self, stream: str, config: Mapping[str, Any]) -> Durable:
        """Make a durable; `config` is the server's `ConsumerConfig`."""
        holder, name = self.stream(stream), config["durable_name"]
        durable = holder.durables[name] = Durable(name, config, holder.log, self.clock)
        pulls = self.pulls.setdefault((stream, name), [])
        durable.pulls = pulls
        self.clock.watch(durable)
        for each in pulls:
            each.wake()
        return durable

    def remove_durable(self, stream: str, name: str) -> None:
        holder = self.stream(stream)
        self.clock.forget(holder.durable(name))
        del holder.durables[name]
        for each in list(self.pulls[stream, name]):
            each.gone("Consumer Deleted")

    def stream(self, name: str) -> Stream:
        """Raises Refused: there is none of this name."""
        found = self.streams.get(name)
        if found is None:
            raise no_stream()
        return found

    def durable(self, stream: str, name: str) -> Durable | None:
        """None where there is no such durable, or no such stream."""
        holder = self.streams.get(stream)
        return holder.durables.get(name) if holder else None

    def taking(self, pattern: str) -> list[str]:
        """The names of the streams that take something of what `pattern` matches."""
        streams = self.streams.values()
        return [s.name for s in streams if any(overlap(pattern, own) for own in s.subjects)]

    def of_subject(self, subject: str) -> Stream | None:
        """The stream that takes what is published on `subject`."""
        token = subject.partition(".")[0]
        candidates = self._of_token.get(token)
        if candidates is None:
            names = self.taking(f"{token}.>") + self.taking(token)
            candidates = [self.streams[name] for name in dict.fromkeys(names)]
            self._of_token[token] = candidates
        return next((each for each in candidates if each.takes(subject)), None)
