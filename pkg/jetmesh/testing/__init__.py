"""What a test of a service imports: handlers without a server, and a real mesh for one test.

outputs(service, decide, purchase)               # what a `def` handler returns, checked
await aoutputs(service, charge, order, gateway=fake)

async with mesh(validation, payments) as m:      # a real broker, the services in this process
    await m.publish(purchase)
    captured = await m.expect(PaymentCaptured, "p-1")
"""

from __future__ import annotations

from jetmesh.testing.calls import aoutputs, outputs
from jetmesh.testing.given import delivery, subject_of
from jetmesh.testing.real import Mesh, mesh
from jetmesh.testing.real import _load as _load  # for tests of ours
from jetmesh.testing.waiting import eventually

__all__ = ["Mesh", "aoutputs", "delivery", "eventually", "mesh", "outputs", "subject_of"]
