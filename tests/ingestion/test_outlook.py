"""Messages of Outlook, in containers that are written here: nobody else's mail is in the repository."""

import random
import struct
from collections.abc import Mapping
from typing import Any

from ateneo.errors import DocumentError
from ateneo.ingestion.parsing.parse import parse
from ateneo.ingestion.parsing.rtf import unpacked
from ateneo.types import Document

_SECTOR = 512
_LEAST = 4096
_NONE, _END, _FAT = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD
_SENT = 133_000_000_000_000_000  # in ticks of 100 ns since 1601: in June 2022
Tree = Mapping[str, Any]


def container(tree: Tree) -> bytes:
    """A compound file of storages (mappings) and streams, each stream filled up with spaces to 4,096 bytes."""
    entries: list[tuple[str, int, int, bytes]] = []  # name, child, next sibling, data

    def add(name: str, node: Any) -> int:
        at = len(entries)
        entries.append((name, _NONE, _NONE, b""))
        child = _NONE
        if isinstance(node, Mapping):
            for inner, value in node.items():
                made = add(inner, value)
                entries[made] = (entries[made][0], entries[made][1], child, entries[made][3])
                child = made
        entries[at] = (name, child, _NONE, b"" if isinstance(node, Mapping) else node)
        return at

    add("Root Entry", tree)
    sectors: list[bytes] = []
    fat: list[int] = []
    directory = b""
    for at, (name, child, sibling, data) in enumerate(entries):
        start = len(sectors) if data else _END
        sectors += [data[from_ : from_ + _SECTOR].ljust(_SECTOR) for from_ in range(0, len(data), _SECTOR)]
        fat += [*range(len(fat) + 1, len(sectors)), _END] if data else []
        kind = 5 if not at else 2 if data else 1
        label = name.encode("utf-16-le")
        directory += struct.pack(
            "<64sHBBIII36xIQ", label, len(label) + 2, kind, 1, _NONE, sibling, child, start, len(data)
        )
    first = len(sectors)
    sectors += [directory[at : at + _SECTOR].ljust(_SECTOR, b"\0") for at in range(0, len(directory), _SECTOR)]
    fat += [*range(len(fat) + 1, len(sectors)), _END, _FAT]
    sectors.append(struct.pack("<128I", *fat, *[_NONE] * (128 - len(fat))))
    places = (1, first, 0, _LEAST, _END, 0, _END, 0, len(sectors) - 1)
    magic = bytes.fromhex("d0cf11e0a1b11ae1")
    header = struct.pack("<8s16xHHHHH6xIIIIIIIIII", magic, 0x3E, 3, 0xFFFE, 9, 6, 0, *places)
    return header.ljust(_SECTOR, b"\xff") + b"".join(sectors)


def wide(text: str) -> bytes:
    return text.ljust(_LEAST // 2).encode("utf-16-le")


def message(body: str, subject: str, **attached: Any) -> Tree:
    sent = struct.pack("<HHIQ", 0x0040, 0x0039, 6, _SENT)
    return {
        "__properties_version1.0": (bytes(32) + sent).ljust(_LEAST, b"\0"),
        "__substg1.0_0037001F": wide(subject),
        "__substg1.0_1000001F": wide(body),
        "__substg1.0_0C1A001F": wide("Ana Núñez"),
        "__substg1.0_5D01001F": wide("ana@a.example"),
        "__substg1.0_0E04001F": wide("luz@b.example"),
        **{f"__attach_version1.0_#{at:08X}": one for at, one in enumerate(attached.values())},
    }


def file(name: str, data: bytes) -> Tree:
    return {"__substg1.0_3707001F": wide(name), "__substg1.0_37010102": data.ljust(_LEAST)}


MESSAGE = container(
    message(
        "Va la lista de precios. ¿La ves?",
        "Precios de mayo",
        prices=file("precios.csv", b"Producto;Precio\nYerba;1.200\nMate;3.400\n"),
        forwarded={"__substg1.0_3701000D": message("El plazo es de treinta días.", "Plazos")},
    )
)


def read(data: bytes) -> Document:
    return parse(data, "a.msg", max_bytes=10**7)


def test_who_wrote_what_to_whom_and_when() -> None:
    document = read(MESSAGE)
    text = document.sections[0].text
    assert document.title == "Precios de mayo"
    for line in ("From: Ana Núñez <ana@a.example>", "To: luz@b.example", "Subject: Precios de mayo", "Jun 2022"):
        assert line in text
    assert "Va la lista de precios. ¿La ves?" in text


def test_what_is_attached_is_read() -> None:
    document = read(MESSAGE)
    text = "\n".join(section.text for section in document.sections)
    assert "Mate | Precio: 3.400" in text
    assert "El plazo es de treinta días." in text
    assert document.reading.attachments == ("precios.csv",)


def test_a_body_that_is_html_alone_is_read_as_a_page() -> None:
    tree = {name: data for name, data in message("", "Precios").items() if "1000" not in name}
    page = b"<html><table><tr><td>Art</td><td>Precio</td></tr><tr><td>Yerba</td><td>1.200</td></tr></table></html>"
    assert (
        "Yerba | Precio: 1.200"
        in read(container({**tree, "__substg1.0_10130102": page.ljust(_LEAST)})).sections[0].text
    )


PACKED = bytes.fromhex(
    "2d0000002b0000004c5a4675f1c5c7a703000a007263706731323542320af32068656c090020627705b06c647d0a800fa0"
)
"""The example of MS-OXRTFCP, 4.1.1."""


def test_a_body_that_is_rtf_alone_is_unpacked_and_read() -> None:
    assert unpacked(PACKED, 10**6) == b"{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n"
    tree = {name: data for name, data in message("", "Saludo").items() if "1000" not in name}
    document = read(container({**tree, "__substg1.0_10090102": PACKED.ljust(_LEAST, b"\0")}))
    assert "hello world" in document.sections[0].text


def test_damaged_messages_fail_as_documents() -> None:
    chance = random.Random("msg")
    for _ in range(100):
        made = bytearray(MESSAGE)
        for _ in range(chance.choice((1, 4, 40))):
            made[chance.randrange(len(made))] = chance.choice((0, 255, chance.randrange(256)))
        try:
            read(bytes(made))
        except DocumentError as error:
            assert "a.msg" in error.message
