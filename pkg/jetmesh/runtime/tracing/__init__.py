"""OpenTelemetry: imported only where the environment asks for it (ADR-0021)."""
