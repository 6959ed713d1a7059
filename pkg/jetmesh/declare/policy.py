"""How a handler's deliveries are pulled, tried and given up."""

from __future__ import annotations

from msgspec import Struct

from jetmesh.declare.duration import Duration


class Policy(Struct, frozen=True, kw_only=True):
    """The tuning of one handler; every field can be set per service and handler."""

    attempts: int = 5
    """Failures of one message until it is dead-lettered. Deliveries that were lost with a process
    are none."""
    backoff: Duration = Duration(0.5)
    """Longest delay before the second attempt; it doubles with each, the delay is random."""
    backoff_cap: Duration = Duration(60)
    """The delay never grows beyond it."""
    timeout: Duration = Duration(20)
    """One attempt of an `async def` handler; a `def` handler cannot be interrupted."""
    max_age: Duration = Duration(0)
    """No attempt begins later after the broker stored the message: it is dead-lettered; 0s: never
    too late."""
    rejects: tuple[str, ...] = ()
    """Exceptions that dead-letter at the first failure, by class name or `module.Class`; a class
    covers those derived from it."""
    ack_wait: Duration = Duration(30)
    """After it the server delivers again; running handlers prolong theirs by themselves."""
    max_ack_pending: int = 8192
    """Deliveries without a verdict, of all replicas together, above which the server waits."""
    concurrency: int = 64
    """Deliveries that one process runs at once; a `def` handler runs one after another."""
    batch: int = 2048
    """Deliveries asked for at once, so at most in flight in a process of a `def` handler."""

    def delay(self, attempt: int, chance: float) -> float:
        """Seconds until the attempt after `attempt` (1-based); `chance` is random in [0, 1).

        Full jitter: https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter
        """
        ceiling = min(self.backoff_cap, self.backoff * 2.0 ** min(attempt - 1, 32))
        return float(ceiling * (0.1 + 0.9 * chance))

    def is_rejected(self, error: BaseException) -> bool:
        """Whether `rejects` names the error's class or one that it is derived from."""
        names = {
            name
            for cls in type(error).__mro__
            for name in (cls.__name__, f"{cls.__module__}.{cls.__qualname__}")
        }
        return not names.isdisjoint(self.rejects)


def problems_of(policy: Policy) -> list[str]:
    """What cannot work in `policy`, a clause each; empty when it can."""
    found = [
        f"{name} is {getattr(policy, name)}; it must be positive"
        for name in policy.__struct_fields__
        if name not in ("max_age", "rejects") and getattr(policy, name) <= 0
    ]
    if policy.max_age < 0:
        found.append(f"max_age is {policy.max_age}; it must not be negative")
    if policy.ack_wait < policy.timeout:
        found.append(f"ack_wait {policy.ack_wait} is shorter than timeout {policy.timeout}")
    if policy.max_ack_pending < policy.concurrency:
        found.append(
            f"max_ack_pending {policy.max_ack_pending} is below concurrency {policy.concurrency}"
        )
    return found
