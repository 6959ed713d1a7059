"""The values that a project's overlays begin with; from then on they are the project's own."""

from __future__ import annotations

from typing import Any

from jetmesh.declare.system import System
from jetmesh.declare.topology import Topology
from jetmesh.operate.helm.outside import addresses
from jetmesh.operate.helm.own import secrets_of

_DEVELOPMENT = """\
# One small node{sandboxes}.
# Create the Secret that is named here before you apply this.
nats:
  nodes: 1
  existingSecret: nats
  storage: {{size: 1Gi}}
  resources:
    requests: {{cpu: 50m, memory: 64Mi}}
    limits: {{memory: 512Mi}}
services:
{services}"""
_PRODUCTION = """\
# Three nodes{servers}. Create the Secrets that are named here before you apply this.
{sandbox}nats:
  existingSecret: nats
{services}"""


def overlays(system: System, topology: Topology) -> dict[str, str]:
    """values.yaml of each overlay by its name."""
    one = "".join(f"  {service.name}: {{replicas: 1}}\n" for service in topology.services)
    secret = "".join(
        f"  {name}: {{existingSecret: {name}}}\n" for name in _with_secrets(system, topology)
    )
    there = bool(system.sandboxes)
    return {
        "development": _DEVELOPMENT.format(
            sandboxes=", with stand-ins for the servers outside" if there else "", services=one
        ),
        "production": _PRODUCTION.format(
            servers=" and the real servers" if there else "",
            sandbox="sandbox: {enabled: false}\n" if there else "",
            services=f"services:\n{secret}" if secret else "",
        ),
    }


def _with_secrets(system: System, topology: Topology) -> list[Any]:
    outside = addresses(system, topology.services)
    return [s.name for s in topology.services if s.name in outside or secrets_of(s)]
