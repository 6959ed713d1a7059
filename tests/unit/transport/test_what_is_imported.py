"""What a service loads before its first line of its own."""

from __future__ import annotations

import subprocess
import sys


def test_a_service_loads_no_websockets_and_may_use_aiohttp_itself() -> None:
    """nats-py would load aiohttp wherever it is installed, as it is here."""
    code = (
        "import sys; from jetmesh.runtime import process;"
        "assert 'nats.aio.transport' in sys.modules;"
        "assert 'aiohttp' not in sys.modules;"
        "import aiohttp; print(aiohttp.ClientSession.__name__)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.stdout == "ClientSession\n", run.stderr
