"""Small real files, made when a test needs them. (`con-clave.docx` is here as it is: Word's encryption, password
"clave", around one sentence.)"""

import io
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

ENCRYPTED_DOCX = Path(__file__).parent / "con-clave.docx"

_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument"
_TYPES = (
    '<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Override PartName="/word/document.xml" ContentType='
    '"application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>'
)
_RELATIONS = (
    '<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    f'<Relationship Id="rId1" Type="{_OFFICE}" Target="word/document.xml"/></Relationships>'
)
_WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"


def zipped(members: Mapping[str, str | bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return made.getvalue()


def docx(blocks: Sequence[str | tuple[str, int] | list[list[str]]]) -> bytes:
    """A Word document: a text is a paragraph, (text, level) a heading, a list of rows a table."""
    body = "".join(_block(block) for block in blocks)
    document = f'<?xml version="1.0"?><w:document xmlns:w="{_WORD}"><w:body>{body}</w:body></w:document>'
    return zipped({"[Content_Types].xml": _TYPES, "_rels/.rels": _RELATIONS, "word/document.xml": document})


def _block(block: str | tuple[str, int] | list[list[str]]) -> str:
    if isinstance(block, str):
        return _paragraph(block)
    if isinstance(block, tuple):
        return _paragraph(block[0], f'<w:pPr><w:pStyle w:val="Heading{block[1]}"/></w:pPr>')
    rows = ("".join(f"<w:tc>{_paragraph(cell)}</w:tc>" for cell in row) for row in block)
    return f"<w:tbl>{''.join(f'<w:tr>{row}</w:tr>' for row in rows)}</w:tbl>"


def _paragraph(text: str, properties: str = "") -> str:
    return f'<w:p>{properties}<w:r><w:t xml:space="preserve">{escape(text)}</w:t></w:r></w:p>'


def pdf(pages: Sequence[Sequence[str]], *, title: str = "", encrypted: bool = False) -> bytes:
    """A PDF of lines of text in Helvetica, one below the other."""
    first_page = 5
    numbers = [first_page + 2 * at for at in range(len(pages))]
    objects = {
        1: b"<< /Type /Catalog /Pages 2 0 R >>",
        2: f"<< /Type /Pages /Count {len(pages)} /Kids [{' '.join(f'{n} 0 R' for n in numbers)}] >>".encode(),
        3: b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        4: b"<< /Title (" + _pdf_text(title) + b") >>",
    }
    for number, lines in zip(numbers, pages, strict=True):
        shown = b" T* ".join(b"(" + _pdf_text(line) + b") Tj" for line in lines)
        stream = b"BT /F1 10 Tf 14 TL 60 780 Td " + shown + b" ET"
        objects[number] = (
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents {number + 1} 0 R"
            " /Resources << /Font << /F1 3 0 R >> >> >>"
        ).encode()
        objects[number + 1] = f"<< /Length {len(stream)} >>\nstream\n".encode() + stream + b"\nendstream"
    trailer = b"/Root 1 0 R" + (b" /Info 4 0 R" if title else b"")
    if encrypted:
        key = b"<" + b"5a" * 32 + b">"
        objects[max(objects) + 1] = b"<< /Filter /Standard /V 1 /R 2 /O " + key + b" /U " + key + b" /P -4 >>"
        trailer += f" /Encrypt {max(objects)} 0 R /ID [<00112233> <00112233>]".encode()
    return _pdf_file(objects, trailer)


def _pdf_text(text: str) -> bytes:
    return text.encode("cp1252").replace(b"\\", b"\\\\").replace(b"(", b"\\(").replace(b")", b"\\)")


def _pdf_file(objects: Mapping[int, bytes], trailer: bytes) -> bytes:
    made = bytearray(b"%PDF-1.4\n")
    offsets = []
    for number in sorted(objects):
        offsets.append(len(made))
        made += f"{number} 0 obj\n".encode() + objects[number] + b"\nendobj\n"
    start = len(made)
    made += f"xref\n0 {len(offsets) + 1}\n0000000000 65535 f \n".encode()
    made += b"".join(f"{offset:010d} 00000 n \n".encode() for offset in offsets)
    made += f"trailer\n<< /Size {len(offsets) + 1} ".encode() + trailer + f" >>\nstartxref\n{start}\n%%EOF\n".encode()
    return bytes(made)
