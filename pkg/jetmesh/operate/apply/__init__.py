"""Making a broker as declared, and moving what a version before had elsewhere."""

from jetmesh.operate.apply.applying import apply, carry_out, passes, plan

__all__ = ["apply", "carry_out", "passes", "plan"]
