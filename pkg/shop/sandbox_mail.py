"""A stand-in for the mail server: takes every mail, delivers none, shows all on a page."""

from __future__ import annotations

import asyncio
import socket
from array import array
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from email import message_from_bytes
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.message import Message
from hashlib import blake2b
from html import escape
from typing import Final

from aiosmtpd.smtp import SMTP, Envelope, Session
from msgspec import DecodeError, Struct
from msgspec.json import Decoder, Encoder
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from shop.plain_text import plain
from shop.sandbox import Journal, directory, listen, page, serve

_LISTED: Final = 20_000
"""The most mails of one /mails.json: what a test needs, and no gigabyte."""
_SHOWN: Final = 100
_LARGEST_MAIL: Final = 1_048_576
_encode: Final = Encoder().encode


class Mail(Struct, frozen=True, kw_only=True):
    """A mail as it is kept and shown."""

    message_id: str
    to: str
    subject: str
    text: str
    received_at: datetime


class Listed(Struct, frozen=True, kw_only=True):
    """A mail as /mails.json gives it."""

    number: int
    message_id: str
    to: str
    subject: str
    text: str
    received_at: datetime
    count: int
    """How many mails with its Message-ID came, this one included."""


_read_mail: Final = Decoder(Mail).decode


class Mails:
    """Every mail in the order of arrival; in memory are only places and hashes of ids."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._places = array("Q")
        self._counts: Counter[int] = Counter()
        for place, line in journal:
            try:
                self._remember(_read_mail(line).message_id, place)
            except DecodeError:
                continue  # cut off by a crash, so never answered with 250

    def __len__(self) -> int:
        return len(self._places)

    @property
    def distinct(self) -> int:
        """How many different Message-IDs came."""
        return len(self._counts)

    def add(self, mail: Mail) -> None:
        """Keep `mail`; it is on disk when this returns."""
        self._remember(mail.message_id, self._journal.append(_encode(mail)))

    def read(self, number: int) -> Mail | None:
        """The mail with that number, the first is 1."""
        if not 0 < number <= len(self._places):
            return None
        return _read_mail(self._journal.read(self._places[number - 1]))

    def latest(self, limit: int, before: int | None = None) -> Iterator[tuple[int, Mail]]:
        """The newest mails with their numbers, newest first, of those with a lower number."""
        newest = len(self) if before is None else min(len(self), before - 1)
        for number in range(newest, max(newest - limit, 0), -1):
            mail = self.read(number)
            if mail is not None:
                yield number, mail

    def count(self, message_id: str) -> int:
        """How many mails with that Message-ID came."""
        return self._counts[_digest(message_id)]

    def _remember(self, message_id: str, place: int) -> None:
        self._places.append(place)
        self._counts[_digest(message_id)] += 1


class Inbox:
    """What the SMTP server asks of us. Its methods are named by aiosmtpd."""

    def __init__(self, mails: Mails) -> None:
        self._mails = mails
        self._busy: Counter[str] = Counter()

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self,
        _server: SMTP,
        _session: Session,
        envelope: Envelope,
        address: str,
        _options: list[str],
    ) -> str:
        """Take every recipient but the two that are there to test refusals."""
        local = address.partition("@")[0]
        if local == "unknown":
            return "550 5.1.1 No such mailbox"
        if local == "busy" and self._busy[address] < 2:  # noqa: PLR2004 - as the page says
            self._busy[address] += 1
            return "451 4.2.1 Mailbox busy, try again later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        """Keep the mail; it is on disk before the answer, so 250 is a promise."""
        content = envelope.content
        raw = content.encode() if isinstance(content, str) else content or b""
        self._mails.add(read_mail(raw, ", ".join(envelope.rcpt_tos), datetime.now(UTC)))
        return "250 OK"


def read_mail(raw: bytes, to: str, received_at: datetime) -> Mail:
    """What is shown of a mail, whatever its bytes are."""
    message = message_from_bytes(raw)
    return Mail(
        message_id=str(message["Message-ID"] or "").strip() or _stand_in(raw),
        to=to,
        subject=_subject(message),
        text=_text(message),
        received_at=received_at,
    )


def routes(mails: Mails) -> list[BaseRoute]:
    """The pages for people and the JSON for tests."""

    async def show_list(request: Request) -> Response:
        before = _number(request.query_params.get("before", ""))
        return _list_page(mails, before)

    async def show_mail(request: Request) -> Response:
        mail = mails.read(request.path_params["number"])
        return _mail_page(mail, mails) if mail else Response("No such mail.\n", 404)

    async def give_json(request: Request) -> Response:
        if "count_only" in request.query_params:
            return _json({"mails": len(mails), "distinct": mails.distinct})
        limit = _number(request.query_params.get("limit", ""))
        listed = mails.latest(_LISTED if limit is None else min(limit, _LISTED))
        return _json([_listed(number, mail, mails) for number, mail in listed])

    return [
        Route("/", show_list),
        Route("/mails/{number:int}", show_mail),
        Route("/mails.json", give_json),
    ]


def main() -> None:
    """Run the sandbox until SIGTERM or SIGINT."""
    smtp = listen("JETMESH_SANDBOX_SMTP_PORT", 1025)
    http = listen("JETMESH_SANDBOX_HTTP_PORT", 8091)
    mails = Mails(Journal(directory(".jetmesh/mail") / "mails.jsonl"))
    asyncio.run(_run(mails, smtp, http))


async def _run(mails: Mails, smtp: socket.socket, http: socket.socket) -> None:
    loop, inbox = asyncio.get_running_loop(), Inbox(mails)

    def protocol() -> SMTP:
        # Without a name, the server asks DNS for its own, once per connection.
        return SMTP(inbox, hostname="localhost", data_size_limit=_LARGEST_MAIL, loop=loop)

    server = await loop.create_server(protocol, sock=smtp)
    try:
        await serve(routes(mails), http)
    finally:
        server.close()


def _list_page(mails: Mails, before: int | None) -> HTMLResponse:
    listed = list(mails.latest(_SHOWN, before))
    rows = "".join(
        f'<tr><td>{mail.received_at:%Y-%m-%d %H:%M:%S}</td><td><a href="/mails/{number}">'
        f"{escape(plain(mail.subject, 200)) or '(no subject)'}</a></td>"
        f"<td>{escape(plain(mail.to, 100))}</td></tr>"
        for number, mail in listed
    )
    last = listed[-1][0] if listed else 1
    older = f'<p><a href="/?before={last}">older</a></p>' if last > 1 else ""
    return page(
        "Mail (sandbox)",
        f"<p>{len(mails)} mails with {mails.distinct} different Message-IDs. None left this "
        "machine. Refused on purpose: unknown@… always, busy@… twice.</p>"
        f"<table><tr><th>time (UTC)</th><th>subject</th><th>to</th></tr>{rows}</table>{older}",
    )


def _mail_page(mail: Mail, mails: Mails) -> HTMLResponse:
    text = "\n".join(plain(line, 2000) for line in mail.text.splitlines())
    return page(
        plain(mail.subject, 200),
        f"<p>To {escape(plain(mail.to, 300))}, {mail.received_at:%Y-%m-%d %H:%M:%S} UTC, "
        f"Message-ID {escape(plain(mail.message_id, 300))}, "
        f"came {mails.count(mail.message_id)} time(s).</p>"
        f'<pre>{escape(text)}</pre><p><a href="/">all mails</a></p>',
    )


def _listed(number: int, mail: Mail, mails: Mails) -> Listed:
    return Listed(
        number=number,
        message_id=mail.message_id,
        to=mail.to,
        subject=mail.subject,
        text=mail.text,
        received_at=mail.received_at,
        count=mails.count(mail.message_id),
    )


def _stand_in(raw: bytes) -> str:
    """For a mail without a Message-ID, so that only identical ones count as repeated."""
    return f"<none.{blake2b(raw, digest_size=8).hexdigest()}>"


def _subject(message: Message) -> str:
    raw = str(message["Subject"] or "")
    try:
        return str(make_header(decode_header(raw)))
    except (HeaderParseError, LookupError, UnicodeError):
        return raw


def _text(message: Message) -> str:
    for part in message.walk():
        if part.get_content_type() == "text/plain":
            payload = part.get_payload(decode=True)
            if isinstance(payload, bytes):
                return payload.decode(errors="replace").replace("\r\n", "\n")
    return ""


def _number(text: str) -> int | None:
    return int(text) if text.isdecimal() and len(text) < 10 else None  # noqa: PLR2004 - a billion


def _json(value: object) -> Response:
    return Response(_encode(value), media_type="application/json")


def _digest(text: str) -> int:
    data = text.encode(errors="surrogateescape")
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "big")
