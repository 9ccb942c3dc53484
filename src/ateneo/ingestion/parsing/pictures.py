"""Images within a file of Office, which may be scans that somebody pasted there."""

import io
import re
import zipfile

from ateneo.i18n import count, tr
from ateneo.ingestion.parsing.mail import Attachment

_PICTURE = re.compile(
    r"(?:(?:word|ppt|xl)/media|Pictures)/[^/]+\.(?:png|jpe?g|tiff?|bmp|gif|webp|emf|wmf)", re.IGNORECASE
)
_READABLE = re.compile(r".*\.(?:png|jpe?g|tiff?|webp)", re.IGNORECASE)
_LEAST_BYTES = 10_000
"""Smaller ones are logos and icons."""
_MOST_READ = 20


def pictures_of(data: bytes) -> tuple[int, list[Attachment]]:
    """How many images a zipped file of Office has, and those that may be pages."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        found = [one for one in archive.infolist() if _PICTURE.fullmatch(one.filename)]
        pages = [one for one in found if one.file_size >= _LEAST_BYTES and _READABLE.fullmatch(one.filename)]
        return len(found), [Attachment(one.filename, archive.read(one)) for one in pages[:_MOST_READ]]


def unread_images(images: int) -> tuple[str, str]:
    """What a reading report says of the images within a document that are not read."""
    return (
        tr(count(images, "imagen", "imágenes"), count(images, "image", "images")),
        tr("dentro del documento, sin leer", "within the document, not read"),
    )
