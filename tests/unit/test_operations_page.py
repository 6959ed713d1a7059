"""What the documents tell people to type, and to look for, exists."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest
from typer.core import TyperGroup

from jetmesh.cli.app import COMMANDS, command
from jetmesh.runtime.prometheus import ServiceCollector, exposition

DOCS = Path(__file__).parents[2] / "docs"
PAGES = [DOCS.parent / "README.md", *sorted(DOCS.rglob("*.md"))]
_fence = re.compile(r"^```[^\n]*\n(.*?)^```", re.DOTALL | re.MULTILINE)
_inline = re.compile(r"`([^`\n]+)`")
_call = re.compile(r"(?:^|[|;&] *|\$ |bin/)(?:\w+=\S* +)*(jetmesh [a-z][^|;&#>`\n]*)")
_metric = re.compile(r"\bjetmesh_[a-z_]+\b")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS.parent)))
def test_every_command_and_option_that_a_document_shows_exists(page: Path) -> None:
    assert [problem for call in calls(page.read_text()) if (problem := wrong(call))] == []


def test_the_runbook_shows_many_commands() -> None:
    """Else the pattern above finds none of them."""
    shown = {call.split()[1] for call in calls((DOCS / "operations.md").read_text())}
    assert shown >= {"doctor", "trace", "deadletters", "plan", "apply", "settings", "topology"}


def test_a_command_or_option_that_does_not_exist_is_noticed() -> None:
    assert list(calls("`jetmesh plan --chekc`")) == ["jetmesh plan --chekc"]
    assert wrong("jetmesh plan --chekc") == "jetmesh plan --chekc: no option --chekc"
    assert wrong("jetmesh deadletters lst") == "jetmesh deadletters lst: no command lst"
    assert not wrong("jetmesh deadletters replay 17 --payload corrected.json --why 'a reason'")


def test_every_metric_of_the_runbook_is_exported() -> None:
    collector = ServiceCollector("shop", [], [], _Plane(), lambda: True)
    exported = re.findall(r"^# TYPE (\S+)", exposition(collector).decode(), re.MULTILINE)
    told = set(_metric.findall((DOCS / "operations.md").read_text()))
    assert told, "the runbook names metrics"
    assert {name.removesuffix("_bucket") for name in told} <= set(exported)


def calls(text: str) -> Iterator[str]:
    """What the code in a document calls; a comment and what is piped to is no part of it."""
    lines = [line.strip() for block in _fence.findall(text) for line in block.splitlines()]
    for code in [*lines, *_inline.findall(_fence.sub("", text))]:
        yield from (found.strip() for found in _call.findall(code))


def wrong(call: str) -> str:
    """Why a call cannot be made, in words; empty when it can."""
    _, *words = shlex.split(call.replace("…", "x").replace("'", '"'))
    if not words or words[0].startswith("-"):
        return ""
    if words[0] not in chain(*COMMANDS.values()):
        return f"{call}: no command {words[0]}"
    found = command(words.pop(0))
    while isinstance(found, TyperGroup) and words and not words[0].startswith("-"):
        name = words.pop(0)
        if name not in found.commands:
            return f"{call}: no command {name}"
        found = found.commands[name]
    known = {option for each in found.params for option in (*each.opts, *each.secondary_opts)}
    for word in words:
        option = word.partition("=")[0]
        if option.startswith("--") and option not in known | {"--help"}:
            return f"{call}: no option {option}"
    return ""


class _Plane:
    """The counters of a connection."""

    reconnects = 0
    strays = 0

    def __init__(self) -> None:
        self.publishes = _Publishes()


class _Publishes:
    resent = 0

    def __len__(self) -> int:
        return 0
