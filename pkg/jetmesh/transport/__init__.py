"""The only place that touches a network: the data plane, the control plane, provisioning."""

import sys

if "nats" not in sys.modules and "aiohttp" not in sys.modules:
    # nats-py imports aiohttp wherever it is installed, for websockets, which we have not: a tenth
    # of a second and 8 MiB of each service. An import of it fails here, as where it is missing
    sys.modules["aiohttp"] = None  # type: ignore[assignment] # None is what makes it fail
    try:
        import nats.aio.transport  # noqa: F401 - it remembers what it did not find
    finally:
        del sys.modules["aiohttp"]
