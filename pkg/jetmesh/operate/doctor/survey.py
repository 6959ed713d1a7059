"""One survey of the system: what cannot be seen is written down, and nothing is judged.

Only reading requests are made, except for one reader that goes away by itself, for dead letters.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Final, TypeVar

import msgspec
import nats.errors

from jetmesh.declare import Topology
from jetmesh.errors import BrokerError, BrokerUnreachable
from jetmesh.operate.apply import plan
from jetmesh.operate.asking.answers import Account, DurableInfo, StreamInfo, stamp
from jetmesh.operate.asking.instances import instances
from jetmesh.operate.deadlines.waiting import overdue
from jetmesh.operate.doctor import own_states, own_streams
from jetmesh.operate.doctor.facts import EMPTY, BrokerProblem, Facts, FailedQuery, Server, Snapshot
from jetmesh.operate.doctor.mappings import mapped
from jetmesh.operate.doctor.monitoring import not_ready, server_statuses
from jetmesh.operate.processes.standing import stuck
from jetmesh.operate.undeclared import Declared, Undeclared, undeclared, with_time
from jetmesh.protocol.streams import DEADLETTERS, REFUSALS
from jetmesh.settings import NatsSettings, shown
from jetmesh.transport.auth import wants_tls
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.provision import Change
from jetmesh.transport.session import Session
from jetmesh.transport.stored import NO_LEADER, NOT_ENABLED, NOT_FOUND, ApiError

_T = TypeVar("_T")
_NAME: Final = "jetmesh-doctor"
_MOST_SUBJECTS: Final = 100_000
"""As many as one answer of the server lists."""
_DENIED: Final = "lacks the permission"


@dataclass(frozen=True, slots=True)
class Target:
    """What is surveyed."""

    nats: NatsSettings
    topology: Topology
    provision: str = "apply"
    monitoring: tuple[str, ...] = ()
    """Urls of monitoring ports."""
    processes: Mapping[str, str] = field(default_factory=dict)
    """Urls of services on this machine, by their names."""
    elsewhere: str = ""
    """A sentence about a mesh that runs on this machine at another address."""


async def survey(target: Target, before: Snapshot | None = None, *, own: bool = True) -> Facts:
    """Everything that can be seen now, beside what was seen `before`.

    Without `own` the streams of the mesh itself are only counted: reading many letters takes time.

    Raises:
        SettingsError: credentials or certificates cannot be read.
    """
    server = Server(url=shown(target.nats.url), elsewhere=target.elsewhere)
    async with AsyncExitStack() as stack:
        try:
            control = await ControlPlane.connect(target.nats, name=_NAME)
            stack.push_async_callback(control.close)
            session = Session(target.nats, f"{_NAME} services")
            stack.push_async_callback(session.close)
            await session.connect(patient=False)
            account = await _account(control)
        except BrokerError as error:
            asked = target.nats.js_api
            return Facts(target.topology, server, broker_problem=_broker_problem(error, asked))
        server = _server(session, server.url, tls_asked=wants_tls(target.nats))
        run = _Survey(target, control, session)
        return await run.facts(server, account, before, own=own)


@dataclass(slots=True)
class _Survey:
    """The parts of one survey."""

    target: Target
    control: ControlPlane
    session: Session
    failed_queries: list[FailedQuery] = field(default_factory=list)
    headless: list[str] = field(default_factory=list)
    without_leader: list[str] = field(default_factory=list)
    clocks: dict[str, tuple[float, timedelta]] = field(default_factory=dict)
    """By server, how much it is ahead, and how long the answer was on its way."""

    async def facts(
        self, server: Server, account: Account | None, before: Snapshot | None, *, own: bool
    ) -> Facts:
        streams, silent = await self._streams()
        names = {service.name for service in self.target.topology.services}
        deciding = [spec.subject for spec in self.target.topology.events if spec.decision]
        durables, changes, answered, mappings, ports, unready = await asyncio.gather(
            self._durables(streams),
            self._changes(silent),
            self._try("services", instances(self.session, names)),
            self._try("subject mappings", mapped(self.session, deciding)),
            server_statuses(self.target.monitoring),
            not_ready(self.target.processes),
        )
        own_content = await self._own(streams) if own else EMPTY
        self.failed_queries += ports[1]
        now = replace(
            own_content,
            at=monotonic(),
            taken_at=datetime.now(UTC),
            account=account,
            streams=streams,
            durables=durables,
            without_leader=tuple(sorted(self.without_leader)),
            silent=silent,
            headless=tuple(sorted(self.headless)),
            instances=answered,
            mapped=mappings or {},
            not_ready=unready,
            server_statuses=ports[0],
            clocks={name: ahead for name, (ahead, _) in self.clocks.items()},
            failed_queries=tuple(self.failed_queries),
        )
        production = bool(server.cluster) or self.target.provision == "verify"
        return Facts(
            self.target.topology,
            server,
            production=production,
            changes=changes,
            now=now,
            before=before,
        )

    async def _streams(self) -> tuple[dict[str, StreamInfo], dict[str, str]]:
        """Every declared stream that answers; and those that are there and do not, and how."""
        names = [stream.name for stream in self.target.topology.streams]
        responses = await asyncio.gather(*map(self._stream, names))
        answered = dict(zip(names, responses, strict=True))
        silent = {name: each for name, each in answered.items() if isinstance(each, str)}
        return {n: each for n, each in answered.items() if isinstance(each, StreamInfo)}, silent

    async def _stream(self, name: str) -> StreamInfo | str | None:
        asked = datetime.now(UTC)
        try:
            answer = await self.control.api(f"STREAM.INFO.{name}")
        except BrokerError as error:
            if isinstance(error, ApiError) and error.code == NOT_FOUND:
                return None
            if _DENIED in error.message or _headless(error):
                self._note(f"stream {name}", error)
                return None
            return error.message
        info = msgspec.convert(answer, StreamInfo)
        self._compare_clocks(info, asked, datetime.now(UTC))
        return info

    def _compare_clocks(self, info: StreamInfo, asked: datetime, answered: datetime) -> None:
        at, name = stamp(info.ts), info.cluster.leader
        if at is not None and name:
            way = (answered - asked) / 2
            if name not in self.clocks or way < self.clocks[name][1]:
                self.clocks[name] = ahead(at, asked, answered), way

    async def _durables(
        self, streams: Mapping[str, StreamInfo]
    ) -> dict[tuple[str, str], DurableInfo]:
        lists = (self._try(f"durables of {name}", self._consumers(name)) for name in streams)
        infos = [info for found in await asyncio.gather(*lists) for info in found or ()]
        return {(info.stream_name, info.name): info for info in infos if info.config.durable_name}

    async def _consumers(self, stream: str) -> list[DurableInfo]:
        """Everything that reads a stream, page by page; what does not answer is written down."""
        found: list[DurableInfo] = []
        missing: list[str] = []
        while True:
            offset = len(found) + len(missing)
            answer = await self.control.api(f"CONSUMER.LIST.{stream}", {"offset": offset})
            page = msgspec.convert(answer.get("consumers") or [], list[DurableInfo])
            unanswered = answer.get("missing") or []
            found += page
            missing += [f"{stream}/{name}" for name in unanswered]
            if not (page or unanswered) or len(found) + len(missing) >= answer.get("total", 0):
                self.without_leader += missing
                return found

    async def _changes(self, silent: Mapping[str, str]) -> tuple[Change, ...]:
        """The plan, without the streams that cannot be compared now."""
        topology = replace(
            self.target.topology,
            streams=tuple(s for s in self.target.topology.streams if s.name not in silent),
            durables=tuple(d for d in self.target.topology.durables if d.stream not in silent),
            slots=tuple(s for s in self.target.topology.slots if s.stream not in silent),
        )
        planned = await self._try("drift", plan(self.control, topology))
        return planned.changes if planned else ()

    async def _own(self, streams: Mapping[str, StreamInfo]) -> Snapshot:
        """What lies in the streams of the mesh itself."""
        control = self.control
        topology = self.target.topology
        letters, lanes, parked, refusals = await asyncio.gather(
            self._try("dead letters", own_streams.faults(control, streams.get(DEADLETTERS))),
            self._try("lanes", own_streams.lanes(control)),
            self._try("parked keys", own_streams.parked(control, topology)),
            self._try("refusals", own_streams.refusals(control, streams.get(REFUSALS))),
        )
        states, late, stand = await asyncio.gather(
            self._try("states", own_states.states(control, topology, streams)),
            self._try("deadlines", overdue(control, topology)),
            self._try("processes", stuck(control, topology)),
        )
        return replace(
            EMPTY,
            letters=letters or (),
            lanes=lanes or (),
            parked=parked or (),
            refusals=refusals or {},
            states=states or (),
            overdue=late or (),
            stuck=stand or (),
            undeclared=tuple(await self._undeclared(streams)),
        )

    async def _undeclared(self, streams: Mapping[str, StreamInfo]) -> list[Undeclared]:
        """What the streams of events store that nobody declares, with its age."""
        declared = Declared.by(self.target.topology)
        found: list[Undeclared] = []
        for name in sorted(declared.streams.keys() & streams.keys()):
            query = undeclared(self.control, declared, name, most=_MOST_SUBJECTS)
            several = await self._try(f"subjects of {name}", query)
            found += [await with_time(self.control, each) for each in several or ()]
        return found

    async def _try(self, what: str, query: Awaitable[_T]) -> _T | None:
        """What was asked for; None, with a note of it, when it cannot be seen."""
        try:
            return await query
        except BrokerError as error:
            self._note(what, error)
        except (nats.errors.Error, TimeoutError, OSError) as error:
            self.failed_queries.append(FailedQuery(what, str(error) or type(error).__name__))
        except msgspec.ValidationError as error:
            self.failed_queries.append(FailedQuery(what, f"the answer is not understood: {error}"))
        return None

    def _note(self, what: str, error: BrokerError) -> None:
        """Write down why something could not be seen."""
        if _headless(error):
            self.headless.append(what)
        else:
            denied = _DENIED in error.message
            self.failed_queries.append(FailedQuery(what, error.message, denied=denied))


def ahead(at: datetime, asked: datetime, answered: datetime) -> float:
    """Seconds by which a clock that said `at` between the two is surely ahead of ours."""
    if at > answered:
        return (at - answered).total_seconds()
    return min((at - asked).total_seconds(), 0.0)


async def _account(control: ControlPlane) -> Account | None:
    """What our account uses; None when the cluster has no leader who could tell.

    Raises:
        BrokerError: JetStream is off or too old, or we may not ask.
    """
    try:
        account = msgspec.convert(await control.api("INFO"), Account)
        await control.check_server()
    except BrokerError as error:
        if _headless(error) or isinstance(error.__cause__, TimeoutError):
            return None
        raise
    return account


def _headless(error: BrokerError) -> bool:
    """Whether JetStream answers that it has nobody to decide."""
    return isinstance(error, ApiError) and error.err_code == NO_LEADER


def _broker_problem(error: BrokerError, js_api: str) -> BrokerProblem:
    if isinstance(error, BrokerUnreachable):
        # the cause alone: the sentence around it is ours
        return BrokerProblem("absent", error.message.partition("(")[2].rpartition(")")[0])
    if isinstance(error.__cause__, nats.errors.NoRespondersError):
        return BrokerProblem("no JetStream", f"nobody answers {js_api}.INFO")
    if isinstance(error, ApiError) and error.err_code in NOT_ENABLED:
        return BrokerProblem("no JetStream", error.description)
    return BrokerProblem("old" if "too old" in error.message else "refuses", error.message)


def _server(session: Session, url: str, *, tls_asked: bool) -> Server:
    info = session.info
    return Server(
        url=url,
        name=info.server_name,
        version=info.version,
        cluster=info.cluster,
        max_payload=info.max_payload or 0,
        tls_unasked=session.encrypted and not tls_asked,
    )
