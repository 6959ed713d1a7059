"""Whatever headers a message has: both sides store it, or refuse it in the same words.

A message may break several rules at once. Which one the server names tells in which order it looks.
"""

from __future__ import annotations

import asyncio
import itertools
from typing import Any, TypeAlias

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from jetmesh.operate.up.broker import Broker
from jetmesh.settings import NatsSettings
from jetmesh.testing.simulation import Control, Server
from jetmesh.transport.control import ControlPlane
from jetmesh.transport.stored import ApiError
from tests.examples import examples

_numbers = itertools.count(1)
_NEXT_CENTURY = "@at 2101-01-01T00:00:00Z"
Told: TypeAlias = tuple[Any, ...]


def sometimes(*values: str) -> st.SearchStrategy[str]:
    """Mostly nothing, which is no header at all."""
    return st.sampled_from(["", "", "", *values])


headers = st.fixed_dictionaries(
    {
        "Nats-Msg-Id": sometimes("1", "2"),
        "Nats-Expected-Last-Subject-Sequence": sometimes("0", "1", "2", "3", "x", "-1", "01"),
        "Nats-Expected-Last-Subject-Sequence-Subject": sometimes("N.a.k", "N.*.k", "N.>", "else"),
        "Nats-Schedule": sometimes(_NEXT_CENTURY, "@at tomorrow", "@later"),
        "Nats-Schedule-Target": sometimes("N.a.k", "N.c.k", "else", "N.*.k"),
        "Nats-Scheduler": sometimes("N.a.k", "N.b.k", "N.none", "N.*", "else"),
        "Nats-Schedule-Next": sometimes("purge", "x"),
        "Nats-Rollup": sometimes("sub", "all", "x"),
        "Custom": sometimes("ü"),
    }
)
messages = st.tuples(
    st.sampled_from(["a.k", "b.k", "b.j"]), headers, st.sampled_from([0, 0, 0, 300])
)
streams = st.fixed_dictionaries(
    {
        "max_msg_size": st.sampled_from([-1, 300]),
        "max_msgs": st.sampled_from([-1, 2]),
        "max_msgs_per_subject": st.sampled_from([-1, 1, 2]),
        "discard": st.sampled_from(["old", "new"]),
        "allow_msg_schedules": st.booleans(),
        "allow_rollup_hdrs": st.booleans(),
    }
).filter(lambda config: not config["allow_msg_schedules"] or config["discard"] == "old")


# nothing is shrunk, as in `test_random_scripts`
@settings(max_examples=examples(40), phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(st.lists(messages, min_size=1, max_size=12), streams)
def test_both_sides_take_and_refuse_the_same(
    broker: Broker, script: list[Any], stream: dict[str, Any]
) -> None:
    asyncio.run(compare(broker, script, stream))


async def compare(broker: Broker, script: list[Any], stream: dict[str, Any]) -> None:
    name = f"h{next(_numbers)}"
    async with await ControlPlane.connect(NatsSettings(url=broker.url), name="test") as control:
        found = await told(control, name, script, stream)
        await control.api(f"STREAM.DELETE.{name}")
    assert await told(Control(Server()), name, script, stream) == found


async def told(
    control: ControlPlane | Control, name: str, script: list[Any], stream: dict[str, Any]
) -> list[Told]:
    """What is said of each message, and what is stored in the end."""
    config = {"name": name, "subjects": [f"{name}.>"], "storage": "memory", **stream}
    await control.api(f"STREAM.CREATE.{name}", config)
    answers = [
        await answer(
            control,
            f"{name}.{subject}",
            b"x" * size,
            {each: value.replace("N.", f"{name}.") for each, value in values.items() if value},
        )
        for subject, values, size in script
    ]
    kept = [each async for each in control.history(name, [])]
    return [*answers, *((each.sequence, each.subject, each.headers) for each in kept)]


async def answer(
    control: ControlPlane | Control, subject: str, payload: bytes, values: dict[str, str]
) -> Told:
    try:
        stored = await control.publish(subject, payload, values)
    except ApiError as error:
        return error.code, error.err_code, error.description
    return stored.sequence, stored.duplicate
