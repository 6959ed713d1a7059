"""A change that no upcaster can make: another event takes the place of one, for a while beside it.

The old one is decided, made and stored as before. The service that makes it gets one more handler,
which follows what is stored and publishes the new one, so every old event has its twin: those of
today, and those of all history (ADR-0026).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any, TypeVar

from msgspec import Struct

from jetmesh.declare.annotated import input_of, known, outputs_of
from jetmesh.declare.event import EventSpec, matches
from jetmesh.declare.line import calling_line
from jetmesh.declare.replacement import Replacement
from jetmesh.declare.signature import Signature, read_signature
from jetmesh.errors import DeclarationError

_Follows = TypeVar("_Follows", bound=Callable[..., Any])


def replaces(
    event_type: type[Struct], *, reason: str, until: str
) -> Callable[[_Follows], _Follows]:
    """Let another event take the place of `event_type`, and publish both until then.

        @replaces(OrderValidated, reason="one order has several payments", until="2027-03-01")
        def agreed(old: OrderValidated) -> SaleAgreed:
            return SaleAgreed(sale_id=old.purchase_id, due=[old.total])

    The service whose handlers make the old event has one more of this name from now on: it takes
    every old event from the first stored one on, and publishes what the function returns. It is
    pure. Write it beside the contracts, so that it is imported before that service is declared. For
    an event from outside, which no handler makes, name the service: service.on(Old)(function).

    `reason`: why, in words for those who read the old event. `until`: the day, as 2027-03-01, from
    which nobody should; `jetmesh doctor` names who still does.

    The old event may decide: then the new one lies where the decision's pattern does not reach, in
    another domain best, or the guard would refuse it as a second outcome. Give it a decision of its
    own there from the beginning, so that it can decide later, when the old one has gone.

    Raises:
        DeclarationError: `event_type` is no event, the day or the reason is none, the function does
            not take the old event alone and return one other, or the old one's decision refuses it.
    """
    where = calling_line()
    old = known(event_type, where)

    def declare(function: _Follows) -> _Follows:
        signature = read_signature(function)
        new = _new(old, signature)
        _check_decision(old, new, where)
        why, day = _reason(reason, where), _day(until, where)
        record = Replacement(new.subject, why, day, function, signature, where)
        old.replacements.append(record)
        return function

    return declare


def _new(old: EventSpec, signature: Signature) -> EventSpec:
    input_of(old.type, signature)
    outputs = outputs_of(signature)
    if signature.is_async or len(signature.parameters) != 1 or len(outputs) != 1 or old in outputs:
        raise DeclarationError(
            f"{signature.where}: {signature.name} does not make one other event of one {old.name}.",
            remedy=f"Write def {signature.name}(old: {old.name}) -> <the new event>.",
        )
    return outputs[0]


def _check_decision(old: EventSpec, new: EventSpec, where: str) -> None:
    decision = old.decision
    if decision and (new.decision == decision or matches(decision, new.subject)):
        raise DeclarationError(
            f"{where}: {new.subject!r} cannot follow {old.subject!r}: the guard of {decision!r} "
            "would refuse it as a second outcome.",
            remedy=f"Give {new.name} a subject in another domain, and no part in {decision!r}.",
        )


def _reason(text: str, where: str) -> str:
    if not text.strip():
        raise DeclarationError(
            f"{where}: nobody is told why.", remedy="Say it in reason=…, for those who listen."
        )
    return text.strip()


def _day(text: str, where: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise DeclarationError(
            f"{where}: {text!r} is no day.", remedy='Write it as until="2027-03-01".'
        ) from None
