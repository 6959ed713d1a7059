"""What a check finds: a sentence, its evidence and its remedy; and the kinds of it that exist."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, Literal

Severity = Literal["problem", "warning", "note"]
SEVERITIES: Final[tuple[Severity, ...]] = ("problem", "warning", "note")
"""The worst first."""
_MOST_NAMED: Final = 5


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to know, or to do something about."""

    code: str
    """What scripts compare; it never changes."""
    severity: Severity
    about: str
    """`ORDERS`, `ORDERS/payments-charge`, `payments`, the name of a server."""
    sentence: str
    evidence: tuple[str, ...]
    """What was seen, a clause each."""
    remedy: str


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of finding. Its texts hold `{about}` and other values of the case at hand."""

    severity: Severity
    code: str
    sentence: str
    condition: str
    """When it is found, for the table in docs/doctor.md."""
    remedy: str

    def finding(self, about: str, *evidence: str, **values: str) -> Finding:
        """A finding of this kind; empty evidence is left out."""
        values["about"] = about
        return Finding(
            code=self.code,
            severity=self.severity,
            about=about,
            sentence=self.sentence.format(**values),
            evidence=tuple(filter(None, evidence)),
            remedy=self.remedy.format(**values),
        )


def folded(found: Sequence[Finding], about: str, sentence: str, remedy: str) -> Iterator[Finding]:
    """What belongs to others, as one finding however much it is.

    `sentence` holds `{count}`. What was found first is named as evidence.
    """
    if len(found) <= 1:
        yield from found
        return
    seen = [": ".join(filter(None, (each.about, ", ".join(each.evidence)))) for each in found]
    more = [f"and {len(seen) - _MOST_NAMED:,} more"] if len(seen) > _MOST_NAMED else []
    yield replace(
        found[0],
        about=about,
        sentence=sentence.format(count=f"{len(found):,}"),
        evidence=(*seen[:_MOST_NAMED], *more),
        remedy=remedy,
    )


# a kind of each severity, given the rest
problem = partial(Kind, "problem")
warning = partial(Kind, "warning")
note = partial(Kind, "note")
