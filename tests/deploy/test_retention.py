"""How long the shop's streams keep what they have in production: long enough, and not for ever."""

from __future__ import annotations

import yaml

from jetmesh.declare import Duration, StateSpec
from jetmesh.operate.project import Whole
from jetmesh.protocol.streams import DEADLETTERS
from tests.deploy.conftest import ROOT

VALUES = ROOT / "deploy" / "k8s" / "overlays" / "production" / "values.yaml"


def kept() -> dict[str, float]:
    """Seconds, for each stream."""
    streams = yaml.safe_load(VALUES.read_text())["streams"]
    return {name: Duration.parse(each["maxAge"]) for name, each in streams.items()}


def test_every_stream_has_a_time_but_lanes_which_are_empty_at_the_end_and_what_is_remembered(
    whole: Whole,
) -> None:
    """What is remembered may have one, or be kept for ever."""
    remembered = {s.stream for s in whole.topology.events if isinstance(s, StateSpec)}
    streams = {s.name for s in whole.topology.streams if not s.schedules}
    assert streams - remembered <= kept().keys() <= streams


def test_each_time_has_its_reason() -> None:
    lines = VALUES.read_text().partition("\nstreams:\n")[2].splitlines()
    assert lines[0].lstrip().startswith("#")
    assert sum(line.lstrip().startswith("#") for line in lines) >= 4


def test_a_decision_is_kept_until_nothing_can_ask_for_it_again(whole: Whole) -> None:
    """Its input, and then a letter about that, which somebody replays."""
    times = kept()
    for handler in whole.topology.handlers:
        for output in handler.outputs:
            if output.decision:
                asked_again = times[handler.input.stream] + times[DEADLETTERS]
                assert times[output.stream] >= asked_again, (output.subject, handler.input.subject)
