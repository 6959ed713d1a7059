"""The topology as people look at it: text for a terminal, a Mermaid picture, JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final, Literal

from jetmesh.declare.event import EventSpec
from jetmesh.declare.handler import Handler
from jetmesh.declare.policy import Policy
from jetmesh.declare.service import Service
from jetmesh.declare.topology import OUTSIDE, StreamSpec, StreamTuning, Topology

Format = Literal["text", "mermaid", "json"]

_IN_SENTENCE: Final = ("attempts", "backoff", "backoff_cap", "timeout", "max_age", "rejects")
"""Fields of a policy that make one sentence."""


def render(topology: Topology, format: Format = "text") -> str:  # noqa: A002 - the CLI's own word
    """Render `topology`; the same declarations give the same bytes."""
    if format == "json":
        return json.dumps(as_data(topology), indent=2, ensure_ascii=False)
    lines = _mermaid(topology) if format == "mermaid" else _text(topology)
    return "\n".join(lines)


def as_data(topology: Topology) -> dict[str, Any]:
    """The topology as JSON-compatible values, each list in the order of its names."""
    return {
        "services": [_service_data(s, topology) for s in _services(topology)],
        "events": [_event_data(spec, topology) for spec in topology.events],
        "streams": [_stream_data(stream) for stream in _streams(topology)],
    }


def _services(topology: Topology) -> list[Service]:
    return sorted(topology.services, key=lambda service: service.name)


def _streams(topology: Topology) -> list[StreamSpec]:
    return sorted(topology.streams, key=lambda stream: stream.name)


def _changed(value: Policy | StreamTuning) -> dict[str, str]:
    """What differs from the defaults, as people write it in settings."""
    default = type(value)()
    return {
        name: str(getattr(value, name))
        for name in value.__struct_fields__
        if getattr(value, name) != getattr(default, name)
    }


# ---- JSON


def _service_data(service: Service, topology: Topology) -> dict[str, Any]:
    return {
        "name": service.name,
        "version": service.version,
        "description": service.description,
        "handlers": [_handler_data(handler, topology) for handler in service.handlers],
        "read_models": [
            {"name": model.type.__name__, "inputs": [spec.subject for spec in model.events]}
            for model in service.read_models
        ],
        "web": bool(service.pages),
    }


def _handler_data(handler: Handler, topology: Topology) -> dict[str, Any]:
    policy = topology.durable_of(handler).policy  # settings may have changed the declared one
    return {
        "name": handler.name,
        "kind": handler.runs,
        "input": handler.input.subject,
        "outputs": [spec.subject for spec in handler.outputs],
        "later": [spec.subject for spec in handler.deadlines.later],
        "cancels": [spec.subject for spec in handler.deadlines.cancels],
        "stream": handler.input.stream,
        "durable": handler.durable,
        "filters": list(handler.input.filters),
        "decision": handler.decision,
        "lost": handler.lost.name if handler.lost else None,
        "start": handler.start,
        "cycle": handler.cycle,
        "ordered": handler.ordered,
        "policy": {name: _plain(getattr(policy, name)) for name in policy.__struct_fields__},
    }


def _event_data(spec: EventSpec, topology: Topology) -> dict[str, Any]:
    return {
        "subject": spec.subject,
        "name": spec.name,
        "summary": spec.summary,
        "key": spec.key_name or None,
        "decision": spec.decision,
        "race": spec.race,
        "stream": spec.stream,
        "owner": topology.owners.get(spec),
        "sources": topology.sources(spec),
        "readers": topology.readers(spec),
    }


def _stream_data(stream: StreamSpec) -> dict[str, Any]:
    tuning = stream.tuning
    return {
        "name": stream.name,
        "subjects": list(stream.subjects),
        "description": stream.description,
        **{name: _plain(getattr(tuning, name)) for name in tuning.__struct_fields__},
    }


def _plain(value: object) -> object:
    """Durations as people write them: a bare number would leave its unit open."""
    return str(value) if isinstance(value, float) else value


# ---- text


def _text(topology: Topology) -> Iterator[str]:
    yield "Services"
    for service in _services(topology):
        yield from _service_text(service, topology)
    yield ""
    yield "Events"
    for spec in topology.events:
        yield from _event_text(spec, topology)
    yield ""
    yield "Streams"
    width = max((len(stream.name) for stream in topology.streams), default=0)
    for stream in _streams(topology):
        tuning = "".join(f"  {name}={value}" for name, value in _changed(stream.tuning).items())
        yield f"  {stream.name:<{width}}  {', '.join(stream.subjects)}{tuning}"


def _service_text(service: Service, topology: Topology) -> Iterator[str]:
    yield f"  {service.name} {service.version}"
    for handler in service.handlers:
        how = f"{handler.threads} threads" if handler.threads else handler.runs
        yield f"    {handler.name} ({how})"
        yield f"      takes     {handler.input.subject}"
        if handler.remembers:
            yield f"      remembers {handler.remembers.state.subject}"
        outputs = " | ".join(spec.subject for spec in handler.outputs)
        yield f"      publishes {outputs or 'nothing'}"
        if later := " | ".join(spec.subject for spec in handler.deadlines.later):
            yield f"      later     {later}"
        if cancels := " | ".join(spec.subject for spec in handler.deadlines.cancels):
            yield f"      cancels   {cancels}"
        yield f"      durable   {handler.durable} on {handler.input.stream}"
        if handler.decision:
            race = ", a race" if any(spec.race for spec in handler.returns) else ""
            yield f"      decides   {handler.decision}, once per key{race}"
        if handler.lost:
            yield f"      when lost {handler.lost.name}"
        policy = topology.durable_of(handler).policy  # settings may have changed the declared one
        order = ", in order within each key" if handler.ordered else ""
        yield f"      tries     {_tries(policy, is_async=handler.is_async)}{order}"
        tuning = {n: v for n, v in _changed(policy).items() if n not in _IN_SENTENCE}
        if tuning:
            yield f"      tuning    {', '.join(f'{n}={v}' for n, v in tuning.items())}"
    for model in service.read_models:
        yield f"    {model.type.__name__} (read model)"
        yield f"      folds     {', '.join(spec.subject for spec in model.events)}"
    if service.pages:
        yield "    shows web pages"


def _tries(policy: Policy, *, is_async: bool) -> str:
    """The delivery policy as a sentence: it is in effect whether somebody set it or not."""
    if policy.attempts == 1:
        text = "once"
    else:
        text = f"{policy.attempts} times, {policy.backoff} to {policy.backoff_cap} apart"
    if is_async:
        text += f", up to {policy.timeout} each"
    if policy.max_age:
        text += f", none when older than {policy.max_age}"
    if policy.rejects:
        text += f", once for {', '.join(policy.rejects)}"
    return text


def _event_text(spec: EventSpec, topology: Topology) -> Iterator[str]:
    key = f".<{spec.key_name}>" if spec.key else ""
    yield f"  {spec.subject}{key}"
    yield f"    from {', '.join(topology.sources(spec))}"
    yield f"    to   {', '.join(topology.readers(spec)) or 'nobody'}"


# ---- Mermaid


def _mermaid(topology: Topology) -> Iterator[str]:
    """Services are boxes, events are arrows; what nobody here publishes comes from outside."""
    services = _services(topology)
    boxes = {service.name: f"service{number}" for number, service in enumerate(services)}
    yield "flowchart LR"
    if topology.from_outside:
        yield f"    {OUTSIDE}(({_quoted(OUTSIDE)}))"
    for service in services:
        yield f"    {boxes[service.name]}[{_quoted(service.name)}]"
    boxes[OUTSIDE] = OUTSIDE
    for number, spec in enumerate(topology.events):
        readers = sorted({reader.partition(".")[0] for reader in topology.readers(spec)})
        if not readers:
            yield f'    unread{number}[" "]:::unread'
        for source in topology.sources(spec):
            for target in [boxes[reader] for reader in readers] or [f"unread{number}"]:
                yield f"    {boxes[source]} -->|{_quoted(spec.subject)}| {target}"
    yield "    classDef unread fill:none,stroke:none"


def _quoted(text: str) -> str:
    """A Mermaid label of a flow chart."""
    return f'"{escaped(text)}"'


def escaped(text: str) -> str:
    """A text in a Mermaid diagram: every character that may mean something as its code."""
    return "".join(c if c.isalnum() or c in " .-_" else f"#{ord(c)};" for c in text)
