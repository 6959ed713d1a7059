"""The parts of a traced service."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial

from jetmesh.runtime.tracing.parts import Parts
from jetmesh.runtime.tracing.plane import TracedPlane
from jetmesh.runtime.tracing.runner import TracedRunner
from jetmesh.runtime.tracing.steps import TracedProcessRunner, TracedStateRunner, TracedSteps
from jetmesh.runtime.tracing.tracing import Tracing


def traced(name: str, version: str, subjects: Iterable[str], environ: Mapping[str, str]) -> Parts:
    """`UNTRACED`, with the spans of this service.

    Raises:
        SettingsError: there is no such exporter.
    """
    tracing = Tracing(name, version, subjects, environ)
    return Parts(
        partial(TracedPlane, tracing),
        partial(TracedRunner, tracing),
        tracing.close,
        rememberer=partial(TracedStateRunner, tracing),
        mover=partial(TracedProcessRunner, tracing),
        steps=TracedSteps,
    )
