"""How long `jetmesh can-deploy` takes over ever more stored orders, and how much memory."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from harness.contenders import HERE
from harness.filler import Filler
from harness.throughput import Bench
from jetmesh.testing import outputs
from peers.jetmesh_app import SERVICES
from shop.order_validation import decide, service
from shop_contracts.purchases import PurchaseCreated

_COMMAND: Final = (str(Path(sys.executable).with_name("jetmesh")), "can-deploy", "--json")
_EXAMPLE: Final = "examples/purchases/good.json"


def _orders(amount: int, *, start: int) -> Iterator[tuple[str, bytes]]:
    """Subject and payload of `amount` orders of the shop, as order validation stores them."""
    purchase = msgspec.json.decode((HERE.parent / _EXAMPLE).read_bytes(), type=PurchaseCreated)
    (order,) = outputs(service, decide, purchase)
    text = msgspec.json.encode(order)
    for number in range(start, start + amount):
        key = f"old-{number}"
        payload = text.replace(purchase.purchase_id.encode(), key.encode())
        yield f"orders.validated.{key}", payload


async def measure_proof(
    bench: Bench, sizes: tuple[int, ...], said: Callable[[str], None]
) -> list[dict[str, Any]]:
    """One entry for each size of `sizes`, which must grow."""
    await bench.server.renew(SERVICES["process"])
    found, stored = [], 0
    for size in sizes:
        said(f"{size:,} stored orders")
        with Filler(bench.broker.host, bench.broker.port) as filler:
            filler.fill(_orders(size - stored, start=stored))
        stored = size
        begun = time.perf_counter()
        environment = {**os.environ, "NATS_URL": bench.broker.url}
        done = subprocess.run(  # noqa: ASYNC221 - our own command, and nothing else runs
            _COMMAND, cwd=HERE.parent, env=environment, capture_output=True, check=True
        )
        took = time.perf_counter() - begun
        decoded = sum(each["decode"] for each in msgspec.json.decode(done.stdout)["events"])
        if decoded != size:
            raise RuntimeError(f"{decoded} of {size} orders decode")
        found.append(
            {
                "stored": size,
                "seconds": round(took, 2),
                "rate": round(size / took),
                "rss_mib": round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024),
            }
        )
    return found
