"""Messages (RFC 5322) and mailboxes: who wrote what to whom, the text, and what was attached."""

import email
import email.policy
import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import EmailMessage
from itertools import islice, zip_longest

from ateneo.ingestion.parsing.formats import decode

_FROM_LINE = re.compile(rb"^From [^\n]*\n", re.MULTILINE)
_HEADERS = ("From", "To", "Cc", "Date", "Subject")
MOST_MESSAGES = 1000
MOST_ATTACHMENTS = 50


@dataclass(frozen=True, slots=True)
class Attachment:
    name: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Mail:
    """`headers`: name -> decoded value of those that it has; `text`: plain, or HTML where `is_html`."""

    headers: dict[str, str]
    text: str
    is_html: bool
    attachments: tuple[Attachment, ...]

    @property
    def subject(self) -> str:
        return self.headers.get("Subject", "")


def read_mails(data: bytes) -> Iterator[Mail]:
    """The message, or the messages of a mailbox (RFC 4155)."""
    if not data.startswith(b"From "):
        yield _read(data)
        return
    lines = list(islice(_FROM_LINE.finditer(data), MOST_MESSAGES + 1))
    for line, following in zip_longest(lines[:MOST_MESSAGES], lines[1:]):
        text = data[line.end() : following.start() if following else len(data)]
        yield _read(text.replace(b"\n>From ", b"\nFrom "))


def _read(data: bytes) -> Mail:
    message = email.message_from_bytes(data, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    plain: list[str] = []
    pages: list[str] = []
    attached: list[Attachment] = []
    for part in _leaves(message):
        name = part.get_filename()
        kind = part.get_content_type()
        content = _payload(part)
        if part.get_content_disposition() == "attachment" or name or kind not in ("text/plain", "text/html"):
            if name or kind == "message/rfc822":
                attached.append(Attachment(name or "mensaje.eml", content))
        else:
            (pages if kind == "text/html" else plain).append(_text(part, content))
    is_html = not any(map(str.strip, plain)) and bool(pages)
    headers = {name: " ".join(str(value).split()) for name in _HEADERS if (value := _header(message, name))}
    return Mail(headers, "\n\n".join(pages if is_html else plain), is_html, tuple(attached[:MOST_ATTACHMENTS]))


def _leaves(part: EmailMessage) -> Iterator[EmailMessage]:
    if part.get_content_maintype() != "multipart":
        yield part
        return
    for inner in part.iter_parts():
        yield from _leaves(inner)  # type: ignore[arg-type]


def _payload(part: EmailMessage) -> bytes:
    if part.get_content_type() == "message/rfc822":
        inner = part.get_payload(0) if part.is_multipart() else None
        return inner.as_bytes() if isinstance(inner, EmailMessage) else b""
    found = part.get_payload(decode=True)
    return found if isinstance(found, bytes) else b""


def _text(part: EmailMessage, content: bytes) -> str:
    charset = part.get_content_charset()
    if charset:
        try:
            return content.decode(charset, "replace")
        except (LookupError, ValueError):
            pass
    return decode(content) or ""


def _header(message: EmailMessage, name: str) -> str | None:
    """None also for one that the parser of the standard library cannot take."""
    try:
        return message.get(name)
    except (ValueError, IndexError, AttributeError, TypeError):
        return None
