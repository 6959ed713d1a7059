"""The story of one key, read from the streams alone: what caused what, when, and what it awaits.

An output's message id names its cause, so no tracing backend is needed. What a person typed
carries no key in its subject; it is found as the cause of what it led to, or among the newest.
"""

from jetmesh.operate.trace.step import Step
from jetmesh.operate.trace.story import trace

__all__ = ["Step", "trace"]
