"""What nobody foresaw: an exception at the outermost edge of a task."""

import traceback

import structlog

from ateneo.errors import AteneoError, Unexpected
from ateneo.text.clean import shown_on_a_line

log = structlog.get_logger(__name__)


def as_ours(error: Exception, where: str) -> AteneoError:
    """The error itself if it is one of ours, else the one that stands for it from here on."""
    return error if isinstance(error, AteneoError) else Unexpected(where=where, kind=type(error).__name__)


def log_unexpected(error: Exception, where: str) -> None:
    """Logs an exception that is none of ours, with the places that it went through.

    What it says is told to nobody: it may quote a company's text, or a key.
    """
    if not isinstance(error, AteneoError):
        log.error("unexpected", where=shown_on_a_line(where), kind=type(error).__name__, traceback=_places(error))


def _places(error: BaseException) -> list[str]:
    """Of the exception and of those behind it: its class, then each frame as `file:line function`, the outermost
    first."""
    places: list[str] = []
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        places.append(type(one).__name__)
        frames = traceback.extract_tb(one.__traceback__)
        places += [f"  {frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
        one = one.__cause__ or one.__context__
    return places
