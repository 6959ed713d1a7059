"""Who we are: the part of CONNECT that proves it, and the TLS context."""

from __future__ import annotations

import base64
import ssl
from pathlib import Path
from typing import Any

import nkeys

from jetmesh.errors import SettingsError
from jetmesh.settings import Login, NatsSettings, asks_for_tls


def credentials(nats: NatsSettings, nonce: str, login: Login | None = None) -> dict[str, Any]:
    """The fields of CONNECT for one attempt; files are read anew, they may have been renewed.

    `login` is what the server's address says, if anything.

    Raises:
        SettingsError: a file cannot be read, or holds no credentials.
    """
    if nats.creds_file:
        token, seed = _creds(nats.creds_file)
        return {"jwt": token, "sig": _sign(seed, nonce, nats.creds_file)}
    if nats.nkey_seed_file:
        seed = _read(nats.nkey_seed_file).strip()
        public = _key_pair(seed, nats.nkey_seed_file).public_key.decode()
        return {"nkey": public, "sig": _sign(seed, nonce, nats.nkey_seed_file)}
    if login is not None:
        user = {"user": login.user, "pass": login.password}
        return {"auth_token": login.token} if login.token else user
    if nats.token:
        return {"auth_token": nats.token}
    return {"user": nats.user, "pass": _password(nats)} if nats.user else {}


def tls_context(nats: NatsSettings) -> ssl.SSLContext:
    """TLS as settings say; the system's authorities when no CA is named.

    Raises:
        SettingsError: a certificate cannot be read.
    """
    if nats.tls_key_file and not nats.tls_cert_file:
        raise SettingsError(
            "nats.tls_key_file is set, nats.tls_cert_file is not.",
            remedy="Name the certificate that the key belongs to.",
        )
    try:
        context = ssl.create_default_context(cafile=nats.tls_ca_file or None)
        if nats.tls_cert_file:
            # a password for the key would be asked for on the terminal, for ever
            context.load_cert_chain(
                nats.tls_cert_file, nats.tls_key_file or None, password=lambda: ""
            )
    except (OSError, ValueError) as error:
        cause = (isinstance(error, OSError) and error.strerror) or str(error)
        raise SettingsError(
            f"A TLS file cannot be used: {cause}.",
            remedy="Check nats.tls_ca_file, tls_cert_file and tls_key_file.",
        ) from error
    return context


def wants_tls(nats: NatsSettings) -> bool:
    """Whether settings ask for TLS, whatever the server says.

    Raises:
        SettingsError: `nats.url` holds what is not an address.
    """
    files = nats.tls_ca_file or nats.tls_cert_file or nats.tls_key_file
    return bool(files) or nats.tls_first or asks_for_tls(nats.url)


def check_files(nats: NatsSettings) -> None:
    """Read every file that an attempt to connect will read: better now than again and again.

    Raises:
        SettingsError: credentials or certificates cannot be read.
    """
    credentials(nats, "")
    if wants_tls(nats):
        tls_context(nats)


def _password(nats: NatsSettings) -> str:
    return _read(nats.password_file).strip() if nats.password_file else nats.password


def _creds(file: str) -> tuple[str, str]:
    """The JWT and the seed: each the line between dashed lines."""
    lines = [line.strip() for line in _read(file).splitlines()]
    found = [
        lines[i + 1]
        for i, line in enumerate(lines[:-1])
        if line.startswith("-----BEGIN ") and lines[i + 1]
    ]
    if len(found) < 2:  # noqa: PLR2004 - a JWT and a seed
        raise SettingsError(
            f"{file} does not contain a JWT and a seed.", remedy="Check nats.creds_file."
        )
    return found[0], found[1]


def _sign(seed: str, nonce: str, file: str) -> str:
    signature = _key_pair(seed, file).sign(nonce.encode())
    return base64.b64encode(signature).decode()


def _key_pair(seed: str, file: str) -> Any:
    try:
        return nkeys.from_seed(bytearray(seed.encode()))
    except Exception as error:  # nkeys raises its own and binascii's
        raise SettingsError(
            f"{file} does not contain an nkey seed.", remedy="It begins with SU."
        ) from error


def _read(file: str) -> str:
    try:
        return Path(file).read_text()
    except (OSError, ValueError) as error:
        cause = error.strerror if isinstance(error, OSError) else "it is not text"
        raise SettingsError(
            f"The credentials file {file} cannot be read: {cause}.",
            remedy="Check nats.creds_file, nats.nkey_seed_file or nats.password_file.",
        ) from error
