"""The language of what people read on screen: Spanish, or English by setting (`ATENEO_LANG=en`).

Every text stands in both languages where it is used: `tr("Listo.", "Done.")`. What is made before the language is
known, such as the description of a field, holds `both` until it is shown.

Numbers that people read go through `number`, `percent`, `dollars`, `size` and `count`; what is typed back (a setting's
value, SQL, `--json`) does not. In Spanish the decimal mark is the comma: the RAE takes both marks, all of South America
but Peru, and Spain, write the comma, and a number with a comma is never taken for one with thousands.
"""

from contextvars import ContextVar
from typing import Any, Literal

Lang = Literal["es", "en"]

_DIGITS_UNGROUPED = 4
"""RAE: a number of four digits or fewer has no separator."""
_CENT = 0.01

_current: ContextVar[Lang] = ContextVar("ateneo_lang", default="es")


def use(lang: Lang) -> None:
    """Sets the language for this context (a process, a task, a request)."""
    _current.set(lang)


def current() -> Lang:
    return _current.get()


def tr(es: str, en: str) -> str:
    """Returns the text in the current language."""
    return en if _current.get() == "en" else es


def number(value: float, decimals: int | None = 0, *, sign: bool = False) -> str:
    """A number for people: "2536", "12 536" (with U+00A0), "0,25" in Spanish; "2,536", "12,536", "0.25" in English.
    With `decimals=None` as many as it has, up to six."""
    text = f"{value:{'+' if sign else ''}z,.{6 if decimals is None else decimals}f}"
    if decimals is None:
        text = text.rstrip("0").rstrip(".")
    if _current.get() == "en":
        return text
    whole, mark, fraction = text.partition(".")
    few = sum(one.isdigit() for one in whole) <= _DIGITS_UNGROUPED
    return whole.replace(",", "" if few else "\N{NO-BREAK SPACE}") + ("," if mark else "") + fraction


def percent(share: float, decimals: int = 0) -> str:
    """A share of 1 in percent: "12,5 %" (with U+00A0) in Spanish, "12.5%" in English."""
    return number(100 * share, decimals) + tr("\N{NO-BREAK SPACE}%", "%")


def dollars(usd: float) -> str:
    """An amount without its currency: with cents, and below a cent with what there is."""
    return number(usd, 2 if usd == 0 or usd >= _CENT else 6)


def size(amount: int, *, least: bool = False) -> str:
    """Bytes for people: "640 bytes", "1,5 MiB"; `least` where no more than that was looked at."""
    if least:
        return tr(f"al menos {size(amount)}", f"at least {size(amount)}")
    for unit, unit_bytes in (("GiB", 1024**3), ("MiB", 1024**2), ("KiB", 1024)):
        if amount >= unit_bytes:
            return f"{number(amount / unit_bytes, 1)} {unit}"
    return count(amount, "byte", "bytes")


def count(amount: int, one: str, many: str) -> str:
    """A number and its noun, and whatever has to agree with it: "1 empresa", "2 empresas"."""
    return f"{number(amount)} {one if amount == 1 else many}"


_BETWEEN = "\x1f"


def both(es: str, en: str) -> str:
    """The text in both languages, for `in_current` to choose from."""
    return f"{es}{_BETWEEN}{en}"


def in_current(value: Any) -> Any:
    """A JSON value whose texts made by `both` are in the current language."""
    if isinstance(value, str):
        return tr(*value.split(_BETWEEN)) if value.count(_BETWEEN) == 1 else value
    if isinstance(value, dict):
        return {key: in_current(one) for key, one in value.items()}
    return [in_current(one) for one in value] if isinstance(value, list) else value
