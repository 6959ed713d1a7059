"""A system lists its services by module, and loads them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from jetmesh import Sandbox, Service, System
from jetmesh.errors import DeclarationError


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Put a module with these names where imports find it."""

    def put(name: str, **content: Any) -> None:
        module = ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)

    return put


def test_services_are_loaded_in_their_order(install: Callable[..., None]) -> None:
    one, two = Service("one"), Service("two")
    install("made_up_one", service=one)
    install("made_up_two", service=two)
    assert System("shop", ("made_up_two", "made_up_one")).load() == (two, one)


def test_a_module_that_does_not_exist_is_named() -> None:
    with pytest.raises(DeclarationError, match="no module 'no_such_module'"):
        System("shop", ("no_such_module",)).load()


def test_a_module_that_imports_what_does_not_exist_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "made_up_broken.py").write_text("import no_such_package\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(DeclarationError, match=r"'made_up_broken' .* no module 'no_such_package'"):
        System("shop", ("made_up_broken",)).load()


def test_a_module_without_a_service_is_named(install: Callable[..., None]) -> None:
    install("made_up_empty", service="payments")
    with pytest.raises(DeclarationError, match="'made_up_empty' has no `service`"):
        System("shop", ("made_up_empty",)).load()


def test_a_sandbox_says_how_services_find_it() -> None:
    sandbox = Sandbox("sandbox-mail", {"smtp": 2525}, {"SMTP_PORT": "{smtp}"})
    ports = {"smtp": 40_001}
    assert {name: text.format(**ports) for name, text in sandbox.environment.items()} == {
        "SMTP_PORT": "40001"
    }
