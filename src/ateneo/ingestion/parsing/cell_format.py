"""Values of spreadsheet cells as the sheet shows them: dates, times, percentages, amounts with their currency.

A file keeps a number and a format as the United States write it (ECMA-376 part 1, 18.8.30); the program shows it by the
region of its reader. Here that is Spanish: 12.500,50.
"""

import re
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

_SHORT_DATE = "mm-dd-yy"
"""How the built-in format 14 is written, which shows the region's own short date."""
_LITERAL = re.compile(r'"([^"]*)"|\\(.)|_.|\*.|\[\$([^\]-]*)(?:-[0-9A-Fa-f]+)?\]|\[[^\]]*\]')
_DIGITS = re.compile(r"[#0?][#0?,.]*")
_DATE_PART = re.compile(
    r"yyyy|yy|mmmmm|mmmm|mmm|mm|m|dddd|ddd|dd|d|hh|h|ss|s|am/pm|a/p|\\.|\"[^\"]*\"|.", re.IGNORECASE
)
_DATE_LETTERS = re.compile(r"[ymdhs]", re.IGNORECASE)
_MONTHS = ("enero", "febrero", "marzo", "abril", "mayo", "junio", "julio", "agosto", "septiembre", "octubre",
           "noviembre", "diciembre")  # fmt: skip
_DAYS = ("lunes", "martes", "miércoles", "jueves", "viernes", "sábado", "domingo")
_LOCALE = re.compile(r"\[\$[^\]]*\]|\[(?![hms])[^\]]*\]|_.|\*.")
_MOST_DIGITS = 11


class _Number(NamedTuple):
    """A format of numbers: what stands before and after the digits, how many decimals, whether digits are grouped."""

    before: str
    after: str
    decimals: int | None
    grouped: bool
    percent: bool
    digits: int


def shown(value: Any, number_format: str = "General") -> str:
    """The text that the cell shows; "" for an empty one."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "VERDADERO" if value else "FALSO"
    if isinstance(value, datetime | date | time):
        return _moment(value, number_format)
    if isinstance(value, timedelta):
        minutes, seconds = divmod(round(value.total_seconds()), 60)
        return f"{minutes // 60}:{minutes % 60:02}" + (f":{seconds:02}" if seconds else "")
    if isinstance(value, int | float):
        return _number(float(value), number_format)
    return str(value)


def _number(value: float, number_format: str) -> str:
    sections = number_format.split(";")
    section = sections[1] if value < 0 and len(sections) > 1 and sections[1] else sections[0]
    form = _form(section)
    if form.decimals is None:
        return _general(value)
    size = abs(value) if value < 0 and section is not sections[0] else value
    text = f"{size * 100 if form.percent else size:,.{form.decimals}f}".translate(str.maketrans(",.", ".,"))
    text = text if form.grouped else text.replace(".", "")
    sign, text = ("-", text[1:]) if text.startswith("-") else ("", text)
    return f"{sign}{form.before}{text.rjust(form.digits, '0')}{form.after}".strip()


def _general(value: float) -> str:
    if value == int(value) and abs(value) < 10**15:
        return str(int(value))
    return f"{value:.{_MOST_DIGITS}g}".replace(".", ",")


@lru_cache(maxsize=512)
def _form(section: str) -> _Number:
    literals: list[str] = []

    def keep(found: re.Match[str]) -> str:
        literals.append(found[1] or found[2] or found[3] or "")
        return "\0"

    bare = _LITERAL.sub(keep, section)
    digits = _DIGITS.search(bare)
    if digits is None or "E+" in bare or "/" in bare or "@" in bare or bare.strip("\0 ").lower() == "general":
        return _Number("", "", None, False, False, 0)
    texts = iter(literals)
    before, after = (
        re.sub("\0", lambda _: next(texts, ""), part) for part in (bare[: digits.start()], bare[digits.end() :])
    )
    whole, _, decimals = digits[0].partition(".")
    least = whole.replace(",", "").count("0")
    return _Number(
        before, after, len(re.findall("[0#?]", decimals)), "," in whole, "%" in bare, least if least > 1 else 0
    )


def _moment(value: datetime | date | time, number_format: str) -> str:
    form = _LOCALE.sub("", number_format.split(";", maxsplit=1)[0])
    if number_format in ("General", _SHORT_DATE) or not _DATE_LETTERS.search(form):
        return _usual(value)
    shows = _shows(value, halves=re.search("am/pm|a/p", form, re.IGNORECASE) is not None)
    after_hours = False
    parts: list[str] = []
    for found in _DATE_PART.finditer(form):
        name = found[0].lower()
        if name in ("m", "mm") and (after_hours or _is_before_seconds(form, found.end())):
            name, after_hours = f"minute {name}", False
        after_hours |= name[0] == "h"
        parts.append(shows[name] if name in shows else found[0].strip('"[]\\'))
    return "".join(parts).strip()


def _is_before_seconds(form: str, at: int) -> bool:
    return re.match(r"[^a-z]*s", form[at:], re.IGNORECASE) is not None


def _shows(value: datetime | date | time, *, halves: bool) -> dict[str, str]:
    """What each part of a format of dates shows."""
    clock = value if isinstance(value, datetime | time) else time()
    hour = (clock.hour % 12 or 12) if halves else clock.hour
    half = "a. m." if clock.hour < 12 else "p. m."
    shows = {"h": str(hour), "hh": f"{hour:02}", "minute m": str(clock.minute), "minute mm": f"{clock.minute:02}",
             "s": str(clock.second), "ss": f"{clock.second:02}", "am/pm": half, "a/p": half}  # fmt: skip
    if isinstance(value, time):
        return shows | dict.fromkeys(("yyyy", "yy", "mmmmm", "mmmm", "mmm", "mm", "m", "dddd", "ddd", "dd", "d"), "")
    month, day = _MONTHS[value.month - 1], _DAYS[value.weekday()]
    return shows | {
        "yyyy": f"{value.year:04}", "yy": f"{value.year % 100:02}", "mmmmm": month[0], "mmmm": month, "mmm": month[:3],
        "mm": f"{value.month:02}", "m": str(value.month), "dddd": day, "ddd": day[:3], "dd": f"{value.day:02}",
        "d": str(value.day),
    }  # fmt: skip


def _usual(value: datetime | date | time) -> str:
    """As the region shows what has no format of its own."""
    if isinstance(value, time):
        return f"{value:%H:%M:%S}" if value.second else f"{value:%H:%M}"
    if isinstance(value, datetime) and (value.hour or value.minute or value.second):
        return f"{value:%d/%m/%Y %H:%M}"
    return f"{value:%d/%m/%Y}"
