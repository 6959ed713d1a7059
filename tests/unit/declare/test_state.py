"""What can be wrong with a state or with who remembers it, each as one sentence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import pytest
from msgspec import Meta, Struct

from jetmesh import Forget, Service, derive, event, state
from jetmesh.declare import StateSpec, permissions_of, spec_of
from jetmesh.errors import DeclarationError, TopologyError
from jetmesh.transport.provision import stream_config


class Customer(Struct, frozen=True):
    id: Annotated[str, Meta(min_length=1)]
    number: int = 0

    @property
    def account(self) -> str:
        """A name that tells nothing of who it is."""
        return f"a-{len(self.id)}"

    @property
    def age(self) -> int:
        """No key."""
        return 40


@event("paying.captured", key="purchase_id")
class Captured(Struct, frozen=True):
    purchase_id: str
    customer: Customer
    account_id: str = ""


@event("tiers.reached", key="customer_id")
class TierReached(Struct, frozen=True):
    customer_id: str


@event("fates.decided", key="customer_id", decision="fates.*")
class Decided(Struct, frozen=True):
    customer_id: str


@state("loyalty.accounts", key="customer_id", history=5)
class Account(Struct, frozen=True):
    """What is known of one customer."""

    customer_id: str
    points: int = 0


@state("loyalty.others", key="purchase_id")
class Other(Struct, frozen=True):
    purchase_id: str


def award(captured: Captured, account: Account | None) -> tuple[Account, TierReached | None]:
    raise NotImplementedError


def declared(function: Callable[..., Any] = award, **how: Any) -> Service:
    service = Service("loyalty")
    service.on(Captured, **{"state": Account, "by": "customer.id", **how})(function)
    return service


def test_a_state_has_a_stream_of_its_own_that_keeps_so_many_of_each_key() -> None:
    topology = derive([declared()])
    spec = spec_of(Account)
    assert isinstance(spec, StateSpec)
    [stream] = [each for each in topology.streams if each.name == spec.stream]
    assert (stream.name, stream.subjects) == (
        "STATES_LOYALTY_ACCOUNTS",
        ("states.loyalty.accounts.*",),
    )
    assert stream_config(stream)["max_msgs_per_subject"] == 5
    assert topology.owners[spec] == "loyalty"
    assert not any(each.name.startswith("STATES") for each in topology.streams if each != stream)


def test_who_remembers_may_write_its_state_and_nobody_elses() -> None:
    needed = permissions_of(declared(), inbox_prefix="_INBOX").publish
    assert "states.loyalty.accounts.*" in needed
    assert "$JS.API.DIRECT.GET.STATES_LOYALTY_ACCOUNTS.states.loyalty.accounts.*" in needed
    assert not any("others" in each for each in needed)


def test_the_key_is_found_by_its_path_by_a_property_or_by_its_name() -> None:
    [handler] = declared().handlers
    assert handler.remembers is not None
    assert handler.remembers.by == ("customer", "id")
    assert handler.remembers.key(Captured("p-1", Customer("c-1"))) == "c-1"
    assert handler.returns == (spec_of(TierReached),)
    assert handler.needs == {}

    [handler] = declared(by="customer.account").handlers
    assert handler.remembers is not None
    assert handler.remembers.key(Captured("p-1", Customer("c-1"))) == "a-3"

    def same(captured: Captured, other: Other | None) -> Other:
        raise NotImplementedError

    [handler] = declared(same, state=Other, by="").handlers
    assert handler.remembers is not None
    assert handler.remembers.by == ("purchase_id",)


def returning(annotation: Any, *, takes: Any = Account | None) -> Callable[..., Any]:
    def award(captured: Captured, account: Any) -> Any:
        raise NotImplementedError

    award.__annotations__ = {"captured": Captured, "account": takes, "return": annotation}
    return award


async def waits(captured: Captured, account: Account | None) -> Account:
    raise NotImplementedError


@pytest.mark.parametrize(
    ("function", "how", "why"),
    [
        (award, {"by": "customer.name"}, "Captured has no customer.name"),
        (award, {"by": "customer.number"}, "Captured may lack customer.number"),
        (award, {"by": "account_id"}, "Captured may lack account_id"),
        (award, {"by": "customer"}, "by='customer', which is no string"),
        (award, {"by": "customer.age"}, "by='customer.age', which is no string"),
        (award, {"by": "customer.account.x"}, "Captured has no customer.account.x"),
        (award, {"by": "purchase_id.x"}, "Captured has no purchase_id.x"),
        (award, {"state": TierReached}, "remembers TierReached, which is no state"),
        (waits, {}, "remembers and is async"),
        (returning(Account, takes=Account), {}, "does not take the Account that it remembers"),
        (returning(None), {}, "remembers Account and never returns one"),
        (returning(TierReached), {}, "remembers Account and never returns one"),
        (returning(Account | Other), {}, "returns the state Other too"),
        (returning(Account | Decided), {}, "returns Decided, which decides"),
        (
            returning(Account),
            {"state": None, "by": ""},
            "returns the state Account and remembers none",
        ),
    ],
)
def test_what_cannot_work_is_refused_at_import(
    function: Callable[..., Any], how: dict[str, Any], why: str
) -> None:
    if how.get("state", Account) is None:
        function.__annotations__.pop("account")
        function = _without_state
    with pytest.raises(DeclarationError) as told:
        declared(function, **how)
    assert why in told.value.message
    assert told.value.remedy


def _without_state(captured: Captured) -> Account:
    raise NotImplementedError


def test_forget_is_a_state_too() -> None:
    [handler] = declared(returning(Forget | TierReached)).handlers
    assert handler.returns == (spec_of(TierReached),)


@pytest.mark.parametrize("history", [0, 1001])
def test_a_history_that_is_none_is_refused(history: int) -> None:
    with pytest.raises(DeclarationError, match=f"cannot keep {history} versions"):
        state("loyalty.short", key="customer_id", history=history)(Customer)


def test_contradictions_between_declarations_are_found() -> None:
    other = Service("other")
    other.on(Captured, state=Account, by="customer.id")(award)
    with pytest.raises(TopologyError, match="a state has one owner"):
        derive([declared(), other])
    twice = declared()
    twice.on(Captured, state=Account, by="purchase_id", name="again")(award)
    with pytest.raises(TopologyError, match="make one handler of both"):
        derive([twice])
    reacting = declared()

    @reacting.on(Account)
    def react(account: Account) -> None: ...

    with pytest.raises(TopologyError, match="of which only the newest is kept"):
        derive([reacting])
    mixed = declared()

    @mixed.on(Captured)
    def publish(captured: Captured) -> TierReached:
        raise NotImplementedError

    with pytest.raises(TopologyError, match="follows from a state in award"):
        derive([mixed])
    stray = Service("stray")

    @event("states.mine", key="id")
    class Mine(Struct, frozen=True):
        id: str

    stray.publishes(Mine)
    with pytest.raises(TopologyError, match="belongs to the mesh"):
        derive([stray])
