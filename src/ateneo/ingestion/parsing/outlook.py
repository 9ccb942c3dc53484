"""Messages that Outlook saves (MS-OXMSG): as mail, with what was attached, messages within messages too."""

import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from struct import iter_unpack
from typing import Any

from ateneo.ingestion.parsing.formats import RTF, decode
from ateneo.ingestion.parsing.mail import MOST_ATTACHMENTS, Attachment, Mail
from ateneo.ingestion.parsing.office import read_office
from ateneo.ingestion.parsing.rtf import unpacked

_SUBJECT, _BODY, _HTML, _RTF = 0x0037, 0x1000, 0x1013, 0x1009
_MOST_BODY_BYTES = 20_000_000
_SENDER, _SENDER_ADDRESS, _SENDER_SMTP = 0x0C1A, 0x0C1F, 0x5D01
_TO, _CC = 0x0E04, 0x0E03
_SENT = 0x0039
_DATA, _NAMES = 0x3701, (0x3707, 0x3704, 0x3001)
_TIME = 0x0040
_MESSAGE = "__substg1.0_3701000D"
_PROPERTIES = "__properties_version1.0"
_DEEPEST = 3
_PROPERTY_BYTES = 16
_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)

_Path = tuple[str, ...]


def read_msg(data: bytes) -> list[Mail]:
    """The message, then those within it. Raises OSError for a damaged file, and what olefile does."""
    import olefile

    with olefile.OleFileIO(io.BytesIO(data)) as file:
        return list(_mails(file, ()))


def _mails(file: Any, at: _Path) -> Iterator[Mail]:
    storages = sorted({entry[len(at)] for entry in map(tuple, file.listdir()) if entry[: len(at)] == at})
    parts = [(*at, name) for name in storages if name.startswith("__attach")][:MOST_ATTACHMENTS]
    attached = tuple(one for part in parts if (one := _attachment(file, part)) is not None)
    text = _text(file, at, _BODY)
    page = "" if text.strip() else _text(file, at, _HTML)
    text = text if text.strip() or page else _rich_text(file, at)
    yield Mail(_headers(file, at), text or page, bool(page), attached)
    for part in parts:
        inner = (*part, _MESSAGE)
        if file.exists(list(inner)) and len(at) < 2 * _DEEPEST:
            yield from _mails(file, inner)


def _rich_text(file: Any, at: _Path) -> str:
    """The body where it is RTF alone."""
    data = unpacked(_stream(file, (*at, f"__substg1.0_{_RTF:04X}0102")), _MOST_BODY_BYTES)
    if not data.startswith(b"{\\rtf"):
        return ""
    reading, _ = read_office(data, "mail.rtf", RTF)
    return "\n\n".join("\n".join((*one.headings[-1:], one.text)) for one in reading.builder.sections())


def _attachment(file: Any, at: _Path) -> Attachment | None:
    data = _stream(file, (*at, f"__substg1.0_{_DATA:04X}0102"))
    name = next((name for one in _NAMES if (name := _line(file, at, one))), "")
    return Attachment(name or "adjunto", data) if data else None


def _headers(file: Any, at: _Path) -> dict[str, str]:
    address = _line(file, at, _SENDER_SMTP) or _line(file, at, _SENDER_ADDRESS)
    sender = _line(file, at, _SENDER)
    given = {
        "From": f"{sender} <{address}>" if "@" in address and address != sender else sender or address,
        "To": _line(file, at, _TO),
        "Cc": _line(file, at, _CC),
        "Date": _sent(file, at),
        "Subject": _line(file, at, _SUBJECT),
    }
    return {name: value for name, value in given.items() if value}


def _sent(file: Any, at: _Path) -> str:
    properties = _stream(file, (*at, _PROPERTIES))[24 if at else 32 :]
    whole = len(properties) // _PROPERTY_BYTES * _PROPERTY_BYTES
    for kind, name, _, ticks in iter_unpack("<HHIQ", properties[:whole]):
        if (kind, name) == (_TIME, _SENT) and ticks < 10**18:
            return format_datetime(_EPOCH + timedelta(microseconds=ticks // 10))
    return ""


def _line(file: Any, at: _Path, name: int) -> str:
    return " ".join(_text(file, at, name).replace("\x00", "").split())


def _text(file: Any, at: _Path, name: int) -> str:
    """A property that is text, in UTF-16 or in a code page that the file need not say."""
    wide = _stream(file, (*at, f"__substg1.0_{name:04X}001F"))
    if wide:
        return wide.decode("utf-16-le", "replace")
    narrow = (_stream(file, (*at, f"__substg1.0_{name:04X}{kind}")) for kind in ("001E", "0102"))
    return next((decode(one) or "" for one in narrow if one), "")


def _stream(file: Any, at: _Path) -> bytes:
    return bytes(file.openstream(list(at)).read()) if file.exists(list(at)) else b""
