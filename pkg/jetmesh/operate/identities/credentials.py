"""How identities prove who they are: nkeys, of which the server knows no secret, or passwords."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import nkeys

from jetmesh.errors import UsageError


class Credentials(Protocol):
    """What stands in the server's configuration, and what in the settings of the identity."""

    def shown(self, name: str) -> str:
        """The fields of a user of the server, such as `nkey: "UA…"`."""

    def user(self, name: str) -> str:
        """What the server calls the user, in `no_auth_user` for one."""

    def settings(self, name: str) -> dict[str, str]:
        """Fields of [nats] with which it logs in; a password that is not known here is left out."""


@dataclass(frozen=True, slots=True)
class Variables:
    """Passwords, or their bcrypt hashes, in variables of nats-server's own environment."""

    def shown(self, name: str) -> str:
        return f'user: "{name}", password: ${password_variable(name)}'

    def user(self, name: str) -> str:
        return name

    def settings(self, name: str) -> dict[str, str]:
        return {"user": name}


@dataclass(frozen=True, slots=True)
class Passwords:
    """Passwords, or their bcrypt hashes, in the server's configuration itself."""

    at_server: Mapping[str, str] = field(repr=False)
    """By name of the identity."""
    given: Mapping[str, str] = field(default_factory=dict, repr=False)
    """What the identity itself sends, where the server has hashes."""

    def shown(self, name: str) -> str:
        return f'user: "{name}", password: "{self.at_server[name]}"'

    def user(self, name: str) -> str:
        return name

    def settings(self, name: str) -> dict[str, str]:
        return {"user": name, "password": self.given.get(name) or self.at_server[name]}


@dataclass(frozen=True, slots=True)
class Nkeys:
    """Public keys for the server, and the files with the seeds that belong to them."""

    public: Mapping[str, str]
    """By name of the identity."""
    seeds: Mapping[str, Path] = field(default_factory=dict)

    def shown(self, name: str) -> str:
        return f'nkey: "{self.public[name]}"'

    def user(self, name: str) -> str:
        return self.public[name]

    def settings(self, name: str) -> dict[str, str]:
        return {"nkey_seed_file": str(self.seeds[name])} if name in self.seeds else {}

    @classmethod
    def kept_in(cls, directory: Path, names: Iterable[str]) -> Nkeys:
        """Those in `directory/<name>.nk`, made where one is missing, for their owner's eyes only.

        Raises:
            UsageError: a seed can be neither read nor written, or is none.
        """
        seeds = {name: directory / f"{name}.nk" for name in names}
        try:
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            return cls({name: _public(_seed(path)) for name, path in seeds.items()}, seeds)
        except OSError as error:
            raise UsageError(
                f"The seeds in {directory} cannot be kept: {error.strerror}.",
                remedy="Change its permissions, or choose another directory.",
            ) from error


def password_variable(name: str) -> str:
    """The variable of nats-server that holds an identity's password."""
    return f"NATS_{name.upper().replace('-', '_')}_PASSWORD"


def _seed(path: Path) -> str:
    """The seed in a file, which is made whole or not at all: two may want it at once."""
    if path.exists():
        return path.read_text(encoding="ascii", errors="replace").strip()
    seed: str = nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER).decode()
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.unlink(missing_ok=True)  # of one that was killed
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(f"{seed}\n")
        os.link(beside, path)
    except FileExistsError:
        return path.read_text(encoding="ascii").strip()
    finally:
        beside.unlink()
    return seed


def _public(seed: str) -> str:
    try:
        pair: Any = nkeys.from_seed(bytearray(seed.encode()))
        public: str = pair.public_key.decode()
    except Exception as error:  # nkeys raises its own and binascii's
        raise UsageError(
            "A seed of an nkey cannot be read.", remedy="Remove the file: another one is made."
        ) from error
    return public
