"""Several services in one process, for development and small machines: what is each one's own.

A service is told by variables what it is to do, and some of them are its own: its port, its
identity on the broker. In one process they are packed into one variable for each service.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

import msgspec

from jetmesh.declare.setting import spelled
from jetmesh.errors import SettingsError

_PREFIX: Final = "JETMESH_OF_"
SEPARATOR: Final = ","
"""Between modules, in the argument of `program`."""


def packed(environs: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """One environment for services that would each have had their own, by name."""
    first, *others = environs.values()
    common = {n: v for n, v in first.items() if all(each.get(n) == v for each in others)}
    return common | {
        _PREFIX + spelled(name): msgspec.json.encode(
            {n: v for n, v in environ.items() if common.get(n) != v}
        ).decode()
        for name, environ in environs.items()
    }


def environ_of(service: str, environ: Mapping[str, str] = os.environ) -> Mapping[str, str]:
    """The variables of one service.

    Raises:
        SettingsError: somebody else wrote them.
    """
    variable = _PREFIX + spelled(service)
    try:
        own = msgspec.json.decode(environ.get(variable, "{}"), type=dict[str, str])
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise SettingsError(
            f"{variable} cannot be read: {error}.", remedy="Unset it: `jetmesh` writes it."
        ) from error
    return {**environ, **own}
