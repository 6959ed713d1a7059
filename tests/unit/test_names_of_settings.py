"""A setting keeps the name of its declaration; its variable sets it and nothing else."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given as when
from hypothesis import settings as tried
from msgspec import Struct, defstruct, field

from jetmesh import Service, derive, event
from jetmesh.declare.setting import variable
from jetmesh.errors import DeclarationError, SettingsError, TopologyError
from jetmesh.settings import load_settings
from tests.odd_settings import NASTY, Tree, given, settings_of, told_apart, trees


@event("parcels.sent", key="parcel_id")
class ParcelSent(Struct, frozen=True):
    """A parcel left the house."""

    parcel_id: str


def called(*declared: str) -> type[Struct]:
    """Settings with fields of these names."""
    return defstruct(
        "Called", [(f"f{i}", int, field(default=0, name=n)) for i, n in enumerate(declared)]
    )


def variables(tree: Tree) -> dict[str, str]:
    return {
        variable(("services", "odd-one", "settings", *path)): str(value)
        for path, value in given(tree)
    }


@tried(deadline=None)
@when(trees())
def test_a_variable_sets_what_it_is_named_after_or_the_name_is_refused(tree: Tree) -> None:
    environ, struct = variables(tree), settings_of(tree)
    if not told_apart(tree):
        with pytest.raises(DeclarationError, match="the same variable"):
            Service("odd-one", settings=struct)
        return
    service = Service("odd-one", settings=struct)
    settings = load_settings([service], environ=environ, whole=True).of(service)
    assert msgspec.to_builtins(settings) == tree


@pytest.mark.parametrize("name", NASTY)
def test_a_legal_name_is_taken(name: str) -> None:
    Service("odd-one", settings=called(name))


class Retries(Struct, frozen=True):
    limit: int = 3


class Nested(Struct, frozen=True):
    """The variable of both is …__RETRIES__LIMIT."""

    retries__limit: int = 3
    retries: Retries = Retries()


@pytest.mark.parametrize(
    ("settings", "first", "second"),
    [
        (called("a-b", "a_b"), "a-b", "a_b"),
        (called("url", "URL"), "url", "URL"),
        (Nested, "retries__limit", "retries.limit"),
    ],
)
def test_settings_that_share_a_variable_are_refused_with_both_names(
    settings: type[Struct], first: str, second: str
) -> None:
    with pytest.raises(DeclarationError, match=f"'{first}' and '{second}'") as caught:
        Service("odd-one", settings=settings)
    assert caught.value.message.startswith(__file__)


@pytest.mark.parametrize("name", ["größe", "a.b", "a b", "1st", "-a", "a=b"])
def test_a_name_that_no_variable_could_have_is_refused(name: str) -> None:
    with pytest.raises(DeclarationError, match="no variable can be named after"):
        Service("odd-one", settings=called(name))


class Unfinished(Struct):
    kind: Missing  # type: ignore[name-defined]  # noqa: F821 - the mistake under test


def test_an_annotation_that_does_not_exist_is_refused_by_name() -> None:
    with pytest.raises(DeclarationError, match=r"Unfinished .*'Missing', which is not defined"):
        Service("odd-one", settings=Unfinished)


def test_handlers_that_share_variables_are_refused_with_both_names() -> None:
    service = Service("odd-one")

    @service.on(ParcelSent, name="tell-all")
    def one(sent: ParcelSent) -> None: ...

    with pytest.raises(DeclarationError, match=r"'tell-all' already.*'tell_all'"):

        @service.on(ParcelSent, name="tell_all")
        def two(sent: ParcelSent) -> None: ...


def test_services_that_share_variables_are_refused_with_both_names() -> None:
    with pytest.raises(TopologyError, match="'odd-one' and 'odd_one' would be set by the same"):
        derive([Service("odd-one"), Service("odd_one")])


@pytest.mark.parametrize("name", ["a__b", "a--b", "a-_b"])
def test_a_service_cannot_be_named_like_two_parts_of_a_variable(name: str) -> None:
    with pytest.raises(DeclarationError, match="cannot name a service"):
        Service(name)


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("A__C", r"there is no setting 'services\.odd-one\.settings\.a'"),
        ("A__B__C", r"there is no setting 'services\.odd-one\.settings\.a__b\.c'"),
        ("A__B_", r"there is no setting 'services\.odd-one\.settings\.a'"),
        ("TABLE", "names a table"),
        ("TABLE__", r"there is no setting 'services\.odd-one\.settings\.table\.'"),
        ("TABLE___B__C", r"there is no setting 'services\.odd-one\.settings\.table\._b\.c'"),
    ],
)
def test_a_variable_that_sets_nothing_is_refused_where_it_leaves_the_tree(
    name: str, cause: str
) -> None:
    service = Service("odd-one", settings=settings_of({"a__b": 1, "table": {"_b": 2}}))
    environ = {f"JETMESH__SERVICES__ODD_ONE__SETTINGS__{name}": "1"}
    with pytest.raises(SettingsError, match=cause):
        load_settings([service], environ=environ)
