"""What every command shares: the consoles, the language, the event loop, and how an error ends a command.

Exit codes: 0 done; 1 failed; 2 wrong use or settings; 3 done, but not for everything; 130 interrupted.
"""

import functools
import inspect
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, MutableMapping
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from ateneo import i18n
from ateneo.cli import terminal
from ateneo.cli.json_output import print_json
from ateneo.cli.logins import remedy_of
from ateneo.db import embedded
from ateneo.errors import AteneoError, InputError
from ateneo.i18n import tr
from ateneo.language import language
from ateneo.text.clean import showable, shown_on_a_line

if TYPE_CHECKING:
    from ateneo.db.audit import AuditEntry
    from ateneo.db.pool import Database

INTERRUPTED = 130

_BLANK_INSIDE, _STAND_IN = "\N{NO-BREAK SPACE}", "\ufdd0"
"""rich breaks lines at U+00A0 too: until they are made, a noncharacter stands in its place."""


class _Console(Console):
    """What a company's text says, its documents' names among it, drives nobody's terminal; a number stays whole."""

    def render_str(self, text: str, **how: Any) -> Text:
        return super().render_str(text.replace(_BLANK_INSIDE, _STAND_IN), **how)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        if isinstance(renderable, Text) and _BLANK_INSIDE in renderable.plain:
            renderable = renderable.copy()
            renderable.plain = renderable.plain.replace(_BLANK_INSIDE, _STAND_IN)
        for one in super().render(renderable, options):
            yield one if one.control else Segment(showable(one.text.replace(_STAND_IN, _BLANK_INSIDE)), one.style)


# markup and emoji codes are off because texts and ids of the user's pass through here: `[id]` must stay `[id]`
out = _Console(highlight=False, markup=False, emoji=False)
err = _Console(stderr=True, highlight=False, markup=False, emoji=False)


def prepare() -> None:
    """To be called first in a `main`: the language of the help, signals, terminals that lack letters."""
    i18n.use(language())
    stop_embedded_on_end()
    terminal.degrade()


def _log_to_stderr() -> None:
    """As stderr is at each line: while a bar lives, rich puts what is written to it above the bar."""
    import structlog

    processors = structlog.get_config()["processors"][:-1]
    colors = err.is_terminal and not err.no_color
    structlog.configure(
        processors=[*processors, _shown, structlog.dev.ConsoleRenderer(colors=colors)],
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
    )


def _shown(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A log's values as they may be seen: what others wrote, an address or a file's name, is among them."""
    return {name: shown_on_a_line(one) if isinstance(one, str) else one for name, one in event.items()}


def run_or_exit(work: Coroutine[Any, Any, int | None], *, as_json: bool = False, logged: bool = False) -> None:
    """Runs a command. Returns where it ends with 0 or None; else leaves the process with that code.

    An AteneoError is printed, what happened and what to do, and ends with the error's own code; with `as_json` it
    is one JSON object on stdout instead. `logged`: what is printed is a log, where no company's text may be. Ctrl-C
    ends with 130, as SIGTERM does after `end_on_sigterm`.
    """
    import asyncio

    _log_to_stderr()
    try:
        code = asyncio.run(_reported(work, as_json=as_json, logged=logged))
        sys.stdout.flush()
    except (KeyboardInterrupt, asyncio.CancelledError):
        err.print(tr("\nInterrumpido.", "\nInterrupted."))
        code = INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has left (`| head`); the interpreter's last flush must not complain about it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    if code:
        sys.exit(code)


def synchronous(work: Callable[..., Any]) -> Callable[..., Any]:
    """A coroutine function as a command. Its argument `as_json`, where it has one, says how its errors are shown."""
    if not inspect.iscoroutinefunction(work):
        return work

    @functools.wraps(work)
    def call(**arguments: Any) -> None:
        run_or_exit(work(**arguments), as_json=bool(arguments.get("as_json")))

    return call


@asynccontextmanager
async def database() -> AsyncIterator["Database"]:
    """The database that the settings name."""
    from ateneo.factories.databases import open_database
    from ateneo.settings import load

    async with await open_database(load()) as db:
        yield db


async def _reported(work: Coroutine[Any, Any, int | None], *, as_json: bool, logged: bool) -> int:
    # Inside the loop: the language that the command chose ends with its task.
    _wake_on_signals()
    try:
        return await work or 0
    except AteneoError as error:
        if as_json:
            print_json({"error": described(error)})
        else:
            report(error, logged=logged)
        return error.exit_code


def _wake_on_signals() -> None:
    """A signal that comes as the loop begins to wait, or to another thread, is handled when the loop next wakes; with
    a handler of its own, for a signal that nobody sends, asyncio wakes for every signal."""
    import asyncio

    asyncio.get_running_loop().add_signal_handler(signal.SIGURG, lambda: None)


def stop_embedded_on_end() -> None:
    """SIGTERM and SIGHUP end the process as ever, and with it the embedded server that nobody else uses. To be called
    again where a handler of one's own was taken away."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _end)


def _end(number: int, _frame: object) -> None:
    embedded.stop_all()
    signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(number)


@contextmanager
def finishing(stop: Callable[[], None]) -> Iterator[None]:
    """A first Ctrl-C or SIGTERM calls `stop`, and what is under way goes on to its end; another one ends at once."""
    import asyncio

    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    numbers = signal.SIGINT, signal.SIGTERM

    def interrupt() -> None:
        for number in numbers:
            loop.add_signal_handler(number, task.cancel)
        stop()
        told = tr("Termino lo que está en curso; otra vez Ctrl-C corta ya.",
                  "Finishing what is under way; Ctrl-C again ends at once.")  # fmt: skip
        sys.stderr.write(f"\n{told}\n")  # not by `err`, which would write into a bar of `out`
        sys.stderr.flush()

    for number in numbers:
        loop.add_signal_handler(number, interrupt)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
        stop_embedded_on_end()


def end_on_sigterm() -> None:
    """Whoever ends us politely (`timeout`, a CI) means what Ctrl-C means: what was made for the run goes, too.

    To be called in the command's own task. Holds where SIGINT is ignored, as it is in the background of a script.
    """
    import asyncio

    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)


def confirmed(question: str) -> bool:
    """Asks yes or no, as `answered` does."""
    return means_yes(answered(question + (" [s/N]: " if i18n.current() == "es" else " [y/N]: ")))


def means_yes(answer: str) -> bool:
    return answer.lower() in {"y", "yes", "s", "si", "sí"}


def answered(question: str, console: Console = err) -> str:
    """What is typed. It may also come through a pipe; nothing at all is an error (InputError), not an answer."""
    # asyncio would swallow the first Ctrl-C of a question that blocks its loop
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        console.print(question, end="", soft_wrap=True)
        return input().strip()
    except EOFError:
        console.print()
        raise nobody_answers() from None
    finally:
        signal.signal(signal.SIGINT, before)


def nobody_answers() -> InputError:
    return InputError(
        detail=tr(
            "Hace falta confirmar y nadie puede responder acá: agregá --yes.",
            "This needs a confirmation and nobody can answer here: add --yes.",
        )
    )


def report(error: AteneoError, *, logged: bool = False) -> None:
    """Prints an error on stderr: what happened, then what to do about it."""
    say_error(f"❌ {error.loggable if logged else error.message}", style="bold red")
    if remedy := remedy_of(error):
        say_error(f"   {remedy}")


def say_error(text: str, style: str = "") -> None:
    """Prints on stderr, on a terminal cut at words with the lines below each other; elsewhere as it is."""
    if not err.is_terminal:
        err.print(text, style=style, soft_wrap=True)
        return
    head, mark, body = text.partition(" ") if text[:1].strip() else ("", "  ", text.strip())
    grid = Table.grid(padding=0)
    grid.add_column(no_wrap=True)
    grid.add_column()
    grid.add_row(Text(head + mark), err.render_str(body))
    err.print(grid, style=style)


def described(error: AteneoError) -> dict[str, str]:
    """An error for programs."""
    return {"code": error.code, "message": error.message, "remedy": remedy_of(error)}


def whoami() -> str:
    """Who runs the command, as the audit log calls it."""
    import getpass

    try:
        return f"cli:{getpass.getuser()}"
    except (OSError, KeyError):  # a container's user may have no name
        return f"cli:{os.getuid()}"


def entry(empresa_id: str, action: str, *, target: str | None = None, results: int | None = None) -> "AuditEntry":
    """What a command leaves in a company's audit log."""
    from ateneo.db.audit import AuditEntry

    return AuditEntry(empresa_id, whoami(), action, 200, target=target, results=results)


async def note(
    db: "Database", empresa_id: str | None, action: str, *, target: str | None = None, results: int | None = None
) -> None:
    """Puts a command's line in a company's audit log. What was of no single company, or brought and changed nothing,
    leaves none."""
    if empresa_id is not None and results != 0:
        from ateneo.db import audit

        await audit.append(db, [entry(empresa_id, action, target=target, results=results)])
