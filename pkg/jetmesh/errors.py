"""Every error that jetmesh raises on purpose.

JetmeshError
├── DeclarationError     an event, handler or service is declared wrongly (raised on import)
├── TopologyError        the declarations contradict one another (raised when built)
├── ContractViolation    bytes or a key do not keep their contract
├── SettingsError        a settings file or variable is wrong
├── StartError           something that a service declares does not come up
├── BrokerError          the broker refused, or is not what we need
│   ├── BrokerUnreachable
│   ├── AlreadyDecided   the key of a published event has another outcome
│   ├── WindowFull       too many published events are on their way
│   └── DriftError       the server differs from the declaration
├── UsageError           a command was called wrongly
└── MissingExtra         an optional part of jetmesh is used, but not installed
Verdict                  what a handler raises to settle its delivery; no failure of the mesh
├── Reject               dead-letter now
├── Retry                deliver again later
└── Unavailable          something that every delivery needs is away: wait for it
"""

from __future__ import annotations


class JetmeshError(Exception):
    """One sentence that names the cause, and a remedy: what to do about it."""

    # in the class too, here and below: a subclass may forget to call `__init__`
    message = ""
    remedy = ""

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        message = self.message or super().__str__()
        return f"{message} {self.remedy}" if self.remedy else message


class DeclarationError(JetmeshError):
    """An event, handler or service is declared wrongly; the message names the line."""


class TopologyError(JetmeshError):
    """The declarations contradict one another; `problems` holds one sentence each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class ContractViolation(JetmeshError):  # noqa: N818 - the field's word for it
    """Bytes or a key do not keep their contract; `path` is the field at fault, as `$.items[0]`.

    The message never quotes the value: it may be somebody's address or token. `content` is what
    a payload seems to be instead of an event, such as gzip; empty when it has a field at fault.
    """

    path = "$"
    content = ""

    def __init__(self, message: str, *, path: str = "$", content: str = "") -> None:
        super().__init__(message)
        self.path = path
        self.content = content


class SettingsError(JetmeshError):
    """A settings file or an environment variable is wrong; the message names it."""


class StartError(JetmeshError):
    """Something that a service declares does not come up; the message names it."""


class BrokerError(JetmeshError):
    """The broker refused a request, or is not a server that jetmesh can use."""


class BrokerUnreachable(BrokerError):  # noqa: N818 - a state of the world, not of the code
    """No server of the list answers."""


class AlreadyDecided(BrokerError):  # noqa: N818 - what is the case, as the handler's log says it
    """The key of an event has an outcome already, and may have only one (ADR-0002).

    `subject` is that of the outcome, `cause` its `<stream>:<sequence>`.
    """

    def __init__(self, subject: str, cause: str) -> None:
        super().__init__(f"The key is decided already: {subject} ({cause}).")
        self.subject = subject
        self.cause = cause


class WindowFull(BrokerError):  # noqa: N818 - a state of the world, not of the code
    """As many events are on their way as a Publisher may have."""


class DriftError(BrokerError):
    """The server differs from the declaration, or a change would lose data."""


class UsageError(JetmeshError):
    """A command was called wrongly."""


class MissingExtra(JetmeshError):  # noqa: N818 - what it is about, as the remedy names it
    """An optional part of jetmesh is used, but what it needs is not installed."""


class Verdict(Exception):  # noqa: N818 - it settles a delivery, it is no error
    """What a handler raises to settle its delivery itself."""

    reason = ""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Reject(Verdict):
    """Dead-letter this delivery now: trying again cannot help."""


class Retry(Verdict):
    """Deliver again, `after` seconds from now (the policy's backoff when None).

    It is one of the policy's attempts, unless `counts` is false.
    """

    after: float | None = None
    counts = True

    def __init__(
        self, reason: str = "", *, after: float | None = None, counts: bool = True
    ) -> None:
        super().__init__(reason)
        self.after = after
        self.counts = counts


class Unavailable(Verdict):
    """Something that every delivery of this handler needs is away, such as a gateway.

    It burns no attempts: the handler pauses, and tries with one delivery at a time until that
    works again. Raise it for what no delivery can escape; a fault of one message is a `Retry`.
    """
