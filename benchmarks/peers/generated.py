"""A system of any size: domains in a row, whose services react to one and write to the next.

`python -m peers.generated NUMBER` runs the service with this number; a process holds its own
service and the events of it alone, as any user's does.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from jetmesh import Service, event

_SERVICES_IN_A_DOMAIN: Final = 4
_FACTS: Final = 6
"""Events in a domain."""
_HANDLERS: Final = 3


def generated(number: int) -> Service:
    """The service with this number: three handlers, of which the first one writes on."""
    domain, place = divmod(number, _SERVICES_IN_A_DOMAIN)
    service = Service(f"generated-{number}", version="1.0.0")
    for handler in range(_HANDLERS):
        taken = _fact(domain, (place + handler) % _FACTS)
        made = _fact(domain + 1, place) if handler == 0 else None
        service.on(taken)(_reaction(handler, taken, made))
    return service


def several(count: int) -> Iterator[Service]:
    """The first `count` of them."""
    return (generated(number) for number in range(count))


_FOUND: dict[tuple[int, int], Any] = {}


def _fact(domain: int, number: int) -> Any:
    """An event; the same one for all that name it."""
    if (domain, number) not in _FOUND:
        fields: list[tuple[str, type]] = [("key", str), ("number", int)]
        fact = msgspec.defstruct(f"Fact{domain}x{number}", fields, frozen=True, kw_only=True)
        event(f"domain{domain}.fact{number}", key="key")(fact)
        _FOUND[domain, number] = fact
    return _FOUND[domain, number]


def _reaction(number: int, taken: Any, made: Any) -> Any:
    def react(fact: Any) -> Any:
        return made(key=fact.key, number=fact.number + 1) if made else None

    react.__name__ = f"react{number}"
    react.__annotations__ = {"fact": taken, "return": made}
    return react


if __name__ == "__main__":
    from jetmesh import run

    run(generated(int(sys.argv[1])))
