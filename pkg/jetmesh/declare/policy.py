"""How a handler's deliveries are pulled, tried and given up."""

from __future__ import annotations

from msgspec import Struct

from jetmesh.declare.duration import Duration
from jetmesh.declare.several import is_one


class Policy(Struct, frozen=True, kw_only=True):
    """The tuning of one handler; every field can be set per service and handler."""

    attempts: int = 5
    """How often one message may fail before it is dead-lettered. A delivery that was lost with its
    process does not count."""
    backoff: Duration = Duration(0.5)
    """The longest delay before the second attempt; it doubles with each further one. The delay
    itself is random, at least a tenth of that."""
    backoff_cap: Duration = Duration(60)
    """The longest delay before any attempt."""
    timeout: Duration = Duration(20)
    """An attempt of an `async def` handler that takes longer is cancelled and has failed; a `def`
    handler cannot be interrupted, in threads neither."""
    max_age: Duration = Duration(0)
    """How long after the broker stored a message an attempt may still begin; after that the message
    is dead-lettered. 0s: no limit."""
    rejects: tuple[str, ...] = ()
    """Exceptions that dead-letter a message at the first failure, as `Class` or `module.Class`;
    subclasses count too."""
    ack_wait: Duration = Duration(30)
    """How long the server waits for a verdict before it delivers again; a running handler extends
    its own."""
    max_ack_pending: int = 8192
    """How many deliveries may be without a verdict, in all replicas together; at that number the
    server delivers no more."""
    concurrency: int = 64
    """How many deliveries one process runs at once; a `def` handler runs one at a time, or as many
    as it was declared with threads."""
    batch: int = 2048
    """How many deliveries one process of a `def` handler may have in flight; a slow one has only
    what it can finish well within `ack_wait`."""

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
    given: object = policy
    if not isinstance(given, Policy):
        return [f"its policy is a {type(given).__name__}; write policy=Policy(attempts=…)"]
    found = [
        f"{name} is {getattr(policy, name)}; it must be positive"
        for name in policy.__struct_fields__
        if name not in ("max_age", "rejects") and getattr(policy, name) <= 0
    ]
    if is_one(policy.rejects):
        one = getattr(policy.rejects, "__name__", policy.rejects)
        found.append(f"rejects is {one!r}, one where several are listed; write rejects=({one!r},)")
    if policy.max_age < 0:
        found.append(f"max_age is {policy.max_age}; it must not be negative")
    if policy.ack_wait < policy.timeout:
        found.append(f"ack_wait {policy.ack_wait} is shorter than timeout {policy.timeout}")
    if policy.backoff > policy.backoff_cap:
        found.append(f"backoff {policy.backoff} is above backoff_cap {policy.backoff_cap}")
    if policy.max_ack_pending < policy.concurrency:
        found.append(
            f"max_ack_pending {policy.max_ack_pending} is below concurrency {policy.concurrency}"
        )
    return found
