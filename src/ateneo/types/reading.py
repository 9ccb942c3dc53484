"""What the reading of a file found, and what it could not read."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Skipped:
    """A part of a file that was not read: a hidden file of an archive, an attachment of another kind."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class ReadingReport:
    """`pages_without_text`: scanned ones and empty ones; `ocr_pages`: those of them whose text was recognised, and
    `ocr_confidence` (0 to 1) the mean over them. `attachments`: the files within this one that were read."""

    pages_without_text: tuple[int, ...] = ()
    ocr_pages: tuple[int, ...] = ()
    ocr_confidence: float | None = None
    tables: int = 0
    attachments: tuple[str, ...] = ()
    skipped: tuple[Skipped, ...] = ()

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> "ReadingReport":
        """From what `dataclasses.asdict` gives, also after JSON."""
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()
        }
        values["skipped"] = tuple(Skipped(**one) for one in fields.get("skipped", ()))
        return cls(**values)

    @property
    def unread_pages(self) -> tuple[int, ...]:
        return tuple(page for page in self.pages_without_text if page not in self.ocr_pages)

    def with_table(self) -> "ReadingReport":
        return replace(self, tables=self.tables + 1)

    def with_skipped(self, name: str, reason: str) -> "ReadingReport":
        return replace(self, skipped=(*self.skipped, Skipped(name, reason)))

    def with_attachment(self, name: str, other: "ReadingReport") -> "ReadingReport":
        """With what the attachment of this name was read into."""
        return replace(
            self,
            tables=self.tables + other.tables,
            attachments=(*self.attachments, name, *(f"{name}/{one}" for one in other.attachments)),
            skipped=(*self.skipped, *(Skipped(f"{name}/{one.name}", one.reason) for one in other.skipped)),
        )


NO_REPORT = ReadingReport()
