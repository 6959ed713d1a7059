"""What crosses the border between accounts: exports of one, imports of the others.

Whoever is in an account of its own can have answers sent nowhere but there. The server asks nobody
whether an answer may go to its reply subject, and a stream stores whatever arrives on its subjects.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from jetmesh.operate.identities.identity import Identity
from jetmesh.operate.identities.looking import DISCOVERING
from jetmesh.transport.pull import EXPIRES_SECONDS

MANY_ANSWERS_SECONDS: Final = EXPIRES_SECONDS + 5
"""For so long after the last answer another one is let through: longer than any pull is open."""
_MANY: Final = ("$JS.API.CONSUMER.MSG.NEXT.", "$SRV.")
"""Requests that get more than one answer."""


@dataclass(frozen=True, slots=True)
class Export:
    """A subject on which an account takes requests of others."""

    subject: str
    accounts: tuple[str, ...]
    """Whose requests."""

    @property
    def many(self) -> bool:
        """A request may get more than one answer."""
        return self.subject.startswith(_MANY)


@dataclass(frozen=True, slots=True)
class Import:
    """A subject on which an account sends requests to another one."""

    account: str
    subject: str


def exports(identities: Sequence[Identity], account: str, home: str) -> Iterator[Export]:
    """What `account` takes from others; `home` is the account of the streams."""
    if account != home:
        for subject in _answered(identities, account):
            yield Export(subject, (home,))
        return
    asked: dict[str, list[str]] = {}
    for each in identities:
        if each.account != home and each.permissions:
            for subject in each.permissions.publish:
                asked.setdefault(subject, []).append(each.account)
    for subject, accounts in asked.items():
        yield Export(subject, tuple(dict.fromkeys(accounts)))


def imports(identities: Sequence[Identity], account: str, home: str) -> Iterator[Import]:
    """What `account` asks others."""
    apart = [each for each in identities if each.account != home]
    if account != home:
        found = [s for each in apart if each.account == account for s in _published(each)]
        yield from (Import(home, subject) for subject in dict.fromkeys(found))
        return
    for each in apart:
        yield from (Import(each.account, subject) for subject in _answered([each], each.account))


def _published(identity: Identity) -> Iterable[str]:
    return identity.permissions.publish if identity.permissions else ()


def _answered(identities: Iterable[Identity], account: str) -> Iterator[str]:
    """The subjects on which services of an account answer `nats micro`."""
    start = DISCOVERING[0].removesuffix(">")
    for each in identities:
        if each.account == account and each.answers and each.permissions:
            yield from (s for s in each.permissions.subscribe if s.startswith(start))
