"""An authority of our own for `jetmesh up --tls`, and the certificate of the broker that it signed.

The authority's key is never written: nobody can have it sign anything else.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from jetmesh.operate.up.private import write_private

_NAMES: Final = ("127.0.0.1", "localhost")
_FILES: Final = ("ca.pem", "server.pem", "server.key")


def authority_of(state: Path) -> Path:
    """What clients are to trust."""
    return state / "tls" / "ca.pem"


def tls_block(state: Path) -> str:
    """The part of a nats-server's configuration for a broker on TLS."""
    certificate, key = (_quoted(state / "tls" / name) for name in _FILES[1:])
    return f"tls {{ cert_file: {certificate}, key_file: {key}, timeout: 5 }}\n"


def make_certificates(state: Path) -> None:
    """Make them where they are missing: who trusts them does so at the next start, too.

    Raises:
        OSError: the directory cannot be written.
    """
    folder = state / "tls"
    if all((folder / name).exists() for name in _FILES):
        return
    import trustme  # noqa: PLC0415 - only for who asks for TLS

    folder.mkdir(mode=0o700, exist_ok=True)
    authority = trustme.CA(organization_name="jetmesh up")
    issued = authority.issue_cert(*_NAMES)
    texts = (
        authority.cert_pem.bytes(),
        b"".join(blob.bytes() for blob in issued.cert_chain_pems),
        issued.private_key_pem.bytes(),
    )
    for name, text in zip(_FILES, texts, strict=True):
        write_private(folder / name, text.decode())


def _quoted(path: Path) -> str:
    text = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'
