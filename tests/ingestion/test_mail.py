"""Messages and mailboxes as documents."""

from email.message import EmailMessage

import pytest

from ateneo.ingestion.parsing.parse import parse
from ateneo.types import Document


def message(text: str = "Hola, va la lista.", *, html: str | None = None) -> EmailMessage:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "Ana <ana@a.example>", "luz@b.example", "Précios de março"
    mail.set_content(html, subtype="html") if html else mail.set_content(text)
    return mail


def text_of(document: Document) -> str:
    return "\n".join("\n".join((*section.headings, section.text)) for section in document.sections)


def read(mail: EmailMessage | bytes, name: str = "m.eml") -> Document:
    return parse(mail if isinstance(mail, bytes) else mail.as_bytes(), name, max_bytes=10**7)


def test_who_wrote_what_to_whom() -> None:
    document = read(message())
    assert document.title == "Précios de março"
    assert "From: Ana <ana@a.example>" in text_of(document)
    assert "Hola, va la lista." in text_of(document)


def test_a_body_in_html_is_read_as_a_page() -> None:
    mail = message(html="<p>Pago a <b>30 días</b>.</p><table><tr><td>Pala</td><td>90</td></tr></table>")
    text = text_of(read(mail))
    assert "Pago a 30 días." in text
    assert "Pala | 90" in text


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "cp850", "mac_roman"])
def test_a_body_without_a_charset_is_read_in_its_encoding(encoding: str) -> None:
    head = b"From: ana@a.example\nSubject: Aviso\n\n"
    assert "Mañana, según el artículo 3°, no habrá reunión." in text_of(
        read(head + "Mañana, según el artículo 3°, no habrá reunión.\n".encode(encoding))
    )


def test_attachments_belong_to_the_mail() -> None:
    mail = message()
    mail.add_attachment(
        "Ítem;Precio\nPala;90\nPico;80\n".encode(), maintype="text", subtype="csv", filename="cotización.csv"
    )
    mail.add_attachment(b"\x89PNG\r\n", maintype="image", subtype="png", filename="foto.png")
    mail.add_attachment(message("Reenvío: el plazo es de 9 días."))
    text = text_of(read(mail))
    assert "Adjunto: cotización.csv" in text
    assert "Pala | Precio: 90" in text
    assert "foto.png" in text
    assert "el plazo es de 9 días" in text


def test_attachments_within_attachments_end() -> None:
    mail = message("fondo")
    for _ in range(30):
        outer = message("otro")
        outer.add_attachment(mail)
        mail = outer
    assert "fondo" not in text_of(read(mail))


def test_a_mailbox_is_its_messages() -> None:
    box = b"".join(
        b"From ana@a.example Fri Nov 27 08:00:00 2026\n" + message(f"Aviso {n}.\nFrom here").as_bytes() + b"\n"
        for n in "123"
    )
    text = text_of(read(box.replace(b"\nFrom here", b"\n>From here"), "todo.mbox"))
    assert all(f"Aviso {n}." in text for n in "123")
    assert text.count("From here") == 3
