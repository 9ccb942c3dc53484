"""The language of what people read on screen: Spanish, or English by setting (`ATENEO_LANG=en`).

Every text stands in both languages where it is used: `tr("Listo.", "Done.")`.
"""

from contextvars import ContextVar
from typing import Literal

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
