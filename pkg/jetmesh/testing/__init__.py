"""What a test of a service imports: handlers and services without a server, and a real mesh.

outputs(service, decide, purchase)               # what a `def` handler returns, checked
await aoutputs(service, charge, order, gateway=fake)

story = Story(loyalty)                           # services in memory, and whatever may go wrong
story.given(payment_captured("p-1"))
story.explore(seeds=1000)

async with mesh(validation, payments) as m:      # a real broker, the services in this process
    await m.publish(purchase)
    captured = await m.expect(PaymentCaptured, "p-1")
"""

from __future__ import annotations

from jetmesh.testing.calls import aoutputs, outputs
from jetmesh.testing.given import delivery, subject_of
from jetmesh.testing.real import Mesh, mesh
from jetmesh.testing.real import _load as _load  # for tests of ours
from jetmesh.testing.story.story import Story
from jetmesh.testing.waiting import eventually

__all__ = [
    "Mesh",
    "Story",
    "aoutputs",
    "delivery",
    "eventually",
    "mesh",
    "outputs",
    "subject_of",
]
