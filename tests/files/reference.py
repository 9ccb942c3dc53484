"""Plain readings of files, none of them ours: the words that their chunks have to have."""

import io
import re
import unicodedata
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pypdfium2
from selectolax.lexbor import LexborHTMLParser

ROOT = Path(__file__).parents[2]
FOLDERS = ("tests/files/documents", "tests/files/kinds", "examples")
LEFT_OUT = {
    "ficha.md": "title tags autora description html 1 1 image png base64 data plano img1 img1 ivborw0kggoaaaansuheugaa",
    "pileta.odt": "1",
    "cambios.odt": "eva doscientos mil eva 2026 01 01t00 00 00",
    "horas.xlsx": "hoja2",
    "stock_sin_blancos.xlsx": "código",
    "preguntas.html": "inicio",
    "onetrust.html": "tel 0800 555 este sitio usa cookies aceptar todas copyright 2026 suscribite",
    "resumen_cuenta.pdf": "pág 1 de 2",
    "pagina_guardada.html": "texto oculto de prueba",
    "recibo_camscanner_1h.pdf": "escaneado con appscan",
    "gaceta_ligadura_espaciada.pdf": "o fi cina verifi ca la fi rma califi cación modifi cación ofi cial fi cina ofi",
}
"""What is no word of the file's text, as a list that must stay short: names of fields, what is hidden, watermarks; and
a header that the table repeats."""

_WORD = re.compile(r"\w+")
_PAGE_NUMBER = re.compile(r"\W*(?:p[áa]gina\W*)?\d{1,3}\W*(?:(?:de|/)\W*\d{1,3})?\W*", re.IGNORECASE)
_AROUND = "script, style, nav, header, footer, aside, template, noscript, [id*=cookie], [class*=cookie], [hidden]"
_WORD_TEXT = [
    f"{{http://schemas.openxmlformats.org/wordprocessingml/2006/main}}{name}" for name in ("t", "br", "p", "tab")
]
_SLIDE_TEXT = "{http://schemas.openxmlformats.org/drawingml/2006/main}t"
_ODF_TEXT = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"


def words(text: str) -> Counter[str]:
    text = re.sub("(?<=[a-z])\ufffe(?=[A-Z])", "-", text)
    text = re.sub("(?:[\x02\ufffe\xad]|(?<=[a-z])[-\u2010]\n(?=[a-z]))\\s*", "", text)
    text = unicodedata.normalize("NFKC", text)
    return Counter(word.casefold() for word in _WORD.findall(text))


def of_pdf(data: bytes) -> str:
    """Lines that pages repeat, and page numbers, count once: running headers."""
    with pypdfium2.PdfDocument(data) as pdf:
        pages = [page.get_textpage().get_text_range().replace("\r", "") for page in pdf]
    lines = [dict.fromkeys(page.split("\n")) for page in pages]
    shapes = Counter(re.sub(r"\d+", "#", line) for page in lines for line in page)
    kept: list[str] = []
    seen: set[str] = set()
    for page in pages:
        for line in page.split("\n"):
            shape = re.sub(r"\d+", "#", line)
            if _PAGE_NUMBER.fullmatch(line) or (shapes[shape] > 1 and shape in seen):
                continue
            seen.add(shape)
            kept.append(line)
    return "\n".join(kept)


def of_parts(name: str, *tags: str) -> Callable[[bytes], str]:
    """The texts of elements of the XML parts whose names match."""

    def read(data: bytes) -> str:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            roots = [ElementTree.fromstring(archive.read(part)) for part in archive.namelist() if re.match(name, part)]
        runs = [one for root in roots for one in root.iter() if one.tag in tags]
        within = {id(one) for run in runs for one in run.iter() if one is not run}
        runs = [one for one in runs if id(one) not in within]
        return "\n".join(" ".join(one.itertext()) for one in runs)

    return read


def of_docx(data: bytes) -> str:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        root = ElementTree.fromstring(archive.read("word/document.xml"))
    for parent in [one for one in root.iter() if one.tag.endswith("}AlternateContent")]:
        parent[:] = [one for one in parent if not one.tag.endswith("}Fallback")]
    return "".join(one.text or "\n" for one in root.iter() if one.tag in _WORD_TEXT)


def of_xlsx(data: bytes) -> str:
    import openpyxl

    book = openpyxl.load_workbook(io.BytesIO(data), data_only=True)
    cells = (cell.value for sheet in book.worksheets for row in sheet.iter_rows() for cell in row)
    return "\n".join([*(sheet.title for sheet in book.worksheets[1:]), *(one for one in cells if isinstance(one, str))])


def of_xls(data: bytes) -> str:
    import kreuzberg

    text = str(kreuzberg.extract_bytes_sync(data, "application/vnd.ms-excel").content)
    return " ".join(re.findall(r"[^\W\d]+", text))


def of_html(text: str) -> str:
    tree = LexborHTMLParser(text)
    for node in tree.css(_AROUND):
        node.decompose()
    assert tree.body is not None
    return tree.body.text(separator=" ")


def of_rtf(data: bytes) -> str:
    text = re.sub(rb"\\'([0-9a-f]{2})", lambda found: bytes([int(found[1], 16)]), data).decode("cp1252")
    text = re.sub(r"\\u(\d+)\?", lambda found: chr(int(found[1])), text[text.index("\\pard") :])
    text = re.sub(r"\{\\(?:deleted|pict)[^{}]*\}", "", text)
    return re.sub(r"\\\w+ ?", " ", text)


def of_text(data: bytes) -> str:
    for encoding in ("utf-8", "cp1252"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    return data.decode("utf-8", "replace")


def of_markdown(data: bytes) -> str:
    """Without the addresses of links, and comments."""
    return re.sub(
        r"\]\([^()]*(?:\([^()]*\)[^()]*)*\)|<!-- borrador -->|^```\w*$", "", of_text(data), flags=re.MULTILINE
    )


READERS: dict[str, Callable[[bytes], str]] = {
    ".pdf": of_pdf,
    ".docx": of_docx,
    ".xlsx": of_xlsx,
    ".xls": of_xls,
    ".pptx": of_parts(r"ppt/slides/[^/]*\.xml", _SLIDE_TEXT),
    ".odt": of_parts(r"content\.xml", f"{_ODF_TEXT}p", f"{_ODF_TEXT}h"),
    ".ods": of_parts(r"content\.xml", f"{_ODF_TEXT}p"),
    ".html": lambda data: of_html(of_text(data)),
    ".htm": lambda data: of_html(of_text(data)),
    ".rtf": of_rtf,
    ".csv": of_text,
    ".txt": of_text,
    ".md": of_markdown,
}
ENCODINGS = {"macroman": "mac_roman", "cp850": "cp850", "utf16nobom": "utf-16-le", "utf16le": "utf-16-le"}
"""What the names of files say of theirs."""


def files() -> list[Path]:
    found = (path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*")))
    return [path for path in found if path.suffix in READERS]


def reference(path: Path) -> str:
    data = path.read_bytes()
    encoding = next((encoding for part, encoding in ENCODINGS.items() if part in path.name), "")
    if encoding:
        return data.decode(encoding)
    if path.suffix == ".xls" and not data.startswith(b"\xd0\xcf"):
        return of_html(of_text(data)) if b"<" in data else of_text(data)
    return READERS[path.suffix](data)
