"""The language of what people read on screen: Spanish, or English by setting (`ATENEO_LANG=en`).

Every text stands in both languages where it is used: `tr("Listo.", "Done.")`. What is made before the language is
known, such as the description of a field, holds `both` until it is shown.
"""

from contextvars import ContextVar
from typing import Any, Literal

Lang = Literal["es", "en"]

_current: ContextVar[Lang] = ContextVar("ateneo_lang", default="es")


def use(lang: Lang) -> None:
    """Sets the language for this context (a process, a task, a request)."""
    _current.set(lang)


def current() -> Lang:
    return _current.get()


def tr(es: str, en: str) -> str:
    """Returns the text in the current language."""
    return en if _current.get() == "en" else es


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
