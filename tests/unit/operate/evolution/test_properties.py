"""The properties of random types, in processes of their own: making them by the thousand ends one.

msgspec 0.22 then reads memory that is not its own any more. So each process makes a few hundred,
and one that a signal ends all the same says nothing: another one takes its place.
"""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import count
from pathlib import Path

import pytest

from tests.examples import examples

HERE = Path(__file__).parent
PROCESSES = examples(1)
EXAMPLES = "200"
LOST_AT_MOST = 8


@pytest.mark.thorough
@pytest.mark.timeout(900)
@pytest.mark.parametrize("properties", ["compared.py", "rebuilt.py"])
def test_rules_and_rebuilt_types_agree_with_the_decoder(properties: str) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", "-p", "no:cacheprovider"]
    seeds = count(1)
    told = lost = 0
    while told < PROCESSES:
        done = subprocess.run(
            [*command, f"--hypothesis-seed={next(seeds)}", str(HERE / properties)],
            env={**os.environ, "EXAMPLES": EXAMPLES},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode < 0:
            lost += 1
            assert lost <= LOST_AT_MOST, done.stderr[-3000:]
            continue
        assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
        told += 1
