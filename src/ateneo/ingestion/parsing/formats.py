"""What kind of file some bytes are, by their content first and by the name's extension where content cannot tell."""

import codecs
import io
import re
import struct
import zipfile
import zlib
from pathlib import PurePath

from ateneo.errors import DocumentCorrupt, DocumentEncrypted, DocumentUnsupported
from ateneo.i18n import size as readable
from ateneo.i18n import tr

MARKDOWN = "text/markdown"
PLAIN = "text/plain"
CSV = "text/csv"
HTML = "text/html"
EMAIL = "message/rfc822"
PDF = "application/pdf"
RTF = "application/rtf"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
PPTX = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
ODT = "application/vnd.oasis.opendocument.text"
ODP = "application/vnd.oasis.opendocument.presentation"
ODS = "application/vnd.oasis.opendocument.spreadsheet"
DOC = "application/msword"
XLS = "application/vnd.ms-excel"
EPUB = "application/epub+zip"
MSG = "application/vnd.ms-outlook"
ZIP = "application/zip"
IMAGES = {"image/png", "image/jpeg", "image/tiff", "image/webp"}

MOST_UNPACKED_BYTES = 512 * 1024 * 1024
MOST_PACKED_RATIO = 200
"""Office files pack 5 to 30 times; a file that claims more than this, beyond a few MiB, is a bomb."""
_RATIO_MATTERS_FROM = 16 * 1024 * 1024

_BY_EXTENSION = {
    ".md": MARKDOWN, ".markdown": MARKDOWN, ".csv": CSV, ".tsv": CSV, ".html": HTML, ".htm": HTML, ".xhtml": HTML,
    ".eml": EMAIL, ".mbox": EMAIL, ".mht": EMAIL, ".mhtml": EMAIL,
    ".doc": DOC, ".xls": XLS,
    ".ppt": "application/vnd.ms-powerpoint", ".msg": MSG,
}  # fmt: skip
_OFFICE_NAMES = {".docx", ".pptx", ".xlsx", ".odt", ".odp", ".ods", ".epub"}
_BY_MEMBER = (("word/", DOCX), ("ppt/", PPTX), ("xl/", XLSX))
_BY_MIMETYPE_MEMBER = {ODT, ODP, ODS, EPUB}
_MAGIC = {
    b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg", b"II*\0": "image/tiff", b"MM\0*": "image/tiff",
    b"GIF8": "image/gif", b"\x1f\x8b": "application/gzip",
    b"7z\xbc\xaf": "application/x-7z-compressed", b"Rar!": "application/vnd.rar", b"\x7fELF": "application/x-elf",
    b"MZ": "application/x-msdownload",
}  # fmt: skip
_PDF_START = re.compile(rb"%PDF-\d")
_PDF_OBJECT = re.compile(rb"\d obj\b")
_ZIP = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
_ZIP_ERRORS = (
    zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, struct.error, NotImplementedError, RuntimeError, EOFError,
    ValueError, OSError,
)  # fmt: skip
"""What zipfile raises for a damaged or encrypted archive."""

_OLE = bytes.fromhex("d0cf11e0a1b11ae1")
_ENCRYPTED_STREAM = "EncryptedPackage".encode("utf-16-le")
_HTML_START = re.compile(r"\s*(?:<!doctype\s+html|<html[\s>])", re.IGNORECASE)
_TABLE_START = re.compile(r"<table[\s>]", re.IGNORECASE)
_CHARSET = re.compile(rb"<meta[^>]{0,200}charset=[\"']?\s*([\w-]{1,40})", re.IGNORECASE)
_ENCODINGS = ("iso8859", "cp", "koi8", "mac", "gb", "big5", "shift_jis", "euc", "iso2022")
_BYTE_ENCODINGS = ("cp1252", "cp850", "mac_roman")
_SAMPLE_BYTES = 65_536
_OURS = re.compile(
    r"(?<![A-ZÀ-Ý])(?:[áéíóúñüãõâêôàª°º](?![A-ZÀ-Ý]{2})|ç(?=[aouãõáóú]))"
    r"|(?<![a-zà-ÿ])[ÁÉÍÓÚÑÜÇÃÕÂÊÔÀ¿¡«»“”–—•€](?=[\w ])|(?<=[A-ZÀ-Ý])[ÁÉÍÓÚÑÜÇÃÕ]|[»”€–—]"
)
_WITHIN_WORD = re.compile(
    r"(?<=[a-zà-ÿ])[À-Ý]|ç(?![aouãõáóú])|(?<=\w)[¿¡«»—–…‚„“”‘’ŽžŸŠšŒœ\xa0†‡¢£¥©®¬±µ¶·¸ƒ≠∞≤≥∂∑∏π∫Ω√≈∆◊¦│┤╣║╗╝┐└┴┬├─┼╚╔╩╦╠═╬](?=\w)"
)
_REPLACED = "\N{REPLACEMENT CHARACTER}"
_CONTROL = re.compile("[\x00-\x08\x0e-\x1a\x1c-\x1f]")


def detect(data: bytes, name: str) -> str:
    """Returns the MIME type of a file that can be read.

    Raises DocumentUnsupported for other kinds, DocumentEncrypted for an Office file behind a password,
    DocumentCorrupt for a zip-based one that is damaged or unpacks to more than is safe.
    """
    extension = PurePath(name).suffix.lower()
    if _PDF_START.search(data, 0, 1024) and (extension == ".pdf" or _PDF_OBJECT.search(data)):
        return PDF
    if data.startswith(_ZIP):
        return _zip_kind(data, name, extension)
    if data.startswith(_OLE):
        return _ole_kind(data, name, extension)
    if data.startswith(b"{\\rtf"):
        return RTF
    if (mime := _by_magic(data)) in IMAGES:
        return mime
    text = decode(data)
    if text is None or extension in _OFFICE_NAMES | {".pdf"}:
        raise _not_readable(data, name, extension)
    if _HTML_START.match(text):
        return HTML
    if extension == ".xls":  # what programs call so that is no workbook: a page with tables, lines with tabs, XML
        return HTML if _TABLE_START.search(text, 0, 2000) and not text.lstrip().startswith("<?xml") else CSV
    return PLAIN if extension == ".doc" else _BY_EXTENSION.get(extension, PLAIN)


def decode(data: bytes) -> str | None:
    """The text of `data` (UTF-8, UTF-16, what an HTML page declares, else Windows-1252, CP850 or MacRoman, in whichever
    it reads best); None where it is not text. Bytes that are none in its encoding are replacement characters."""
    text = _decoded(data)
    if text is None or sum(1 for _ in _CONTROL.finditer(text)) > len(text) // 20 + 1:
        return None
    return text


def _decoded(data: bytes) -> str | None:
    wide = _utf16(data)
    if wide:
        text = data.decode(wide, "replace").removeprefix("\ufeff")
        return text if text.count(_REPLACED) <= len(text) // 100 + 1 else None
    text = data.decode("utf-8-sig", "replace")
    bad = text.count(_REPLACED) - data.count(_REPLACED.encode())
    if bad * 2 <= len(text) - len(text.encode("ascii", "ignore")):
        return text
    if b"\x00" in data:
        return None
    declared = _CHARSET.search(data[:2048])
    encoding = _text_encoding(declared[1].decode("ascii")) if declared else None
    return data.decode(encoding or max(_BYTE_ENCODINGS, key=lambda one: _evidence(data, one)), "replace")


def _utf16(data: bytes) -> str | None:
    """UTF-16 by its mark, or by its zeros: of text in Latin letters nearly every second byte is one."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    sample = data[:4096]
    even, odd = sample[::2].count(0), sample[1::2].count(0)
    if len(sample) < 16 or max(even, odd) < len(sample) // 2 * 0.7 or min(even, odd) > len(sample) // 40:
        return None
    return "utf-16-le" if odd > even else "utf-16-be"


def _evidence(data: bytes, encoding: str) -> int:
    """How well the bytes beyond ASCII read: letters and marks of our languages between letters and spaces, against
    everything else (a capital within a word, a symbol of a frame)."""
    text = data[:_SAMPLE_BYTES].decode(encoding, "replace")
    good = len(_OURS.findall(text))
    return 3 * good - 2 * len(_WITHIN_WORD.findall(text)) - sum(1 for one in text if ord(one) > 127)


def _text_encoding(name: str) -> str | None:
    """The name of a codec of letters; Python has others, which a file must not choose."""
    try:
        found = codecs.lookup(name).name
    except LookupError:
        return None
    return found if found.startswith(_ENCODINGS) and found != "utf-8" else None


def _zip_kind(data: bytes, name: str, extension: str) -> str:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            _refuse_bomb(members, len(data), name)
            names = [member.filename for member in members]
            if "mimetype" in names and archive.getinfo("mimetype").file_size < 200:
                declared = archive.read("mimetype").decode("ascii", "replace").strip()
                if declared in _BY_MIMETYPE_MEMBER:
                    return declared
    except _ZIP_ERRORS as error:
        if extension in _OFFICE_NAMES | {".zip"}:
            raise DocumentCorrupt(name=name, detail=damaged()) from error
        raise DocumentUnsupported(name=name, mime=ZIP) from error
    for prefix, mime in _BY_MEMBER:
        if any(member.startswith(prefix) for member in names):
            return mime
    if extension in _OFFICE_NAMES:
        raise DocumentCorrupt(name=name, detail=damaged())
    if extension == ".zip":
        return ZIP
    raise DocumentUnsupported(name=name, mime=ZIP)


def _refuse_bomb(members: list[zipfile.ZipInfo], size: int, name: str) -> None:
    unpacked = sum(member.file_size for member in members)
    if unpacked > MOST_UNPACKED_BYTES or unpacked > max(size * MOST_PACKED_RATIO, _RATIO_MATTERS_FROM):
        packed, claimed = readable(size), readable(unpacked)
        detail = tr(
            f"ocupa {packed} y descomprimido dice ocupar {claimed}: parece una bomba zip.",
            f"it takes {packed} and claims {claimed} unpacked: it looks like a zip bomb.",
        )
        raise DocumentCorrupt(name=name, detail=detail)


def _ole_kind(data: bytes, name: str, extension: str) -> str:
    if _ENCRYPTED_STREAM in data:
        raise DocumentEncrypted(name=name)
    mime = _BY_EXTENSION.get(extension)
    if mime is None or not mime.startswith("application/"):
        raise DocumentUnsupported(name=name, mime="application/x-ole-storage")
    return mime


def _not_readable(data: bytes, name: str, extension: str) -> DocumentCorrupt | DocumentUnsupported:
    if extension in _OFFICE_NAMES | {".pdf"}:
        return DocumentCorrupt(
            name=name,
            detail=tr("su contenido no es el de su extensión.", "its content is not what its extension says."),
        )
    return DocumentUnsupported(name=name, mime=_by_magic(data))


def _by_magic(data: bytes) -> str:
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "image/webp"
    return next((mime for magic, mime in _MAGIC.items() if data.startswith(magic)), "application/octet-stream")


def damaged() -> str:
    """The detail of a DocumentCorrupt."""
    return tr("el archivo está dañado o incompleto.", "the file is damaged or incomplete.")
