"""What a reading report says to people."""

from collections.abc import Sequence

from ateneo.i18n import number, tr
from ateneo.types import ReadingReport

_MOST = 10


def warnings(report: ReadingReport) -> list[str]:
    """What whoever loads the file should know: pages that were not read or read by OCR, and what was skipped."""
    lines = []
    if report.unread_pages:
        pages = _some([str(page) for page in report.unread_pages])
        lines.append(tr(f"páginas sin texto: {pages}", f"pages without text: {pages}"))
    if report.ocr_pages:
        pages = _some([str(page) for page in report.ocr_pages])
        sure = number(round(100 * (report.ocr_confidence or 0)))
        lines.append(
            tr(f"páginas leídas por OCR: {pages} (confianza {sure} %)", f"pages read by OCR: {pages} ({sure}% sure)")
        )
    if report.skipped:
        names = _some([f"{one.name} ({one.reason.rstrip('.')})" for one in report.skipped])
        lines.append(tr(f"sin leer: {names}", f"not read: {names}"))
    return lines


def _some(names: Sequence[str]) -> str:
    more = len(names) - _MOST
    end = tr(f" y {number(more)} más", f" and {number(more)} more") if more > 0 else ""
    return ", ".join(names[:_MOST]) + end
