"""Mails through SMTP, on a few connections that stay open."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from aiosmtplib import (
    SMTP,
    SMTPDataError,
    SMTPException,
    SMTPRecipientRefused,
    SMTPRecipientsRefused,
    SMTPResponseException,
)

from jetmesh import Reject, Retry, Unavailable
from jetmesh.rate import RateLimit

_PERMANENT: Final = 500  # RFC 5321, 4.2.1: 5yz is a permanent negative reply


class Withheld(Exception):  # noqa: N818 - no failure: a decision of ours
    """The recipient had too many mails of ours lately."""


class Mailer:
    """A pool of connections, opened when they are needed and again when the server left.

    `connect` makes a client that is not connected yet. One recipient gets `hourly` mails in an
    hour at most, from this process; 0: any number.
    """

    def __init__(self, connect: Callable[[], SMTP], *, connections: int, hourly: int = 0) -> None:
        self._hourly = RateLimit(hourly, 3600)
        self._connect = connect
        self._slots = asyncio.Semaphore(connections)
        self._idle: list[SMTP] = []

    async def send(self, sender: str, recipient: str, mail: bytes) -> None:
        """Return once the server took responsibility for the mail.

        Raises:
            Reject: the server will never take this mail for this recipient.
            Retry: it cannot take this mail at the moment.
            Unavailable: it cannot be reached, or takes no mail of ours.
            Withheld: we do not send it: the recipient had too many.
        """
        person = recipient.lower()
        if self._hourly.is_reached(person):
            raise Withheld
        async with self._slots:
            try:
                client = await self._client()
                await self._send(client, sender, recipient, mail)
            except (SMTPException, OSError) as error:
                # The library's text names the recipient: neither it nor its chain is shown.
                raise verdict_on(error) from None
            self._hourly.count(person)
            self._idle.append(client)

    async def close(self) -> None:
        """Say goodbye on every idle connection."""
        while self._idle:
            client = self._idle.pop()
            try:
                await client.quit(timeout=1)
            except (SMTPException, OSError):
                client.close()

    async def _client(self) -> SMTP:
        while self._idle:
            client = self._idle.pop()
            if client.is_connected:
                return client
        client = self._connect()
        await client.connect()
        return client

    @staticmethod
    async def _send(client: SMTP, sender: str, recipient: str, mail: bytes) -> None:
        try:
            await client.sendmail(sender, [recipient], mail)
        except BaseException:
            client.close()  # in the middle of a conversation, nobody knows where
            raise


def verdict_on(error: Exception) -> Reject | Retry | Unavailable:
    """What a failed mail means for its delivery.

    Only what the server says of this recipient or this mail is final. A refused sender or
    login is a mistake in the settings that somebody corrects while the mails wait.
    """
    if isinstance(error, SMTPRecipientsRefused) and error.recipients:
        return verdict_on(error.recipients[0])
    if isinstance(error, SMTPRecipientRefused | SMTPDataError) and error.code >= _PERMANENT:
        what = "recipient" if isinstance(error, SMTPRecipientRefused) else "mail"
        return Reject(f"The mail server refused the {what} with {error.code}.")
    if isinstance(error, SMTPRecipientRefused | SMTPDataError):
        return Retry(f"The mail server answered {error.code} ({type(error).__name__}).")
    if isinstance(error, SMTPResponseException):
        return Unavailable(f"The mail server answered {error.code} ({type(error).__name__}).")
    return Unavailable(f"The mail server cannot be reached: {type(error).__name__}.")
