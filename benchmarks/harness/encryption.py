"""A broker that takes clients with TLS and without, so that both are measured on one server."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import trustme

AUTHORITY: Final = "ca.pem"
"""The file beside the configuration by which peers know the server."""


def configure(folder: Path) -> Path:
    """Certificates for loopback, and the nats-server configuration that uses them."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / AUTHORITY))
    server = authority.issue_cert("127.0.0.1")
    server.private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))
    config = folder / "nats.conf"
    config.write_text(
        f"tls {{ cert_file: '{folder / 'server.pem'}', key_file: '{folder / 'server.pem'}' }}\n"
        "allow_non_tls: true\n"
    )
    return config
