"""Running a service: consume, decode, handle, publish, ack."""

from jetmesh.run.process import run
from jetmesh.run.running import Running

__all__ = ["Running", "run"]
