"""What a package says it exports is there, explained, and all there is."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from types import ModuleType

import pytest

import jetmesh

LAZY = {"jetmesh": {"Publisher"}}
"""Imported when it is asked for: it needs the network."""
PACKAGES = ["jetmesh", "jetmesh.declare", "jetmesh.wire", "shop_contracts"]


def modules() -> Iterator[ModuleType]:
    """Every module of jetmesh that says what it exports."""
    for found in pkgutil.walk_packages(jetmesh.__path__, "jetmesh."):
        if not found.name.endswith("__main__"):
            module = importlib.import_module(found.name)
            if hasattr(module, "__all__"):
                yield module


@pytest.mark.parametrize("package", PACKAGES)
def test_every_exported_name_exists_once_and_in_order(package: str) -> None:
    module = importlib.import_module(package)
    assert all(hasattr(module, name) for name in module.__all__)
    assert len(set(module.__all__)) == len(module.__all__)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_is_exported(package: str) -> None:
    module = importlib.import_module(package)
    public = {
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and not inspect.ismodule(value) and name != "annotations"
    }
    assert public == set(module.__all__) - LAZY.get(package, set())


@pytest.mark.parametrize("name", jetmesh.__all__)
def test_every_name_that_users_import_is_explained(name: str) -> None:
    exported = getattr(jetmesh, name)
    explained = inspect.getdoc(exported) or ""
    assert len(explained) > 20
    assert not explained.startswith(f"{name}("), "a dataclass without a docstring shows its fields"
    inherited = inspect.getdoc(exported.__mro__[1]) if isinstance(exported, type) else None
    assert explained != inherited, "it has the docstring of its base"


def test_no_module_exports_what_it_has_not() -> None:
    missing = [
        f"{module.__name__}.{name}"
        for module in modules()
        for name in module.__all__
        if not hasattr(module, name)
    ]
    assert missing == []
