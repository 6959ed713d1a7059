"""A test that hangs fails within its time, with what it waits for, and the next one runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
HANGING = """
import asyncio, threading
import pytest

@pytest.fixture
async def untidy():
    yield
    await asyncio.Event().wait()

async def spin():
    while True:
        await asyncio.sleep(0)

async def wait_for_ever():
    await asyncio.Event().wait()

async def test_a_task():
    spinning = asyncio.create_task(spin())
    await wait_for_ever()

def test_a_thread():
    threading.Event().wait()

async def test_a_fixture(untidy):
    pass

def test_none():
    pass
"""


def test_what_hangs_is_ended_with_what_it_waits_for(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(HANGING)
    options = ["--timeout=1", "--timeout-method=signal", "--asyncio-mode=auto"]
    plugins = ["-p", "tests.time_limits", "-p", "no:cacheprovider"]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", *plugins, *options, tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    for name in ("test_a_task", "test_a_thread", "test_a_fixture"):
        assert f"{name} is not done within 1 s" in run.stdout
    assert "test_it.py:19 > test_it.py:15 > locks.py:" in run.stdout
    assert ">       threading.Event().wait()" in run.stdout
    assert "ERROR at teardown of test_a_fixture" in run.stdout
    assert "2 failed, 2 passed, 1 error" in run.stdout
