"""A private authority with a server and a client, and the nats-server that trusts them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import trustme

_NAMES = ("127.0.0.1", "localhost")


class Certificates:
    """`[name]` is the path of ca.pem, server.pem, server.key, client.pem or client.key."""

    def __init__(self, path: Path) -> None:
        self._path = path
        authority = trustme.CA()
        authority.cert_pem.write_to_path(self["ca.pem"])
        for name in ("server", "client"):
            issued = authority.issue_cert(*_NAMES)
            issued.private_key_pem.write_to_path(self[f"{name}.key"])
            with Path(self[f"{name}.pem"]).open("wb") as file:
                file.writelines(blob.bytes() for blob in issued.cert_chain_pems)

    def __getitem__(self, name: str) -> str:
        return str(self._path / name)

    def config(self, *, verify: bool = False, first: bool | str = False) -> str:
        """The part of a nats-server's configuration; `first` is its `handshake_first`."""
        return (
            f"tls {{ cert_file: '{self['server.pem']}', key_file: '{self['server.key']}', "
            f"ca_file: '{self['ca.pem']}', verify: {_word(verify)}, "
            f"handshake_first: {_word(first)}, timeout: 5 }}\n"
        )

    @property
    def client(self) -> dict[str, Any]:
        """Settings of `nats` for a client that shows its certificate."""
        return {
            "tls_ca_file": self["ca.pem"],
            "tls_cert_file": self["client.pem"],
            "tls_key_file": self["client.key"],
        }


def _word(value: object) -> str:
    return str(value).lower()
