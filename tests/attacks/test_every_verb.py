"""Each identity tries everything that the server can be asked, and every subject of the mesh.

What it can be asked is read from the server's own program, so that a new one adds its verbs itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from jetmesh.declare import Topology
from jetmesh.declare.permissions import covers
from jetmesh.operate.identities import OPERATOR, Identity, Isolation
from jetmesh.operate.up.broker import find_server
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.provision import apply, plan
from tests.attacks.intruder import intruding
from tests.isolated import Isolated, config_of, isolated

ISOLATIONS: tuple[Isolation, ...] = ("users", "pages", "all")
CUT = ("$JS.API.STREAM.LIST", "$JS.API.STREAM.NAMES", "$JS.API.META.RESCUE")
"""The program holds them with something glued to them."""
_pattern = re.compile(rb"\$JS\.API\.(?:[A-Z_]+|\*|>|%s)(?:\.(?:[A-Z_]+|\*|>|%s))*")


def verbs() -> list[str]:
    """Everything below $JS.API that the program of the server knows; `*` is a name in it."""
    found = {each.decode() for each in _pattern.findall(Path(find_server()).read_bytes())}
    return sorted({each.replace("%s", "*").replace(">", "*") for each in (*found, *CUT)})


def asked(topology: Topology) -> set[str]:
    """Each verb for each stream and each consumer, of whomever."""
    streams = [stream.name for stream in topology.streams]
    consumers = [(each.stream, each.name) for each in topology.durables]
    consumers += [(each.stream, each.name) for each in topology.slots if each.name.endswith("-1")]
    found: set[str] = set()
    for verb in verbs():
        names = verb.count("*")
        if names == 0:
            found.add(verb)
        elif names == 1:
            found |= {verb.replace("*", name) for name in streams}
        else:
            found |= {_filled(verb, stream, name) for stream, name in consumers}
    return found


def _filled(verb: str, stream: str, consumer: str) -> str:
    text = verb.replace("*", stream, 1).replace("*", consumer, 1)
    return text.replace("*", "orders.validated.p-1")


def others(topology: Topology) -> Iterator[str]:
    """Everything else that means something to the broker or to the mesh."""
    for spec in topology.events:
        yield from (spec.subject, f"{spec.subject}.p-1", f"{spec.subject}.p-1.more")
    for service, prefix in product(topology.services, ("lanes", "deadletters", "refusals")):
        yield f"{prefix}.{service.name}.any.p-1"
    for each in topology.durables:
        yield f"$JS.ACK.{each.stream}.{each.name}.1.1.1.1700000000000000000.0"
        yield f"$JS.ACK._.AbCdEfGh.{each.stream}.{each.name}.1.1.1.1700000000000000000.0.x"
        yield f"$JS.FC.{each.stream}.{each.name}.x"
    for service in topology.services:
        yield f"_INBOX_{service.name}.x"
        yield f"$JS.API.DIRECT.GET.ORDERS.orders.validated.{service.name}"
    yield from ("purchases.creatd", "audit.operator.replay", "anything", "$G.x", "$KV.a.b")
    yield from ("_INBOX_operator.x", "_INBOX.x", "$SYS.REQ.SERVER.PING", "$SYS.REQ.USER.INFO")
    yield from ("$JS.EVENT.ADVISORY.API", "$JS.SNAPSHOT.ACK.ORDERS.x", "$JS.hub.API.INFO")


def granted(identity: Identity) -> tuple[str, ...]:
    assert identity.permissions is not None
    return identity.permissions.publish


def is_granted(identity: Identity, subject: str) -> bool:
    return any(covers(each, subject) for each in granted(identity))


def judged(topology: Topology, identity: Identity) -> tuple[set[str], set[str]]:
    """What is granted, and what is not; `$SYS.REQ.USER.INFO` the server answers to everybody."""
    everything = asked(topology) | set(others(topology))
    mine = {each for each in everything if is_granted(identity, each)}
    return mine, everything - mine


async def state(control: ControlPlane) -> dict[str, Any]:
    """Everything that could have been changed."""
    found: dict[str, Any] = {}
    for stream in (await control.api("STREAM.LIST"))["streams"]:
        name = stream["config"]["name"]
        listed = (await control.api(f"CONSUMER.LIST.{name}"))["consumers"]
        floors = {e["name"]: (e["config"], e["ack_floor"]["stream_seq"]) for e in listed}
        kept = {k: v for k, v in stream["state"].items() if k != "consumer_count"}
        found[name] = (stream["config"], kept, floors)
    return found


@pytest.fixture(params=ISOLATIONS)
def guarded(
    request: pytest.FixtureRequest, tmp_path: Path, topology: Topology
) -> Iterator[Isolated]:
    with isolated(topology, request.param, tmp_path) as started:
        yield started


def test_the_servers_verbs_are_found() -> None:
    found = verbs()
    for verb in ("STREAM.PURGE.*", "CONSUMER.RESET.*.*", "CONSUMER.CREATE.*", "STREAM.MSG.GET.*"):
        assert f"$JS.API.{verb}" in found
    assert len(found) > 40


async def test_what_was_not_granted_is_refused_to_each_identity(
    guarded: Isolated, topology: Topology
) -> None:
    async with await guarded.control() as operator:
        await apply(operator, await plan(operator, topology))
        before = await state(operator)
        for identity in guarded.config.identities:
            if identity.name == OPERATOR:
                continue
            _, forbidden = judged(topology, identity)
            async with intruding(guarded.settings(identity.name)) as intruder:
                refused = await intruder.refused(forbidden)
            assert not forbidden - refused, identity.name
            assert len(refused) > 500, "it was really tried"
        assert await state(operator) == before


async def test_nobody_listens_to_what_is_for_others(guarded: Isolated, topology: Topology) -> None:
    wanted = [">", "*.>", "$JS.>", "$JS.API.>", "$JS.ACK.>", "$SYS.>", "_INBOX_operator.>", "_R_.>"]
    wanted += [stream.subjects[0] for stream in topology.streams]
    for identity in guarded.config.identities:
        if identity.name == OPERATOR:
            continue
        mine = identity.permissions.subscribe if identity.permissions else ()
        names = [each.name for each in guarded.config.identities if each != identity]
        foreign = [f"_INBOX_{name}.>" for name in names]
        foreign += [f"$SRV.PING.{service.name}" for service in topology.services]
        tried = [each for each in wanted + foreign if not any(covers(m, each) for m in mine)]
        async with intruding(guarded.settings(identity.name)) as intruder:
            assert await intruder.deaf(tried) == set(tried), identity.name


@pytest.mark.parametrize("isolation", ["pages", "all"])
async def test_an_account_alone_keeps_what_was_not_granted_from_everybody(
    tmp_path: Path, topology: Topology, isolation: Isolation
) -> None:
    """Without the permissions of its user: what is not imported, nobody hears."""
    config = config_of(topology, isolation, tmp_path)
    with isolated(topology, isolation, tmp_path) as guarded:
        assert guarded.broker.config is not None
        bare = re.sub(r"permissions: \{.*?\n {8}\}\n", "\n", config.text, flags=re.DOTALL)
        assert "permissions" not in bare
        guarded.broker.config.write_text(bare)
        guarded.broker.stop()
        guarded.broker.start()
        async with await guarded.control() as operator:
            await apply(operator, await plan(operator, topology))
            before = await state(operator)
            for identity in config.identities:
                if identity.account == "MESH":
                    continue
                _, forbidden = judged(topology, identity)
                # the server answers to it in every account, and of $JS.API that there is none
                forbidden -= {"$SYS.REQ.USER.INFO", f"{identity.inbox_prefix}.x"}
                async with intruding(guarded.settings(identity.name)) as intruder:
                    heard = forbidden - await intruder.unheard(forbidden)
                assert not {each for each in heard if not each.startswith("$JS.API.")}
            assert await state(operator) == before
