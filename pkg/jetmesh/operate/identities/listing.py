"""Who may do what, as people read it in a diff: one line for each subject."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import groupby

from jetmesh.declare import Topology
from jetmesh.operate.identities.derived import identities_of
from jetmesh.operate.identities.identity import Identity
from jetmesh.operate.identities.render import ACCOUNT

_number = re.compile(r"-\d+$")


def listing(topology: Topology) -> str:
    """Every identity with its account where pages have their own, and all that it may do."""
    found = identities_of(topology, isolation="pages", account=ACCOUNT)
    return "\n".join("\n".join(_lines(identity)) + "\n" for identity in found)


def _lines(identity: Identity) -> Iterator[str]:
    yield f"{identity.name} ({identity.kind}, account {identity.account})"
    if identity.permissions is None:
        yield "  may do everything"
        return
    yield from (f"  publish   {each}" for each in _folded(identity.permissions.publish))
    yield from (f"  subscribe {each}" for each in _folded(identity.permissions.subscribe))
    if identity.answers:
        yield "  answers requests, once each"


def _folded(subjects: Iterable[str]) -> Iterator[str]:
    """Numbered ones that follow one another as one line: `…-1 to -10`."""
    for name, several in groupby(subjects, key=lambda each: _number.sub("", each)):
        first, *others = several
        yield first + (f" to {others[-1].removeprefix(name)}" if others else "")
