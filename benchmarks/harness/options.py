"""How long and what to measure: from the command line, or from variables of the same names."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

SHORT: Final = 50_000
"""Below this many messages the parts that need time are shortened."""
PARTS: Final = ("throughput", "effects", "mesh", "history", "isolation", "proof", "state", "scale")
WORKLOADS: Final = ("process", "consume")


@dataclass(frozen=True, slots=True)
class Options:
    """What one run of the benchmarks does."""

    rounds: int
    messages: int
    parts: tuple[str, ...] = PARTS
    peers: tuple[str, ...] = ()
    """Only these; empty is all."""

    @property
    def whole(self) -> bool:
        """Whether every part and every peer is measured, for as long as figures need."""
        return set(self.parts) == set(PARTS) and not self.peers and not self.short

    @property
    def short(self) -> bool:
        """Whether it is a look rather than a measurement: everything within a minute."""
        return self.messages < SHORT

    @property
    def history(self) -> tuple[int, ...]:
        """How many keys are stored already."""
        return (10_000,) if self.short else (10_000, 100_000, 1_000_000)

    @property
    def services(self) -> tuple[int, ...]:
        """How many services of a generated system."""
        return (5,) if self.short else (5, 20, 60)

    @property
    def keys(self) -> tuple[int, ...]:
        """How many keys its stream holds."""
        return (100_000,) if self.short else (100_000, 1_000_000, 6_000_000)

    @property
    def instances(self) -> int:
        """How many of one service."""
        return 100 if self.short else 1000

    @property
    def states(self) -> int:
        """How many keys of a state are stepped on, one after another."""
        return 20_000 if self.short else 1_000_000

    @property
    def latency_seconds(self) -> int:
        """How long purchases are sent to the whole mesh."""
        return 3 if self.short else 15

    @property
    def starts(self) -> int:
        """How often a service is started to see how long it takes."""
        return 2 if self.short else 7


def read_options(arguments: Sequence[str], environ: Mapping[str, str] = os.environ) -> Options:
    """The options; exits with 2 and a usage text when an argument is wrong."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=int(environ.get("ROUNDS", "5")))
    parser.add_argument("--messages", type=int, default=int(environ.get("MESSAGES", "200000")))
    parser.add_argument(
        "--parts", default=environ.get("PARTS", ",".join(PARTS)), help="which of " + ",".join(PARTS)
    )
    parser.add_argument("--peers", default=environ.get("PEERS", ""), help="only these, by name")
    given = parser.parse_args(arguments)
    parts = tuple(filter(None, given.parts.split(",")))
    unknown = set(parts) - set(PARTS)
    if unknown or given.rounds < 1 or given.messages < 1000:
        parser.error(
            f"unknown parts {', '.join(sorted(unknown))}"
            if unknown
            else "at least 1 round of 1000 messages is needed"
        )
    peers = tuple(filter(None, given.peers.split(",")))
    return Options(given.rounds, given.messages, parts, peers)
