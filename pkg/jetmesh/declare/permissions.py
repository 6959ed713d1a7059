"""What the broker must allow the user of a service, and no more: derived like everything else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from jetmesh.declare.event import EventSpec
from jetmesh.declare.handler import Handler
from jetmesh.declare.recalling import History
from jetmesh.declare.service import Service
from jetmesh.protocol.acks import ack_subjects, covering
from jetmesh.protocol.streams import DEADLETTERS, JS_API, REFUSALS, cursor_stream, lane_stream
from jetmesh.protocol.subjects import (
    cursors_of,
    deadletter_subject,
    own_subjects,
    refusal_subject,
)

Action: TypeAlias = Literal["publish", "subscribe"]


@dataclass(frozen=True, slots=True)
class Permissions:
    """Subjects that a user may publish on and subscribe to, wildcards included.

    A user that answers requests, as every service does for `nats micro`, also needs
    `allow_responses`.
    """

    publish: tuple[str, ...] = ()
    subscribe: tuple[str, ...] = ()

    def line_for(self, action: Action, subject: str) -> str:
        """The line to grant when `subject` was denied, such as `publish: ["orders.placed.*"]`."""
        needed = self.publish if action == "publish" else self.subscribe
        found = next((each for each in needed if covers(each.lower(), subject.lower())), "")
        return f'{action}: ["{found or covering(subject)}"]'


def permissions_of(service: Service, *, inbox_prefix: str, js_api: str = JS_API) -> Permissions:
    """Everything that `service` does on the broker where somebody else applies (`verify`).

    `js_api` is how the subjects begin on which it asks JetStream.
    """
    publish = ["$JS.API.INFO", "$JS.API.STREAM.NAMES"]
    lanes = [lane_stream(service.name)] if service.handlers else []
    lanes += [cursor_stream(service.name)] if any(h.ordered for h in service.handlers) else []
    streams = sorted({*(spec.stream for spec in service.events), DEADLETTERS, REFUSALS, *lanes})
    publish += [f"$JS.API.STREAM.INFO.{stream}" for stream in streams]
    for handler in service.handlers:
        publish += _consuming(handler)
    made = [spec for handler in service.handlers for spec in handler.outputs]
    remembered = [h.remembers.state for h in service.handlers if h.remembers]
    for spec in (*service.published, *made, *remembered):
        publish += publishing(spec)
    # where a subject may hold several, only all of the stream tells which of them has a sequence
    publish += [f"$JS.API.DIRECT.GET.{s.stream}" for s in made if not s.decision]
    if service.handlers:
        publish += [
            *_lanes(lane_stream(service.name)),
            *own_subjects(service.name),
            f"$JS.API.DIRECT.GET.{DEADLETTERS}.{deadletter_subject(service.name, '*', '*')}",
            f"$JS.API.DIRECT.GET.{REFUSALS}.{refusal_subject(service.name, '*', '*')}",
        ]
    publish += _ordering(service)
    for model in service.read_models:
        publish += _reading(model.slots(service.name))
        needs = [each.needs for each in service.pages] + [r.needs for r in service.resources]
        if any(History in each.values() for each in needs):
            publish += [f"$JS.API.STREAM.MSG.GET.{spec.stream}" for spec in model.events]
    asked = (asked_on(js_api, subject) for subject in publish)
    return Permissions(
        publish=tuple(dict.fromkeys(asked)),
        subscribe=(f"{inbox_prefix}.>", *_answering(service)),
    )


def publishing(spec: EventSpec) -> Iterator[str]:
    """Publish an event, and look at what stands there already or decided its key instead."""
    yield spec.filters[-1]  # as it is published
    looked_at = f"{spec.decision}.*" if spec.decision else spec.filters[-1]
    yield f"$JS.API.DIRECT.GET.{spec.stream}.{looked_at}"


def denial(action: Action, subject: str) -> str:
    """What the broker's word that it denies something means."""
    verb = "publish on" if action == "publish" else "subscribe to"
    return f"broker's user lacks the permission to {verb} {subject}"


def covers(pattern: str, subject: str) -> bool:
    """Whether everything that `subject` matches, `pattern` matches too; both may hold wildcards."""
    wanted, given = pattern.split("."), subject.split(".")
    for index, part in enumerate(wanted):
        if part == ">":
            return len(given) > index
        if index >= len(given) or given[index] == ">" or part not in ("*", given[index]):
            return False
    return len(given) == len(wanted)


def asked_on(js_api: str, subject: str) -> str:
    """`subject` where JetStream is asked on `js_api`."""
    api, begins, rest = subject.partition(f"{JS_API}.")
    return f"{js_api}.{rest}" if begins and not api else subject


def _consuming(handler: Handler) -> Iterator[str]:
    """Pull from its durable, settle what that delivers, and look at it."""
    stream, durable = handler.input.stream, handler.durable
    yield f"$JS.API.CONSUMER.INFO.{stream}.{durable}"
    yield f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{durable}"
    yield from ack_subjects(stream, durable)


def _lanes(stream: str) -> Iterator[str]:
    """The same on a stream where every durable is its own; find there, and remove, what waits."""
    yield f"$JS.API.CONSUMER.INFO.{stream}.*"
    yield f"$JS.API.CONSUMER.MSG.NEXT.{stream}.*"
    yield from ack_subjects(stream, "*")
    yield f"$JS.API.STREAM.MSG.GET.{stream}"
    yield f"$JS.API.STREAM.PURGE.{stream}"


def _ordering(service: Service) -> Iterator[str]:
    """Keep cursors; which message of a key is the next one, only all of its stream tells."""
    for handler in (each for each in service.handlers if each.ordered):
        yield f"$JS.API.DIRECT.GET.{handler.input.stream}"
        yield f"$JS.API.STREAM.MSG.GET.{cursor_stream(service.name)}"
        yield cursors_of(service.name)


def _reading(slots: Sequence[str]) -> Iterator[str]:
    """Take a slot and pull from it; it may make no consumer, which could deliver anywhere.

    On whatever stream: nobody else has a consumer of that name (`check`). So one line says what
    would be one for each stream.
    """
    for verb in ("INFO", "RESET", "MSG.NEXT"):
        yield from (f"$JS.API.CONSUMER.{verb}.*.{slot}" for slot in slots)


def _answering(service: Service) -> Iterator[str]:
    """What `nats micro` asks of all services, of one, and of one process: PING, INFO, STATS."""
    yield from ("$SRV.*", f"$SRV.*.{service.name}", f"$SRV.*.{service.name}.*")
