"""A letter as the bytes that a mail server takes."""

from __future__ import annotations

import re
from datetime import datetime
from email.charset import QP, Charset
from email.header import Header
from email.mime.text import MIMEText
from email.policy import Compat32
from email.utils import format_datetime, formataddr
from hashlib import sha256
from typing import Final

from shop.letters import Letter
from shop.plain_text import plain
from shop_contracts import Outcome

_LONGEST_LINE: Final = 78


class _FoldWhatIsLong(Compat32):
    """The older policy, because the newer ones parse every header that is set: six times the CPU.

    It would look for a place to fold in every header, too: a third of a mail's CPU.
    """

    def fold_binary(self, name: str, value: str) -> bytes:
        """The lines of one header."""
        line = f"{name}: {value}"
        if len(line) <= _LONGEST_LINE and line.isascii() and line.isprintable():
            return f"{line}{self.linesep}".encode()
        return super().fold_binary(name, value)


_POLICY: Final = _FoldWhatIsLong(linesep="\r\n")
_UTF8: Final = Charset("utf-8")
_UTF8.body_encoding = QP
_ENDS: Final = frozenset({Outcome.REJECTED, Outcome.CAPTURED, Outcome.DECLINED})
"""A purchase has one of them: its mail needs no more of a name."""
_readable = re.compile(r"[A-Za-z0-9_-]{1,64}").fullmatch


def message_id_of(letter: Letter, domain: str) -> str:
    """The Message-ID of a letter's one mail: always the same, so that a repetition shows."""
    return message_id(letter.purchase_id, domain, "" if letter.about in _ENDS else letter.about)


def message_id(purchase_id: str, domain: str, fact: str = "") -> str:
    """The Message-ID of what is told of a purchase; without a fact: how it ended."""
    readable = _readable(purchase_id)
    name = purchase_id if readable else f"sha256.{sha256(purchase_id.encode()).hexdigest()}"
    return f"<purchase.{f'{fact}.' if fact else ''}{name}@{domain}>"


def compose(letter: Letter, *, sender: str, sent_at: datetime) -> bytes:
    """The whole mail, the same bytes each time, of lines that every server takes.

    `sender` and the customer's address must be plausible: they are written as they are.
    """
    domain = sender.rpartition("@")[2]
    charset = "us-ascii" if letter.text.isascii() else _UTF8
    mail = MIMEText(letter.text, "plain", charset, policy=_POLICY)  # type: ignore[arg-type] # reason: the stubs know only names of charsets, the library takes a Charset
    mail["From"] = formataddr(("Your shop", sender))
    mail["To"] = _mailbox(plain(letter.customer.name, 60).strip(), letter.customer.email)
    mail["Subject"] = _header("Subject", letter.subject)
    mail["Date"] = format_datetime(sent_at)
    mail["Message-ID"] = message_id_of(letter, domain)
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: asks for no out-of-office answer
    return mail.as_bytes()


def _mailbox(name: str, address: str) -> str:
    return formataddr((name, address)) if name.isascii() else f"{_header('To', name)} <{address}>"


def _header(field: str, text: str) -> str:
    return text if text.isascii() else Header(text, "utf-8", header_name=field).encode()
