"""What traces and metrics are told to be about."""

from __future__ import annotations

from typing import Final
from uuid import uuid4

from opentelemetry.sdk.resources import Resource

_INSTANCE: Final = str(uuid4())
"""Of this process: without it the counters of two replicas would be one."""


def resource_of(service: str, version: str) -> Resource:
    """The service as declared, this process, and what OTEL_RESOURCE_ATTRIBUTES says."""
    declared = {"service.name": service, "service.version": version}
    return Resource({"service.instance.id": _INSTANCE}).merge(Resource.create(declared))
